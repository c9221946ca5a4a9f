"""Records in response bodies."""

from typing import Any

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.query import collect_query_arguments
from mock_server.serialization.encoder import join_parts
from mock_server.serialization.layout import Projection
from mock_server.store import StoredRecord


def select_projection(request: ActionRequest) -> Projection:
    """Return the projection for the query's include and count parameters."""
    projections, view = request.sandbox.encoder.projections, request.operation.envelope.view_name or ""
    if not request.query:
        return projections.get_default(view)
    resource = request.contract.resources[request.contract.views[view].resource]
    arguments = collect_query_arguments(request.operation.parameters, request.query)
    paths, counted = request.viewer_query.parse_includes(resource, arguments)
    return projections.get_default(view, counted) if paths is None else projections.get_for_paths(view, paths, counted)


def render_record(request: ActionRequest, record: StoredRecord) -> ActionResult:
    """Return the result with one record as its data; with its values if the documented body does not show it."""
    envelope = request.operation.envelope
    view = request.contract.views.get(envelope.view_name or "")
    if view is None or view.resource != record.resource or envelope.is_list:
        return ActionResult(None, values=record.attributes)
    projection = select_projection(request)
    parts = request.sandbox.encoder.encode_body_parts(envelope, record, request.viewer, projection)
    return ActionResult(join_parts(parts), body_parts=parts)


def render_fragment(request: ActionRequest, record: StoredRecord) -> Any:
    """Return a record in its default projection, as a fragment for `orjson.dumps`."""
    encoder = request.sandbox.encoder
    projection = encoder.projections.get_default(record.resource)
    return orjson.Fragment(encoder.encode_record(record.resource, record, projection, request.viewer))
