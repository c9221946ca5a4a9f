"""What a body (and, for a create, the query) says of a record: own properties, and the records it names."""

from typing import Any

from mock_server.actions.lookup import visible
from mock_server.call import Call
from mock_server.plans import Naming
from mock_server.store.plan import key_from
from spec.contract import Resource
from spec.record import Reference


def own_of(call: Call, resource: Resource) -> dict[str, Any]:
    """Those of the body's properties that the record stores and that clients may set."""
    body = call.body
    if body is None:
        return {}
    return {name: body[name] for name in call.world.plans.saying(call.operation, resource).own if name in body}


def references_of(call: Call, resource: Resource) -> dict[str, Reference | tuple[Reference, ...] | None]:
    """The relations that the request sets; the body wins over the query.

    Every record named must be there and be the viewer's to see: raises Refusal (404).
    """
    said = call.world.plans.saying(call.operation, resource)
    found: dict[str, Reference | tuple[Reference, ...] | None] = {}
    for naming in said.query:
        if call.query.get(naming.name) is not None:
            found[naming.relation.name] = _reference(call, naming, call.query[naming.name])
    for naming in said.body:
        if call.body is not None and naming.name in call.body:
            found[naming.relation.name] = _reference(call, naming, call.body[naming.name])
    return found


def _reference(call: Call, naming: Naming, sent: Any) -> Reference | tuple[Reference, ...] | None:
    many = naming.relation.to_many
    if sent is None:
        return () if many else None
    resource = naming.target(call.body)
    if not isinstance(sent, list):
        found = _named(call, resource, sent)
        return (found,) if many else found
    references = [_named(call, resource, key) for key in sent]
    return tuple(dict.fromkeys(references)) if many else references[0]


def _named(call: Call, resource: Resource, key: Any) -> Reference:
    return visible(call, resource, key_from(resource, key), said=key).reference
