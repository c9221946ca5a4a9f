"""What becomes of a request that fails once: sent again where that does no harm, counted, and given up in the end."""

import httpx
import pytest

from conformance.errors import NoResponse, TargetUnreachable
from conformance.transport.client import MAX_UNANSWERED, Budget, HttpTarget
from conformance.transport.messages import Request
from conformance.transport.retry import MAX_CONSECUTIVE_FAILURES, Retrier

GET = Request("listThings", "get", "/things")
POST = Request("createThing", "post", "/things", body={})
DELETE = Request("deleteThing", "delete", "/things/{id}", path_values={"id": "1"})
Answer = httpx.Response | httpx.HTTPError


def target(*answers: Answer) -> tuple[HttpTarget, list[httpx.Request]]:
    """A target that answers these in turn, the last one for ever, and what it was sent."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        answer = answers[min(len(sent), len(answers)) - 1]
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return answer

    return HttpTarget("http://stub", {}, Budget(None, None), transport=httpx.MockTransport(handle)), sent


def ok() -> httpx.Response:
    return httpx.Response(200, json={})


def fails(status: int = 500) -> httpx.Response:
    return httpx.Response(status, json={})


@pytest.fixture
def pauses() -> list[float]:
    """What was waited."""
    return []


@pytest.fixture
def steady(pauses: list[float]) -> Retrier:
    """What sends again, without waiting."""
    return Retrier(pauses.append)


def test_a_500_that_goes_away_is_a_stumble(steady: Retrier, pauses: list[float]) -> None:
    to, sent = target(fails(), ok())
    assert steady.send(to, POST, may_retry=True).status == 200
    assert ([e.response.status for e in steady.recovered], len(sent), pauses) == ([500], 2, [])


def test_a_gateway_is_given_a_breath(steady: Retrier, pauses: list[float]) -> None:
    to, _ = target(fails(503), fails(502), ok())
    assert steady.send(to, GET, may_retry=True).status == 200
    assert len(pauses) == 2


def test_a_500_that_stays_is_the_answer_and_no_stumble(steady: Retrier) -> None:
    to, sent = target(fails())
    assert steady.send(to, GET, may_retry=True).status == 500
    assert (steady.recovered, len(sent)) == ([], 3)


def test_a_delete_that_fails_when_the_record_is_gone_has_failed(steady: Retrier) -> None:
    to, sent = target(fails(), fails(404))
    assert steady.send(to, DELETE, may_retry=True).status == 500
    assert (steady.recovered, len(sent)) == ([], 2)


@pytest.mark.parametrize(("request_", "due"), [(POST, 500), (DELETE, 500), (GET, 409)])
def test_a_write_that_fails_and_then_finds_it_done_has_failed(steady: Retrier, request_: Request, due: int) -> None:
    to, _ = target(fails(), fails(409))
    assert steady.send(to, request_, may_retry=True).status == due


def test_a_write_that_is_refused_for_its_body_when_it_is_sent_again_is_a_stumble(steady: Retrier) -> None:
    to, _ = target(fails(), fails(422))
    assert steady.send(to, POST, may_retry=True).status == 422
    assert len(steady.recovered) == 1


@pytest.mark.parametrize("first", [500, 502])
def test_a_delete_that_succeeds_when_it_is_sent_again_is_a_stumble(steady: Retrier, first: int) -> None:
    to, _ = target(fails(first), httpx.Response(204))
    assert steady.send(to, DELETE, may_retry=True).status == 204
    assert [e.response.status for e in steady.recovered] == [first]


def test_an_operation_that_is_known_to_fail_is_not_sent_again_until_it_succeeds(steady: Retrier) -> None:
    to, sent = target(*[fails()] * (3 * MAX_CONSECUTIVE_FAILURES + 1), ok(), fails())
    for _ in range(MAX_CONSECUTIVE_FAILURES):
        steady.send(to, GET, may_retry=True)
    assert steady.send(to, GET, may_retry=True).status == 500
    assert len(sent) == 3 * MAX_CONSECUTIVE_FAILURES + 1
    assert steady.send(to, GET, may_retry=True).status == 200
    steady.send(to, GET, may_retry=True)
    assert len(sent) == 3 * MAX_CONSECUTIVE_FAILURES + 5


def test_what_has_effects_outside_is_not_sent_again(steady: Retrier) -> None:
    to, sent = target(fails(), ok())
    assert steady.send(to, POST, may_retry=False).status == 500
    assert len(sent) == 1


RESET = httpx.RemoteProtocolError("Server disconnected without sending a response.")
REFUSED = httpx.ConnectError("Connection refused")
HANGS = httpx.ReadTimeout("timed out")


@pytest.mark.parametrize("error", [RESET, REFUSED, HANGS])
def test_a_stale_connection_is_tried_once_more_where_it_can_do_no_harm(error: httpx.HTTPError) -> None:
    to, sent = target(error, ok())
    assert to.send(GET).status == 200
    assert len(sent) == 2


@pytest.mark.parametrize(("error", "times"), [(RESET, 1), (HANGS, 1), (REFUSED, 2)])
def test_a_post_is_sent_again_only_if_it_was_never_sent(error: httpx.HTTPError, times: int) -> None:
    to, sent = target(error)
    with pytest.raises(NoResponse, match="did not answer POST /things"):
        to.send(POST)
    assert len(sent) == times


def test_one_silence_is_counted_and_many_lose_the_target(steady: Retrier) -> None:
    to, sent = target(HANGS)
    with pytest.raises(NoResponse, match=r"no answer within 10 s \(--timeout\)"):
        steady.send(to, GET, may_retry=True)
    assert steady.unanswered == [GET]
    with pytest.raises(TargetUnreachable):
        steady.send(to, GET, may_retry=True)
    assert len(sent) == MAX_UNANSWERED


def test_an_answer_between_silences_keeps_the_target() -> None:
    to, _ = target(HANGS, ok(), HANGS, ok(), HANGS, ok(), HANGS, ok())
    assert [to.send(GET).status for _ in range(4)] == [200] * 4
