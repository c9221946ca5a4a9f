"""Recorded traffic: HTTP Archive files (HAR 1.2) as browsers and proxies write them.

Browsers leave out much: bodies that were not kept, what came from a cache, credentials. What was left out is None here
and is not judged. A file that is torn, or no HAR, is refused in one line that names the place.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from conformance.errors import UsageError

LARGEST = 512 * 1024 * 1024  # bytes of a file
MOST = 100_000  # entries of a file
BODY = 16 * 1024 * 1024  # bytes of a body; a larger one is not judged


@dataclass(frozen=True, slots=True)
class Entry:
    """A request and what was answered.

    `place`: file and entry. `headers`, `answered`: lower-case names. `body`, `content`: None when they are not in the
    file. `status`: 0 when there was no answer. `socket`: it is a web socket, or an event stream that has no end.
    """

    place: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    status: int
    answered: Mapping[str, str]
    content: bytes | None
    seconds: float
    socket: bool


def read(path: Path) -> list[Entry]:
    """The entries of a file. Raises UsageError."""
    root = _json(path)
    log = root.get("log") if isinstance(root, dict) else None
    version = str(log.get("version", "1.1")) if isinstance(log, dict) else ""
    entries = log.get("entries") if isinstance(log, dict) else None
    if not version.startswith("1.") or not isinstance(entries, list):
        found = f"version {version[:20]!a}" if version else "no log"
        raise UsageError(f"{path}: found {found} and no list of entries; allowed: a HAR file, version 1.2")
    if len(entries) > MOST:
        raise UsageError(f"{path}: found {len(entries)} entries; allowed: {MOST} at most")
    return [_entry(f"{path.name} entry {number}", said) for number, said in enumerate(entries)]


def _json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UsageError(f"{path}: found {size} bytes; allowed: {LARGEST} at most")
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: found no readable file ({error.strerror}); allowed: a HAR file") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: found no JSON ({str(error)[:100]}); allowed: a HAR file, whole") from None


def _entry(place: str, said: Any) -> Entry:
    """One entry. Raises UsageError when it has no request or no answer."""
    request, response = _of(said, "request", dict, place), _of(said, "response", dict, place)
    url = _of(request, "url", str, f"{place} request")
    status = _of(response, "status", int, f"{place} response")
    took = said.get("time")
    kind = str(said.get("_resourceType", ""))
    return Entry(
        place,
        _of(request, "method", str, f"{place} request").lower(),
        url,
        _headers(request, f"{place} request"),
        _sent(request, place),
        status if 100 <= status <= 599 else 0,
        _typed(response, place),
        _content(response, place),
        took / 1000 if isinstance(took, (int, float)) and took >= 0 else 0.0,
        kind in ("websocket", "eventsource") or url.startswith(("ws:", "wss:")) or status == 101,
    )


def _of(node: Any, name: str, kind: type, place: str) -> Any:
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {dict: "an object", str: "a text", int: "a number", list: "a list"}
        raise UsageError(f"{place}: found {type(value).__name__} as {name}; allowed: {names[kind]}")
    return value


def _headers(node: Mapping[str, Any], place: str) -> dict[str, str]:
    """Headers by lower-case name, a repeated one joined; those that HTTP/2 has for itself left out."""
    found: dict[str, str] = {}
    for said in _of(node, "headers", list, place) if "headers" in node else ():
        name = str(_of(said, "name", str, f"{place} headers")).lower()
        value = str(said.get("value", ""))
        if not name.startswith(":"):
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _sent(request: Mapping[str, Any], place: str) -> bytes | None:
    """The body of a request: b"" when it has none, None when it has one that was not kept."""
    said = request.get("postData")
    if not isinstance(said, dict):
        size = request.get("bodySize")
        return None if isinstance(size, int) and size > 0 else b""
    if isinstance(said.get("text"), str):
        return _bytes(said["text"], said.get("encoding"), f"{place} request postData")
    params = said.get("params")
    if not isinstance(params, list) or not params:
        return None
    return urlencode([(str(p.get("name")), str(p.get("value", ""))) for p in params if isinstance(p, dict)]).encode()


def _typed(response: Mapping[str, Any], place: str) -> dict[str, str]:
    """The headers of an answer, without those of a coding that its text no longer has."""
    headers = _headers(response, f"{place} response")
    content = response.get("content")
    kind = content.get("mimeType") if isinstance(content, dict) else None
    if "content-type" not in headers and isinstance(kind, str) and kind not in ("", "x-unknown"):
        headers["content-type"] = kind
    return {name: value for name, value in headers.items() if name != "content-encoding"}


def _content(response: Mapping[str, Any], place: str) -> bytes | None:
    """The body of an answer: b"" when it has none, None when it was not kept or is too large."""
    said = response.get("content")
    if not isinstance(said, dict) or not isinstance(said.get("text"), str):
        size = said.get("size") if isinstance(said, dict) else response.get("bodySize")
        return b"" if size == 0 else None
    return _bytes(said["text"], said.get("encoding"), f"{place} response content")


def _bytes(text: str, encoding: Any, place: str) -> bytes | None:
    if len(text) > BODY:
        return None
    if encoding != "base64":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise UsageError(f"{place}: found a text that is not base64, as it says; allowed: base64, whole") from None


def origin_of(url: str) -> str:
    """``https://host:port`` of a URL, lower case; "" when it is none of HTTP."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme in ("http", "https") and parts.hostname else ""
