"""Workflow executions: started by a webhook or by a user, advanced by the mock's clock, stopped and counted."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from mock_server.actions.access import find_in_path, find_visible, require_writable
from mock_server.actions.assistant import pick
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.crud import insert_record
from mock_server.actions.request_mapping import extract_attributes
from mock_server.actions.responses import render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.json_encoding import encode_json
from mock_server.query import collect_query_arguments
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import StoredRecord
from spec.document import snake_case

START_DELAY = timedelta(seconds=1)
# Run time in seconds and final status of an execution: picked by its key.
RUN_SECONDS = (2, 3, 4, 5)
OUTCOMES = ("completed",) * 7 + ("error",)
ENDLESS_OUTCOME = "running"  # can be chosen by a test: the execution does not end
CHOICES = (*dict.fromkeys(OUTCOMES), ENDLESS_OUTCOME)
MILLISECOND = timedelta(milliseconds=1)
FINAL_STATUSES = ("completed", "error", "stopped")


def can_start(sandbox: Sandbox, workflow: StoredRecord) -> bool:
    """Whether a workflow can be executed."""
    return bool(workflow.attributes["is_active"])


def can_stop(sandbox: Sandbox, execution: StoredRecord) -> bool:
    """Whether an execution is pending or running."""
    return execution.attributes["status"] not in FINAL_STATUSES


def trigger_workflow(request: ActionRequest) -> ActionResult:
    """Start the workflow that the path names; the body is the execution's input."""
    workflow = find_in_path(request, for_write=True)
    return render_record(request, _start_execution(request, workflow, {"mode": "webhook", "input": request.body or {}}))


def create_execution(request: ActionRequest) -> ActionResult:
    """Start the workflow that the body names."""
    resources = request.contract.resources
    workflow = find_visible(request, resources["Workflow"], request.body["workflow_uuid"])
    require_writable(request, resources["Workflow"], workflow)
    attributes = extract_attributes(request, resources["WorkflowExecution"])
    return render_record(request, _start_execution(request, workflow, attributes))


def _start_execution(request: ActionRequest, workflow: StoredRecord, attributes: Mapping[str, Any]) -> StoredRecord:
    """Create a pending execution and schedule its transitions.

    Raises ApiError (409) for an inactive workflow, and (400) for an unknown outcome.
    """
    if request.outcome not in (None, *CHOICES):
        message = f"X-Mock-Outcome: invalid value {str(request.outcome)[:100]!r} (expected {', '.join(CHOICES)})."
        raise ApiError(ErrorKind.BAD_REQUEST, message=message)
    if not can_start(request.sandbox, workflow):
        raise ApiError(ErrorKind.CONFLICT, message="This workflow is not active.")
    resources = request.contract.resources
    with request.store.transaction():
        execution = insert_record(request, resources["WorkflowExecution"], attributes, {"workflow": workflow.reference})
        references = {"workflow_execution": execution.reference}
        data = insert_record(request, resources["WorkflowExecutionData"], {}, references)
        _schedule_transitions(request, execution, data)
    return execution


def _schedule_transitions(request: ActionRequest, execution: StoredRecord, data: StoredRecord) -> None:
    """Schedule the start after START_DELAY, at most the run time, and the end some seconds later."""
    sandbox = request.sandbox
    seconds = sandbox.execution_seconds
    if seconds is None:
        seconds = pick(RUN_SECONDS, "duration", execution.key)
    status = request.outcome or pick(OUTCOMES, "ending", execution.key)
    starts_at = request.now + min(START_DELAY, timedelta(seconds=seconds))
    stops_at = starts_at + timedelta(seconds=seconds)
    started, stopped = {"started_at": format_timestamp(starts_at)}, {"stopped_at": format_timestamp(stops_at)}
    sandbox.schedule_change(starts_at, execution, {"status": "running", **started})
    if status == ENDLESS_OUTCOME:
        return
    end_changes = {"status": status, "is_finished": True, **stopped, "duration_ms": round(1000 * seconds)}
    sandbox.schedule_change(stops_at, execution, end_changes)
    step = {"status": status, "output": {"received": execution.attributes["input"]}, **started, **stopped}
    counts = {"execution_time": seconds, "processed_count": 1, "error_count": int(status == "error")}
    metadata = {**data.attributes["metadata"], "workflow_execution_data_id": execution.number, **counts}
    sandbox.schedule_change(stops_at, data, {"workflow_data": [step], "metadata": metadata})


def stop_execution(request: ActionRequest) -> ActionResult:
    """Stop an execution, or another record with such a `status`. Raises ApiError (409) if it has already ended."""
    sandbox, store = request.sandbox, request.store
    execution = find_in_path(request, for_write=True)
    if not can_stop(sandbox, execution):
        label = snake_case(execution.resource).rpartition("_")[2]
        status = execution.attributes["status"]
        raise ApiError(ErrorKind.CONFLICT, message=f"This {label} has already ended ({status}).")
    attributes = {**execution.attributes, **_get_stop_changes(request, execution)}
    with store.transaction():
        # The records that refer to the execution include those that its scheduled changes write.
        relations = sandbox.contract.resources[execution.resource].relations.values()
        dependents = [store.find_inverse(r, execution.reference) for r in relations if r.inverse is not None]
        for reference in (execution.reference, *chain.from_iterable(dependents)):
            sandbox.cancel_scheduled_changes(store.get_existing(reference))
        store.update(execution.resource, execution.key, attributes)
    return render_record(request, store.get_existing(execution.reference))


def _get_stop_changes(request: ActionRequest, execution: StoredRecord) -> dict[str, Any]:
    """Return the attributes that stopping changes, without those that the record does not have."""
    attributes = execution.attributes
    started_at = attributes.get("started_at") or request.timestamp
    updated_attributes = request.contract.resources[execution.resource].attributes_with_stamp("updated")
    changes = {
        "status": "stopped",
        "is_finished": True,
        "started_at": started_at,
        "stopped_at": request.timestamp,
        "duration_ms": max(0, (request.now - datetime.fromisoformat(started_at)) // MILLISECOND),
        **dict.fromkeys(updated_attributes, request.timestamp),
    }
    return {name: value for name, value in changes.items() if name in attributes}


def count_executions(request: ActionRequest) -> ActionResult:
    """Return the number of executions that match the query's filters, in total and by status."""
    resource = request.contract.resources["WorkflowExecution"]
    query = request.viewer_query
    arguments = collect_query_arguments(request.operation.parameters, request.query)
    condition = query.build_visible_condition(resource, arguments)
    status = request.store.build_expression(resource.name, "status")
    counts = request.store.aggregate_by(resource.name, status.sql, "COUNT(*)", condition)
    by_status = {name: counts.get(name, 0) for name in resource.attributes["status"].enum_values}
    return ActionResult(encode_json({"data": {"total": sum(counts.values()), **by_status}}))
