"""Records as answers: in the shape that the request asks for, or in the default one inside a larger answer."""

from typing import Any

import orjson

from mock_server.call import ActionRequest, ActionResult
from mock_server.query import asked
from mock_server.representation import Shape
from mock_server.store import Stored


def select_projection(request: ActionRequest) -> Shape:
    """What the query's include and count words make of the answer's records."""
    projections, view = request.world.representation.shapes, request.operation.envelope.view_name or ""
    if not request.query:
        return projections.default(view)
    contract = request.world.contract
    resource = contract.resources[contract.views[view].resource]
    extensions = asked(request.operation.parameters, request.query)
    include_paths, counted = request.world.query(request.viewer).included(resource, extensions)
    return (
        projections.default(view, counted) if include_paths is None else projections.named(view, include_paths, counted)
    )


def render_record(request: ActionRequest, record: Stored) -> ActionResult:
    """The answer that is one record."""
    return ActionResult(
        request.world.representation.one(request.operation.envelope, record, request.viewer, select_projection(request))
    )


def render_fragment(request: ActionRequest, record: Stored) -> Any:
    """A record in its default shape, to stand inside an answer that an action puts together."""
    representation = request.world.representation
    projection = representation.shapes.default(record.resource)
    return orjson.Fragment(representation.record(record.resource, record, projection, request.viewer))
