"""Removes secrets and unsafe characters from everything that reports and the request journal contain.

Text of a target is untrusted: escape sequences, control characters and bidirectional marks are removed, and lengths are
limited. Credential headers, token values, and properties with ``format: password`` never appear.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5
from typing import Any, Self
from urllib.parse import quote, quote_plus, unquote

from spec.document import iter_keyword_objects, split_pointer
from spec.lenient_json import parse_leniently
from spec.model import Contract

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 4  # shorter secrets occur in unrelated text
MAX_BODY_CHARS = 4_000
MAX_LINE_CHARS = 600
EXCERPT_FACTOR = 20  # bytes searched for secrets per character shown of a body that is not JSON
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL)
MIN_ENCODED_SECRET_CHARS = 8  # minimum length for which encodings of a secret are searched
MIN_SPLIT_SECRET_CHARS = 16  # the same for separated characters and for the start of a secret
_SPACE = r"[\s\u00ad\u200b-\u200f\u2060\ufeff]"
_ESCAPED_SPACE = r"\\{1,8}(?:[nrt]|u00ad|u200[b-f]|u2060|ufeff)"
_TAG = re.compile("</?[a-zA-Z][^<>]{0,60}>")
# Between two characters of a secret. A run of spaces counts once; the limit bounds the time of a search.
_SEPARATORS = f"(?:{_SPACE}+(?!{_SPACE})|{_ESCAPED_SPACE}|[-._,]|{_TAG.pattern}){{0,8}}"
_ESCAPE = re.compile(r"\\{1,8}(?:u00|x)([0-9a-fA-F]{2})")
_NAMED_VALUE = re.compile(r"""(["'])([\w.-]+)\1(\s*:\s*)"(?:[^"\\]|\\.)*"?""")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")
_USERINFO = re.compile(r"(?<=://)[^/\s:@\"'<>]+:[^/\s@\"'<>]+(?=@)")
_IN_URL = re.compile(r"([?&;])([A-Za-z0-9_.\[\]-]+)=([^&;\s\"'<>]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!\$)[A-Za-z0-9._~+/|=-]{6,}")
_ERRORS = "errors"  # the property with the messages about invalid fields, by field
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "password", "secret", "token", "access_token"}
    | {"refresh_token", "api_key", "apikey", "x-api-key", "x-csrf-token", "x-xsrf-token", "client_secret"}
)
# Control characters except tab and line end, surrogates, and bidirectional or line-breaking marks.
_UNSAFE_CHARS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class SecretRedactor:
    """Redacts text and JSON. `secrets`: values; `names`: headers and properties, lower case."""

    secrets: tuple[str, ...]
    names: frozenset[str]

    @classmethod
    def from_contract(cls, contract: Contract, secrets: Iterable[str | None]) -> Self:
        """Create a redactor of these values, and of the passwords and credential headers of a contract."""
        names = {n for scheme in contract.security_schemes.values() if isinstance(n := scheme.get("name"), str)}
        names |= set(_iter_password_names(contract))
        return cls(sort_longest_first(s for s in secrets if s), _CREDENTIALS | {name.lower() for name in names})

    def redact_text(self, text: str, limit: int = MAX_LINE_CHARS) -> str:
        """Redact a text of one or more lines, and limit its length."""
        text = self.remove_secrets(remove_unsafe_chars(text))
        return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"

    def redact_line(self, text: str, limit: int = MAX_LINE_CHARS) -> str:
        """Redact a text, and put it on one line."""
        return self.redact_text(" ".join(text.split()), limit)

    def redact_value(self, value: Any) -> Any:
        """Redact secrets and unsafe characters in JSON. The length of texts is not limited."""
        return self._redact(value, self._redact_name, lambda text: self.remove_secrets(remove_unsafe_chars(text)))

    def redact_secrets(self, value: Any) -> Any:
        """Redact only the secrets in JSON: for requests that are sent again, and that are displayed only as ASCII."""
        return self._redact(value, str, self.remove_secrets)

    def _redact(
        self,
        value: Any,
        convert_name: Callable[[str], str],
        convert_text: Callable[[str], str],
        *,
        is_in_errors: bool = False,
    ) -> Any:
        if isinstance(value, Mapping):
            return {
                convert_name(name): REDACTED
                if self._is_secret(name, item, is_in_errors)
                else self._redact(item, convert_name, convert_text, is_in_errors=is_in_errors or name == _ERRORS)
                for name, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._redact(item, convert_name, convert_text, is_in_errors=is_in_errors) for item in value]
        return convert_text(value) if isinstance(value, str) else value

    def _is_secret(self, name: object, value: Any, is_in_errors: bool) -> bool:
        """Return whether the value of a property is secret. A list of messages about the property is not."""
        if value is None or not self.is_hidden(name):
            return False
        return not (is_in_errors and isinstance(value, list) and all(isinstance(item, str) for item in value))

    def redact_body(self, content: bytes, limit: int = MAX_BODY_CHARS, indent: int | None = None) -> str:
        """Redact a body, and limit its length. JSON is processed only up to the limit."""
        try:
            value, remaining = self._truncate(parse_leniently(content), limit)
            text = json.dumps(value, ensure_ascii=False, indent=indent)
        except (ValueError, RecursionError):
            excerpt = content[: EXCERPT_FACTOR * limit].decode("utf-8", "replace")
            return self.redact_text(_NAMED_VALUE.sub(self._hide_named_value, excerpt), limit)
        if remaining > 0:
            return self.redact_text(text, limit)
        return f"{self.remove_secrets(remove_unsafe_chars(text))[:limit]}... ({len(content)} bytes)"

    def _hide_named_value(self, match: re.Match[str]) -> str:
        """Replace the value of a hidden name in text that is not JSON."""
        return f'{match[1]}{match[2]}{match[1]}{match[3]}"{REDACTED}"' if self.is_hidden(match[2]) else match[0]

    def _truncate(self, value: Any, remaining: int, *, is_in_errors: bool = False) -> tuple[Any, int]:
        """Redact `value` up to the member at which `remaining` characters are used.

        Returns the redacted value, and the number of characters that remain; 0 or less at the limit.
        """
        if isinstance(value, dict):
            members: dict[str, Any] = {}
            for name, item in value.items():
                if remaining <= 0:
                    break
                key = self._redact_name(name)
                visible = REDACTED if self._is_secret(name, item, is_in_errors) else item
                is_below_errors = is_in_errors or name == _ERRORS
                members[key], remaining = self._truncate(visible, remaining - len(key), is_in_errors=is_below_errors)
            return members, remaining
        if isinstance(value, list):
            items: list[Any] = []
            for item in value:
                if remaining <= 0:
                    break
                redacted, remaining = self._truncate(item, remaining - 1, is_in_errors=is_in_errors)
                items.append(redacted)
            return items, remaining
        redacted = self.redact_value(value)
        return redacted, remaining - (len(redacted) if isinstance(redacted, str) else 1)

    def redact_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Redact names and values of headers; each on one line, and limited in length."""
        return {
            self._redact_name(name): REDACTED if self.is_hidden(name) else self.redact_line(value)
            for name, value in headers.items()
        }

    def is_hidden(self, name: object) -> bool:
        """Return whether the values of this header or property are secret."""
        return str(name).lower() in self.names

    def _redact_name(self, name: object) -> str:
        return self.redact_text(str(name), 200)

    def iter_hidden_values(self, value: Any) -> Iterator[str]:
        """Yield the texts that a JSON value has under hidden names."""
        stack = [value]
        while stack:
            node = stack.pop()
            for name, child in node.items() if isinstance(node, dict) else ():
                if isinstance(child, str) and name.lower() in self.names:
                    yield child
            children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
            stack += [child for child in children if isinstance(child, (dict, list))]

    def remove_secrets(self, text: str) -> str:
        """Replace the secrets in a text. Its length is not limited."""
        for form in _list_encodings(self.secrets):
            if form in text:
                text = text.replace(form, REDACTED)
        if "eyJ" in text:
            text = _JWT.sub(REDACTED, text)
        text = _remove_variants(text, self.secrets)
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
def _list_encodings(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return all encodings of these secrets, longest first."""
    forms = {form for secret in secrets for form in _iter_encodings(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _remove_variants(text: str, secrets: Sequence[str]) -> str:
    """Redact secrets in any case, with any of their characters escaped, split by separators, or cut off."""
    if not secrets:
        return text
    normalized = _normalize(text), _normalize(_TAG.sub("", text))
    for secret in secrets:
        for part in (secret, secret.partition("|")[2]):
            start = _normalize(part[:MIN_SPLIT_SECRET_CHARS])
            if len(part) >= MIN_ENCODED_SECRET_CHARS and any(start in candidate for candidate in normalized):
                text = _redact_variants(text, part)
    return text


def _redact_variants(text: str, secret: str) -> str:
    """Redact a secret, or a start of it of at least `MIN_SPLIT_SECRET_CHARS` characters."""
    parts, position = [], 0
    for match in _compile_variants(secret[:MIN_SPLIT_SECRET_CHARS]).finditer(text):
        if match.start() < position:
            continue
        end: int = match.end()
        for char in secret[MIN_SPLIT_SECRET_CHARS:]:
            following = _compile_following_character(char).match(text, end)
            if following is None:
                break
            end = following.end()
        parts += [text[position : match.start()], REDACTED]
        position = end
    return "".join([*parts, text[position:]])


@lru_cache(maxsize=256)
def _compile_following_character(char: str) -> re.Pattern[str]:
    """Return the pattern of a further character of a secret, after separators."""
    return re.compile(_SEPARATORS + _build_character_pattern(char), re.IGNORECASE)


def _normalize(text: str) -> str:
    """Remove case, escapes and separators from a text."""
    for _ in range(2):  # double encoding
        text = html.unescape(unquote(text))
    text = re.sub(f"{_SPACE}|{_ESCAPED_SPACE}", "", text, flags=re.IGNORECASE)
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return re.sub(r"[-._,\\]", "", text).casefold()


@lru_cache(maxsize=256)
def _compile_variants(secret: str) -> re.Pattern[str]:
    """Return the pattern of a secret in any case, in which each character may be escaped."""
    separator = _SEPARATORS if len(secret) >= MIN_SPLIT_SECRET_CHARS else ""
    return re.compile(separator.join(map(_build_character_pattern, secret)), re.IGNORECASE)


def _build_character_pattern(char: str) -> str:
    code, percent = ord(char), "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    names = [name for name, text in html5.items() if text == char and name.endswith(";")]
    entities = (f"&(?:amp;)*{name}" for name in (f"#0*{code};?", f"#x0*{code:x};?", *names))
    escapes = rf"\\{{0,8}}{re.escape(char)}", rf"\\{{1,8}}u{code:04x}", rf"\\{{1,8}}x{code:02x}"
    return f"(?:{'|'.join([*escapes, percent, *entities])})"


def _iter_encodings(secret: str) -> Iterator[str]:
    """Yield the encodings of a secret in text. The part after a bar is itself a token (Laravel's ``number|token``)."""
    inner = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret, safe=""), quote_plus(secret), quote(secret, safe="").lower())
    yield from (html.escape(secret), inner, inner.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    _, bar, token = secret.partition("|")
    if bar and len(token) >= MIN_ENCODED_SECRET_CHARS:
        yield from _iter_encodings(token)
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < MIN_ENCODED_SECRET_CHARS:
        return
    yield from (raw.hex(), raw.hex().upper())
    for shift in range(3):  # base64 of a longer text that contains it, at each of the three alignments
        shifted = base64.b64encode(b"\0" * shift + raw).rstrip(b"=").decode()
        core = shifted[(0, 2, 3)[shift] : len(shifted) - (1 if (len(raw) + shift) % 3 else 0)]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def remove_unsafe_chars(text: str) -> str:
    """Remove escape sequences, control characters (except line ends and tabs) and bidirectional marks from a text."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE_CHARS.sub("", _ANSI.sub("", text))


def sort_longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct secrets of at least `MIN_SECRET_CHARS` characters, longest first."""
    return tuple(sorted({s for s in secrets if len(s) >= MIN_SECRET_CHARS}, key=lambda s: (-len(s), s)))


def _iter_password_names(contract: Contract) -> Iterator[str]:
    """Yield the names of the properties and parameters that the contract declares as passwords."""
    for node, pointer in iter_keyword_objects(contract.document.root):
        if node.get("format") == "password":
            *parents, last = split_pointer(pointer)
            is_parameter = last == "schema" and parents
            yield str(contract.document.resolve(pointer.rsplit("/", 1)[0])["name"]) if is_parameter else last
    for resource in contract.resources.values():
        if resource.credentials is not None:
            yield resource.credentials.secret
