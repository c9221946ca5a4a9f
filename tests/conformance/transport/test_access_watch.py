"""The watch over access: which refusals end a run, and the message of the target."""

import json
from collections.abc import Mapping

import pytest

from conformance.errors import AccessLost, SkipCheck
from conformance.transport.access_watch import MAX_REFUSED_WRITES, AccessWatch, describe_refusal, extract_message
from conformance.transport.messages import Actor, Request, Response

LIST = Request("listNotes", "get", "/notes")
OTHER_LIST = Request("listLabels", "get", "/labels")
CREATE = Request("createNote", "post", "/notes", body={})
METHODS = {"listNotes": "get", "listLabels": "get", "createNote": "post"}


def response(status: int, content: bytes = b"") -> Response:
    return Response(status, {}, content, 0.0)


class StatusTarget:
    """Responds with a status by operation."""

    base = "https://localhost"
    tokens: Mapping[str, str] = {Actor.OWNER: "a-token"}

    def __init__(self, **statuses: int) -> None:
        self.statuses = {"listNotes": 200, "listLabels": 200, "createNote": 201, **statuses}
        self.sent: list[str] = []

    def send(self, request: Request) -> Response:
        self.sent.append(request.operation)
        return response(self.statuses[request.operation])


def watch(target: StatusTarget) -> AccessWatch:
    return AccessWatch(target, METHODS.get, lambda operation: "the token in $TOKEN")


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_of_all_reads_ends_the_run_once(status: int) -> None:
    target = StatusTarget()
    watched = watch(target)
    watched.send(LIST)
    watched.send(OTHER_LIST)
    target.statuses = dict.fromkeys(target.statuses, status)
    with pytest.raises(AccessLost, match=rf"in \$TOKEN any more: POST /notes returned {status}$"):
        watched.send(CREATE)
    assert watched.send(LIST).status == status  # for cleanup


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_of_one_operation_is_returned_and_probed_once(status: int) -> None:
    target = StatusTarget(listLabels=status)
    watched = watch(target)
    watched.send(LIST)
    assert [watched.send(OTHER_LIST).status for _ in range(3)] == [status] * 3
    assert target.sent == ["listNotes", "listLabels", "listNotes", "listLabels", "listLabels"]


def test_refusals_of_other_actors_and_methods_are_returned() -> None:
    target = StatusTarget(listNotes=200, createNote=403)
    watched = watch(target)
    watched.send(LIST)
    requests = [
        Request("createNote", "post", "/notes", actor=Actor.OTHER_TENANT),
        Request("createNote", "post", "/notes", actor=Actor.ANONYMOUS),
        Request("createNote", "post", "/notes", headers={"Authorization": "Bearer other"}),
        Request("createNote", "patch", "/notes"),
    ]
    assert [watched.send(request).status for request in requests] == [403] * 4
    assert target.sent == ["listNotes", *["createNote"] * 4]


def test_refused_writes_are_skipped_until_they_end_the_run() -> None:
    watched = watch(StatusTarget(createNote=405))
    for _ in range(MAX_REFUSED_WRITES - 1):
        with pytest.raises(SkipCheck, match=r"^the target refuses writes: POST /notes returned 405$"):
            watched.send(CREATE)
    with pytest.raises(
        AccessLost, match=r"^the target refuses every write \(10 requests\): POST /notes returned 405: use"
    ):
        watched.send(CREATE)


@pytest.mark.parametrize("status", [201, 422])
def test_refused_write_is_returned_after_one_that_was_read(status: int) -> None:
    target = StatusTarget(createNote=status)
    watched = watch(target)
    watched.send(CREATE)
    target.statuses["createNote"] = 405
    assert watched.send(CREATE).status == 405


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"message": "The  token\nexpired."}).encode(), "The token expired."),
        (json.dumps({"error": {"code": 7, "message": "No."}}).encode(), "No."),
        (json.dumps({"error": "invalid_token", "error_description": "Expired"}).encode(), "Expired"),
        (json.dumps({"title": "Forbidden", "detail": "No role"}).encode(), "No role"),
        (b'{"code": 7}', '{"code": 7}'),
        (b"<html><head><TITLE lang=en>Sign in\n</title></head><body>x</body></html>", "Sign in"),
        (b"denied", "denied"),
        (b"", ""),
        (b"x" * 500, "x" * 200),
    ],
)
def test_message_of_the_target(content: bytes, message: str) -> None:
    assert extract_message(response(403, content)) == message
    expected = f"GET /notes returned 403 ({message})" if message else "GET /notes returned 403"
    assert describe_refusal(LIST, response(403, content)) == expected
