"""Retrieve one record by the key in the path."""

from mock_server.actions.lookup import named_in_path
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call


def run(call: Call) -> Answer:
    """The record with its relations."""
    return shown(call, named_in_path(call))
