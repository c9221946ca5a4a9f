"""Compares a body with what a client made of it."""

from datetime import datetime
from typing import Any


def find_difference(body: Any, parsed: Any, location: str = "$") -> str:
    """Return the first difference between two JSON values, "" if there is none.

    Times and URLs may be formatted differently.
    """
    if isinstance(body, dict) and isinstance(parsed, dict):
        if body.keys() != parsed.keys():
            return f"{location}: got the keys {sorted(parsed)}, expected {sorted(body)}"
        return _find_first(*((value, parsed[key], f"{location}.{key}") for key, value in body.items()))
    if isinstance(body, list) and isinstance(parsed, list) and len(body) == len(parsed):
        return _find_first(*((value, parsed[index], f"{location}[{index}]") for index, value in enumerate(body)))
    if body == parsed or (_read_time(body) is not None and _read_time(body) == _read_time(parsed)):
        return ""
    if isinstance(body, str) and body.startswith("http") and parsed == f"{body}/":  # a URL without a path
        return ""
    return f"{location}: got {parsed!r}, expected {body!r}"


def _find_first(*pairs: tuple[Any, Any, str]) -> str:
    return next((text for text in (find_difference(*pair) for pair in pairs) if text), "")


def _read_time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
