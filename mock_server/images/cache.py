"""The cache of image files.

The key of an image covers everything that determines it: contract, dataset, seed, epoch, size, and the source files of
the code and texts. So an outdated image is never used, and the serving process never imports Faker.
"""

import hashlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from mock_server.images.builder import DatasetParameters, build_metadata
from spec.model import Contract

APP_NAME = "athena-mock"
MAX_CACHED_IMAGES = 8


def compute_image_key(contract: Contract, parameters: DatasetParameters, source_files: Iterable[Path]) -> str:
    """Compute the key of an image, a digest. `source_files`: files whose content determines the image."""
    digest = hashlib.sha256(repr(sorted(build_metadata(contract, parameters).items())).encode())
    for path in sorted(source_files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(f"{sqlite3.sqlite_version} {metadata.version('faker')}".encode())
    return digest.hexdigest()[:32]


def list_source_files(*folders: Path) -> Iterator[Path]:
    """Yield the code and data files of `folders`."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.suffix in (".py", ".yaml") and path.is_file())


def find_cache_folder() -> Path:
    """Return the folder for images: in the user's cache folder, else in a folder for temporary files."""
    from platformdirs import user_cache_path  # only imported when needed: it is not used with --store

    user_id = os.getuid() if hasattr(os, "getuid") else 0
    shared = Path(tempfile.gettempdir()) / f"{APP_NAME}-{user_id}"
    for candidate in (user_cache_path(APP_NAME, appauthor=False, opinion=False), shared):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK) and _is_private(candidate):
                return candidate
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix=f"{APP_NAME}-"))


def _is_private(folder: Path) -> bool:
    """Return whether no other user can write to a folder, or created it before in a shared parent."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def get_or_build_image(folder: Path, key: str, build: Callable[[Path], None]) -> Path:
    """Return the file of the image `key` in `folder`. A missing one is built: `build` gets the path to write to."""
    path = folder / f"{key}.image"
    if not path.exists():
        temporary_path = folder / f"{key}.{os.getpid()}.new"
        try:
            build(temporary_path)
            temporary_path.replace(path)  # atomic, so another process may build the same image at the same time
        finally:
            temporary_path.unlink(missing_ok=True)
        for outdated in sorted(folder.glob("*.image"), key=_get_mtime, reverse=True)[MAX_CACHED_IMAGES:]:
            outdated.unlink(missing_ok=True)
    return path


def _get_mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0
