"""Attributes and references that a request sets on a record, from its body and (for a create) its query."""

from typing import Any

from mock_server.actions.access import find_visible
from mock_server.actions.call import ActionRequest
from mock_server.sandbox.write_plans import ReferenceInput
from mock_server.store.schema import parse_key
from spec.model import Resource
from spec.record import Reference

RelationValue = Reference | tuple[Reference, ...] | None


def extract_attributes(request: ActionRequest, resource: Resource) -> dict[str, Any]:
    """Return the body's properties that the record stores and that clients may set."""
    body = request.body
    if body is None:
        return {}
    mapping = request.sandbox.write_plans.get_request_mapping(request.operation, resource)
    return {name: body[name] for name in mapping.attributes if name in body}


def resolve_references(request: ActionRequest, resource: Resource) -> dict[str, RelationValue]:
    """Return the relations that the request sets; the body takes precedence over the query. Raises ApiError (404)."""
    mapping = request.sandbox.write_plans.get_request_mapping(request.operation, resource)
    references: dict[str, RelationValue] = {}
    for query_input in mapping.query_references:
        value = request.query.get(query_input.name)
        if value is not None:
            references[query_input.relation.name] = _resolve_reference(request, query_input, value)
    for body_input in mapping.body_references:
        if request.body is not None and body_input.name in request.body:
            value = request.body[body_input.name]
            references[body_input.relation.name] = _resolve_reference(request, body_input, value)
    return references


def _resolve_reference(request: ActionRequest, reference_input: ReferenceInput, value: Any) -> RelationValue:
    to_many = reference_input.relation.to_many
    if value is None:
        return () if to_many else None
    resource = reference_input.resolve_target(request.body)
    keys = value if isinstance(value, list) else [value]
    references = [find_visible(request, resource, parse_key(resource, k), display_key=k).reference for k in keys]
    return tuple(dict.fromkeys(references)) if to_many else references[0]
