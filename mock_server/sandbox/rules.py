"""Rules of a sandbox: which requests they match, and which responses they get instead of the usual ones."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Self
from urllib.parse import parse_qsl

import orjson

from spec.model import Operation

ANY_REQUEST = "*"
FAULT_KEY = "fault"  # in the metadata of a property of RuleResponse: the only fault that uses it
MAX_CLIENTS = 10_000  # whose requests are counted


class Fault(Enum):
    """What happens to a connection instead of a complete response."""

    CONNECTION_RESET = "connection-reset"
    EMPTY_RESPONSE = "empty-response"
    MALFORMED_CHUNK = "malformed-chunk"
    RANDOM_THEN_CLOSE = "random-then-close"
    NO_RESPONSE = "no-response"
    TRUNCATE = "truncate"
    DRIBBLE = "dribble"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """Which requests a rule matches: all conditions that are set. `path`: below the base path, with ``*`` for any part.

    `query`, `headers`: values by name. `body`: a part of the JSON body. `effect`: an external effect of the operation.
    `secured`: whether the operation requires credentials.
    """

    operation: str | None = None
    tag: str | None = None
    effect: str | None = None
    secured: bool | None = None
    method: str | None = None
    path: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    has_body: bool = False

    def matches(self, request: "MatchedRequest") -> bool:
        operation = request.operation
        if self.operation is not None and (operation is None or self.operation != operation.id):
            return False
        if self.tag is not None and (operation is None or self.tag != operation.tag):
            return False
        if self.effect is not None and (operation is None or self.effect not in operation.effects):
            return False
        if self.secured is not None and (operation is None or self.secured is not operation.requires_auth):
            return False
        if self.method not in (None, request.method) or not fnmatchcase(request.path, self.path or ANY_REQUEST):
            return False
        sent = dict(parse_qsl(request.raw_query, keep_blank_values=True)) if self.query else {}
        if any(sent.get(name) != value for name, value in self.query.items()):
            return False
        if any(request.headers.get(name.lower()) != value for name, value in self.headers.items()):
            return False
        return not self.has_body or contains(request.body, self.body)


@dataclass(frozen=True, slots=True)
class MatchedRequest:
    """What rules see of a request. `path`: below the base path; `headers`: by lower-case name."""

    operation: Operation | None
    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: Any = None

    @classmethod
    def from_bytes(
        cls,
        operation: Operation | None,
        method: str,
        path: str,
        raw_query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes | None,
    ) -> Self:
        """Decode a request. `body`: None if no rule needs it."""
        decoded = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        return cls(operation, method, path, raw_query.decode("latin-1"), decoded, parse_json_body(body))


@dataclass(frozen=True, slots=True)
class Difference:
    """A condition that a request does not fulfil. `received`: None if the request has no such value."""

    location: str
    expected: Any
    received: Any


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` of each client within `seconds` after the first one."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The requests that a client has left, after a request was counted. `reset_at`: when it has all of them again."""

    is_exceeded: bool
    remaining: int
    reset_at: datetime


@dataclass(slots=True)
class RateLimitCounter:
    """Counts requests by client, like Laravel's rate limiter. `windows`: number of requests and end, by client."""

    windows: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def count(self, limit: RateLimit, client: str, now: datetime) -> RateLimitState:
        """Count a request, unless the limit is exceeded."""
        attempts, reset_at = self.windows.get(client, (0, now))
        duration = timedelta(seconds=limit.seconds)
        if not now < reset_at <= now + duration:  # it is over, or the clock was set back
            attempts, reset_at = 0, now + duration
        if attempts >= limit.requests:
            return RateLimitState(True, 0, reset_at)
        if len(self.windows) >= MAX_CLIENTS and client not in self.windows:
            self.windows.clear()
        self.windows[client] = (attempts + 1, reset_at)
        return RateLimitState(False, limit.requests - attempts - 1, reset_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResponse:
    """A response of a rule.

    `status` None: the request is processed as usual. `patch`: JSON merge patch (RFC 7396) of the body. `headers`: names
    and values that are added. `chunks`, `duration_ms`: of the fault DRIBBLE. `outcome`: how asynchronous work ends;
    `text`: what a model run answers. `rate_limit`: the request is processed as usual unless the limit is exceeded.
    """

    status: int | None = None
    body: Any = None
    has_body: bool = False
    example: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    patch: Any = None
    has_patch: bool = False
    delay_ms: int = 0
    fault: Fault | None = None
    chunks: int = field(default=10, metadata={FAULT_KEY: Fault.DRIBBLE})
    duration_ms: int = field(default=1000, metadata={FAULT_KEY: Fault.DRIBBLE})
    outcome: str | None = None
    text: str | None = None
    rate_limit: RateLimit | None = None


@dataclass(slots=True, kw_only=True)
class Rule:
    """A rule. `responses`: in order, the last one repeats. `times`: how often it applies; None: always.

    `byte_count`: estimated memory. `hits`: how often it matched; `applied`: how often it determined a response, which
    `probability` makes rarer.
    """

    name: str
    match: RuleMatch
    responses: Sequence[RuleResponse]
    source: Mapping[str, Any]
    times: int | None = None
    probability: float = 1.0
    priority: int = 0
    byte_count: int = 0
    hits: int = 0
    applied: int = 0
    rate_limits: RateLimitCounter = field(default_factory=RateLimitCounter)

    def choose(self, seed: int) -> RuleResponse | None:
        """Count a hit and return its response; None if the rule does not apply this time."""
        if self.times is not None and self.applied >= self.times:
            return None
        self.hits += 1
        if self.probability < 1 and _draw(f"{seed}/{self.name}/{self.hits}") >= self.probability:
            return None
        response = self.responses[min(self.applied, len(self.responses) - 1)]
        self.applied += 1
        return response


@dataclass(slots=True)
class RuleSet:
    """The rules of a sandbox, the one that takes precedence first.

    `created_count`: for the names of new rules. `byte_count`: estimated memory.
    """

    rules: list[Rule] = field(default_factory=list)
    created_count: int = 0
    byte_count: int = 0

    def add(self, rule: Rule) -> None:
        """Add a rule, instead of one with its name. Of equal priority, the latest takes precedence."""
        self.remove(rule.name)
        self.rules.insert(0, rule)
        self.rules.sort(key=lambda item: -item.priority)
        self.byte_count += rule.byte_count

    def create_name(self, used_names: Collection[str] = ()) -> str:
        """Return a name that neither a rule nor one of `used_names` has."""
        used = {*used_names, *(rule.name for rule in self.rules)}
        while True:
            self.created_count += 1
            name = f"rule-{self.created_count}"
            if name not in used:
                return name

    def remove(self, name: str) -> bool:
        """Remove a rule. Returns False if there is none of this name."""
        remaining = [rule for rule in self.rules if rule.name != name]
        is_removed = len(remaining) < len(self.rules)
        self.rules = remaining
        self.byte_count = sum(rule.byte_count for rule in remaining)
        return is_removed

    def clear(self) -> None:
        self.rules, self.created_count, self.byte_count = [], 0, 0

    def find_response(self, request: MatchedRequest, seed: int) -> tuple[Rule, RuleResponse] | None:
        """Return the first rule that applies to a request, with its response."""
        for rule in self.rules:
            if rule.match.matches(request):
                response = rule.choose(seed)
                if response is not None:
                    return rule, response
        return None


def contains(value: Any, part: Any) -> bool:
    """Whether a JSON value contains another one: an object its properties, an array each item, in any order."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(name in value and contains(value[name], part[name]) for name in part)
    if isinstance(part, list):
        return isinstance(value, list) and all(any(contains(item, p) for item in value) for p in part)
    return type(value) is type(part) and bool(value == part)


def iter_body_differences(value: Any, part: Any, location: str) -> Iterator[Difference]:
    """Yield the places where a JSON value does not contain another one, see `contains`."""
    if isinstance(part, dict) and isinstance(value, dict):
        for name in part:
            if name in value:
                yield from iter_body_differences(value[name], part[name], f"{location}.{name}")
            else:
                yield Difference(f"{location}.{name}", part[name], None)
    elif not contains(value, part):
        yield Difference(location, part, value)


def parse_json_body(body: bytes | None) -> Any:
    """Return a body as JSON; None if there is none or it is not JSON."""
    try:
        return orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return None


def merge_patch(value: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), item)
    return merged


def _draw(text: str) -> float:
    """Return a number from 0 to 1 that is a function of `text`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
