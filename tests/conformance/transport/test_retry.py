"""Retries: safe requests are repeated, recovered failures are counted, and the target is given up eventually."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from conformance.errors import NoResponse, TargetUnreachable
from conformance.transport.client import MAX_UNANSWERED, Budget, HttpTarget
from conformance.transport.messages import Request
from conformance.transport.retry import MAX_CONSECUTIVE_FAILURES, Retrier

GET = Request("listThings", "get", "/things")
POST = Request("createThing", "post", "/things", body={})
DELETE = Request("deleteThing", "delete", "/things/{id}", path_values={"id": "1"})
Reply = httpx.Response | httpx.HTTPError


def create_target(*replies: Reply) -> tuple[HttpTarget, list[httpx.Request]]:
    """Create a target that returns the replies in order and then repeats the last, and its list of requests."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        reply = replies[min(len(requests), len(replies)) - 1]
        if isinstance(reply, httpx.HTTPError):
            raise reply
        return reply

    return HttpTarget("http://stub", {}, Budget(None, None), transport=httpx.MockTransport(handle)), requests


def ok() -> httpx.Response:
    return httpx.Response(200, json={})


def error(status: int = 500) -> httpx.Response:
    return httpx.Response(status, json={})


@pytest.fixture
def pauses() -> list[float]:
    """Durations of all pauses, in seconds."""
    return []


@pytest.fixture
def retrier(pauses: list[float]) -> Retrier:
    """Retrier that records pauses instead of sleeping."""
    return Retrier(pauses.append)


def test_recovered_500_is_counted(retrier: Retrier, pauses: list[float]) -> None:
    client, requests = create_target(error(), ok())
    assert retrier.send(client, POST, may_retry=True).status == 200
    assert ([e.response.status for e in retrier.recovered], len(requests), pauses) == ([500], 2, [])


def test_gateway_error_is_retried_after_pause(retrier: Retrier, pauses: list[float]) -> None:
    client, _ = create_target(error(503), error(502), ok())
    assert retrier.send(client, GET, may_retry=True).status == 200
    assert len(pauses) == 2


def test_persistent_500_is_returned(retrier: Retrier) -> None:
    client, requests = create_target(error())
    assert retrier.send(client, GET, may_retry=True).status == 500
    assert (retrier.recovered, len(requests)) == ([], 3)


def test_delete_with_404_on_retry_returns_first_error(retrier: Retrier) -> None:
    client, requests = create_target(error(), error(404))
    assert retrier.send(client, DELETE, may_retry=True).status == 500
    assert (retrier.recovered, len(requests)) == ([], 2)


@pytest.mark.parametrize(
    ("changes", "status"), [({}, 500), ({"actor": "anonymous"}, 401), ({"headers": {"Authorization": "Bearer x"}}, 401)]
)
def test_write_without_a_valid_token_is_not_done_by_the_first_attempt(
    retrier: Retrier, changes: dict[str, Any], status: int
) -> None:
    client, _ = create_target(error(), error(401))
    assert retrier.send(client, replace(DELETE, **changes), may_retry=True).status == status
    assert len(retrier.recovered) == (status == 401)


@pytest.mark.parametrize(("request_", "status"), [(POST, 500), (DELETE, 500), (GET, 409)])
def test_write_with_409_on_retry_returns_first_error(retrier: Retrier, request_: Request, status: int) -> None:
    client, _ = create_target(error(), error(409))
    assert retrier.send(client, request_, may_retry=True).status == status


def test_write_rejected_on_retry_is_recovered(retrier: Retrier) -> None:
    client, _ = create_target(error(), error(422))
    assert retrier.send(client, POST, may_retry=True).status == 422
    assert len(retrier.recovered) == 1


@pytest.mark.parametrize("first", [500, 502])
def test_delete_successful_on_retry_is_recovered(retrier: Retrier, first: int) -> None:
    client, _ = create_target(error(first), httpx.Response(204))
    assert retrier.send(client, DELETE, may_retry=True).status == 204
    assert [e.response.status for e in retrier.recovered] == [first]


def test_failing_operation_is_not_retried_until_it_succeeds(retrier: Retrier) -> None:
    client, requests = create_target(*[error()] * (3 * MAX_CONSECUTIVE_FAILURES + 1), ok(), error())
    for _ in range(MAX_CONSECUTIVE_FAILURES):
        retrier.send(client, GET, may_retry=True)
    assert retrier.send(client, GET, may_retry=True).status == 500
    assert len(requests) == 3 * MAX_CONSECUTIVE_FAILURES + 1
    assert retrier.send(client, GET, may_retry=True).status == 200
    retrier.send(client, GET, may_retry=True)
    assert len(requests) == 3 * MAX_CONSECUTIVE_FAILURES + 5


def test_request_with_effects_is_not_retried(retrier: Retrier) -> None:
    client, requests = create_target(error(), ok())
    assert retrier.send(client, POST, may_retry=False).status == 500
    assert len(requests) == 1


RESET = httpx.RemoteProtocolError("Server disconnected without sending a response.")
REFUSED = httpx.ConnectError("Connection refused")
TIMED_OUT = httpx.ReadTimeout("timed out")


@pytest.mark.parametrize("error", [RESET, REFUSED, TIMED_OUT])
def test_stale_connection_is_retried_for_safe_request(error: httpx.HTTPError) -> None:
    client, requests = create_target(error, ok())
    assert client.send(GET).status == 200
    assert len(requests) == 2


@pytest.mark.parametrize(("error", "times"), [(RESET, 1), (TIMED_OUT, 1), (REFUSED, 2)])
def test_post_is_retried_only_if_never_sent(error: httpx.HTTPError, times: int) -> None:
    client, requests = create_target(error)
    with pytest.raises(NoResponse, match="no response to POST /things"):
        client.send(POST)
    assert len(requests) == times


def test_repeated_timeouts_make_target_unreachable(retrier: Retrier) -> None:
    client, requests = create_target(TIMED_OUT)
    with pytest.raises(NoResponse, match=r"timeout after 10 s \(--timeout\)"):
        retrier.send(client, GET, may_retry=True)
    assert retrier.unanswered == [GET]
    with pytest.raises(TargetUnreachable):
        retrier.send(client, GET, may_retry=True)
    assert len(requests) == MAX_UNANSWERED


def test_response_between_timeouts_resets_count() -> None:
    client, _ = create_target(TIMED_OUT, ok(), TIMED_OUT, ok(), TIMED_OUT, ok(), TIMED_OUT, ok())
    assert [client.send(GET).status for _ in range(4)] == [200] * 4
