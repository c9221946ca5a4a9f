"""What of a target's text and of a run's secrets may stand in a report.

A target's words are data: escape sequences, control characters and marks that turn the direction of writing are taken
out, lengths are bounded. Credential headers, tokens by value, and properties that the contract calls
``format: password`` never appear.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from conformance.transport.messages import AUTHORIZATION, Exchange, Request
from spec.document import iter_keyword_objects, split_pointer
from spec.loader import Contract

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 4  # a shorter secret stands in too much that is none
MAX_BODY_CHARS = 4_000
MAX_LINE_CHARS = 600
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
MIN_ENCODED_SECRET_CHARS = 8  # signs from which on other spellings of a secret are looked for
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")
_USERINFO = re.compile(r"(?<=://)[^/\s:@\"'<>]+:[^/\s@\"'<>]+(?=@)")
_IN_URL = re.compile(r"([?&;])([A-Za-z0-9_.\[\]-]+)=([^&;\s\"'<>]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!\$)[A-Za-z0-9._~+/|=-]{6,}")
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "password", "secret", "token", "access_token"}
    | {"refresh_token", "api_key", "apikey", "x-api-key", "x-csrf-token", "x-xsrf-token", "client_secret"}
)
# Control characters but tab and line end, halves of a pair, and what turns or breaks a line.
_UNSAFE_CHARS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes out what may not be shown. `secrets`: values; `names`: of headers and properties, lower case."""

    secrets: tuple[str, ...]
    names: frozenset[str]

    @classmethod
    def from_contract(cls, contract: Contract, secrets: Iterable[str | None]) -> "Redactor":
        """The redaction of a contract's hidden properties and credential headers, and of these values."""
        names = {n for scheme in contract.security_schemes.values() if isinstance(n := scheme.get("name"), str)}
        names |= set(_passwords(contract))
        return cls(_longest_first(s for s in secrets if s), _CREDENTIALS | {name.lower() for name in names})

    def with_values_from(self, exchanges: Iterable[Exchange]) -> "Redactor":
        """The same, that also knows the values which stand under hidden names in some exchanges."""
        secrets = set(self.secrets)
        for exchange in exchanges:
            secrets |= set(self._hidden_values(exchange.request.body))
            if _may_contain(exchange.response.content, self.names):
                secrets |= set(self._hidden_values(exchange.response.json))
        return replace(self, secrets=_longest_first(secrets))

    def text(self, text: str, limit: int = MAX_LINE_CHARS) -> str:
        """A text of one or more lines, harmless and bounded."""
        text = self._without_secrets(plain(text))
        return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"

    def _truncate_body(self, content: bytes, limit: int, indent: int | None) -> str:
        """A body, harmless and bounded. Of JSON only as much is looked through as will be shown."""
        try:
            value, remaining = self._truncate(json.loads(content), limit)
            text = json.dumps(value, ensure_ascii=False, indent=indent)
        except (ValueError, RecursionError):
            return self.text(content.decode("utf-8", "replace"), limit)
        if remaining > 0:
            return self.text(text, limit)
        return f"{self._without_secrets(plain(text))[:limit]}... ({len(content)} bytes)"

    def _truncate(self, value: Any, remaining: int) -> tuple[Any, int]:
        """(the same as `value`, up to the entry at which so many signs are told, what is left of them)."""
        if isinstance(value, dict):
            members: dict[str, Any] = {}
            for name, item in value.items():
                if remaining <= 0:
                    break
                key = self._key(name)
                members[key], remaining = self._truncate(
                    REDACTED if self.is_hidden(name) and item is not None else item, remaining - len(key)
                )
            return members, remaining
        if isinstance(value, list):
            items: list[Any] = []
            for item in value:
                if remaining <= 0:
                    break
                redacted, remaining = self._truncate(item, remaining - 1)
                items.append(redacted)
            return items, remaining
        redacted = self.value(value)
        return redacted, remaining - (len(redacted) if isinstance(redacted, str) else 1)

    def line(self, text: str, limit: int = MAX_LINE_CHARS) -> str:
        """The same on one line."""
        return self.text(" ".join(text.split()), limit)

    def value(self, value: Any) -> Any:
        """JSON with what is hidden taken out, texts left as long as they are."""
        if isinstance(value, dict):
            return {
                self._key(k): REDACTED if self.is_hidden(k) and v is not None else self.value(v)
                for k, v in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return self._without_secrets(plain(value)) if isinstance(value, str) else value

    def exact(self, value: Any) -> Any:
        """JSON with what is hidden taken out and nothing else changed: to be sent again, and shown only as ASCII."""
        if isinstance(value, dict):
            return {k: REDACTED if self.is_hidden(k) and v is not None else self.exact(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.exact(item) for item in value]
        return self._without_secrets(value) if isinstance(value, str) else value

    def body(self, content: bytes, limit: int = MAX_BODY_CHARS) -> str:
        """A body as it may be shown."""
        return self._truncate_body(content, limit, None)

    def pretty(self, content: bytes, limit: int = MAX_BODY_CHARS) -> str:
        """The same on many lines, for people."""
        return self._truncate_body(content, limit, 2)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without credentials."""
        return {self._key(k): REDACTED if self.is_hidden(k) else self.line(v) for k, v in headers.items()}

    def curl(self, exchange: Exchange, base: str, token_env: str, other_env: str) -> str:
        """The request as a command; tokens are names of environment variables."""
        header_names = {name.lower() for name in exchange.request.headers}
        request = self._redact_request(exchange.request)
        if AUTHORIZATION.lower() in header_names:
            request = replace(request, actor="nobody")
        return self.line(replace(exchange, request=request).curl(base, token_env, other_env), MAX_BODY_CHARS)

    def _redact_request(self, request: Request) -> Request:
        return replace(
            request,
            body=self.value(request.body),
            raw_body=None if request.raw_body is None else self.body(request.raw_body).encode(),
            headers=self.headers(request.headers),
            path_values={name: self.value(value) for name, value in request.path_values.items()},
            query=tuple((n, REDACTED if self.is_hidden(n) else self._without_secrets(v)) for n, v in request.query),
        )

    def request(self, request: Request) -> dict[str, Any]:
        """A request as it may be shown."""
        return {
            "operation": request.operation,
            "method": request.method.upper(),
            "target": self.line(self._redact_request(request).target, MAX_BODY_CHARS),
            "as": request.actor,
            "headers": self.headers(request.headers),
            "body": self._request_body(request),
        }

    def _request_body(self, request: Request) -> str | None:
        if request.raw_body is not None:
            return self.body(request.raw_body)
        return None if request.body is None else self.body(json.dumps(request.body).encode())

    def is_hidden(self, name: object) -> bool:
        """Whether what stands under this name may not be shown."""
        return str(name).lower() in self.names

    def _key(self, name: object) -> str:
        return self.text(str(name), 200)

    def _hidden_values(self, value: Any) -> Iterator[str]:
        stack = [value]
        while stack:
            node = stack.pop()
            for name, below in node.items() if isinstance(node, dict) else ():
                if isinstance(below, str) and name.lower() in self.names:
                    yield below
            inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
            stack += [below for below in inside if isinstance(below, (dict, list))]

    def _without_secrets(self, text: str) -> str:
        for form in _spellings(self.secrets):
            if form in text:
                text = text.replace(form, REDACTED)
        if "eyJ" in text:
            text = _JWT.sub(REDACTED, text)
        if "://" in text:
            text = _USERINFO.sub(REDACTED, text)
        if "=" in text:
            text = _IN_URL.sub(
                lambda match: f"{match[1]}{match[2]}={REDACTED if self.is_hidden(match[2]) else match[3]}", text
            )
        if any(word in text.lower() for word in ("bearer", "basic")):
            text = _BEARER.sub(lambda match: f"{match[1]} {REDACTED}", text)
        return text


@lru_cache(maxsize=256)
def _spellings(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """These secrets, however they are spelled; the longest spelling first."""
    forms = {form for secret in secrets for form in _forms(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _may_contain(content: bytes, names: Iterable[str]) -> bool:
    """Whether one of the names may stand in a body: reading it all as JSON takes its time."""
    lowered = content.lower()
    return b"\\u" in lowered or not lowered.isascii() or any(f'"{name}"'.encode() in lowered for name in names)


def _forms(secret: str) -> Iterator[str]:
    """A secret as texts spell it. What follows a bar signs in by itself (Laravel's ``number|token``)."""
    inner = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower())
    yield from (html.escape(secret), inner, inner.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    _, bar, token = secret.partition("|")
    if bar and len(token) >= MIN_ENCODED_SECRET_CHARS:
        yield from _forms(token)
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < MIN_ENCODED_SECRET_CHARS:
        return
    yield from (raw.hex(), raw.hex().upper())
    for shift in range(3):  # base64 of a longer text that holds it, at each of its three alignments
        shifted = base64.b64encode(b"\0" * shift + raw).rstrip(b"=").decode()
        core = shifted[(0, 2, 3)[shift] : len(shifted) - (1 if (len(raw) + shift) % 3 else 0)]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def plain(said: str) -> str:
    """A text without escape sequences, control characters (but line ends and tabs) and marks of direction."""
    if said.isascii() and said.isprintable():
        return said
    return _UNSAFE_CHARS.sub("", _ANSI.sub("", said))


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({s for s in secrets if len(s) >= MIN_SECRET_CHARS}, key=lambda s: (-len(s), s)))


def _passwords(contract: Contract) -> Iterator[str]:
    """Names of the properties and parameters that the contract calls passwords."""
    for node, pointer in iter_keyword_objects(contract.document.root):
        if node.get("format") == "password":
            *above, last = split_pointer(pointer)
            yield (
                str(contract.document.resolve(pointer.rsplit("/", 1)[0])["name"])
                if last == "schema" and above
                else last
            )
    for resource in contract.resources.values():
        if resource.credentials is not None:
            yield resource.credentials.secret
