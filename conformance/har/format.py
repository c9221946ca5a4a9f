"""Reads HTTP Archive files (HAR 1.2), which browsers and proxies write.

Browsers omit some bodies, cached responses and credentials; omitted parts are None and not checked.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from conformance.errors import UsageError
from conformance.files import read_json
from conformance.transport.messages import Response

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_ENTRIES = 100_000  # per file
MAX_BODY_BYTES = 16 * 1024 * 1024  # larger bodies are not checked


@dataclass(frozen=True, slots=True)
class HarEntry:
    """A recorded request and its response.

    `location`: file and entry. Headers have lower-case names. `request_body`: None if not recorded. `response`: its
    status is 0 without a response. `is_stream`: a web socket or an event stream.
    """

    location: str
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    response: Response
    has_response_body: bool
    is_stream: bool

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(urlsplit(self.url).query, keep_blank_values=True, max_num_fields=10_000))

    @property
    def request_json(self) -> Any:
        """The request body as JSON; None if there is none or it is not JSON."""
        try:
            return json.loads(self.request_body or b"null")
        except (ValueError, RecursionError):
            return None


def read_har(path: Path) -> list[HarEntry]:
    """Read the entries of a file. Raises UsageError."""
    root = read_json(path, MAX_FILE_BYTES, "a complete HAR file")
    log = root.get("log") if isinstance(root, dict) else None
    version = str(log.get("version", "1.1")) if isinstance(log, dict) else ""
    entries = log.get("entries") if isinstance(log, dict) else None
    if not version.startswith("1.") or not isinstance(entries, list):
        description = f"version {version[:20]!a}" if version else "no log"
        raise UsageError(f"{path}: {description}, no list of entries (expected a HAR file, version 1.2)")
    if len(entries) > MAX_ENTRIES:
        raise UsageError(f"{path}: {len(entries)} entries (expected at most {MAX_ENTRIES})")
    return [_parse_entry(f"{path.name} entry {index}", raw_entry) for index, raw_entry in enumerate(entries)]


def _parse_entry(location: str, raw_entry: Any) -> HarEntry:
    """Parse an entry. Raises UsageError if it has no request or no response."""
    request, response = _require(raw_entry, "request", dict, location), _require(raw_entry, "response", dict, location)
    url = _require(request, "url", str, f"{location} request")
    status = _require(response, "status", int, f"{location} response")
    valid_status = status if 100 <= status <= 599 else 0
    duration_ms = raw_entry.get("time")
    duration = duration_ms / 1000 if isinstance(duration_ms, (int, float)) and duration_ms >= 0 else 0.0
    response_body = _response_body(response, location)
    resource_type = str(raw_entry.get("_resourceType", ""))
    return HarEntry(
        location,
        _require(request, "method", str, f"{location} request").lower(),
        url,
        _parse_headers(request, f"{location} request"),
        _request_body(request, location),
        Response(valid_status, _response_headers(response, location), response_body or b"", duration),
        response_body is not None,
        resource_type in ("websocket", "eventsource") or url.startswith(("ws:", "wss:")) or status == 101,
    )


def _require(node: Any, name: str, expected_type: type, location: str) -> Any:
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, expected_type) or isinstance(value, bool):
        type_names = {dict: "an object", str: "a string", int: "a number", list: "a list"}
        raise UsageError(
            f"{location}: invalid {name} of type {type(value).__name__} (expected {type_names[expected_type]})"
        )
    return value


def _parse_headers(node: Mapping[str, Any], location: str) -> dict[str, str]:
    """Headers by lower-case name, repeated ones joined, without the pseudo-headers of HTTP/2."""
    headers: dict[str, str] = {}
    for header in _require(node, "headers", list, location) if "headers" in node else ():
        name = str(_require(header, "name", str, f"{location} headers")).lower()
        value = str(header.get("value", ""))
        if not name.startswith(":"):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _request_body(request: Mapping[str, Any], location: str) -> bytes | None:
    """The body of a request: b"" if it has none, None if it was not recorded."""
    post_data = request.get("postData")
    if not isinstance(post_data, dict):
        size = request.get("bodySize")
        return None if isinstance(size, int) and size > 0 else b""
    if isinstance(post_data.get("text"), str):
        return _decode_body(post_data["text"], post_data.get("encoding"), f"{location} request postData")
    params = post_data.get("params")
    if not isinstance(params, list) or not params:
        return None
    pairs = [(str(param.get("name")), str(param.get("value", ""))) for param in params if isinstance(param, dict)]
    return urlencode(pairs).encode()


def _response_headers(response: Mapping[str, Any], location: str) -> dict[str, str]:
    """The headers of a response, without the content coding, which the recorded text is decoded from."""
    headers = _parse_headers(response, f"{location} response")
    content = response.get("content")
    media_type = content.get("mimeType") if isinstance(content, dict) else None
    if "content-type" not in headers and isinstance(media_type, str) and media_type not in ("", "x-unknown"):
        headers["content-type"] = media_type
    return {name: value for name, value in headers.items() if name != "content-encoding"}


def _response_body(response: Mapping[str, Any], location: str) -> bytes | None:
    """The body of a response: b"" if it has none, None if it was not recorded or is too large."""
    raw_content = response.get("content")
    if not isinstance(raw_content, dict) or not isinstance(raw_content.get("text"), str):
        size = raw_content.get("size") if isinstance(raw_content, dict) else response.get("bodySize")
        return b"" if size == 0 else None
    return _decode_body(raw_content["text"], raw_content.get("encoding"), f"{location} response content")


def _decode_body(text: str, encoding: Any, location: str) -> bytes | None:
    if len(text) > MAX_BODY_BYTES:
        return None
    if encoding != "base64":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise UsageError(f"{location}: invalid base64 (expected complete base64)") from None
