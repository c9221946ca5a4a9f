"""Opens recordings: HAR files, compressed ones, and zip archives that also contain the bodies (Playwright).

Nothing outside the archive, or outside the folder of the file, is read.
"""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from conformance.errors import UsageError
from conformance.files import parse_json, read_bytes

MAX_FILE_BYTES = 512 * 1024 * 1024  # of a HAR file, and of all bodies next to it; decompressed
MAX_BODY_BYTES = 16 * 1024 * 1024  # larger bodies are not checked
EXPECTED = "a complete HAR file"
GZIP_START = b"\x1f\x8b"
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_ARCHIVE_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)


@dataclass(slots=True)
class Attachments:
    """The bodies that a recording stores as separate files. `open_file`: opens one by its name; raises OSError."""

    open_file: Callable[[str], BinaryIO]
    _contents: dict[str, bytes | None] = field(default_factory=dict)
    _total_bytes: int = 0

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it is missing. At most one byte more than `MAX_BODY_BYTES`."""
        if name not in self._contents:
            self._contents[name] = self._read(name)
        return self._contents[name]

    def _read(self, name: str) -> bytes | None:
        path = PurePosixPath(name)
        if self._total_bytes > MAX_FILE_BYTES or path.is_absolute() or ".." in path.parts or "\\" in name:
            return None
        try:
            with self.open_file(name) as file:
                content = file.read(MAX_BODY_BYTES + 1)
        except _ARCHIVE_ERRORS:
            return None
        self._total_bytes += len(content)
        return content


@dataclass(frozen=True, slots=True)
class HarDocument:
    """A parsed HAR file. `name`: for messages."""

    name: str
    root: Any
    attachments: Attachments


def open_documents(path: Path) -> Iterator[HarDocument]:
    """Yield the HAR files in a file, which must be used before the next one. Raises UsageError."""
    content = read_bytes(path, MAX_FILE_BYTES, EXPECTED)
    if content.startswith(ZIP_STARTS):
        yield from _open_zip(path)
        return
    if content.startswith(GZIP_START):
        content = _gunzip(path)
    yield HarDocument(path.name, parse_json(str(path), content, EXPECTED), Attachments(_open_in(path.parent)))


def _open_in(folder: Path) -> Callable[[str], BinaryIO]:
    """Return a function that opens files in a folder."""
    root = folder.resolve()

    def open_file(name: str) -> BinaryIO:
        file = (root / name).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            raise FileNotFoundError(name)
        return file.open("rb")

    return open_file


def _gunzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except _ARCHIVE_ERRORS as error:
        raise UsageError(f"{path}: invalid gzip data: {error} (expected {EXPECTED})") from None
    return _limit(content, str(path))


def _open_zip(path: Path) -> Iterator[HarDocument]:
    try:
        archive = zipfile.ZipFile(path)
    except _ARCHIVE_ERRORS as error:
        raise UsageError(f"{path}: invalid zip archive: {error} (expected an archive with a HAR file)") from None
    with archive:
        names = [name for name in archive.namelist() if _is_har(name)]
        if not names:
            raise UsageError(f"{path}: no *.har in the zip archive (expected an archive with a HAR file)")
        for name in names:
            location = f"{path.name}/{name}"
            try:
                with archive.open(name) as file:
                    content = _limit(file.read(MAX_FILE_BYTES + 1), location)
            except _ARCHIVE_ERRORS as error:
                raise UsageError(f"{location}: cannot extract the file: {error} (expected {EXPECTED})") from None
            attachments = Attachments(_open_in_archive(archive, str(PurePosixPath(name).parent)))
            yield HarDocument(location, parse_json(location, content, EXPECTED), attachments)


def _open_in_archive(archive: zipfile.ZipFile, folder: str) -> Callable[[str], BinaryIO]:
    """Return a function that opens files in a folder of an archive."""

    def open_file(name: str) -> BinaryIO:
        try:
            return archive.open(str(PurePosixPath(folder) / name))  # type: ignore[return-value]  # IO[bytes]
        except KeyError:
            raise FileNotFoundError(name) from None

    return open_file


def _is_har(name: str) -> bool:
    """Whether a name in an archive is that of a HAR file; macOS adds files with metadata."""
    return name.lower().endswith(".har") and not name.startswith("__MACOSX/")


def _limit(content: bytes, location: str) -> bytes:
    """Return the content. Raises UsageError if it is too large."""
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{location}: more than {MAX_FILE_BYTES} bytes after decompression (expected at most that)")
    return content
