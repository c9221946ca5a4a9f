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

from conformance.exchange import BEARER, Exchange, Request
from spec.contract import Contract
from spec.document import iter_keyword_objects, split_pointer

GONE = "[redacted]"
SHORTEST = 4  # a shorter secret stands in too much that is none
BODY = 4_000
LINE = 600
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
LONG = 8  # signs from which on other spellings of a secret are looked for
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")
_USERINFO = re.compile(r"(?<=://)[^/\s:@\"'<>]+:[^/\s@\"'<>]+(?=@)")
_IN_URL = re.compile(r"([?&;])([A-Za-z0-9_.\[\]-]+)=([^&;\s\"'<>]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!\$)[A-Za-z0-9._~+/|=-]{6,}")
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "password", "secret", "token", "access_token"}
    | {"refresh_token", "api_key", "apikey", "x-api-key", "x-csrf-token", "x-xsrf-token", "client_secret"}
)
# Control characters but tab and line end, halves of a pair, and what turns or breaks a line.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Takes out what may not be shown. `secrets`: values; `names`: of headers and properties, lower case."""

    secrets: tuple[str, ...]
    names: frozenset[str]

    @classmethod
    def of(cls, contract: Contract, secrets: Iterable[str | None]) -> "Redaction":
        """The redaction of a contract's hidden properties and credential headers, and of these values."""
        names = {n for scheme in contract.security_schemes.values() if isinstance(n := scheme.get("name"), str)}
        names |= set(_passwords(contract))
        return cls(_longest_first(s for s in secrets if s), _CREDENTIALS | {name.lower() for name in names})

    def knowing(self, exchanges: Iterable[Exchange]) -> "Redaction":
        """The same, that also knows the values which stand under hidden names in some exchanges."""
        found = set(self.secrets)
        for exchange in exchanges:
            found |= set(self._hidden(exchange.request.body))
            if _may_name(exchange.response.content, self.names):
                found |= set(self._hidden(exchange.response.json))
        return replace(self, secrets=_longest_first(found))

    def text(self, said: str, limit: int = LINE) -> str:
        """A text of one or more lines, harmless and bounded."""
        said = self._without_secrets(plain(said))
        return said if len(said) <= limit else f"{said[:limit]}... ({len(said)} characters)"

    def _bounded(self, content: bytes, limit: int, indent: int | None) -> str:
        """A body, harmless and bounded. Of JSON only as much is looked through as will be shown."""
        try:
            value, left = self._begun(json.loads(content), limit)
            shown = json.dumps(value, ensure_ascii=False, indent=indent)
        except (ValueError, RecursionError):
            return self.text(content.decode("utf-8", "replace"), limit)
        if left > 0:
            return self.text(shown, limit)
        return f"{self._without_secrets(plain(shown))[:limit]}... ({len(content)} bytes)"

    def _begun(self, value: Any, room: int) -> tuple[Any, int]:
        """(the same as `value`, up to the entry at which so many signs are told, what is left of them)."""
        if isinstance(value, dict):
            told: dict[str, Any] = {}
            for name, one in value.items():
                if room <= 0:
                    break
                key = self._key(name)
                told[key], room = self._begun(GONE if self.hides(name) and one is not None else one, room - len(key))
            return told, room
        if isinstance(value, list):
            kept: list[Any] = []
            for one in value:
                if room <= 0:
                    break
                shown, room = self._begun(one, room - 1)
                kept.append(shown)
            return kept, room
        shown = self.value(value)
        return shown, room - (len(shown) if isinstance(shown, str) else 1)

    def line(self, said: str, limit: int = LINE) -> str:
        """The same on one line."""
        return self.text(" ".join(said.split()), limit)

    def value(self, value: Any) -> Any:
        """JSON with what is hidden taken out, texts left as long as they are."""
        if isinstance(value, dict):
            return {self._key(k): GONE if self.hides(k) and v is not None else self.value(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        return self._without_secrets(plain(value)) if isinstance(value, str) else value

    def exact(self, value: Any) -> Any:
        """JSON with what is hidden taken out and nothing else changed: to be sent again, and shown only as ASCII."""
        if isinstance(value, dict):
            return {k: GONE if self.hides(k) and v is not None else self.exact(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.exact(one) for one in value]
        return self._without_secrets(value) if isinstance(value, str) else value

    def body(self, content: bytes, limit: int = BODY) -> str:
        """A body as it may be shown."""
        return self._bounded(content, limit, None)

    def pretty(self, content: bytes, limit: int = BODY) -> str:
        """The same on many lines, for people."""
        return self._bounded(content, limit, 2)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without credentials."""
        return {self._key(k): GONE if self.hides(k) else self.line(v) for k, v in headers.items()}

    def curl(self, exchange: Exchange, base: str, token_env: str, other_env: str) -> str:
        """The request as a command; tokens are names of environment variables."""
        given = {name.lower() for name in exchange.request.headers}
        shown = self._harmless(exchange.request)
        if BEARER.lower() in given:
            shown = replace(shown, as_="nobody")
        return self.line(replace(exchange, request=shown).curl(base, token_env, other_env), BODY)

    def _harmless(self, request: Request) -> Request:
        return replace(
            request,
            body=self.value(request.body),
            raw=None if request.raw is None else self.body(request.raw).encode(),
            headers=self.headers(request.headers),
            path={name: self.value(value) for name, value in request.path.items()},
            query=tuple((n, GONE if self.hides(n) else self._without_secrets(v)) for n, v in request.query),
        )

    def request(self, request: Request) -> dict[str, Any]:
        """A request as it may be shown."""
        return {
            "operation": request.operation,
            "method": request.method.upper(),
            "target": self.line(self._harmless(request).target, BODY),
            "as": request.as_,
            "headers": self.headers(request.headers),
            "body": self._sent(request),
        }

    def _sent(self, request: Request) -> str | None:
        if request.raw is not None:
            return self.body(request.raw)
        return None if request.body is None else self.body(json.dumps(request.body).encode())

    def hides(self, name: object) -> bool:
        """Whether what stands under this name may not be shown."""
        return str(name).lower() in self.names

    def _key(self, name: object) -> str:
        return self.text(str(name), 200)

    def _hidden(self, value: Any) -> Iterator[str]:
        open_ = [value]
        while open_:
            one = open_.pop()
            for name, below in one.items() if isinstance(one, dict) else ():
                if isinstance(below, str) and name.lower() in self.names:
                    yield below
            inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            open_ += [below for below in inside if isinstance(below, (dict, list))]

    def _without_secrets(self, said: str) -> str:
        for form in _spelled(self.secrets):
            if form in said:
                said = said.replace(form, GONE)
        if "eyJ" in said:
            said = _JWT.sub(GONE, said)
        if "://" in said:
            said = _USERINFO.sub(GONE, said)
        if "=" in said:
            said = _IN_URL.sub(lambda found: f"{found[1]}{found[2]}={GONE if self.hides(found[2]) else found[3]}", said)
        if any(word in said.lower() for word in ("bearer", "basic")):
            said = _BEARER.sub(lambda found: f"{found[1]} {GONE}", said)
        return said


@lru_cache(maxsize=256)
def _spelled(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """These secrets, however they are spelled; the longest spelling first."""
    forms = {form for secret in secrets for form in _forms(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _may_name(content: bytes, names: Iterable[str]) -> bool:
    """Whether one of the names may stand in a body: reading it all as JSON takes its time."""
    lowered = content.lower()
    return b"\\u" in lowered or not lowered.isascii() or any(f'"{name}"'.encode() in lowered for name in names)


def _forms(secret: str) -> Iterator[str]:
    """A secret as texts spell it. What follows a bar signs in by itself (Laravel's ``number|token``)."""
    inner = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower())
    yield from (html.escape(secret), inner, inner.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    _, bar, token = secret.partition("|")
    if bar and len(token) >= LONG:
        yield from _forms(token)
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < LONG:
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
    return _HARMFUL.sub("", _ANSI.sub("", said))


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({s for s in secrets if len(s) >= SHORTEST}, key=lambda s: (-len(s), s)))


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
