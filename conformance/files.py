"""Files that the user names: reading and writing with errors that say which file, and why."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from conformance.errors import UsageError


def read_json(path: Path, max_bytes: int, expected: str) -> Any:
    """Read a JSON file. `expected`: what the file should be, for messages. Raises UsageError."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UsageError(f"{path}: {size} bytes (expected at most {max_bytes})")
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the file: {error.strerror} (expected {expected})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: invalid JSON: {str(error)[:100]} (expected {expected})") from None


def write_text(option: str, path: Path, text: str) -> None:
    """Write a file: complete, or not at all. `option`: the option that names it. Raises UsageError."""
    temporary_path = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary_path.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary_path.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary_path.unlink()
        raise UsageError(f"{option}: cannot write {path}: {error.strerror} (expected a writable folder)") from None
