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

from mock_server.errors import ApiError, ErrorKind, overloaded_error
from mock_server.web.context import RequestContext, memoize

READ_HEADERS = (b"content-length", b"content-encoding", b"content-type")  # those that are read
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_NESTING_DEPTH = 128
MAX_BUFFERED_BYTES = 128 * 1024 * 1024  # bytes of bodies that are not whole yet, of all requests together

_JSON_MEDIA_TYPE = re.compile(r"(application/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json)", re.ASCII)
_CHARSET_PARAMETER = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_KEY_SEPARATOR = re.compile(rb'"[ \t\r\n]*:')
_LONG_INTEGER = re.compile(rb"[0-9]{19}")
_INT64_LIMIT = 2**63


class ClientDisconnect(Exception):
    """The client went away before it had sent its body."""


@dataclass(slots=True)
class BodyMemoryLimit:
    """How many bytes of bodies are held that are not whole yet."""

    buffered_bytes: int = 0


async def read_body(context: RequestContext, receive: Receive, memory_limit: BodyMemoryLimit) -> bytes:
    """All bytes of the body. Raises Refusal (413, 503) as soon as there are too many, of it or of all, Disconnected."""
    content_length = context.headers.get(b"content-length", b"")
    if content_length.isdigit() and int(content_length[:20]) > MAX_BODY_BYTES:
        raise _too_large_error(f"Content-Length says {int(content_length[:20])} bytes")
    message = await receive()
    chunk: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(chunk) <= MAX_BODY_BYTES:
        return chunk
    chunks: list[bytes] = []
    size = 0
    try:
        while message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            memory_limit.buffered_bytes += len(chunks[-1])
            if size > MAX_BODY_BYTES:
                raise _too_large_error(f"{size} bytes and more came")
            if memory_limit.buffered_bytes > MAX_BUFFERED_BYTES:
                raise overloaded_error(
                    f"bodies of {memory_limit.buffered_bytes} bytes are arriving at once", close_connection=True
                )
            if not message.get("more_body"):
                return b"".join(chunks)
            message = await receive()
    finally:
        memory_limit.buffered_bytes -= size
    raise ClientDisconnect


def _too_large_error(reason: str) -> ApiError:
    detail = f"{reason}; at most {MAX_BODY_BYTES} are read"
    # The rest of the body is not read, so the connection cannot carry another request.
    return ApiError(
        ErrorKind.BODY_TOO_LARGE, detail, message="The request body is too large.", headers={"Connection": "close"}
    )


def check_media_type(headers: Mapping[bytes, bytes], verdict_cache: dict[bytes, str]) -> None:
    """Refuse (415) what does not call itself JSON in UTF-8. `verdict_cache`: verdicts on content types seen before."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        content_encoding = encoding.strip().lower().decode("latin-1")
        raise _media_type_error(
            f"Content-Encoding {content_encoding!r}; allowed: identity", "The content encoding is not supported."
        )
    content_type = headers.get(b"content-type", b"")
    verdict = verdict_cache.get(content_type)
    if verdict is None:
        verdict = memoize(verdict_cache, content_type, _find_media_type_problem(content_type.decode("latin-1")), 256)
    if verdict:
        raise _media_type_error(verdict, "The content type must be application/json.")


def _media_type_error(detail: str, message: str) -> ApiError:
    return ApiError(ErrorKind.UNSUPPORTED_MEDIA_TYPE, detail, message=message, headers={"Accept": "application/json"})


def _find_media_type_problem(content_type: str) -> str:
    """What is wrong with a content type; empty when nothing is."""
    media = content_type.partition(";")[0].strip().lower()
    if not media:
        return "no Content-Type; allowed: application/json"
    if not _JSON_MEDIA_TYPE.fullmatch(media):
        return f"Content-Type {media!r}; allowed: application/json"
    charset = _CHARSET_PARAMETER.search(content_type)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        return f"charset {charset[1]!r}; allowed: utf-8"
    return ""


class ParsedJson(NamedTuple):
    """A JSON value. `has_floats`: whether numbers in it came as floats, by a fraction, an exponent or too many digits."""

    value: Any
    has_floats: bool


def parse_json(raw: bytes) -> ParsedJson:
    """The JSON value that `raw` says. Raises Refusal (400) that tells where it is wrong and how."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _malformed_error(_describe_json_error(error, raw)) from None
    if raw.count(b"{") + raw.count(b"[") > MAX_NESTING_DEPTH and _measure_depth(value) > MAX_NESTING_DEPTH:
        raise _malformed_error(f"it is nested deeper than {MAX_NESTING_DEPTH} levels")
    key_count, has_floats = _count_keys(value)
    # A colon for each key, and others only within texts.
    if raw.count(b":") != key_count and len(_KEY_SEPARATOR.findall(raw)) != key_count:
        _reject_duplicate_keys(raw)
    return ParsedJson(_normalize_integers(value) if has_floats else value, has_floats)


def find_rounded_integers(raw: bytes) -> list[str]:
    """Dotted paths of the integers in accepted JSON that lost digits: beyond 64 bits they are kept as floats.

    They are not refused, for where the contract sets no bounds it admits them.
    """
    if not _LONG_INTEGER.search(raw):
        return []
    paths: list[str] = []
    pending: deque[tuple[str, Any]] = deque([("body", json.loads(raw, parse_float=str))])
    while pending:
        path, node = pending.popleft()
        if isinstance(node, dict):
            pending += ((f"{path}.{key}", value) for key, value in node.items())
        elif isinstance(node, list):
            pending += ((f"{path}.{index}", value) for index, value in enumerate(node))
        elif isinstance(node, int) and not -_INT64_LIMIT <= node < 2 * _INT64_LIMIT and int(float(node)) != node:
            paths.append(path)
    return paths


def _malformed_error(detail: str) -> ApiError:
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=f"The request body is not valid JSON: {detail}.")


def _describe_json_error(error: orjson.JSONDecodeError, raw: bytes) -> str:
    if "UTF-8" in error.msg:
        try:
            raw.decode()
        except UnicodeDecodeError as unicode_error:
            return f"byte {unicode_error.start + 1} is not UTF-8"
    return f"{error.msg} (line {error.lineno}, column {error.colno})"


def _measure_depth(value: Any) -> int:
    """How many levels of objects and arrays there are."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, (dict, list))]:
        depth += 1
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
    return depth


def _count_keys(value: Any) -> tuple[int, bool]:
    """(how many keys all objects have together, whether there is a float)."""
    key_count, has_floats, pending = 0, isinstance(value, float), [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            key_count += len(node)
            node = node.values()
        elif not isinstance(node, list):
            continue
        for child in node:
            if isinstance(child, (dict, list)):
                pending.append(child)
            elif isinstance(child, float):
                has_floats = True
    return key_count, has_floats


def _reject_duplicate_keys(raw: bytes) -> None:
    def check_pairs(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise _malformed_error(f"the key {json.dumps(key)} is given twice")
            seen.add(key)

    json.loads(raw, object_pairs_hook=check_pairs, parse_int=str, parse_float=str)


def _normalize_integers(value: Any) -> Any:
    """`value` with 5.0 as 5: to JSON they are one number, and an integer of the contract is kept as an integer."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: _normalize_integers(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_normalize_integers(v) for v in value]
    return value
