"""Media types and their ranges, and how forms separate the items of arrays."""

import re
from collections.abc import Iterable
from typing import Any

_JSON_MEDIA_TYPE = re.compile(r"(application/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json)", re.ASCII)
_JSON_LINES_MEDIA_TYPE = re.compile(r"application/(x-)?(ndjson|jsonl(ines)?|json-seq|jsonlines)", re.ASCII)
_SEPARATORS = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


def strip_parameters(media_type: str) -> str:
    """Return a media type in lower case without its parameters."""
    return media_type.partition(";")[0].strip().lower()


def is_json_media_type(media_type: str) -> bool:
    """Whether a media type, with any parameters, is JSON: application/json or one that ends in +json."""
    return _JSON_MEDIA_TYPE.fullmatch(strip_parameters(media_type)) is not None


def is_json_lines_media_type(media_type: str) -> bool:
    """Whether a media type, with any parameters, has one JSON value in each line, such as application/x-ndjson."""
    return _JSON_LINES_MEDIA_TYPE.fullmatch(strip_parameters(media_type)) is not None


def find_item_separator(encoding: Any) -> str | None:
    """Return what separates the items of an array in a form, from its encoding object; None: each has its field."""
    if not isinstance(encoding, dict):
        return None
    style = encoding.get("style", "form")
    return None if encoding.get("explode", style == "form") else _SEPARATORS.get(style)


def find_media_type(media_type: str, ranges: Iterable[str]) -> str | None:
    """Return the one of `ranges` (``text/plain``, ``text/*``, ``*/*``) that is the most specific for a media type."""
    media_type = strip_parameters(media_type)
    by_name = {strip_parameters(media_range): media_range for media_range in ranges}
    candidates = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((by_name[name] for name in candidates if name in by_name), None)
