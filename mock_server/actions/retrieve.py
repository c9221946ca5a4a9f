"""Retrieve one record by the key in the path."""

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.responses import select_projection
from mock_server.sandbox.response_cache import CacheDependencies
from mock_server.store import Tag


def retrieve_record(request: ActionRequest) -> ActionResult:
    """The record with its relations."""
    sandbox, tags = request.sandbox, set[Tag]()
    record = find_in_path(request)
    body = sandbox.encoder.encode_body(
        request.operation.envelope, record, request.viewer, select_projection(request), tags
    )
    return ActionResult(body, depends_on=CacheDependencies(tags, sandbox.contract.access_grant_resources))
