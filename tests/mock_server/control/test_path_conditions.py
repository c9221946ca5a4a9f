"""The condition `path`: full paths are accepted, and paths that no request can have are rejected."""

from typing import Any

import pytest

from mock_server.control.path_conditions import can_match
from tests.asgi import Reply
from tests.mock_server.controlled_mock import CONTROL, ControlledMock


@pytest.mark.parametrize(
    ("pattern", "template", "is_match"),
    [
        ("*", "/agents", True),
        ("/age*", "/agents", True),
        ("/agents/*", "/agents", False),
        ("/agents/", "/agents", True),
        ("/agents/1", "/agents/{agent}", True),
        ("/agents/", "/agents/{agent}", False),
        ("/agents/1/2", "/agents/{agent}", False),
        ("/a*/run", "/agents/{agent}/run", True),
        ("*/r*n*", "/agents/{agent}/run", True),
        ("agents", "/agents", False),
        ("/agents/1/run", "/agents/{agent}", False),
    ],
)
def test_pattern_is_compared_with_a_template(pattern: str, template: str, is_match: bool) -> None:
    assert can_match(pattern, template) is is_match


@pytest.mark.parametrize(
    "path", ["prompts", "/prompts?x=1", "/nope", "/prompt", "/nope/*", "/prompts/{uuid}", "/api/v1"]
)
def test_path_that_no_request_can_have_is_rejected(mock: ControlledMock, path: str) -> None:
    rule = {"match": {"path": path}, "respond": {"status": 500}}
    reply = mock.request("POST", f"{CONTROL}/sandboxes/default/rules", rule)
    assert_path_is_rejected(reply, "match.path", path)


@pytest.mark.parametrize("path", ["prompts", "/prompts?x=1", "/prompts/{uuid}"])
def test_path_that_no_recorded_request_can_have_is_rejected(mock: ControlledMock, path: str) -> None:
    bodies: dict[str, Any] = {
        "verify": {"path": path, "at_most": 0},
        "count": {"path": path},
        "find": {"path": path},
    }
    for name, body in bodies.items():
        reply = mock.request("POST", f"{CONTROL}/sandboxes/default/requests/{name}", body)
        assert_path_is_rejected(reply, "path", path)


def assert_path_is_rejected(reply: Reply, field: str, path: str) -> None:
    assert reply.status == 422
    (message,) = reply.json["errors"][field]
    assert f'received "{path}", expected a path of the contract below /api/v1' in message
    assert "did you mean /prompts" in message or "for example /" in message


def test_path_may_start_with_the_base_path(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/a")
    mock.call("a", "GET", "/prompts")
    verified = mock.control("POST", "/sandboxes/a/requests/verify", {"path": "/api/v1/prompts", "count": 1})
    assert verified["verified"]
    mock.control("POST", "/sandboxes/a/rules", {"match": {"path": "/api/v1/prompts"}, "respond": {"status": 503}})
    assert mock.call("a", "GET", "/prompts").status == 503
