"""Ends a run when the target starts to refuse it: an expired token, a gateway, a read-only mode.

Otherwise each refused request would look like a violation of the contract.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.errors import AccessLost, SkipCheck
from conformance.transport.client import Target
from conformance.transport.messages import Actor, Request, Response
from spec.document import UNSAFE_METHODS

REFUSAL_STATUSES = frozenset({401, 403})
WRITE_REFUSAL_STATUSES = frozenset({403, 405, 423})
# The target has read the request: it accepts writes.
WRITE_STATUSES = frozenset({400, 404, 409, 415, 422})
MAX_PROBES = 3
MAX_REFUSED_OPERATIONS = 5  # number of operations, or of requests, whose refusal ends the run
MAX_REFUSED_WRITES = 10
MAX_MESSAGE_CHARS = 200
MESSAGE_PROPERTIES = ("message", "detail", "error_description", "error", "title")
_TITLE = re.compile(rb"<title[^>]*>([^<]*)", re.IGNORECASE)


@dataclass(slots=True)
class AccessWatch:
    """A target that raises AccessLost, once, when the token of the run is refused everywhere, or all of its writes.

    `find_method`: returns the method of an operation that requires a token; None of any other. `describe_credentials`:
    names the credentials of an operation (by id) in messages. A refusal of one operation is its own matter: the reads
    that succeeded before still do. While no write was accepted, a refused write is skipped, since the target may be
    read-only.
    """

    inner: Target
    find_method: Callable[[str], str | None]
    describe_credentials: Callable[[str], str]
    _probes: dict[str, Request] = field(default_factory=dict, init=False)
    _single_refusals: set[tuple[str, int]] = field(default_factory=set, init=False)
    _refused_writes: Counter[str] = field(default_factory=Counter, init=False)
    _accepts_writes: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)

    @property
    def base(self) -> str:
        return self.inner.base

    @property
    def tokens(self) -> Mapping[str, str]:
        return self.inner.tokens

    def send(self, request: Request) -> Response:
        """Send a request. Raises AccessLost, SkipCheck for a refused write, and what the target raises."""
        response = self.inner.send(request)
        is_watched = request.token_actor == Actor.OWNER and not self._is_over
        if is_watched and request.method == self.find_method(request.operation):
            self._watch_token(request, response)
            if request.method in UNSAFE_METHODS:
                self._watch_writes(request, response)
        return response

    def _watch_token(self, request: Request, response: Response) -> None:
        operation, status = request.operation, response.status
        if response.ok and request.method == "get" and not request.path_values and len(self._probes) < MAX_PROBES:
            self._probes.setdefault(operation, request)
        if status not in REFUSAL_STATUSES or not self._probes or (operation, status) in self._single_refusals:
            return
        if any(self.inner.send(probe).status not in REFUSAL_STATUSES for probe in self._probes.values()):
            self._single_refusals.add((operation, status))
            return
        problem = f"the target does not accept {self.describe_credentials(operation)} any more"
        self._end(f"{problem}: {describe_refusal(request, response)}")

    def _watch_writes(self, request: Request, response: Response) -> None:
        if response.ok or response.status in WRITE_STATUSES:
            self._accepts_writes = True
        if self._accepts_writes or response.status not in WRITE_REFUSAL_STATUSES:
            return
        self._refused_writes[request.operation] += 1
        refusal = describe_refusal(request, response)
        operations, total = len(self._refused_writes), self._refused_writes.total()
        if operations >= MAX_REFUSED_OPERATIONS or total >= MAX_REFUSED_WRITES:
            advice = "use a token that may write, or --read-only"
            self._end(f"the target refuses every write ({total} requests): {refusal}: {advice}")
        raise SkipCheck(f"the target refuses writes: {refusal}")

    def _end(self, message: str) -> None:
        self._is_over = True  # cleanup continues
        raise AccessLost(message)


def describe_refusal(request: Request, response: Response) -> str:
    """``GET /path returned 403 (the message of the target)``, on one line."""
    message = extract_message(response)
    text = f"{request.method.upper()} {request.path_template} returned {response.status}"
    return f"{text} ({message})" if message else text


def extract_message(response: Response) -> str:
    """The message of an error response: a property of its JSON, the title of its page, or its start."""
    body = response.json
    if isinstance(body, dict):
        nested = body.get("error")
        sources = (body, nested) if isinstance(nested, dict) else (body,)
        texts = [source.get(name) for source in sources for name in MESSAGE_PROPERTIES]
        text = next((text for text in texts if isinstance(text, str) and text), response.excerpt)
    else:
        text = extract_title(response) or response.excerpt
    return " ".join(text.split())[:MAX_MESSAGE_CHARS]


def extract_title(response: Response) -> str:
    """The title of an HTML page; "" without one."""
    title = _TITLE.search(response.content)
    return " ".join(title[1].decode("utf-8", "replace").split())[:MAX_MESSAGE_CHARS] if title else ""
