"""The cache folder of dataset images.

The name of an image contains its key and the digest of its content, so an image that was damaged or changed is not used
but built again.
"""

import atexit
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from mock_server.images import ImageError
from mock_server.store.temporary_files import build_temporary_path, delete_abandoned, delete_temporary

APP_NAME = "athena-mock"
MAX_CACHED_IMAGES = 8


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
    return _create_temporary_folder()


def _create_temporary_folder() -> Path:
    """Create a folder that is deleted at exit or, if this process is killed, by the next one that needs one."""
    parent = Path(tempfile.gettempdir())
    delete_abandoned(parent, f"{APP_NAME}-")
    suffix = build_temporary_path(parent / "folder").name.removeprefix("folder")
    folder = Path(tempfile.mkdtemp(prefix=f"{APP_NAME}-", suffix=suffix))
    atexit.register(delete_temporary, folder)
    return folder


def _is_private(folder: Path) -> bool:
    """Return whether no other user can write to a folder, or created it before in a shared parent."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def get_or_build_image(folder: Path, key: str, build: Callable[[Path], None]) -> Path:
    """Return the file of the image `key` in `folder`. A missing one is built: `build` gets the path to write to.

    Raises ImageError if the folder cannot be read or written.
    """
    try:
        return _find_image(folder, key) or _build_image(folder, key, build)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ImageError(f"{folder}: {reason} (XDG_CACHE_HOME selects another cache folder)") from None


def _find_image(folder: Path, key: str) -> Path | None:
    """Return the intact file of an image; delete others."""
    delete_abandoned(folder)
    for path in sorted(folder.glob(f"{key}.*.image")):
        if path.name == _build_name(key, path):
            return path
        path.unlink(missing_ok=True)
    return None


def _build_image(folder: Path, key: str, build: Callable[[Path], None]) -> Path:
    temporary_path = build_temporary_path(folder / key)
    try:
        build(temporary_path)
        path = folder / _build_name(key, temporary_path)
        temporary_path.replace(path)  # atomic, so another process may build the same image at the same time
    finally:
        delete_temporary(temporary_path)
    for outdated in sorted(folder.glob("*.image"), key=_get_mtime, reverse=True)[MAX_CACHED_IMAGES:]:
        outdated.unlink(missing_ok=True)
    return path


def _build_name(key: str, path: Path) -> str:
    """Return the name of an image. Computing the digest takes 1 ms for each 2 MB."""
    with path.open("rb") as file:
        return f"{key}.{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}.image"


def _get_mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0
