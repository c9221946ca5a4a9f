"""Retrieve one record by the key in the path."""

from mock_server.actions.lookup import named_in_path
from mock_server.actions.showing import shape_of
from mock_server.call import Answer, Call
from mock_server.pages import Rests
from mock_server.store import Tag


def run(call: Call) -> Answer:
    """The record with its relations."""
    world, tags = call.world, set[Tag]()
    record = named_in_path(call)
    body = world.representation.one(call.operation.envelope, record, call.viewer, shape_of(call), tags)
    return Answer(body, rests=Rests(tags, world.contract.access_grant_resources))
