"""Create a record from a request's body."""

from collections.abc import Mapping
from typing import Any

from mock_server.actions.sent import own_of, references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call
from mock_server.plans import Blank
from mock_server.store import Stored
from spec.contract import Resource
from spec.record import Record, Reference

References = Mapping[str, Reference | tuple[Reference, ...] | None]


def run(call: Call) -> Answer:
    """Store the record and answer it."""
    resource = call.world.contract.resources[call.operation.resource or ""]
    own, references = own_of(call, resource), references_of(call, resource)
    with call.world.store.transaction():
        record = stored(call, resource, own, references)
    return shown(call, record)


def stored(call: Call, resource: Resource, own: Mapping[str, Any], references: References) -> Stored:
    """A new record of `resource`, with everything that the server adds, as it now stands in the store."""
    world = call.world
    blank = world.plans.blank(resource)
    key = world.new_key(resource)
    led = {**_home(blank, call), **{name: to for name, to in references.items() if to is not None}}
    record = Record(resource.name, key, filled(call, resource, blank, key, own), led)
    return world.store.add(record, fresh=not resource.has_integer_key)  # a number may be some other record's key


def filled(call: Call, resource: Resource, blank: Blank, key: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """Own properties in the order of the schema: as sent, else stamped, else the contract's default."""
    values = {**blank.own}
    for name, value in own.items():
        if name in values:
            default = blank.parted.get(name)
            values[name] = value if default is None else completed(default, default, value)
    now = call.stamp
    for name, stamp in blank.stamps:
        values[name] = call.world.store.next_number(resource.name) if stamp == "number" else now
    values[resource.key_attribute] = key
    for name in blank.optional:
        if name not in own:
            del values[name]
    return values


def completed(default: Any, before: Any, sent: Any) -> Any:
    """What was sent, and what stood there before beside it, in objects to whose keys the contract gives defaults."""
    if not (isinstance(default, dict) and default and isinstance(before, dict) and isinstance(sent, dict)):
        return sent
    kept = {name: value for name, value in before.items() if name not in sent}
    return {**kept, **{name: completed(default.get(name), before.get(name), value) for name, value in sent.items()}}


def _home(blank: Blank, call: Call) -> dict[str, Reference]:
    """The viewer as owner and the viewer's home as tenant, where a record holds them itself."""
    contract, viewer = call.world.contract, call.viewer
    found: dict[str, Reference] = {}
    if not (blank.tenants or blank.owners):
        return found
    if viewer is not None and contract.tenant_resource and viewer.tenants:
        found |= dict.fromkeys(blank.tenants, Reference(contract.tenant_resource.name, viewer.tenants[0]))
    if viewer is not None and contract.account_resource:
        found |= dict.fromkeys(blank.owners, Reference(contract.account_resource.name, viewer.user))
    return found
