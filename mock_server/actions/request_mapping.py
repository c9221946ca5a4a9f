"""What a body (and, for a create, the query) says of a record: own properties, and the records it names."""

from typing import Any

from mock_server.actions.access import find_visible
from mock_server.actions.call import ActionRequest
from mock_server.sandbox.write_plans import ReferenceInput
from mock_server.store.schema import parse_key
from spec.loader import Resource
from spec.record import Reference


def extract_attributes(request: ActionRequest, resource: Resource) -> dict[str, Any]:
    """Those of the body's properties that the record stores and that clients may set."""
    body = request.body
    if body is None:
        return {}
    return {
        name: body[name]
        for name in request.sandbox.write_plans.get_request_mapping(request.operation, resource).attributes
        if name in body
    }


def resolve_references(
    request: ActionRequest, resource: Resource
) -> dict[str, Reference | tuple[Reference, ...] | None]:
    """The relations that the request sets; the body wins over the query.

    Every record named must be there and be the viewer's to see: raises Refusal (404).
    """
    mapping = request.sandbox.write_plans.get_request_mapping(request.operation, resource)
    references: dict[str, Reference | tuple[Reference, ...] | None] = {}
    for reference_input in mapping.query_references:
        if request.query.get(reference_input.name) is not None:
            references[reference_input.relation.name] = _resolve_reference(
                request, reference_input, request.query[reference_input.name]
            )
    for reference_input in mapping.body_references:
        if request.body is not None and reference_input.name in request.body:
            references[reference_input.relation.name] = _resolve_reference(
                request, reference_input, request.body[reference_input.name]
            )
    return references


def _resolve_reference(
    request: ActionRequest, reference_input: ReferenceInput, value: Any
) -> Reference | tuple[Reference, ...] | None:
    is_to_many = reference_input.relation.to_many
    if value is None:
        return () if is_to_many else None
    resource = reference_input.resolve_target(request.body)
    if not isinstance(value, list):
        reference = _find_record(request, resource, value)
        return (reference,) if is_to_many else reference
    references = [_find_record(request, resource, key) for key in value]
    return tuple(dict.fromkeys(references)) if is_to_many else references[0]


def _find_record(request: ActionRequest, resource: Resource, key: Any) -> Reference:
    return find_visible(request, resource, parse_key(resource, key), display_key=key).reference
