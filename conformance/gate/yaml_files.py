"""Files that the suite writes and people edit: YAML with a version, read strictly, written so that versions compare."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conformance.errors import UsageError

MAX_FILE_BYTES = 10_000_000  # bytes
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there


class _PlainDumper(yaml.SafeDumper):
    """Says a value anew wherever it stands, so that any entry can be removed by itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read(flag: str, path: Path, part: str, version: int) -> Any:
    """What stands under `part` in a file; None where there is no file. Raises UsageError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{flag}: found {path} ({error.strerror}); allowed: a file that can be read") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{flag}: found {path} with {len(content)} bytes; allowed: {MAX_FILE_BYTES}")
    try:
        document = yaml.load(content.decode(), Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = " ".join(str(error).split())[:200]
        raise UsageError(f"{flag}: found {path}, which is no YAML ({message}); allowed: YAML or JSON") from None
    check_keys(flag, f"{path}", document, required=("version", part))
    if document["version"] != version:
        raise UsageError(f"{flag}: {path}: found version {document['version']!r:.40}; allowed: {version}")
    return document[part]


def check_keys(flag: str, where: str, value: Any, *, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse what is no mapping with these keys. Raises UsageError."""
    known = (*required, *optional)
    if not isinstance(value, Mapping):
        raise UsageError(f"{flag}: {where}: found {type(value).__name__}; allowed: a mapping of {', '.join(known)}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise UsageError(f"{flag}: {where}: found {str(unknown[0])[:60]!a}; allowed: {', '.join(known)}")
    missing = [key for key in required if key not in value]
    if missing:
        raise UsageError(f"{flag}: {where}: found no {missing[0]}; allowed: {', '.join(known)}")


def write(flag: str, path: Path, heading: str, document: Mapping[str, Any]) -> None:
    """Write a document, one fact a line, below a comment. Raises UsageError."""
    text = yaml.dump(
        dict(document), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
    )
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.write_text(f"# {heading}\n{text}", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"{flag}: found {path} ({error.strerror}); allowed: a file that can be written") from None
