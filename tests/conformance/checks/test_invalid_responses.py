"""Responses of any shape cause failures or skips, never an internal error, and the records of the run are deleted."""

from collections.abc import Callable
from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.errors import SkipCategory
from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import change_json
from conformance.runner.runner import RunResult
from tests.conformance.support.clinic import inject_fault, run_checks
from tests.conformance.support.clinic_faults import CLINIC

OPERATIONS = [o.id for o in CLINIC.operations.values() if o.resource == "Ward" and o.is_generic]
SHAPES: dict[str, Any] = {"null": None, "text": "x", "list": [1], "object": {"a": 1}, "huge": 10**400, "boolean": True}


def find_internal_errors(result: RunResult) -> list[str]:
    """Return the internal errors of a run."""
    return [
        f"{r.requirement.check}: {r.message}" for r in result.results if r.skip_category is SkipCategory.INTERNAL_ERROR
    ]


def change_rows(change: Callable[[list[Any]], list[Any]]) -> Callable[[InterceptedRequest, Any], Any]:
    """Change the rows of each list."""

    def change_body(request: InterceptedRequest, body: Any) -> Any:
        is_list = isinstance(body, dict) and isinstance(body.get("data"), list)
        return {**body, "data": change(body["data"])} if is_list else body

    return change_body


def replace_keys(value: Any, *, depth: int) -> Callable[[InterceptedRequest, Any], Any]:
    """Replace the keys of the records at a depth of nesting."""

    def replace(node: Any, level: int) -> Any:
        if isinstance(node, list):
            return [replace(item, level) for item in node]
        if not isinstance(node, dict):
            return node
        nested = {name: replace(item, level + 1) for name, item in node.items()}
        return {**nested, "uuid": value} if level == depth and "uuid" in node else nested

    return lambda request, body: replace(body, 0)


def replace_created(value: Any) -> Callable[[InterceptedRequest, Any], Any]:
    """Replace the record of a create response."""
    return lambda request, body: {"data": value} if request.operation.method == "post" else body


FAULTS = {
    "rows are null": change_rows(lambda rows: [None] * len(rows)),
    "last row is a text": change_rows(lambda rows: [*rows[:-1], "x"]),
    "no rows": lambda request, body: {k: v for k, v in body.items() if k != "data"} if isinstance(body, dict) else body,
    **{f"keys are {name}": replace_keys(value, depth=1) for name, value in SHAPES.items()},
    **{f"nested keys are {name}": replace_keys(value, depth=2) for name, value in SHAPES.items()},
    **{f"a create returns {name}": replace_created(value) for name, value in SHAPES.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_invalid_response_is_no_internal_error(fault: Callable[[InterceptedRequest, Any], Any]) -> None:
    result = run_checks(CHECKS, OPERATIONS, inject_fault(change_json(fault)))
    assert find_internal_errors(result) == []


def test_record_whose_key_is_unknown_is_reported_as_not_deleted() -> None:
    result = run_checks(CHECKS, ["createWard"], inject_fault(change_json(replace_created({"name": "x"})), "createWard"))
    assert result.records_not_deleted[0][0] == "Ward"
    assert str(result.records_not_deleted[0][1]).endswith("without a key in the response)")
