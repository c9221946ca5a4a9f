"""Records as answers: in the shape that the request asks for, or in the default one inside a larger answer."""

from typing import Any

import orjson

from mock_server.call import Answer, Call
from mock_server.query import asked
from mock_server.representation import Shape
from mock_server.store import Stored


def shape_of(call: Call) -> Shape:
    """What the query's include and count words make of the answer's records."""
    shapes, view = call.world.representation.shapes, call.operation.envelope.view_name or ""
    if not call.query:
        return shapes.default(view)
    contract = call.world.contract
    resource = contract.resources[contract.views[view].resource]
    words = asked(call.operation.parameters, call.query)
    paths, shown = call.world.query(call.viewer).included(resource, words)
    return shapes.default(view, shown) if paths is None else shapes.named(view, paths, shown)


def shown(call: Call, record: Stored) -> Answer:
    """The answer that is one record."""
    return Answer(call.world.representation.one(call.operation.envelope, record, call.viewer, shape_of(call)))


def part(call: Call, record: Stored) -> Any:
    """A record in its default shape, to stand inside an answer that an action puts together."""
    representation = call.world.representation
    shape = representation.shapes.default(record.resource)
    return orjson.Fragment(representation.record(record.resource, record, shape, call.viewer))
