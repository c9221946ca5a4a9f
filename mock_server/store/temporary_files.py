"""Files that are built under a temporary name, and deletion of those that a killed process left.

The temporary name contains the host and the process that builds the file: ``mock.db.HOST-PID.new``. SQLite may add
files whose names start with it.
"""

import os
import platform
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

_MAX_AGE_SECONDS = 24 * 3600  # of a file whose process cannot be examined, as on another host
_OWNER = re.compile(r"\.(?P<host>[A-Za-z0-9_]*)-(?P<pid>\d+)\.new(?:-(?:journal|wal|shm))?")
_COMPANION_SUFFIXES = ("-journal", "-wal", "-shm")


def _get_host() -> str:
    return re.sub(r"\W", "_", platform.node(), flags=re.ASCII)


def build_temporary_path(path: Path) -> Path:
    """Return the path under which this process builds the file (or folder) `path`."""
    return path.with_name(f"{path.name}.{_get_host()}-{os.getpid()}.new")


def delete_temporary(path: Path) -> None:
    """Delete a temporary file with the files that SQLite added, or a temporary folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        delete_companions(path)


def delete_companions(path: Path) -> None:
    """Delete the files that SQLite added to a database that does not exist (any more). Raises OSError.

    SQLite would write the pages of a former write-ahead log into a new database of this name.
    """
    for suffix in _COMPANION_SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def delete_abandoned(folder: Path, prefix: str = "") -> None:
    """Delete the temporary files and folders in `folder` whose process no longer runs, at the start of a process.

    `prefix`: of their names.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            match = _OWNER.search(path.name)
            if match and match.end() == len(path.name) and path.name.startswith(prefix) and _is_abandoned(path, match):
                delete_temporary(path)


def _is_abandoned(path: Path, owner: re.Match[str]) -> bool:
    if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
        return False
    if os.name == "posix" and owner["host"] == _get_host():
        pid = int(owner["pid"])
        return pid == os.getpid() or not _is_running(pid)  # containers that restart have the same process ids
    return time.time() - path.lstat().st_mtime > _MAX_AGE_SECONDS


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
