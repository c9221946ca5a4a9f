"""Retrieve one record by the key in the path."""

from mock_server.actions.list import shape_of
from mock_server.actions.lookup import named_in_path
from mock_server.call import Answer, Call


def run(call: Call) -> Answer:
    """The record with its relations."""
    record = named_in_path(call)
    shape = shape_of(call.world.query(call.viewer), call.operation, call)
    return Answer(call.world.representation.one(call.operation.result, record, call.viewer, shape))
