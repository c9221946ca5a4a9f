"""Retries 5xx responses where a retry is safe, so that transient failures do not fail checks.

A failure that disappears on retry is counted and reported as flaky.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance import interrupts
from conformance.errors import NoResponse
from conformance.transport.client import Target
from conformance.transport.messages import Actor, Exchange, Request, Response

GATEWAY_STATUSES = frozenset({502, 503, 504})
MAX_RETRIES = 2
MAX_CONSECUTIVE_FAILURES = 3  # consecutive failures after which an operation is not retried
ALREADY_DONE_STATUSES = frozenset({401, 404, 409, 410})  # a retry of a completed write returns these
READ_METHODS = ("get", "head")
GATEWAY_PAUSE = 0.2  # seconds before a retry


@dataclass(slots=True)
class Retrier:
    """`recovered`: failed exchanges that succeeded on retry. `unanswered`: requests without any response."""

    sleep: Callable[[float], None] = interrupts.sleep
    recovered: list[Exchange] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)
    _failing: Counter[str] = field(default_factory=Counter)

    def send(self, target: Target, request: Request, *, may_retry: bool) -> Response:
        """The final response; `may_retry`: whether the request may be repeated. Raises what the target raises."""
        failed: list[Exchange] = []
        response = self._send(target, request)
        may_retry = may_retry and self._failing[request.operation] < MAX_CONSECUTIVE_FAILURES
        while response.status >= 500 and may_retry and len(failed) < MAX_RETRIES:
            failed.append(Exchange(request, response))
            if response.status in GATEWAY_STATUSES:
                self.sleep(GATEWAY_PAUSE)
            response = self._send(target, request)
        may_write = request.method not in READ_METHODS and request.token_actor != Actor.ANONYMOUS
        if failed and response.status in ALREADY_DONE_STATUSES and may_write:
            response = failed[0].response  # the failed request was completed: the retry proves nothing
        if response.status >= 500:
            self._failing[request.operation] += 1
        else:
            self._failing[request.operation] = 0
            self.recovered += failed
        return response

    def _send(self, target: Target, request: Request) -> Response:
        try:
            return target.send(request)
        except NoResponse:
            self.unanswered.append(request)
            raise
