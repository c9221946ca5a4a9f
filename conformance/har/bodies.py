"""The bodies of a recording, and why one is not complete.

Recorders omit, cut and relocate bodies, each in its own way. A body that is not complete is not inspected.
Sources: HAR 1.2; recordings of Chromium and of Playwright's content modes; reports of users of these recorders:
a missing `text` (Firefox, chrome-har), an empty one with a size (har-extractor), a size of 0 without `text`
(BrowserMob Proxy), text cut after 1 MiB (Firefox), text that is still compressed (BrowserMob Proxy), bodies discarded
by size (HTTP Toolkit) and sizes that are not numbers (chrome-har-capturer).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from conformance.har.archives import MAX_BODY_BYTES, Attachments
from conformance.transport.body import MIB, read_body

EMPTY_STATUSES = frozenset({204, 205})
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
FIREFOX_MAX_CHARS = 1024 * 1024  # devtools.netmonitor.responseBodyLimit
MAX_LENGTH_DIGITS = 20  # of a Content-Length


class BodyProblem(StrEnum):
    """Why a body cannot be inspected."""

    NOT_RECORDED = "not in the recording"
    CUT = "cut by the recorder"
    FILE_MISSING = "in a file that is missing"
    TOO_LARGE = f"larger than {MAX_BODY_BYTES // MIB} MiB"
    NOT_DECODABLE = "recorded in a form that cannot be decoded"


@dataclass(frozen=True, slots=True)
class RecordedBody:
    """A body in a recording; without content if there is a problem."""

    content: bytes = b""
    problem: BodyProblem | None = None


def read_response_body(response: Mapping[str, Any], headers: Mapping[str, str], files: Attachments) -> RecordedBody:
    """Read the body of a response. `headers`: by lower-case name."""
    content = _object(response.get("content"))
    size, length = _number(content.get("size")), _content_length(headers)
    body = _read_recorded(content, headers, files, _max_size(size, length, headers))
    if body is not None:
        return body
    if response.get("status") in EMPTY_STATUSES:
        return RecordedBody()
    has_text = isinstance(content.get("text"), str)
    # Some recorders count the headers as well, so that `bodySize` proves nothing about an empty text.
    has_size = bool(size or length or (not has_text and _number(response.get("bodySize"))))
    is_known_to_be_empty = has_text or 0 in (size, length)
    return RecordedBody(problem=None if is_known_to_be_empty and not has_size else BodyProblem.NOT_RECORDED)


def read_request_body(request: Mapping[str, Any], headers: Mapping[str, str], files: Attachments) -> RecordedBody:
    """Read the body of a request. `headers`: by lower-case name."""
    post_data = _object(request.get("postData")) or _object(request.get("_content"))
    size, length = _number(request.get("bodySize")), _content_length(headers)
    body = _read_recorded(post_data, headers, files, _max_size(size, length, headers)) or _read_form(post_data)
    if body is not None:
        return body
    has_body = bool(size or length or request.get("_requestBodyStatus"))
    if post_data:  # recorders write it only if there is a body
        is_empty = 0 in (size, length)
    else:
        is_empty = 0 in (size, length) or request.get("method", "").upper() not in BODY_METHODS
        is_empty = is_empty or "content-type" not in headers
    return RecordedBody(problem=None if is_empty and not has_body else BodyProblem.NOT_RECORDED)


def _read_recorded(
    node: Mapping[str, Any], headers: Mapping[str, str], files: Attachments, size: int
) -> RecordedBody | None:
    """The body in `text` or in the file that `_file` names; None if there is none. `size`: declared bytes."""
    text, file_name = node.get("text"), node.get("_file")
    encoding = node.get("encoding")
    if not text and isinstance(node.get("_textBase64"), str):
        text, encoding = node["_textBase64"], "base64"
    if isinstance(text, str) and text:
        content = _decode_text(text, encoding)
    elif isinstance(file_name, str) and file_name:
        content = files.read(file_name)
        if content is None:
            return RecordedBody(problem=BodyProblem.FILE_MISSING)
    else:
        return None
    if content is None:
        return RecordedBody(problem=BodyProblem.NOT_DECODABLE)
    if len(content) > MAX_BODY_BYTES:
        return RecordedBody(problem=BodyProblem.TOO_LARGE)
    is_shorter = len(content) < size or (isinstance(text, str) and len(text) == FIREFOX_MAX_CHARS)
    # A JSON document that was cut does not parse.
    if (is_shorter or node.get("comment")) and not _is_json(content):
        return RecordedBody(problem=BodyProblem.CUT)
    return _decompress(content, headers.get("content-encoding", ""))


def _decode_text(text: str, encoding: Any) -> bytes | None:
    """Decode a text; None if it is not base64."""
    if len(text) > 2 * MAX_BODY_BYTES:  # base64 takes a third more
        return text[: MAX_BODY_BYTES + 1].encode("utf-8", "replace")
    if encoding != "base64":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _decompress(content: bytes, content_encoding: str) -> RecordedBody:
    """Decompress a body that the recorder did not decompress."""
    if not content_encoding or _is_text(content) or _is_json(content):
        return RecordedBody(content)
    content, problem = read_body([content], content_encoding, MAX_BODY_BYTES)
    return RecordedBody(problem=BodyProblem.NOT_DECODABLE) if problem else RecordedBody(content)


def _read_form(post_data: Mapping[str, Any]) -> RecordedBody | None:
    """The body of a form without files whose fields are recorded; None if there are none."""
    params = post_data.get("params")
    fields = [param for param in params if isinstance(param, dict)] if isinstance(params, list) else []
    if not fields:
        return None
    if "multipart" in str(post_data.get("mimeType")).lower():
        return RecordedBody(problem=BodyProblem.NOT_RECORDED)
    pairs = [(str(field.get("name") or ""), str(field.get("value") or "")) for field in fields]
    return RecordedBody(urlencode(pairs).encode())


def _max_size(size: int | None, length: int | None, headers: Mapping[str, str]) -> int:
    """The bytes that a decompressed body has according to its recording; 0 if unknown."""
    return max(size or 0, 0 if headers.get("content-encoding") else length or 0)


def _content_length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS else None


def _number(value: Any) -> int | None:
    """A recorded size; None if it is unknown (-1) or not a number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_text(content: bytes) -> bool:
    """Whether a body is UTF-8 without characters that were replaced."""
    try:
        return "\N{REPLACEMENT CHARACTER}" not in content.decode()
    except UnicodeDecodeError:
        return False


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
