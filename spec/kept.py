"""Keeps what a YAML text says as plain data, which is read fifty times as fast.

A kept file is named by a digest of the text, of the code that read it, and of the Python that runs. It begins with a
digest of what follows, so that half a file, or one that was changed, is made anew. It is made for a folder that nobody
else can write to: who can change a file there can let this process read what it likes.
"""

import hashlib
import marshal
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KEPT = 16
SUFFIX = ".parsed"


def _reader() -> bytes:
    """What reads a text: this package's reader, PyYAML's version, and the Python that a kept file is for."""
    parts = (Path(__file__).with_name("document.py").read_bytes(), yaml.__version__.encode(), sys.version.encode())
    return hashlib.sha256(b"\0".join(parts)).digest()


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of a folder; `reader`: what stands for the code that makes a value of a text, as a digest has it."""

    folder: Path
    reader: bytes = field(default_factory=_reader)

    def value(self, text: bytes, kind: str, make: Callable[[], Any]) -> Any:
        """What `text` says: as it was kept, else what `make` answers. `kind`: tells apart several ways to read it."""
        name = hashlib.sha256(b"\0".join((self.reader, kind.encode(), text))).hexdigest()[:32]
        path = self.folder / f"{name}{SUFFIX}"
        found = _read(path)
        if not found:
            found = (make(),)
            self._write(path, found[0])
        return found[0]

    def _write(self, path: Path, value: Any) -> None:
        """Keep a value. Where that cannot be it is read again the next time."""
        fresh = path.with_suffix(f".{os.getpid()}.new")
        try:
            said = marshal.dumps(value)
            fresh.write_bytes(hashlib.sha256(said).digest() + said)
            fresh.replace(path)  # whole or not at all, also beside another process that does the same
            for old in sorted(self.folder.glob(f"*{SUFFIX}"), key=_age)[KEPT:]:
                old.unlink(missing_ok=True)
        except (OSError, ValueError):  # ValueError: nested too deep for it
            return
        finally:
            _remove(fresh)


def _read(path: Path) -> tuple[Any, ...]:
    """The value in a file; () where it holds none."""
    try:
        whole = path.read_bytes()
    except OSError:
        return ()
    digest, said = whole[:32], whole[32:]
    return (marshal.loads(said),) if hashlib.sha256(said).digest() == digest else ()


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
