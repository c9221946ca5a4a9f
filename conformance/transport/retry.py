"""No answer of 5xx is taken at its word: it is asked for again at once, where to ask again does no harm.

What goes away by itself is a stumble. It is counted, and judged as flaky, but no law has to live with it: neither does
a record that a law needs fail to be made for it.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.errors import NoResponse
from conformance.transport.client import Target
from conformance.transport.messages import Exchange, Request, Response

GATEWAY_STATUSES = frozenset({502, 503, 504})
MAX_RETRIES = 2  # how often a failing request is sent again
MAX_CONSECUTIVE_FAILURES = 3  # failures in a row, each sent again, after which an operation is known to fail
ALREADY_DONE_STATUSES = frozenset({401, 404, 409, 410})  # what a request answers whose work has been done before
READ_METHODS = ("get", "head")
GATEWAY_PAUSE = 0.2  # seconds that a gateway is given


@dataclass(slots=True)
class Retrier:
    """`recovered`: failing answers that the same request did not get again. `unanswered`: requests without any answer."""

    sleep: Callable[[float], None] = time.sleep
    recovered: list[Exchange] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)
    _failing: Counter[str] = field(default_factory=Counter)

    def send(self, target: Target, request: Request, *, may_retry: bool) -> Response:
        """The answer that stays; `may_retry`: whether the request may be sent again. Raises what the target does."""
        failed: list[Exchange] = []
        response = self._send(target, request)
        while (
            response.status >= 500
            and may_retry
            and len(failed) < MAX_RETRIES
            and self._failing[request.operation] < MAX_CONSECUTIVE_FAILURES
        ):
            failed.append(Exchange(request, response))
            if response.status in GATEWAY_STATUSES:
                self.sleep(GATEWAY_PAUSE)
            response = self._send(target, request)
        if failed and response.status in ALREADY_DONE_STATUSES and request.method not in READ_METHODS:
            response = failed[0].response  # what failed had done its work: to ask again says nothing
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
