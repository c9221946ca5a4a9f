"""Versioned YAML files that the suite writes and people edit: strict reading, diff-friendly writing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conformance.errors import UsageError
from conformance.files import write_text

VERSION = 1
MAX_FILE_BYTES = 10_000_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if libyaml is installed


class _PlainDumper(yaml.SafeDumper):
    """Repeats values instead of using aliases, so that any entry can be removed."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read(flag: str, path: Path, part: str) -> Any:
    """The value of the key `part` in a file; None if the file does not exist. Raises UsageError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{flag}: cannot read {path}: {error.strerror} (expected a readable file)") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{flag}: {path} has {len(content)} bytes (expected at most {MAX_FILE_BYTES})")
    try:
        document = yaml.load(content.decode(), Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = " ".join(str(error).split())[:200]
        raise UsageError(f"{flag}: {path}: invalid YAML: {message} (expected YAML or JSON)") from None
    check_keys(flag, f"{path}", document, required=("version", part))
    if document["version"] != VERSION:
        raise UsageError(f"{flag}: {path}: invalid version {document['version']!r:.40} (expected {VERSION})")
    return document[part]


def check_keys(flag: str, where: str, value: Any, *, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Reject values other than a mapping with these keys. Raises UsageError."""
    known = (*required, *optional)
    if not isinstance(value, Mapping):
        raise UsageError(f"{flag}: {where}: invalid {type(value).__name__} (expected a mapping of {', '.join(known)})")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise UsageError(f"{flag}: {where}: unknown key {str(unknown[0])[:60]!a} (expected {', '.join(known)})")
    missing = [key for key in required if key not in value]
    if missing:
        raise UsageError(f"{flag}: {where}: missing key {missing[0]} (expected {', '.join(known)})")


def write(flag: str, path: Path, heading: str, part: str, content: Any) -> None:
    """Write a file with the key `part` below a comment, completely or not at all. Raises UsageError."""
    document = {"version": VERSION, part: content}
    text = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=10_000)
    write_text(flag, path, f"# {heading}\n{text}")
