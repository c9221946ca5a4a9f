"""Strict and bounded parsing of JSON bodies.

Stricter than `json.loads`: no NaN, no repeated keys, only Unicode text. The limits bound the memory and the recursion
of everything that works on the value.
"""

import json
import math
from typing import Any

from spec.lenient_json import MAX_DEPTH, TOO_DEEP, check_value_count

MAX_NUMBER_CHARS = 300  # longer integers cannot be converted to float


def parse_json(content: bytes) -> Any:
    """Parse a body. Raises ValueError; its message completes "the body ..."."""
    if not content.strip():
        raise ValueError("is empty, not JSON")
    check_value_count(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at character {error.pos})") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    _check_depth(value)
    if "\\ud" in text or "\\uD" in text:
        _check_unicode(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _check_unicode(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("contains a lone surrogate, which is not Unicode text") from None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"contains the key {repeated[:40]!a} twice")
    return members


def _parse_integer(text: str) -> int:
    _check_number(text)
    return int(text)


def _parse_float(text: str) -> float:
    _check_number(text)
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"contains the number {text[:40]}, which is out of range")
    return number


def _check_number(text: str) -> None:
    if len(text) > MAX_NUMBER_CHARS:
        raise ValueError(f"contains a number of {len(text)} characters (at most {MAX_NUMBER_CHARS})")


def _reject_constant(name: str) -> Any:
    raise ValueError(f"contains {name}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_build_object,
    parse_int=_parse_integer,
    parse_float=_parse_float,
    parse_constant=_reject_constant,
)
