"""Retrieve one record by the key in the path."""

from mock_server.actions.lookup import find_in_path
from mock_server.actions.showing import select_projection
from mock_server.call import ActionRequest, ActionResult
from mock_server.pages import CacheDependencies
from mock_server.store import Tag


def retrieve_record(request: ActionRequest) -> ActionResult:
    """The record with its relations."""
    world, tags = request.world, set[Tag]()
    record = find_in_path(request)
    body = world.encoder.encode_body(
        request.operation.envelope, record, request.viewer, select_projection(request), tags
    )
    return ActionResult(body, depends_on=CacheDependencies(tags, world.contract.access_grant_resources))
