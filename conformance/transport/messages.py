"""Requests and responses, as checks and reports use them."""

import json
import re
import shlex
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, partial
from itertools import count
from typing import Any
from urllib.parse import urlencode

from conformance.transport.json_body import parse_json
from conformance.transport.request_ids import RequestIds
from conformance.transport.wire_format import JSON_MEDIA_TYPE, WireFormat

AUTHORIZATION = "Authorization"
GONE_STATUSES = (404, 410)  # of a record that does not exist
ACCEPT_JSON = "'Accept: application/json'"
PRINTF_SAFE_CHARS = frozenset(string.ascii_letters + string.digits + """{}[]()<>":;,.=+-_*/?&#@!~^|$`""")
MAX_EXCERPT_BYTES = 200
MAX_EVIDENCE_BYTES = 1024 * 1024


class Actor(StrEnum):
    """Whose token a request carries: that of the run, one of another tenant, one of a member of the tenant, or none."""

    OWNER = "self"
    OTHER_TENANT = "other"
    MEMBER = "member"
    ANONYMOUS = "anonymous"


def header_variable(header: str) -> str:
    """The environment variable that printed commands read the value of a --header from."""
    return "HEADER_" + re.sub("[^A-Z0-9]", "_", header.upper())


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
    `wire_format`: how the operation differs from JSON below the base path; None: not at all. `number`: identifies the
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
        """Path and query below the base URL, without the fragment of a path such as ``/items/{id}#byId``."""
        path = self.path_template.partition("#")[0]
        for name, value in self.path_values.items():
            path = path.replace(f"{{{name}}}", (self.wire_format or WireFormat()).encode_path_value(name, value))
        return f"{path}?{urlencode(self.query)}" if self.query else path

    def build_url(self, base: str, target: str | None = None) -> str:
        """Return the URL of `target`, if it is not that of the request, below the base URL of the contract."""
        target = self.target if target is None else target
        return base + target if self.wire_format is None else self.wire_format.build_url(base, target)

    def encode_body(self) -> tuple[bytes | None, str | None]:
        """Return (bytes, content type); None for no body, and for the content type of a raw one."""
        if self.raw_body is not None or self.body is None:
            return self.raw_body, None
        if self.wire_format is not None:
            return self.wire_format.encode_body(self.body)
        return json.dumps(self.body).encode(), JSON_MEDIA_TYPE

    def list_body_options(self) -> list[str]:
        """Return the options of curl that send the body."""
        if self.wire_format is None:
            return ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_dump_ascii(self.body))}"]
        content, content_type = self.encode_body()
        text = (content or b"").decode("utf-8", "replace")
        return [f"-H {shlex.quote(f'Content-Type: {content_type}')}", f"-d {shlex.quote(text)}"]


@dataclass(frozen=True)
class Response:
    """A response. `headers`: lower-case names. `elapsed`: seconds.

    `read_problem`: why `content` is only the start of the body, as the end of a sentence, or "". `ids`: those of the
    request, if it was sent over HTTP.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    elapsed: float
    read_problem: str = ""
    ids: RequestIds | None = field(default=None, compare=False)

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

    def curl(
        self,
        base_url: str,
        credential_options: Sequence[str] = (),
        credential_query: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """The request as a curl command for a POSIX shell.

        `credential_options`, `credential_query`: see `PrintedCredentials`. `variables`: headers that the run adds to
        each request -> the environment variable with the value.
        """
        request, url = self.request, _encode_url(self.request.build_url(base_url))
        names = {name.lower() for name in request.headers}
        parts = ["curl", "-I"] if request.method.lower() == "head" else ["curl", "-i", "-X", request.method.upper()]
        parts += credential_options
        parts += [] if "accept" in names else [f"-H {ACCEPT_JSON}"]
        parts += [f'-H "{name}: ${env}"' for name, env in (variables or {}).items() if name.lower() not in names]
        headers = (f"{name}: {value}" if value else f"{name};" for name, value in request.headers.items())
        parts += [f"-H {shlex.quote(header)}" for header in headers]  # curl sends "Name;" as an empty header
        parts += ["-g"] if any(char in url for char in "[]{}") else []
        source = ""
        if request.raw_body is not None:
            parts += [] if "content-type" in names else ["-H 'Content-Type:'"]
            source = f"printf '{_escape_for_printf(request.raw_body)}' | "
            parts.append("--data-binary @-")
        elif request.body is not None:
            parts += request.list_body_options()
        return source + " ".join([*parts, shlex.quote(url)]) + credential_query


def _encode_url(url: str) -> str:
    """The URL as the client sends it."""
    import httpx

    try:
        return str(httpx.URL(url))
    except httpx.InvalidURL:
        return url


def _escape_for_printf(content: bytes) -> str:
    """Escape bytes for `printf` between single quotes, so that neither the shell nor a report changes them."""
    return "".join(chr(byte) if chr(byte) in PRINTF_SAFE_CHARS else f"\\{byte:03o}" for byte in content)


def _dump_ascii(value: Any) -> str:
    """JSON without characters that a report removes, and without repeated spaces."""
    return json.dumps(value).replace("  ", " \\u0020").replace("\x7f", "\\u007f")
