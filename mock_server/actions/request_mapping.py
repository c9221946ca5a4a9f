"""Attributes and references that a request sets on a record, from its body and (for a create) its query."""

from typing import Any

from mock_server.actions.access import find_visible
from mock_server.actions.call import ActionRequest
from mock_server.store.schema import RelationValue, parse_key
from spec.document import snake_case
from spec.model import BodyField, Parameter, Resource


def extract_attributes(request: ActionRequest, resource: Resource) -> dict[str, Any]:
    """Return the body's properties that the record stores and that clients may set."""
    request_body, body, attributes = request.operation.request_body, request.body, resource.attributes
    if request_body is None or body is None:
        return {}
    return {
        name: body[name]
        for name, body_field in request_body.fields.items()
        if name in body and body_field.relation_setter is None and name in attributes
        if attributes[name].stamp is None and name != resource.key_attribute
    }


def resolve_references(request: ActionRequest, resource: Resource) -> dict[str, RelationValue]:
    """Return the relations that the request sets; the body takes precedence over the query. Raises ApiError (404)."""
    body, query, operation = request.body or {}, request.query, request.operation
    sources: list[tuple[Parameter | BodyField, Any]] = [
        (parameter, query[parameter.name])
        for parameter in operation.parameters
        if parameter.location == "query" and query.get(parameter.name) is not None
    ]
    if operation.request_body:
        sources += [(item, body[name]) for name, item in operation.request_body.fields.items() if name in body]
    references: dict[str, RelationValue] = {}
    for source, value in sources:
        if source.relation_setter is not None and source.relation_setter.relation in resource.relations:
            references[source.relation_setter.relation] = _resolve_reference(request, resource, source, value)
    return references


def _resolve_reference(
    request: ActionRequest, resource: Resource, source: Parameter | BodyField, value: Any
) -> RelationValue:
    setter = source.relation_setter
    assert setter is not None
    relation = resource.relations[setter.relation]
    if value is None:
        return () if relation.to_many else None
    target_name = relation.targets[0]
    if setter.discriminator:
        type_name = (request.body or {}).get(setter.discriminator)
        target_name = next((name for name in relation.targets if snake_case(name) == type_name), target_name)
    target = request.contract.resources[target_name]
    keys = value if isinstance(value, list) else [value]
    references = [find_visible(request, target, parse_key(target, k), display_key=k).reference for k in keys]
    return tuple(dict.fromkeys(references)) if relation.to_many else references[0]
