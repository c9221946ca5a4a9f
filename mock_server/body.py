"""A request's body: read within bounds, and parsed as the JSON it claims to be.

orjson is fast and strict about bytes, escapes and NaN. Added here: a key given twice, nesting without end, and numbers
that no 64-bit integer holds are told apart without a second parse wherever a count shows that there are none.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from starlette.types import Receive

from mock_server.exchange import Exchange, remember
from mock_server.problems import Problem, Refusal, overloaded

HEADERS = (b"content-length", b"content-encoding", b"content-type")  # those that are read
LIMIT = 10 * 1024 * 1024
DEPTH = 128
MOST_ARRIVING = 128 * 1024 * 1024  # bytes of bodies that are not whole yet, of all requests together

_MEDIA_TYPE = re.compile(r"(application/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json)", re.ASCII)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_COLON = re.compile(rb'"[ \t\r\n]*:')
_LONG = re.compile(rb"[0-9]{19}")
_BITS = 2**63


class Disconnected(Exception):
    """The client went away before it had sent its body."""


@dataclass(slots=True)
class Arriving:
    """How many bytes of bodies are held that are not whole yet."""

    held: int = 0


async def read(exchange: Exchange, receive: Receive, arriving: Arriving) -> bytes:
    """All bytes of the body. Raises Refusal (413, 503) as soon as there are too many, of it or of all, Disconnected."""
    announced = exchange.headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > LIMIT:
        raise _too_large(f"Content-Length says {int(announced[:20])} bytes")
    message = await receive()
    chunk: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(chunk) <= LIMIT:
        return chunk
    chunks: list[bytes] = []
    size = 0
    try:
        while message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            arriving.held += len(chunks[-1])
            if size > LIMIT:
                raise _too_large(f"{size} bytes and more came")
            if arriving.held > MOST_ARRIVING:
                raise overloaded(f"bodies of {arriving.held} bytes are arriving at once", closing=True)
            if not message.get("more_body"):
                return b"".join(chunks)
            message = await receive()
    finally:
        arriving.held -= size
    raise Disconnected


def _too_large(found: str) -> Refusal:
    why = f"{found}; at most {LIMIT} are read"
    # The rest of the body is not read, so the connection cannot carry another request.
    return Refusal(Problem.TOO_LARGE, why, message="The request body is too large.", headers={"Connection": "close"})


def check_media_type(headers: Mapping[bytes, bytes], known: dict[bytes, str]) -> None:
    """Refuse (415) what does not call itself JSON in UTF-8. `known`: verdicts on content types seen before."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        shown = encoding.strip().lower().decode("latin-1")
        raise _media_type(f"Content-Encoding {shown!r}; allowed: identity", "The content encoding is not supported.")
    sent = headers.get(b"content-type", b"")
    verdict = known.get(sent)
    if verdict is None:
        verdict = remember(known, sent, _verdict(sent.decode("latin-1")), 256)
    if verdict:
        raise _media_type(verdict, "The content type must be application/json.")


def _media_type(why: str, message: str) -> Refusal:
    return Refusal(Problem.MEDIA_TYPE, why, message=message, headers={"Accept": "application/json"})


def _verdict(content_type: str) -> str:
    """What is wrong with a content type; empty when nothing is."""
    media = content_type.partition(";")[0].strip().lower()
    if not media:
        return "no Content-Type; allowed: application/json"
    if not _MEDIA_TYPE.fullmatch(media):
        return f"Content-Type {media!r}; allowed: application/json"
    charset = _CHARSET.search(content_type)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        return f"charset {charset[1]!r}; allowed: utf-8"
    return ""


class Parsed(NamedTuple):
    """A JSON value. `floats`: whether numbers in it came as floats, by a fraction, an exponent or too many digits."""

    value: Any
    floats: bool


def parse(raw: bytes) -> Parsed:
    """The JSON value that `raw` says. Raises Refusal (400) that tells where it is wrong and how."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _malformed(_told(error, raw)) from None
    if raw.count(b"{") + raw.count(b"[") > DEPTH and _depth(value) > DEPTH:
        raise _malformed(f"it is nested deeper than {DEPTH} levels")
    keys, floats = _surveyed(value)
    # A colon for each key, and others only within texts.
    if raw.count(b":") != keys and len(_COLON.findall(raw)) != keys:
        _check_keys(raw)
    return Parsed(_integral(value) if floats else value, floats)


def rounded(raw: bytes) -> list[str]:
    """Dotted paths of the integers in accepted JSON that lost digits: beyond 64 bits they are kept as floats.

    They are not refused, for where the contract sets no bounds it admits them.
    """
    if not _LONG.search(raw):
        return []
    found: list[str] = []
    waiting: deque[tuple[str, Any]] = deque([("body", json.loads(raw, parse_float=str))])
    while waiting:
        path, node = waiting.popleft()
        if isinstance(node, dict):
            waiting += ((f"{path}.{key}", value) for key, value in node.items())
        elif isinstance(node, list):
            waiting += ((f"{path}.{index}", value) for index, value in enumerate(node))
        elif isinstance(node, int) and not -_BITS <= node < 2 * _BITS and int(float(node)) != node:
            found.append(path)
    return found


def _malformed(what: str) -> Refusal:
    return Refusal(Problem.MALFORMED, what, message=f"The request body is not valid JSON: {what}.")


def _told(error: orjson.JSONDecodeError, raw: bytes) -> str:
    if "UTF-8" in error.msg:
        try:
            raw.decode()
        except UnicodeDecodeError as wrong:
            return f"byte {wrong.start + 1} is not UTF-8"
    return f"{error.msg} (line {error.lineno}, column {error.colno})"


def _depth(value: Any) -> int:
    """How many levels of objects and arrays there are."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, (dict, list))]:
        depth += 1
        level = [below for v in level for below in (v.values() if isinstance(v, dict) else v)]
    return depth


def _surveyed(value: Any) -> tuple[int, bool]:
    """(how many keys all objects have together, whether there is a float)."""
    keys, floats, waiting = 0, isinstance(value, float), [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            keys += len(node)
            node = node.values()
        elif not isinstance(node, list):
            continue
        for below in node:
            if isinstance(below, (dict, list)):
                waiting.append(below)
            elif isinstance(below, float):
                floats = True
    return keys, floats


def _check_keys(raw: bytes) -> None:
    def once(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise _malformed(f"the key {json.dumps(key)} is given twice")
            seen.add(key)

    json.loads(raw, object_pairs_hook=once, parse_int=str, parse_float=str)


def _integral(value: Any) -> Any:
    """`value` with 5.0 as 5: to JSON they are one number, and an integer of the contract is kept as an integer."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: _integral(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_integral(v) for v in value]
    return value
