"""Where the requests go: a deployed backend, over HTTP."""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from conformance.cause import READ_ONLY
from conformance.errors import CannotMake, NoAnswer, OutOfBudget, TargetLost
from conformance.exchange import BEARER, Request, Response
from spec.document import UNSAFE_METHODS

PATIENCE = 3  # how often a 429 is waited out before it counts as the answer
LONGEST_WAIT = 60.0
SILENCES = 3  # requests without an answer, one behind the other, after which the target is lost
IDEMPOTENT = frozenset({"get", "head", "options", "put", "delete"})
IDLE = 2.0  # seconds after which a connection is not used again: servers end theirs after five


class Target(Protocol):
    """Something that answers requests."""

    @property
    def base(self) -> str:
        """The address that paths are put behind."""

    def send(self, request: Request) -> Response:
        """The answer. Raises NoAnswer, TargetLost, OutOfBudget."""


@dataclass(slots=True)
class Budget:
    """How many requests, and until when (`clock` seconds), a run may send."""

    requests: int | None
    until: float | None
    clock: Callable[[], float] = time.monotonic
    sent: int = 0

    def spend(self) -> None:
        """Count one request. Raises OutOfBudget."""
        if self.requests is not None and self.sent >= self.requests:
            raise OutOfBudget(f"the {self.requests} requests of --max-requests are used up")
        if self.until is not None and self.clock() >= self.until:
            raise OutOfBudget("the time of --max-time is used up")
        self.sent += 1

    def lift(self) -> None:
        """Let what is left to do, taking away what the run made, be done."""
        self.requests = self.until = None


@dataclass(slots=True)
class HttpTarget:
    """A backend at `base`. `tokens`: by whom a request speaks as (``self``, ``other``). `interval`: seconds from one
    request to the next, at least. `read_only`: writes are not sent, whoever asks for them. `verify`: the certificates
    that are trusted; True: the system's. `trust_env`: proxies and certificates that the environment names are used.
    `observe`: is told every request and its answer."""

    base: str
    tokens: Mapping[str, str]
    budget: Budget
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    pause: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None
    interval: float = 0.0
    read_only: bool = False
    verify: ssl.SSLContext | bool = True
    trust_env: bool = True
    observe: Callable[[Request, Response], None] = lambda request, response: None
    _next: float = field(default=0.0, init=False, repr=False)
    _silent: int = field(default=0, init=False, repr=False)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            timeout=self.timeout,
            follow_redirects=False,
            transport=self.transport,
            headers=dict(self.headers),
            verify=self.verify,
            trust_env=self.trust_env,
            limits=httpx.Limits(keepalive_expiry=IDLE),
        )

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def send(self, request: Request) -> Response:
        """The answer; a 429 is waited out first. Raises NoAnswer, TargetLost, OutOfBudget; CannotMake: no writes."""
        if self.read_only and request.method.lower() in UNSAFE_METHODS:
            raise CannotMake(READ_ONLY)
        for _ in range(PATIENCE):
            response = self._insist(request)
            if response.status != 429:
                break
            said = response.headers.get("retry-after", "1")
            self.pause(min(float(said) if said.isdigit() else 1.0, LONGEST_WAIT))
        self.observe(request, response)
        return response

    def _insist(self, request: Request, *, again: bool = True) -> Response:
        """The answer; what was not answered is sent once more where that can do no harm: a connection may be stale."""
        try:
            response = self._send(request)
        except httpx.HTTPError as error:
            self._silent += 1
            said = f"{self.base} did not answer {request.method.upper()} {request.template}: {self._said(error)}"
            if self._silent >= SILENCES:
                raise TargetLost(said) from None
            if not (again and _harmless(request, error)):
                raise NoAnswer(said) from None
        else:
            self._silent = 0
            return response
        return self._insist(request, again=False)

    def _send(self, request: Request) -> Response:
        self.budget.spend()
        self._keep_pace()
        headers = {"Accept": "application/json", **request.headers}
        token = self.tokens.get(request.as_)
        if token is not None:
            headers.setdefault(BEARER, f"Bearer {token}")
        sent: dict[str, object] = {}
        if request.raw is not None:
            sent["content"] = request.raw
        elif request.body is not None:
            sent["json"] = request.body
        started = time.monotonic()
        answer = self._client.request(
            request.method.upper(),
            self.base + request.target,
            headers=headers,
            **sent,  # type: ignore[arg-type]
        )
        return Response(
            answer.status_code,
            {name.lower(): value for name, value in answer.headers.items()},
            answer.content,
            time.monotonic() - started,
        )

    def _said(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self.timeout:g} s (--timeout)"
        if isinstance(error, httpx.RemoteProtocolError):
            return f"it does not speak HTTP as it should ({error})"
        return f"{error} ({type(error).__name__})"

    def _keep_pace(self) -> None:
        if self.interval:
            now = self.budget.clock()
            if now < self._next:
                self.pause(self._next - now)
            self._next = max(now, self._next) + self.interval


def _harmless(request: Request, error: httpx.HTTPError) -> bool:
    """Whether to send it again cannot do twice what it does."""
    return request.method in IDEMPOTENT or isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
