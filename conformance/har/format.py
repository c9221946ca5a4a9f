"""Reads HTTP Archive files (HAR 1.2), which browsers and proxies write.

Recorders deviate from the format in many ways. An entry that cannot be read is reported and does not refuse its file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.errors import UsageError
from conformance.har.archives import Attachments, HarDocument, open_documents
from conformance.har.bodies import RecordedBody, read_request_body, read_response_body
from conformance.transport.messages import Response

MAX_ENTRIES = 100_000  # per file
NO_RESPONSE: Mapping[str, Any] = {"status": 0}
# Several headers of one name are joined by this; recorders join cookies themselves in the same way.
HEADER_SEPARATORS = {"cookie": "; ", "set-cookie": "\n"}
EVENT_STREAM = "text/event-stream"


class InvalidEntry(Exception):
    """An entry that cannot be read. The message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarEntry:
    """A recorded request and its response.

    `location`: file and entry. Headers have lower-case names. `response`: its status is 0 without a response, and its
    content is empty if `response_body` has a problem. `is_stream`: a web socket or an event stream. `cookies`: values
    that the recording lists apart from the headers.
    """

    location: str
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: RecordedBody
    response: Response
    response_body: RecordedBody
    is_stream: bool
    cookies: tuple[str, ...]

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(urlsplit(self.url).query, keep_blank_values=True, max_num_fields=10_000))

    @property
    def request_json(self) -> Any:
        """The request body as JSON; None if there is none or it is not JSON."""
        try:
            return json.loads(self.request_body.content or b"null")
        except (ValueError, RecursionError):
            return None


@dataclass(slots=True)
class HarFile:
    """The entries of a file. `invalid_entries`: why the others cannot be read."""

    entries: list[HarEntry] = field(default_factory=list)
    invalid_entries: list[str] = field(default_factory=list)


def read_har(path: Path) -> HarFile:
    """Read the entries of a file. Raises UsageError if none can be read."""
    recording = HarFile()
    for document in open_documents(path):
        for index, raw_entry in enumerate(_list_entries(path, document)):
            try:
                entry = _parse_entry(f"{document.name} entry {index}", raw_entry, document.attachments)
            except InvalidEntry as error:
                recording.invalid_entries.append(str(error))
            else:
                recording.entries.append(entry)
    if recording.invalid_entries and not recording.entries:
        raise UsageError(recording.invalid_entries[0])
    return recording


def _list_entries(path: Path, document: HarDocument) -> list[Any]:
    root = document.root
    log = root.get("log") if isinstance(root, dict) else None
    version = str(log.get("version") or "1.1") if isinstance(log, dict) else ""
    entries = log.get("entries") if isinstance(log, dict) else None
    location = path if document.name == path.name else document.name
    if not version.startswith("1.") or not isinstance(entries, list):
        description = f"version {version[:20]!a}" if version else "no log"
        raise UsageError(f"{location}: {description}, no list of entries (expected a HAR file, version 1.2)")
    if len(entries) > MAX_ENTRIES:
        raise UsageError(f"{location}: {len(entries)} entries (expected at most {MAX_ENTRIES})")
    return entries


def _parse_entry(location: str, raw_entry: Any, attachments: Attachments) -> HarEntry:
    """Parse an entry. Raises InvalidEntry if it has no request, or a part of an unexpected type."""
    request = _require(raw_entry, "request", dict, location)
    response = raw_entry.get("response")
    response = NO_RESPONSE if response is None else _require(raw_entry, "response", dict, location)
    url = _require(request, "url", str, f"{location} request")
    status = _parse_status(response, f"{location} response")
    duration_ms = raw_entry.get("time")
    is_duration = isinstance(duration_ms, (int, float)) and duration_ms >= 0
    request_headers = _parse_headers(request, f"{location} request")
    response_headers = _parse_headers(response, f"{location} response")
    post_data, content = request.get("postData"), response.get("content")
    request_body = read_request_body(request, request_headers, attachments)
    response_body = read_response_body(response, response_headers, attachments)
    request_headers = _with_media_type(request_headers, post_data)
    # The body is decompressed.
    response_headers = _with_media_type(
        {name: value for name, value in response_headers.items() if name != "content-encoding"}, content
    )
    read_problem = f"is {response_body.problem}" if response_body.problem else ""
    return HarEntry(
        location=location,
        method=_require(request, "method", str, f"{location} request").lower(),
        url=url,
        request_headers=request_headers,
        request_body=request_body,
        response=Response(
            status, response_headers, response_body.content, duration_ms / 1000 if is_duration else 0.0, read_problem
        ),
        response_body=response_body,
        is_stream=_is_stream(raw_entry, url, status, response_headers),
        cookies=(*_cookie_values(request), *_cookie_values(response)),
    )


def _is_stream(raw_entry: Mapping[str, Any], url: str, status: int, response_headers: Mapping[str, str]) -> bool:
    """Whether an entry is a web socket or an event stream, whose body does not end."""
    is_marked = raw_entry.get("_resourceType") in ("websocket", "eventsource")
    is_event_stream = response_headers.get("content-type", "").lower().startswith(EVENT_STREAM)
    return is_marked or is_event_stream or url.startswith(("ws:", "wss:")) or status == 101


def _parse_status(response: Mapping[str, Any], location: str) -> int:
    """The status; 0 without a response, for which recorders write null, 0, -1 or -999."""
    status = response.get("status")
    if status is None:
        return 0
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status[:4])
    if isinstance(status, bool) or not isinstance(status, (int, float)):
        raise InvalidEntry(f"{location}: invalid status of type {type(status).__name__} (expected a number)")
    return int(status) if 100 <= status <= 599 else 0


def _require(node: Any, name: str, expected_type: type, location: str) -> Any:
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, expected_type):
        expected = "an object" if expected_type is dict else "a string"
        raise InvalidEntry(f"{location}: invalid {name} of type {type(value).__name__} (expected {expected})")
    return value


def _parse_headers(node: Mapping[str, Any], location: str) -> dict[str, str]:
    """Headers by lower-case name, repeated ones joined, without the pseudo-headers of HTTP/2."""
    headers: dict[str, str] = {}
    for raw_name, value in _iter_headers(node.get("headers"), location):
        name = raw_name.lower()
        separator = HEADER_SEPARATORS.get(name, ", ")
        text = "" if value is None else separator.join(str(value).splitlines())
        if not name.startswith(":"):
            headers[name] = f"{headers[name]}{separator}{text}" if name in headers else text
    return headers


def _iter_headers(raw_headers: Any, location: str) -> Iterator[tuple[str, Any]]:
    """Yield names and values. Some recorders write an object in place of a list."""
    if isinstance(raw_headers, dict):
        yield from raw_headers.items()
        return
    if not isinstance(raw_headers, (list, type(None))):
        raise InvalidEntry(f"{location}: invalid headers of type {type(raw_headers).__name__} (expected a list)")
    for header in raw_headers or ():
        yield _require(header, "name", str, f"{location} headers"), header.get("value")


def _with_media_type(headers: Mapping[str, str], body: Any) -> dict[str, str]:
    """Headers with the media type of a recorded body, for recordings that lack the header."""
    media_type = body.get("mimeType") if isinstance(body, dict) else None
    if "content-type" in headers or not isinstance(media_type, str) or media_type in ("", "x-unknown"):
        return dict(headers)
    return {**headers, "content-type": media_type}


def _cookie_values(node: Mapping[str, Any]) -> Iterator[str]:
    """The values of the cookies that a recording lists."""
    cookies = node.get("cookies")
    for cookie in cookies if isinstance(cookies, list) else ():
        if isinstance(cookie, dict) and isinstance(cookie.get("value"), str):
            yield cookie["value"]
