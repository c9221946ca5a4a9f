"""Records that a request names: found if the viewer may see them, and whether the viewer may write them."""

from typing import Any

from mock_server.call import Call
from mock_server.problems import Problem, Refusal
from mock_server.query import Condition, all_of, any_of
from mock_server.store import Stored
from mock_server.store.plan import key_from
from spec.contract import Resource


def named_in_path(call: Call, *, to_write: bool = False, granted: bool = True) -> Stored:
    """The record that the path names. Raises Refusal: not there, not the viewer's to see, or not to write.

    `granted`: whether a grant may open it.
    """
    resource = call.world.contract.resources[call.operation.resource or ""]
    text = next(iter(call.path.values()))
    record = visible(call, resource, key_from(resource, text), said=text)
    if to_write:
        require_writable(call, resource, record, granted=granted)
    return record


def visible(call: Call, resource: Resource, key: Any, *, said: Any = None) -> Stored:
    """The record with that key, if the viewer may see it. Raises Refusal (404) otherwise."""
    record = call.world.store.get(resource.name, key)
    if record is not None and call.viewer is not None and record.tenant in call.viewer.tenants:
        return record
    condition = all_of((Condition("key = ?", (key,)), call.world.query(call.viewer).visible(resource)))
    found = call.world.store.rows(resource.name, condition.sql, condition.parameters)
    if found:
        return found[0]
    shown = key if said is None else said
    if record is None:
        why = f"there is no {resource.name} {shown}"
        raise Refusal(Problem.NO_RECORD, why, resource=resource.name, key=shown)
    why = f"{resource.name} {shown} lies in a workspace that this token may not enter, and was not shared with it"
    raise Refusal(Problem.OTHER_TENANT, why, resource=resource.name, key=shown)


def require_writable(call: Call, resource: Resource, record: Stored, *, granted: bool = True) -> None:
    """Raise Refusal (403) unless the viewer may change the record; not `granted`: unless it lies in their tenant."""
    viewer = call.viewer
    if viewer is None:
        return
    if resource.writers == "owner":
        if owner_of(call, resource, record) != viewer.user:
            raise Refusal(Problem.FORBIDDEN, f"only its owner may change this {resource.name}")
        return
    if record.tenant is None or record.tenant in viewer.tenants:
        return
    if not granted:
        why = f"this {resource.name} was shared with this token, which at most lets it be changed and run"
        raise Refusal(Problem.FORBIDDEN, f"{why}; only in its own workspace may it be deleted or shared on")
    ways = (condition for condition, permission in call.world.query(viewer).shared(resource) if permission == "write")
    condition = all_of((Condition("key = ?", (record.key,)), any_of(ways)))
    if not call.world.store.rows(resource.name, condition.sql, condition.parameters):
        raise Refusal(Problem.FORBIDDEN, f"this {resource.name} was shared with this token to read, not to write")


def owner_of(call: Call, resource: Resource, record: Stored) -> Any:
    """Key of the user that a record belongs to, None where there is none."""
    at: Stored | None = record
    reference = None
    for step in resource.owner_path:
        reference = at.references.get(step) if at else None
        at = call.world.store.at(reference)
    return reference.key if reference else None
