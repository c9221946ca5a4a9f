"""Writes files completely or not at all."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


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
