"""Records as answers: in the shape that the request asks for, or in the default one inside a larger answer."""

from typing import Any

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.query.query import collect_query_arguments
from mock_server.serialization.encoder import Projection
from mock_server.store import StoredRecord


def select_projection(request: ActionRequest) -> Projection:
    """What the query's include and count words make of the answer's records."""
    projections, view = request.sandbox.encoder.projections, request.operation.envelope.view_name or ""
    if not request.query:
        return projections.get_default(view)
    contract = request.sandbox.contract
    resource = contract.resources[contract.views[view].resource]
    extensions = collect_query_arguments(request.operation.parameters, request.query)
    include_paths, counted = request.sandbox.create_query(request.viewer).parse_includes(resource, extensions)
    return (
        projections.get_default(view, counted)
        if include_paths is None
        else projections.get_for_paths(view, include_paths, counted)
    )


def render_record(request: ActionRequest, record: StoredRecord) -> ActionResult:
    """The answer that is one record."""
    return ActionResult(
        request.sandbox.encoder.encode_body(
            request.operation.envelope, record, request.viewer, select_projection(request)
        )
    )


def render_fragment(request: ActionRequest, record: StoredRecord) -> Any:
    """A record in its default shape, to stand inside an answer that an action puts together."""
    representation = request.sandbox.encoder
    projection = representation.projections.get_default(record.resource)
    return orjson.Fragment(representation.encode_record(record.resource, record, projection, request.viewer))
