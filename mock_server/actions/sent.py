"""What a body (and, for a create, the query) says of a record: own properties, and the records it names."""

from collections.abc import Iterator, Mapping
from typing import Any

from mock_server.actions.lookup import visible
from mock_server.call import Call
from mock_server.store.plan import key_from
from spec.contract import BodyField, Parameter, Relation, Resource
from spec.document import snake_case
from spec.record import Reference


def own_of(call: Call, resource: Resource) -> dict[str, Any]:
    """Those of the body's properties that the record stores and that clients may set."""
    if call.operation.body is None or call.body is None:
        return {}
    return {
        name: call.body[name]
        for name, field in call.operation.body.fields.items()
        if name in call.body
        and field.sets is None
        and name in resource.own
        and name != resource.key
        and resource.own[name].stamp is None
    }


def references_of(call: Call, resource: Resource) -> dict[str, Reference | tuple[Reference, ...] | None]:
    """The relations that the request sets; the body wins over the query.

    Every record named must be there and be the viewer's to see: raises Refusal (404).
    """
    found: dict[str, Reference | tuple[Reference, ...] | None] = {}
    for item, sent in _named(call):
        assert item.sets is not None
        relation = resource.relations.get(item.sets.relation)
        if relation is None:
            continue
        found[relation.name] = _reference(call, relation, item, sent)
    return found


def _named(call: Call) -> Iterator[tuple[Parameter | BodyField, Any]]:
    for parameter in call.operation.query:
        if parameter.sets and call.query.get(parameter.name) is not None:
            yield parameter, call.query[parameter.name]
    fields: Mapping[str, BodyField] = call.operation.body.fields if call.operation.body else {}
    for name, field in fields.items():
        if field.sets and call.body is not None and name in call.body:
            yield field, call.body[name]


def _reference(
    call: Call, relation: Relation, item: Parameter | BodyField, sent: Any
) -> Reference | tuple[Reference, ...] | None:
    if sent is None:
        return () if relation.many else None
    target = relation.to[0]
    by = item.sets.by if item.sets else None
    if by is not None:
        said = (call.body or {}).get(by)
        target = next((name for name in relation.to if snake_case(name) == said), target)
    resource = call.world.contract.resources[target]
    keys = sent if isinstance(sent, list) else [sent]
    records = [visible(call, resource, key_from(resource, key), said=key) for key in keys]
    references = tuple(record.reference for record in records)
    if relation.many:
        return tuple(dict.fromkeys(references))
    return references[0]
