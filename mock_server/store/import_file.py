"""Parses the lines of an export; `exporter` describes the format."""

from collections.abc import Mapping
from typing import Any

import orjson

from mock_server.store.errors import StoreError
from mock_server.store.exporter import EXPORT_FORMAT, EXPORT_VERSION

MAX_RECORD_NUMBER = 2**63 - 1
REQUIRED_METADATA = ("dataset", "seed", "size", "epoch")


class ImportFileError(StoreError):
    """The file is not a complete export."""


class UnreadableLine(ImportFileError):
    """A complete line is not valid JSON."""


# Field of a line -> accepted types.
_Kinds = type | tuple[type, ...]
RECORD_FIELDS: Mapping[str, _Kinds] = {
    "resource": str,
    "number": int,
    "key": (str, int),
    "attributes": dict,
    "references": dict,
}
TOKEN_FIELDS: Mapping[str, _Kinds] = {"token": str, "user": (str, int), "expires": str}
LINE_KINDS = ("resource", "token", "scheduled_change", "pool")
POOL_FIELDS: Mapping[str, _Kinds] = {"resource": str, "records": list}
SCHEDULED_CHANGE_FIELDS: Mapping[str, _Kinds] = {"at": str, "resource": str, "key": (str, int), "changes": dict}


def parse_line(number: int, content: bytes) -> Mapping[str, Any]:
    """Parse a line after the header. Raises ImportFileError; UnreadableLine if the others can be imported."""
    try:
        line = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        cls = UnreadableLine if content.endswith(b"\n") else ImportFileError  # else the file was cut
        raise cls(f"line {number}: not valid JSON: {error}") from None
    if not isinstance(line, dict) or not any(name in line for name in LINE_KINDS):
        expected = "a record, token, scheduled change or pool"
        raise ImportFileError(f"line {number}: got {content[:60]!r}, expected {expected}")
    return line


def check_number(number: int, name: str, value: Any, minimum: int = 1) -> None:
    """Raise ImportFileError if a value is not the number of a record."""
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= MAX_RECORD_NUMBER:
        expected = f"a number from {minimum} to {MAX_RECORD_NUMBER}"
        raise ImportFileError(f"line {number}: {name}: got {value!r}, expected {expected}")


def get_field(number: int, line: Mapping[str, Any], name: str, kinds: _Kinds) -> Any:
    value = line.get(name)
    if not isinstance(value, kinds) or isinstance(value, bool):
        expected = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise ImportFileError(f"line {number}: {name}: got {value!r}, expected {expected}")
    return value


def parse_header(content: bytes) -> Mapping[str, Any]:
    expected = f"the header of an export: {EXPORT_FORMAT}, version {EXPORT_VERSION}"
    try:
        header = orjson.loads(content)
    except orjson.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or (header.get("format"), header.get("version")) != (EXPORT_FORMAT, EXPORT_VERSION):
        raise ImportFileError(f"line 1: got {content[:60].decode(errors='replace')!r}, expected {expected}")
    for name in ("counts", "last_numbers", "metadata"):
        get_field(1, header, name, dict)
    for name in REQUIRED_METADATA:
        get_field(1, header["metadata"], name, str)
    for resource, last_number in header["last_numbers"].items():
        check_number(1, f"last_numbers.{resource}", last_number, minimum=0)
    return header
