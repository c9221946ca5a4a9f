"""The declarations of all checks."""

from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Category, Check
from conformance.mutation.faults import change_value
from conformance.results import Status
from tests.conformance.support.clinic import inject_fault, run_checks
from tests.conformance.support.clinic_faults import CLINIC
from tests.document_texts import code_blocks


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


def test_check_in_the_contributing_guide_works() -> None:
    [source] = [block for kind, block in code_blocks("CONTRIBUTING.md") if "@check(" in block]
    names: dict[str, Any] = {}
    exec(source, names)
    documented = names["check_key"]
    assert isinstance(documented, Check)
    operations = ["retrievePatient"]
    [result] = run_checks([documented], operations).results
    assert result.status is Status.PASSED
    wrong_key = inject_fault(change_value(lambda key: f"{key[:-1]}x", ("data", "uuid")), *operations)
    [result] = run_checks([documented], operations, wrong_key).results
    assert result.status is Status.FAILED


@pytest.mark.slow
def test_order_of_the_checks_does_not_matter() -> None:
    in_reverse = sorted(CHECKS, key=lambda check: (-check.stage, check.id), reverse=True)
    run_result = run_checks(in_reverse, list(CLINIC.operations))
    assert [result.message for result in run_result.with_status(Status.FAILED)] == []
    assert run_result.flaky == []
