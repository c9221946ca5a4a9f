"""Checks of values that actions, metrics and arrays in creates set: a fault on Athena's contract for each.

The clinic's contract has no such operations.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, build_response, change_body, change_json, change_request, respond_if
from conformance.results import CheckResult, Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, run_checks_with_session

pytestmark = pytest.mark.slow  # each test sends many requests to a reset mock


def find_failures(
    check: str, operation: str, make_fault: MakeFault | None, fault_operations: Iterable[str]
) -> list[CheckResult]:
    """Return the failures of a check on an operation; each operation with effects may be called four times."""
    run_result, _ = run_checks_with_session(
        [CHECKS_BY_ID[check]], operation, make_fault, fault_operations=fault_operations, effect_calls=4
    )
    assert make_fault is not None or run_result.with_status(Status.PASSED)
    return list(run_result.with_status(Status.FAILED))


def drop_field(name: str) -> MakeFault:
    """A field of the request is ignored."""
    return change_body(lambda body: {field: value for field, value in body.items() if field != name})


def keep_first(name: str) -> Fault:
    """A property keeps the first value that it had in a record."""
    values: dict[str, Any] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        data = response.data(request.operation)
        if not isinstance(data, dict) or data.get(name) is None:
            return response
        return response.with_data(request.operation, {**data, name: values.setdefault(request.key, data[name])})

    return fault


def count_all_shares() -> Fault:
    """The shares of agents include those of workflows that were created since the start."""
    shares: list[str] = []

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.operation.id == "shareWorkflow":
            shares.extend([request.key] if response.is_success else [])
            return response
        data = response.data(request.operation)
        is_of_agents = request.parameter_values("entity") == ["agents"]
        if not is_of_agents or request.parameter_values("metric") != ["shares"] or not isinstance(data, dict):
            return response
        return response.with_data(request.operation, {**data, "total": data["total"] + len(shares)})

    return fault


def is_of_other_tenant(request: InterceptedRequest) -> bool:
    """Whether a request has the token of another tenant."""
    return request.headers.get("authorization") == "Bearer other-token"


def truncate_sum(request: InterceptedRequest, body: Any) -> Any:
    """The total of a series of sums is an integer."""
    is_series = request.json_object.get("calculation") == "time_series_sum"
    return {**body, "total": int(body["total"])} if is_series else body


def embed_one_page(_: InterceptedRequest, body: Any) -> Any:
    """The response has at most 20 of the workflows of an agent."""
    record = body["data"]
    return {**body, "data": {**record, "workflows": record["workflows"][:20]}} if "workflows" in record else body


def hide_stop_time(_: InterceptedRequest, body: Any) -> Any:
    """A stopped record that has no start has no end."""
    record = body["data"]
    return {**body, "data": {**record, "stopped_at": None}} if record["status"] == "stopped" else body


def drop_fraction(_: InterceptedRequest, body: Any) -> Any:
    """A time that clients write has whole seconds, one that the server sets has microseconds."""
    record = body["data"]
    written = record["wait_till"] and f"{record['wait_till'][:19]}Z"
    return {**body, "data": {**record, "wait_till": written, "created_at": f"{record['created_at'][:19]}.123456Z"}}


def average_in_seconds(_: InterceptedRequest, body: Any) -> Any:
    """An average duration is in seconds."""
    data = body["data"]
    return {**body, "data": {**data, "total": data["total"] // 1000}} if data["metric"] == "avg_duration" else body


def reject_if(condition: Callable[[dict[str, Any]], bool]) -> MakeFault:
    """A body is rejected."""
    response = build_response(422, {"message": "The value is invalid.", "errors": {}})
    return respond_if(lambda request: condition(request.json_object), response)


def has_voice(body: dict[str, Any]) -> bool:
    """Whether the metadata has a certain voice."""
    return isinstance(body.get("metadata"), dict) and body["metadata"].get("openai_voice") == "coral"


FAULTS: dict[tuple[str, str, str], tuple[MakeFault, list[str]]] = {
    ("action-uses-referenced-record", "runAgent", "thread_uuid"): (
        drop_field("thread_uuid"),
        ["runAgent"],
    ),
    ("action-uses-referenced-record", "generateAgent", "workspace_uuid"): (
        drop_field("workspace_uuid"),
        ["generateAgent"],
    ),
    ("array-items-create-records", "createMessage", "files"): (
        change_body(lambda body: {**body, "files": body["files"][:1]} if "files" in body else body),
        ["createMessage"],
    ),
    ("equivalent-filters-agree", "countWorkflowExecutions", "multiplai_id"): (
        change_request(
            lambda request: (
                request.with_parameters({"multiplai_id": "org-123"})
                if request.parameter_values("multiplai_id")
                else request
            )
        ),
        ["countWorkflowExecutions"],
    ),
    **{
        ("date-time-keeps-fraction", operation, "wait_till"): (
            change_json(drop_fraction),
            ["retrieveWorkflowExecution"],
        )
        for operation in ("updateWorkflowExecution", "patchWorkflowExecution")
    },
    ("average-agrees-with-sum", "getWorkspacesMetrics", "WorkflowExecution.duration_ms"): (
        change_json(average_in_seconds),
        ["getWorkspacesMetrics"],
    ),
    ("many-related-records-are-stored", "createAgent", "workflow_uuids"): (
        change_body(lambda body: {**body, "workflow_uuids": body.get("workflow_uuids", [])[:15]}),
        ["createAgent"],
    ),
    ("many-related-records-are-stored", "updateAgent", "workflow_uuids"): (
        change_json(embed_one_page),
        ["retrieveAgent"],
    ),
    ("metric-counts-actions-of-its-resource", "getWorkspacesMetrics", "workflows shares"): (
        count_all_shares,
        ["getWorkspacesMetrics", "shareWorkflow"],
    ),
    ("metric-follows-updates", "countWorkflowExecutions", "requires_human_review patchWorkflowExecution"): (
        drop_field("requires_human_review"),
        ["patchWorkflowExecution"],
    ),
    ("counted-action-has-a-time", "runPrompt", "last_used_at"): (
        change_json(lambda _, body: {**body, "data": {**body["data"], "last_used_at": None}}),
        ["retrievePrompt"],
    ),
    ("repeated-action-advances-time", "runAgent", "last_used_at"): (
        lambda: keep_first("last_used_at"),
        ["retrieveAgent"],
    ),
    ("returned-references-are-retrievable", "runAgent", "other data.thread"): (
        respond_if(is_of_other_tenant, build_response(404, {"message": "No."})),
        ["retrieveThread"],
    ),
    ("state-has-its-time", "stopWorkflowExecution", "stopped_at"): (
        change_json(hide_stop_time),
        ["retrieveWorkflowExecution"],
    ),
    ("time-series-sum-adds-up", "getThreadsMetrics", "time_series_sum metadata.temperature"): (
        change_json(truncate_sum),
        ["getThreadsMetrics"],
    ),
    ("valid-body-accepted", "createAgent", "metadata enum openai_voice=coral"): (reject_if(has_voice), ["createAgent"]),
    ("valid-body-accepted", "storeCommandRoomTask", "taskable_type enum workflow"): (
        reject_if(lambda body: body.get("taskable_type") == "workflow"),
        ["storeCommandRoomTask"],
    ),
}


@pytest.mark.parametrize("location", FAULTS, ids="-".join)
def test_check_passes_without_a_fault(location: tuple[str, str, str]) -> None:
    assert find_failures(*location[:2], None, ()) == []


@pytest.mark.parametrize("location", FAULTS, ids="-".join)
def test_check_fails_for_its_fault(location: tuple[str, str, str]) -> None:
    failures = find_failures(*location[:2], *FAULTS[location])
    assert [failure.requirement.parameter for failure in failures] == [location[2]]
