"""Workflow executions: started by a webhook or by hand, moved by the mock's clock, stopped, counted."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from mock_server.actions.assistant import pick
from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path, require_writable, visible
from mock_server.actions.sent import own_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call
from mock_server.clock import written
from mock_server.problems import Problem, Refusal
from mock_server.query import all_of, asked
from mock_server.store import Stored
from mock_server.store.plan import property_column, quoted
from mock_server.world import World
from spec.document import snake_case
from spec.record import Reference

STARTS_AFTER = timedelta(seconds=1)
# Seconds that a started execution runs before it ends, and how it ends: picked by its key.
RUNS_FOR = (2, 3, 4, 5)
ENDINGS = ("completed",) * 7 + ("error",)
MILLISECOND = timedelta(milliseconds=1)
FINAL = ("completed", "error", "stopped")


def may_be_started(world: World, workflow: Stored) -> bool:
    """Whether the state of a workflow admits an execution."""
    return bool(workflow.own["is_active"])


def may_be_stopped(world: World, execution: Stored) -> bool:
    """Whether an execution has not ended yet."""
    return execution.own["status"] not in FINAL


def trigger(call: Call) -> Answer:
    """Start the workflow that the path names; the body is the execution's input."""
    workflow = named_in_path(call, to_write=True)
    return shown(call, _started(call, workflow, {"mode": "webhook", "input": call.body or {}}))


def create(call: Call) -> Answer:
    """Start the workflow that the body names."""
    contract = call.world.contract
    workflow = visible(call, contract.resources["Workflow"], call.body["workflow_uuid"])
    require_writable(call, contract.resources["Workflow"], workflow)
    return shown(call, _started(call, workflow, own_of(call, contract.resources["WorkflowExecution"])))


def _started(call: Call, workflow: Stored, own: Mapping[str, Any]) -> Stored:
    """A pending execution that the clock will move: running, then ended.

    Raises Refusal (409) for a workflow that is not active.
    """
    world = call.world
    if not may_be_started(world, workflow):
        raise Refusal(Problem.STATE, message="This workflow is not active.")
    resources = world.contract.resources
    with world.store.transaction():
        execution = stored(call, resources["WorkflowExecution"], own, {"workflow": workflow.reference})
        references = {"workflow_execution": execution.reference}
        data = stored(call, resources["WorkflowExecutionData"], {}, references)
        _plan(call, execution, data)
    return execution


def _plan(call: Call, execution: Stored, data: Stored) -> None:
    """Running after a second, ended some seconds later."""
    world = call.world
    seconds = pick(RUNS_FOR, "duration", execution.key)
    started = call.now + STARTS_AFTER
    stopped = started + timedelta(seconds=seconds)
    begun = {"status": "running", "started_at": written(started)}
    status = pick(ENDINGS, "ending", execution.key)
    ended = {"status": status, "is_finished": True, "stopped_at": written(stopped), "duration_ms": 1000 * seconds}
    world.schedule(started, execution, begun)
    world.schedule(stopped, execution, ended)
    step = {
        "status": status,
        "output": {"received": execution.own["input"]},
        "started_at": written(started),
        "stopped_at": written(stopped),
    }
    figures = {"execution_time": seconds, "processed_count": 1, "error_count": int(status == "error")}
    metadata = {**data.own["metadata"], "workflow_execution_data_id": execution.number, **figures}
    world.schedule(stopped, data, {"workflow_data": [step], "metadata": metadata})


def stop(call: Call) -> Answer:
    """End what the path names, now: an execution, or another record with such a `status`, whichever of the fields of an
    ending it has. Raises Refusal (409) when it has ended already.
    """
    world = call.world
    execution = named_in_path(call, to_write=True)
    if not may_be_stopped(world, execution):
        raise Refusal(Problem.STATE, message=f"This {_noun(execution)} has already ended ({execution.own['status']}).")
    with world.store.transaction():
        for reference in (execution.reference, *_parts(world, execution)):
            world.forget_schedule(world.store.existing(reference))
        world.store.change(execution.resource, execution.key, {**execution.own, **_stopped(call, execution)})
    return shown(call, world.store.existing(execution.reference))


def _noun(record: Stored) -> str:
    return snake_case(record.resource).rpartition("_")[2]


def _parts(world: World, execution: Stored) -> Iterator[Reference]:
    """The records that lead to one: what is written while it runs is among them."""
    for relation in world.contract.resources[execution.resource].relations.values():
        if relation.inverse is not None:
            yield from world.store.inverse(relation, execution.reference)


def _stopped(call: Call, execution: Stored) -> dict[str, Any]:
    """What stopping changes of the fields that a record has."""
    started = execution.own.get("started_at") or call.stamp
    stamps = call.world.contract.resources[execution.resource].attributes_with_stamp("updated")
    ended = {
        "status": "stopped",
        "is_finished": True,
        "started_at": started,
        "stopped_at": call.stamp,
        "duration_ms": max(0, (call.now - datetime.fromisoformat(started)) // MILLISECOND),
        **dict.fromkeys(stamps, call.stamp),
    }
    return {name: value for name, value in ended.items() if name in execution.own}


def count(call: Call) -> Answer:
    """How many executions the query's filters leave, in all and by status."""
    world = call.world
    resource = world.contract.resources["WorkflowExecution"]
    query = world.query(call.viewer)
    words = asked(call.operation.parameters, call.query)
    condition = all_of((query.conditions(resource, words), query.visible(resource)))
    status = property_column(("status",))
    sql = f"SELECT {status}, COUNT(*) FROM {quoted(resource.name)} WHERE {condition.sql} GROUP BY 1"
    found = dict(world.store.connection.execute(sql, condition.parameters).fetchall())
    by_status = {name: found.get(name, 0) for name in resource.attributes["status"].enum_values}
    return Answer(orjson.dumps({"data": {"total": sum(found.values()), **by_status}}))
