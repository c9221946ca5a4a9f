"""Requests and responses, as checks and reports use them."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, partial
from itertools import count
from typing import Any
from urllib.parse import quote, urlencode

from conformance.transport.json_body import parse_json
from conformance.transport.wire_format import AUTHORIZATION, JSON_MEDIA_TYPE, WireFormat

MAX_EXCERPT_BYTES = 200
MAX_EVIDENCE_BYTES = 1024 * 1024


class Actor(StrEnum):
    """Whose token a request carries: that of the run, one of another tenant, or none."""

    OWNER = "self"
    OTHER_TENANT = "other"
    ANONYMOUS = "anonymous"


def map_leaves(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to each value in JSON that is neither an object nor a list."""
    if isinstance(value, Mapping):
        return {name: map_leaves(child, function) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_leaves(child, function) for child in value]
    return function(value)


def map_texts(value: Any, function: Callable[[str], Any]) -> Any:
    """Apply a function to each text in JSON, except to names."""
    return map_leaves(value, lambda leaf: function(leaf) if isinstance(leaf, str) else leaf)


def iter_leaves(value: Any) -> Iterator[Any]:
    """Yield the names and values in JSON that are neither objects nor lists, at any depth."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from iter_leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from iter_leaves(item)
    else:
        yield value


def iter_texts(value: Any) -> Iterator[str]:
    """Yield the texts in JSON at any depth: names of properties and values."""
    return (leaf for leaf in iter_leaves(value) if isinstance(leaf, str))


@dataclass(frozen=True, slots=True)
class Request:
    """A request to one operation.

    `path_values`: values of path parameters. `query`: ordered pairs of raw values. `body`: JSON, or None for no body.
    `raw_body`: bytes sent instead of a body, for deliberately invalid requests. `headers`: additional headers.
    `wire_format`: how the operation differs from JSON with a bearer token; None: not at all. `number`: identifies the
    request in this process.
    """

    operation: str
    method: str
    path_template: str
    path_values: Mapping[str, Any] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    raw_body: bytes | None = None
    actor: Actor = Actor.OWNER
    headers: Mapping[str, str] = field(default_factory=dict)
    wire_format: WireFormat | None = field(default=None, repr=False, compare=False)
    number: int = field(default_factory=partial(next, count(1)), init=False, repr=False, compare=False)

    @property
    def token_actor(self) -> Actor:
        """Whose token is sent: `ANONYMOUS` also if one of `headers` replaces the token of the run."""
        has_own_header = AUTHORIZATION.lower() in map(str.lower, self.headers)
        return Actor.ANONYMOUS if has_own_header else self.actor

    @property
    def target(self) -> str:
        """Path and query below the base URL."""
        path = self.path_template
        for name, value in self.path_values.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        return f"{path}?{urlencode(self.query)}" if self.query else path

    def build_url(self, base: str) -> str:
        """Return the URL below the base URL of the contract."""
        return base + self.target if self.wire_format is None else self.wire_format.build_url(base, self.target)

    def encode_body(self) -> tuple[bytes | None, str | None]:
        """Return (bytes, content type); None for no body, and for the content type of a raw one."""
        if self.raw_body is not None or self.body is None:
            return self.raw_body, None
        if self.wire_format is not None:
            return self.wire_format.encode_body(self.body)
        return json.dumps(self.body).encode(), JSON_MEDIA_TYPE

    def add_token(self, token: str, headers: dict[str, str], url: str) -> str:
        """Put a token in the headers or the URL where the operation expects it; return the URL."""
        if self.wire_format is not None and self.wire_format.credentials:
            return self.wire_format.add_token(token, headers, url)
        if AUTHORIZATION.lower() not in map(str.lower, headers):
            headers[AUTHORIZATION] = f"Bearer {token}"
        return url


@dataclass(frozen=True)
class Response:
    """A response. `headers`: lower-case names. `elapsed`: seconds.

    `read_problem`: why `content` is only the start of the body, as the end of a sentence, or "".
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    elapsed: float
    read_problem: str = ""

    @property
    def json(self) -> Any:
        """The body parsed as JSON, which must not be changed; None if it is not JSON."""
        return self._parsed[0]

    @property
    def json_problem(self) -> str:
        """Why the body is not JSON, as the end of a sentence; "" if it is."""
        return self._parsed[1]

    @cached_property  # bodies are large and used by many checks
    def _parsed(self) -> tuple[Any, str]:
        try:
            return None if self.read_problem else parse_json(self.content), self.read_problem
        except ValueError as error:
            return None, str(error)

    @property
    def excerpt(self) -> str:
        """The start of the body on one line; control characters other than whitespace are kept."""
        return " ".join(self.content[:MAX_EXCERPT_BYTES].decode("utf-8", "replace").split())

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    request: Request
    response: Response

    def as_evidence(self) -> "Exchange":
        """Return the exchange to store until the end of the run: of a very large body, only its start."""
        content = self.response.content
        if len(content) <= MAX_EVIDENCE_BYTES:
            return self
        start = content[:MAX_EVIDENCE_BYTES]
        return replace(self, response=replace(self.response, content=start, read_problem="is only stored in part"))

    def curl(self, base_url: str, token_env: str, other_token_env: str) -> str:
        """The request as a curl command; tokens are names of environment variables."""
        request = self.request
        parts = ["curl", "-i", "-X", request.method.upper()]
        variable = {Actor.OWNER: token_env, Actor.OTHER_TENANT: other_token_env}.get(request.actor)
        if variable and request.wire_format is not None and request.wire_format.credentials:
            parts += request.wire_format.list_curl_options(variable)
        elif variable:
            parts.append(f'-H "{AUTHORIZATION}: Bearer ${variable}"')
        parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
        if request.raw_body is not None:
            parts.append(f"--data-binary {shlex.quote(request.raw_body.decode('utf-8', 'replace'))}")
        elif request.body is not None:
            content, content_type = request.encode_body()
            text = (content or b"").decode("utf-8", "replace")
            parts.append(f"-H {shlex.quote(f'Content-Type: {content_type}')} -d {shlex.quote(text)}")
        return " ".join([*parts, shlex.quote(request.build_url(base_url))])
