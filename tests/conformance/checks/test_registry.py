"""The declarations of all checks."""

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Category


def test_every_check_has_a_category() -> None:
    assert [check.id for check in CHECKS if not isinstance(check.category, Category)] == []


def test_every_category_of_checks_is_used() -> None:
    assert {check.category for check in CHECKS} == set(Category) - {Category.REQUESTS}


@pytest.mark.parametrize(
    "check_id",
    ["unknown-record-is-404", "unsupported-method-is-405", "malformed-json-is-400", "unsupported-media-type-is-415"],
)
def test_http_error_checks_are_in_category_http(check_id: str) -> None:
    assert [check.category for check in CHECKS if check.id == check_id] == ["http"]


def test_check_ids_are_unique() -> None:
    ids = [check.id for check in CHECKS]
    assert sorted(set(ids)) == sorted(ids)
