"""Media types of responses, and the encoding of a JSON value in them."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from mock_server import json_encoding
from spec.http.media_types import is_json_lines_media_type

JSON_MEDIA_TYPE = "application/json"
_JSON_PATTERN = re.compile(r"(application|text)/json|[^/]+/[^/]*\+json", re.ASCII)
_XML_PATTERN = re.compile(r"(application|text)/xml|[^/]+/[^/]*\+xml", re.ASCII)
_FORM_MEDIA_TYPE, _EVENT_STREAM = "application/x-www-form-urlencoded", "text/event-stream"
_VALID_NAME = re.compile(r"[\x21-\x7e][\x20-\x7e]*", re.ASCII)
# Types that are sent for the ranges of a contract.
_CONCRETE_TYPES = {
    "*/*": JSON_MEDIA_TYPE,
    "application/*": JSON_MEDIA_TYPE,
    "text/*": "text/plain",
    "image/*": "image/png",
    "audio/*": "audio/mpeg",
    "video/*": "video/mp4",
}
_XML_WITHOUT_EXAMPLE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!-- The contract has no example of this response. -->\n<response/>\n'
)


def get_essence(name: str) -> str:
    """Return a media type in lower case without its parameters."""
    return name.partition(";")[0].strip().lower()


def is_json(name: str) -> bool:
    """Whether a media type is JSON, possibly of a vendor; ``*/*`` is."""
    return _JSON_PATTERN.fullmatch(get_concrete_type(name)) is not None


def is_structured(name: str) -> bool:
    """Whether values of objects and arrays have a text in a media type: JSON, lines of it, events, forms and XML."""
    essence = get_concrete_type(name)
    is_lines = is_json_lines_media_type(essence)
    is_xml = _XML_PATTERN.fullmatch(essence) is not None
    return is_json(name) or is_lines or is_xml or essence in (_FORM_MEDIA_TYPE, _EVENT_STREAM)


def get_concrete_type(name: str) -> str:
    """Return the essence of a media type; for a range a type in it."""
    essence = get_essence(name)
    return _CONCRETE_TYPES.get(essence, essence)


def get_content_type(name: str) -> bytes:
    """Return the value of Content-Type for a media type of the contract."""
    essence = get_essence(name)
    if essence in _CONCRETE_TYPES:
        return _CONCRETE_TYPES[essence].encode()
    return (name.strip() if _VALID_NAME.fullmatch(name.strip()) else JSON_MEDIA_TYPE).encode()


def encode_value(value: Any, name: str) -> bytes:
    """Encode a JSON value in a media type. Text of types other than JSON is sent as it is."""
    essence = get_concrete_type(name)
    if is_json(name):
        return encode_json(value)
    if is_json_lines_media_type(essence):
        rows: Sequence[Any] = value if isinstance(value, list) else [value]
        prefix = b"\x1e" if essence.endswith("seq") else b""
        return b"".join(prefix + encode_json(row) + b"\n" for row in rows)
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if _XML_PATTERN.fullmatch(essence):
        return _XML_WITHOUT_EXAMPLE.encode()
    if essence == _FORM_MEDIA_TYPE and isinstance(value, dict):
        return urlencode(value, doseq=True).encode()
    if essence == _EVENT_STREAM:
        return b"data: %s\n\n" % encode_json(value)
    return encode_json(value)


def encode_json(value: Any) -> bytes:
    """Encode JSON, also with integers beyond 64 bits."""
    try:
        return json_encoding.encode_json(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
