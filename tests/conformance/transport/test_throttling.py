"""Retries after a 429: the pause that the target asks for, and the note about all pauses."""

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget, Throttling
from conformance.transport.messages import Request

DATE = "Mon, 02 Mar 2026 10:00:00 GMT"


def send(retry_after: str | None, limited: int) -> tuple[int, list[float], HttpTarget]:
    """Send a request to a target that rejects the first ones; return the final status, and the pauses."""
    pauses: list[float] = []
    headers = {"Date": DATE, **({} if retry_after is None else {"Retry-After": retry_after})}
    responses = iter([httpx.Response(429, headers=headers)] * limited + [httpx.Response(200)])
    transport = httpx.MockTransport(lambda request: next(responses))
    target = HttpTarget("http://localhost", {}, Budget(None, None), sleep=pauses.append, transport=transport)
    return target.send(Request("list", "get", "/list")).status, pauses, target


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("3600", 60.0),
        ("9" * 400, 1.0),
        ("-1", 1.0),
        ("soon", 1.0),
        (None, 1.0),
        ("Mon, 02 Mar 2026 10:00:05 GMT", 5.0),
        ("Mon, 02 Mar 2026 09:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 60.0),
        ("Mon, 02 Mar 2026 10:00:05 -0000", 1.0),  # without a time zone
    ],
)
def test_pause_is_that_of_retry_after(retry_after: str | None, seconds: float) -> None:
    status, pauses, _ = send(retry_after, 1)
    assert (status, pauses) == (200, [seconds])


def test_request_is_retried_three_times() -> None:
    status, pauses, target = send("2", 3)
    assert (status, pauses) == (200, [2.0] * 3)
    assert target.throttling.describe() == [
        "the target limits the rate: waited 6 s for 429 (too many requests), 3 times; --rate-limit N avoids it"
    ]
    assert send("2", 4)[0] == 429


def test_run_without_429_has_no_note() -> None:
    assert Throttling().describe() == []
