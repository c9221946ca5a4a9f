"""Read a request body within limits and parse it as JSON.

orjson is strict about UTF-8, escapes and NaN. This module also rejects duplicate keys and excessive nesting, and
detects integers beyond 64 bits. Counts of keys and brackets avoid a second parse of almost all bodies.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from starlette.types import Message, Receive

from mock_server.errors import ApiError, ErrorKind, overloaded_error
from mock_server.web.context import CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, RequestContext
from spec.http.media_types import is_json_media_type

READ_HEADERS = (CONTENT_LENGTH, TRANSFER_ENCODING, b"content-encoding", b"content-type", EXPECT)
DEFAULT_MAX_BODY_BYTES = 1024 * 1024
MAX_NESTING_DEPTH = 128
MAX_CONTAINERS = 50_000  # objects and arrays; ten times as many take half a second to parse and visit
MAX_ROUNDED_INTEGERS = 20  # that are reported
MAX_BUFFERED_BYTES = 128 * 1024 * 1024  # incomplete bodies of all requests

_CHARSET_PARAMETER = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_KEY_SEPARATOR = re.compile(rb'"[ \t\r\n]*:')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_LONG_INTEGER = re.compile(rb"[0-9]{19}")
_INT64_LIMIT = 2**63
_MAX_EXACT_FLOAT = 2**53


class ClientDisconnect(Exception):
    """The client disconnected before its body was complete."""


@dataclass(slots=True)
class BodyMemoryLimit:
    """Counts the bytes of incomplete bodies of all requests. `max_body_bytes`: the limit of one body."""

    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    buffered_bytes: int = 0


async def read_body(context: RequestContext, receive: Receive, memory_limit: BodyMemoryLimit) -> bytes:
    """Return the complete body; store it in the context. Raises ClientDisconnect if the client disconnects before.

    Raises ApiError if the body (413) or all incomplete bodies together (503) exceed their limit.
    """
    content_length, max_bytes = context.headers.get(CONTENT_LENGTH, b""), memory_limit.max_body_bytes
    if content_length.isdigit() and int(content_length[:20]) > max_bytes:
        raise _too_large_error(f"Content-Length is {int(content_length[:20])} bytes", max_bytes)
    message = await receive()
    chunk: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(chunk) <= max_bytes:
        context.raw_body = chunk
        return chunk
    chunks: list[bytes] = []
    try:
        await _receive_chunks(chunks, message, receive, memory_limit)
    finally:
        memory_limit.buffered_bytes -= sum(map(len, chunks))
        if chunks:
            context.raw_body = b"".join(chunks)
    return context.raw_body or b""


async def _receive_chunks(
    chunks: list[bytes], message: Message, receive: Receive, memory_limit: BodyMemoryLimit
) -> None:
    """Add the content of `message` and of all that follow to `chunks`. Raises like `read_body`."""
    size, max_bytes = 0, memory_limit.max_body_bytes
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        memory_limit.buffered_bytes += len(chunks[-1])
        if size > max_bytes:
            raise _too_large_error(f"the body has at least {size} bytes", max_bytes)
        if memory_limit.buffered_bytes > MAX_BUFFERED_BYTES:
            detail = f"incomplete request bodies use {memory_limit.buffered_bytes} bytes of memory"
            raise overloaded_error(detail)
        if not message.get("more_body"):
            return
        message = await receive()
    raise ClientDisconnect


def _too_large_error(reason: str, max_bytes: int) -> ApiError:
    detail = f"{reason} (maximum {max_bytes}, see --max-body)"
    message = f"The request body must not be greater than {max_bytes} bytes (option --max-body of the mock)."
    # The rest of the body is not read, so the connection cannot carry another request.
    return ApiError(ErrorKind.BODY_TOO_LARGE, detail, message=message, headers={"Connection": "close"})


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise ApiError (415) unless the headers declare JSON in UTF-8."""
    check_content_encoding(headers)
    content_type = headers.get(b"content-type", b"")
    if content_type == b"application/json":  # of almost all requests: saves 0.6 µs
        return
    if problem := _find_media_type_problem(content_type):
        raise media_type_error(problem, "The content type must be application/json.")


def check_content_encoding(headers: Mapping[bytes, bytes]) -> None:
    """Raise ApiError (415) if the headers declare a compressed body."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        detail = f"Content-Encoding: invalid value {encoding.strip().lower().decode('latin-1')!r} (expected identity)"
        raise media_type_error(detail, "The content encoding is not supported.")


def check_charset(content_type: str) -> None:
    """Raise ApiError (415) if the content type of JSON names another charset than UTF-8."""
    if problem := _find_charset_problem(content_type):
        raise media_type_error(problem, "The content type must be application/json.")


def media_type_error(detail: str, message: str, accepted: tuple[str, ...] = ("application/json",)) -> ApiError:
    """Return the error (415) for a body of another media type than the accepted ones."""
    headers = {"Accept": ", ".join(accepted)}
    return ApiError(ErrorKind.UNSUPPORTED_MEDIA_TYPE, detail, message=message, headers=headers)


def _find_media_type_problem(header: bytes) -> str:
    """Describe the problem of a content type; empty if it is valid."""
    content_type = header.decode("latin-1")
    media = content_type.partition(";")[0].strip().lower()
    if not media:
        return "no Content-Type (expected application/json)"
    if not is_json_media_type(media):
        return f"Content-Type: invalid value {media!r} (expected application/json)"
    return _find_charset_problem(content_type)


def _find_charset_problem(content_type: str) -> str:
    charset = _CHARSET_PARAMETER.search(content_type)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):
        return f"charset: invalid value {charset[1]!r} (expected utf-8)"
    return ""


class ParsedJson(NamedTuple):
    """A JSON value. `has_floats`: whether it has numbers with a fraction, an exponent or too many digits."""

    value: Any
    has_floats: bool


def parse_json(raw: bytes) -> ParsedJson:
    """Parse JSON. Raises ApiError (400) with the position and the problem."""
    if _count_brackets(raw) > MAX_CONTAINERS and _count_brackets(_STRING.sub(b"", raw)) > MAX_CONTAINERS:
        raise _malformed_error(f"it has more than {MAX_CONTAINERS} objects and arrays")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _malformed_error(_describe_json_error(error, raw)) from None
    if isinstance(value, float):
        return ParsedJson(_to_integer(value), True)
    key_count, has_floats = _normalize_numbers(value)
    # Without duplicates there is one colon per key, and others only inside strings.
    if raw.count(b":") != key_count and len(_KEY_SEPARATOR.findall(raw)) != key_count:
        _reject_duplicate_keys(raw)
    return ParsedJson(value, has_floats)


def find_rounded_integers(raw: bytes) -> list[str]:
    """Return the dotted paths of the first integers that lost digits: beyond 64 bits they are stored as floats.

    They are not rejected, since the contract permits them where it sets no bounds.
    """
    if not _LONG_INTEGER.search(raw):
        return []
    paths: list[str] = []
    pending: deque[tuple[str, Any]] = deque([("body", json.loads(raw, parse_float=str))])
    while pending and len(paths) < MAX_ROUNDED_INTEGERS:
        path, node = pending.popleft()
        for step, child in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(child, (dict, list)):
                pending.append((f"{path}.{step}", child))
            elif isinstance(child, int) and _is_rounded(child):
                paths.append(f"{path}.{step}")
    return paths[:MAX_ROUNDED_INTEGERS]


def _is_rounded(number: int) -> bool:
    """Return whether a number loses digits as a 64-bit float."""
    return not -_INT64_LIMIT <= number < 2 * _INT64_LIMIT and int(float(number)) != number


def _malformed_error(detail: str) -> ApiError:
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=f"The request body is not valid JSON: {detail}.")


def _describe_json_error(error: orjson.JSONDecodeError, raw: bytes) -> str:
    if "UTF-8" in error.msg:
        try:
            raw.decode()
        except UnicodeDecodeError as unicode_error:
            return f"byte {unicode_error.start + 1} is not UTF-8"
    return f"{error.msg} (line {error.lineno}, column {error.colno})"


def _count_brackets(raw: bytes) -> int:
    return raw.count(b"[") + raw.count(b"{")


def _to_integer(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < _MAX_EXACT_FLOAT else number


def _normalize_numbers(value: Any) -> tuple[int, bool]:
    """Replace 5.0 by 5 in an object or array, and return (number of keys of all objects, whether there is a float).

    5.0 and 5 are equal in JSON, and the store keeps integers as integers. Raises ApiError (400) if the value is nested
    too deeply.
    """
    key_count, has_floats, depth = 0, False, 0
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    while level:
        depth += 1
        if depth > MAX_NESTING_DEPTH:
            raise _malformed_error(f"it is nested deeper than {MAX_NESTING_DEPTH} levels")
        next_level: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                key_count += len(node)
                has_floats |= _normalize_entries(node, node.items(), next_level)
            else:
                has_floats |= _normalize_entries(node, enumerate(node), next_level)
        level = next_level
    return key_count, has_floats


def _normalize_entries(node: Any, entries: Iterable[tuple[Any, Any]], containers: list[Any]) -> bool:
    """Normalize the numbers among the entries of an object or array; return whether there is a float.

    Its objects and arrays are added to `containers`. orjson creates no subclasses: comparing classes takes a third of
    the time of `isinstance`, of 60 ms for the largest body.
    """
    has_floats = False
    for key, value in entries:
        kind = value.__class__
        if kind is dict or kind is list:
            containers.append(value)
        elif kind is float:
            has_floats = True
            if value.is_integer() and abs(value) < _MAX_EXACT_FLOAT:  # not `_to_integer`: the call takes twice as long
                node[key] = int(value)
    return has_floats


def _reject_duplicate_keys(raw: bytes) -> None:
    def check_pairs(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise _malformed_error(f"the key {json.dumps(key)} is given twice")
            seen.add(key)

    json.loads(raw, object_pairs_hook=check_pairs, parse_int=str, parse_float=str)
