"""Create a record from a request's body."""

from collections.abc import Mapping
from typing import Any

from mock_server.actions.sent import own_of, references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call
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
    key = world.new_key(resource)
    record = Record(
        resource.name,
        key,
        filled(call, resource, key, own),
        {**_home(call, resource, references), **{k: v for k, v in references.items() if v is not None}},
    )
    world.store.add(record)
    return world.store.existing(Reference(resource.name, key))


def filled(call: Call, resource: Resource, key: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """Own properties in the order of the schema: as sent, else stamped, else the contract's default."""
    number = call.world.store.next_number(resource.name)
    now = call.stamp
    stamps = {"created": now, "updated": now, "number": number}
    values: dict[str, Any] = {}
    for prop in resource.own.values():
        if prop.name == resource.key:
            values[prop.name] = key
        elif prop.stamp is not None:
            values[prop.name] = stamps[prop.stamp]
        elif prop.name in own:
            values[prop.name] = completed(prop.default, prop.default, own[prop.name])
        elif prop.has_default:
            values[prop.name] = prop.default
        elif prop.nullable or not prop.hidden:
            values[prop.name] = None
    return values


def completed(default: Any, before: Any, sent: Any) -> Any:
    """What was sent, and what stood there before beside it, in objects to whose keys the contract gives defaults."""
    if not (isinstance(default, dict) and default and isinstance(before, dict) and isinstance(sent, dict)):
        return sent
    kept = {name: value for name, value in before.items() if name not in sent}
    return {**kept, **{name: completed(default.get(name), before.get(name), value) for name, value in sent.items()}}


def _home(call: Call, resource: Resource, sent: References) -> dict[str, Reference]:
    """The viewer as owner and the viewer's home as tenant, where a record holds them itself and they were not sent."""
    contract, viewer = call.world.contract, call.viewer
    found: dict[str, Reference] = {}
    if viewer is None:
        return found
    account, tenant = contract.account, contract.tenant
    for relation in resource.relations.values():
        if not relation.stored or relation.many or sent.get(relation.name) is not None:
            continue
        owns = (relation.name,) == resource.owner or (not resource.owner and not relation.nullable)
        if account and relation.to == (account.name,) and owns:
            found[relation.name] = Reference(account.name, viewer.user)
        elif tenant and relation.to == (tenant.name,) and (relation.name,) == resource.tenant and viewer.tenants:
            found[relation.name] = Reference(tenant.name, viewer.tenants[0])
    return found
