"""Files that the user names: reading and writing with errors that say which file, and why. Files of Hypothesis."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conformance.errors import UsageError


def read_json(path: Path, max_bytes: int, expected: str) -> Any:
    """Read a JSON file. `expected`: what the file should be, for messages. Raises UsageError."""
    return parse_json(str(path), read_bytes(path, max_bytes, expected), expected)


def read_bytes(path: Path, max_bytes: int, expected: str) -> bytes:
    """Read a file. `expected`: what the file should be, for messages. Raises UsageError."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UsageError(f"{path}: {size} bytes (expected at most {max_bytes})")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot read the file: {error.strerror} (expected {expected})") from None


def parse_json(location: str, content: bytes, expected: str) -> Any:
    """Parse the content of a JSON file, with or without a byte order mark. Raises UsageError."""
    try:
        return json.loads(content.decode(json.detect_encoding(content)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{location}: invalid JSON: {str(error)[:100]} (expected {expected})") from None


def write_text(option: str, path: Path, text: str) -> None:
    """Write a file completely or not at all. `option`: the option that names it. Raises UsageError."""
    try:
        write_atomically(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(f"{option}: cannot write {path}: {error.strerror} (expected a writable folder)") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see its old or its new content, also if the process is killed. Raises OSError.

    The permissions of an existing file are kept, and a symbolic link still refers to its file.
    """
    destination = path.resolve()
    temporary_path = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        temporary_path.write_bytes(content)
        if destination.exists():
            shutil.copymode(destination, temporary_path)
        temporary_path.replace(destination)
    except OSError:
        with suppress(OSError):
            temporary_path.unlink()
        raise


@contextmanager
def redirect_hypothesis_files() -> Iterator[None]:
    """Redirect the files that Hypothesis always writes to a temporary directory."""
    import hypothesis.configuration  # not needed by all commands

    previous_dir = hypothesis.configuration.__hypothesis_home_directory
    with TemporaryDirectory() as temporary_dir:
        hypothesis.configuration.set_hypothesis_home_dir(temporary_dir)
        try:
            yield
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(previous_dir)
