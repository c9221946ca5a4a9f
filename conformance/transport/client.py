"""The HTTP client: sends requests to the backend under test."""

import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Lock
from typing import Protocol, cast

import httpx

from conformance import interrupts
from conformance.errors import READ_ONLY, BudgetExhausted, NoResponse, SkipCheck, TargetUnreachable
from conformance.transport.body import ACCEPT_ENCODING, MIB, read_body
from conformance.transport.credentials import COOKIE, OperationCredentials
from conformance.transport.deadline import Deadline, apply_deadline
from conformance.transport.messages import Request, Response
from conformance.transport.request_ids import USER_AGENT, RequestIdFactory, build_id_headers
from spec.document import UNSAFE_METHODS

MAX_THROTTLED_RETRIES = 3  # retries after a 429 before it counts as the response
MAX_RETRY_AFTER = 60.0
MAX_UNANSWERED = 3  # consecutive requests without a response after which the target is unreachable
IDEMPOTENT_METHODS = frozenset({"get", "head", "options", "put", "delete"})
MAX_RESPONSE_BYTES = 32 * MIB
MAX_LENGTH_DIGITS = 20  # of a Content-Length
MIN_CLEANUP_SECONDS = 30.0
# Binary data in place of a status line, and the TLS alert of a server without HTTP/1.1.
_HTTP2_ONLY = re.compile("illegal (request|status) line|no.application.protocol", re.IGNORECASE)
KEEPALIVE_SECONDS = 2.0  # idle connections are dropped; servers close theirs after five


class Target(Protocol):
    """Responds to requests."""

    @property
    def base(self) -> str:
        """The base URL."""

    @property
    def tokens(self) -> Mapping[str, str]:
        """Actor -> token."""

    def send(self, request: Request) -> Response:
        """Send a request. Raises NoResponse, TargetUnreachable, BudgetExhausted."""


@dataclass(slots=True)
class Budget:
    """Limits of a run: number of requests, and a deadline in seconds of `clock`."""

    requests: int | None
    deadline: float | None
    clock: Callable[[], float] = time.monotonic
    sent: int = 0
    _start: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    def count_request(self) -> None:
        """Count one request. Raises BudgetExhausted."""
        if self.requests is not None and self.sent >= self.requests:
            noun = "request" if self.requests == 1 else "requests"
            raise BudgetExhausted(f"the limit of {self.requests} {noun} is reached (--max-requests)")
        self.check_time()
        self.sent += 1

    def check_time(self) -> None:
        """Raise BudgetExhausted after the deadline."""
        if self.limit(1.0) <= 0:
            raise BudgetExhausted("the time limit is reached (--max-time)")

    def limit(self, seconds: float) -> float:
        """Limit a duration to the time that is left."""
        return seconds if self.deadline is None else min(seconds, self.deadline - self.clock())

    def start_cleanup(self) -> None:
        """Remove the limit of requests, and replace the deadline: cleanup may take twice as long as the run."""
        self.requests = None
        if self.deadline is not None:
            now = self.clock()
            self.deadline = now + max(MIN_CLEANUP_SECONDS, 2 * (now - self._start))


@dataclass(slots=True)
class Throttling:
    """Responses with 429, and the seconds that the run waited for them."""

    responses: int = 0
    seconds: float = 0.0

    def record(self, seconds: float) -> None:
        """Record a pause."""
        self.responses += 1
        self.seconds += seconds

    def describe(self) -> list[str]:
        """Describe the pauses in one note; none without a 429."""
        if not self.responses:
            return []
        times = "once" if self.responses == 1 else f"{self.responses} times"
        waited = f"waited {self.seconds:.0f} s"
        return [f"the target limits the rate: {waited} for 429 (too many requests), {times}; --rate-limit N avoids it"]


@dataclass(slots=True)
class HttpTarget:
    """A backend at `base`.

    `tokens`: actor -> token. `timeout`: seconds of an exchange, from connecting to the last byte. `max_bytes`: of a
    decompressed body. `interval`: minimum seconds between requests. `read_only`: reject every write. `verify`:
    trusted certificates; True: those of the system. `trust_env`: use proxies and certificates from the environment.
    `credentials`: of each operation. `request_ids`: creates the ids of the requests. `observe`: called with every
    request and response, never twice at once. Several threads may send requests.
    """

    base: str
    tokens: Mapping[str, str]
    budget: Budget
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    max_bytes: int = MAX_RESPONSE_BYTES
    sleep: Callable[[float], None] = interrupts.sleep
    transport: httpx.BaseTransport | None = None
    interval: float = 0.0
    read_only: bool = False
    verify: ssl.SSLContext | bool = True
    trust_env: bool = True
    request_ids: RequestIdFactory = field(default_factory=RequestIdFactory)
    credentials: OperationCredentials = field(default_factory=OperationCredentials)
    observe: Callable[[Request, Response], None] = lambda request, response: None
    throttling: Throttling = field(default_factory=Throttling)
    _next_send: float = field(default=0.0, init=False, repr=False)
    _unanswered: int = field(default=0, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _deadline: Deadline = field(default_factory=Deadline, init=False, repr=False)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            timeout=self.timeout,
            follow_redirects=False,
            transport=self.transport,
            headers={"Accept-Encoding": ACCEPT_ENCODING, USER_AGENT: self.request_ids.user_agent} | dict(self.headers),
            verify=self.verify,
            trust_env=self.trust_env,
            # A stored session cookie would authenticate later requests as another user.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
        )
        apply_deadline(self._client, self._deadline)

    def close(self) -> None:
        self._client.close()

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the budget permits."""
        self.sleep(max(0.0, self.budget.limit(seconds)))

    def send(self, request: Request) -> Response:
        """Send a request, retrying after a 429. Raises NoResponse, TargetUnreachable, BudgetExhausted; SkipCheck for
        writes if read-only.
        """
        if self.read_only and request.method.lower() in UNSAFE_METHODS:
            raise SkipCheck(READ_ONLY)
        response = self._send_with_retry(request)
        for _ in range(MAX_THROTTLED_RETRIES):
            if response.status != 429:
                break
            seconds = max(0.0, self.budget.limit(_retry_after_seconds(response)))
            self.throttling.record(seconds)
            self.sleep(seconds)
            response = self._send_with_retry(request)
        with self._lock:
            self.observe(request, response)
        return response

    def _send_with_retry(self, request: Request, *, may_retry: bool = True) -> Response:
        """Send a request, and retry once without a response if that is safe: a connection may be stale."""
        try:
            response = self._send(request)
        except httpx.HTTPError as error:
            self.budget.check_time()
            self._unanswered += 1
            target = f"{request.method.upper()} {request.path_template}"
            message = f"{self.base}: no response to {target}: {self._describe(error)}"
            if self._unanswered >= MAX_UNANSWERED:
                raise TargetUnreachable(message) from None
            was_not_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            if not may_retry or not (was_not_sent or request.method in IDEMPOTENT_METHODS):
                raise NoResponse(message) from None
        else:
            self._unanswered = 0
            return response
        return self._send_with_retry(request, may_retry=False)

    def _send(self, request: Request) -> Response:
        with self._lock:
            self.budget.count_request()
            self._limit_rate()
            ids = self.request_ids.create()
        given_headers = {**self.headers, **request.headers}
        headers = {"Accept": "application/json", **build_id_headers(ids, given_headers), **request.headers}
        if COOKIE in self.headers:  # those of the request would replace them
            headers.setdefault(COOKIE, self.headers[COOKIE])
        target = self.credentials.add(request.operation, request.actor, self.tokens, request.target, headers)
        content, json_body = request.raw_body, request.body
        if request.wire_format is not None and content is None and json_body is not None:
            content, content_type = request.encode_body()
            headers, json_body = {"Content-Type": str(content_type), **headers}, None
        method, url = request.method.upper(), request.build_url(self.base, target)
        started = time.monotonic()
        self._deadline.start(self.budget.limit(self.timeout))
        with self._client.stream(method, url, headers=headers, content=content, json=json_body) as response:
            # The stream itself, since httpx decompresses without a limit.
            chunks = cast("Iterable[bytes]", response.stream)
            encoding = response.headers.get("content-encoding", "")
            declared_bytes = 0 if request.method == "head" else _content_length(response)
            content, problem = read_body(chunks, encoding, self.max_bytes, declared_bytes)
        elapsed = time.monotonic() - started
        return Response(response.status_code, dict(response.headers), content, elapsed, problem, ids)

    def _describe(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.TimeoutException):
            return f"timeout after {self.timeout:g} s (--timeout)"
        if _HTTP2_ONLY.search(str(error)):
            return "the response is not HTTP/1.1; the target seems to speak HTTP/2 only (expected a port with HTTP/1.1)"
        if isinstance(error, httpx.RemoteProtocolError):
            return f"invalid HTTP ({error})"
        return f"{error} ({type(error).__name__})"

    def _limit_rate(self) -> None:
        if self.interval:
            now = self.budget.clock()
            if now < self._next_send:
                self.pause(self._next_send - now)
            self._next_send = max(now, self._next_send) + self.interval


def _retry_after_seconds(response: Response) -> float:
    """The pause that a 429 asks for, as a number of seconds or a date; one second without one."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS:
        return min(float(text), MAX_RETRY_AFTER)
    try:
        end, now = parsedate_to_datetime(text), parsedate_to_datetime(response.headers.get("date", ""))
        seconds = (end - now).total_seconds()
    except (ValueError, TypeError):
        return 1.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _content_length(response: httpx.Response) -> int:
    """The number of bytes that a response declares; 0 if it declares none."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS else 0
