"""No answer of 5xx is taken at its word: it is asked for again at once, where to ask again does no harm.

What goes away by itself is a stumble. It is counted, and judged as flaky, but no law has to live with it: neither does
a record that a law needs fail to be made for it.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.errors import NoAnswer
from conformance.exchange import Exchange, Request, Response
from conformance.target import Target

GATEWAY = frozenset({502, 503, 504})
AGAIN = 2  # how often a failing request is sent again
SURE = 3  # failures in a row, each sent again, after which an operation is known to fail
MOVED = frozenset({401, 404, 409, 410})  # what a request answers whose work has been done before
READS = ("get", "head")
BREATH = 0.2  # seconds that a gateway is given


@dataclass(slots=True)
class Steady:
    """`stumbles`: failing answers that the same request did not get again. `silent`: requests without any answer."""

    pause: Callable[[float], None] = time.sleep
    stumbles: list[Exchange] = field(default_factory=list)
    silent: list[Request] = field(default_factory=list)
    _failing: Counter[str] = field(default_factory=Counter)

    def ask(self, target: Target, request: Request, *, again: bool) -> Response:
        """The answer that stays; `again`: whether the request may be sent again. Raises what the target does."""
        failed: list[Exchange] = []
        response = self._send(target, request)
        while response.status >= 500 and again and len(failed) < AGAIN and self._failing[request.operation] < SURE:
            failed.append(Exchange(request, response))
            if response.status in GATEWAY:
                self.pause(BREATH)
            response = self._send(target, request)
        if failed and response.status in MOVED and request.method not in READS:
            response = failed[0].response  # what failed had done its work: to ask again says nothing
        if response.status >= 500:
            self._failing[request.operation] += 1
        else:
            self._failing[request.operation] = 0
            self.stumbles += failed
        return response

    def _send(self, target: Target, request: Request) -> Response:
        try:
            return target.send(request)
        except NoAnswer:
            self.silent.append(request)
            raise
