"""Updates by each operation, omitted properties, discriminators and cached lists, on Athena's contract."""

from typing import Any

import pytest

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, change_body, change_value
from tests.conformance.support.check_runner import find_failures

pytestmark = pytest.mark.slow  # each test sends many requests to a reset mock

PAGING = ("page", "per_page", "search", "sort_by", "sort_direction")


def return_previous_record() -> Fault:
    """An update returns the record as the last update returned it."""
    records: dict[str, Any] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        data = response.data(request.operation)
        if not isinstance(data, dict):
            return response
        previous = records.get(request.key, data)
        records[request.key] = data
        return response.with_data(request.operation, previous)

    return fault


def reset_omitted(name: str, value: Any) -> MakeFault:
    """An update without a property sets it."""
    return change_body(lambda body: {name: value, **body})


def cache_without_filters() -> Fault:
    """The key of the cache of a list has no filters."""
    responses: dict[tuple[str, ...], InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        key = tuple(",".join(request.parameter_values(name)) for name in PAGING)
        if key not in responses:
            responses[key] = await call_next(request)
        return responses[key]

    return fault


def shorten(name: str) -> str:
    return name.partition("_")[0]


@pytest.mark.parametrize(
    ("check", "operation", "make_fault", "parameter"),
    [
        ("model-update", "patchWorkflowExecution", return_previous_record, "mode"),
        ("model-update", "updateWorkflow", reset_omitted("is_active", False), "is_active"),
        ("model-update", "updateWorkflow", reset_omitted("is_active", True), "is_active"),
        ("model-update", "updateMemory", reset_omitted("source", None), "source"),
        ("model-create", "storeCommandRoomTask", change_value(shorten, ("data", "taskable_type")), "taskable_type"),
        ("model-list", "listLargeLanguageModels", cache_without_filters, "is_enabled"),
    ],
)
def test_fault_is_found_as_a_contradiction(check: str, operation: str, make_fault: MakeFault, parameter: str) -> None:
    failures = {failure.requirement.parameter: failure for failure in find_failures(check, operation, make_fault)}
    assert failures[parameter].is_contradiction
