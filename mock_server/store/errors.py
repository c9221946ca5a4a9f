"""Errors of the store."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from spec.record import Reference

# Names of SQLite's errors. A write that fails with one of the first group succeeds again when there is space; EDQUOT
# and EFBIG are reported as SQLITE_IOERR_WRITE.
_FULL_ERRORS = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHM")
_READ_ONLY_ERRORS = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")
_BUSY_ERRORS = ("SQLITE_BUSY", "SQLITE_LOCKED")
_JSON_ERROR = "malformed JSON"  # of SQLite's functions, with the general error code
_FILE_ERRORS = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")


class StoreError(Exception):
    """Base class of all errors of the store."""


class StoreFailure(StoreError):
    """The file of a store cannot be read or written."""


class StoreFull(StoreFailure):
    """A write failed because there is no space for it. Reads work, and writes work again when there is space."""


class StoreReadOnly(StoreFailure):
    """A write failed because the file or its file system is read-only."""


class StoreBusy(StoreFailure):
    """Another process uses the file."""


class StoreDamaged(StoreError):
    """A store file is not intact."""

    @classmethod
    def from_problems(cls, path: Path, problems: Iterable[str]) -> "StoreDamaged":
        return cls(f"{path} is damaged ({'; '.join(problems)}): restore a backup, or delete it to start over")


class DeleteRestricted(StoreError):
    """A record cannot be deleted because the contract restricts it while other records refer to it."""

    def __init__(self, record: Reference, referrer: Reference, relation: str) -> None:
        super().__init__(f"{record.resource} {record.key} is still referenced by {referrer.resource}.{relation}")
        self.resource, self.key, self.relation = record.resource, record.key, relation
        self.referring_resource, self.referring_key = referrer.resource, referrer.key


def parse_stored_object(content: bytes | str, location: str) -> dict[str, Any]:
    """Parse a JSON object of a store. Raises StoreFailure, which names `location`, if it is damaged."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise StoreFailure(f"{location} is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise StoreFailure(f"{location} is not a JSON object")
    return value


def to_store_failure(error: Exception) -> StoreFailure | None:
    """Convert an error that the store's file causes; None for any other error, which is a defect of this program."""
    if isinstance(error, StoreFailure):
        return error
    if isinstance(error, sqlite3.OperationalError) and str(error) == _JSON_ERROR:
        return StoreFailure("a record is not valid JSON; `athena-mock store check` names it")
    name = getattr(error, "sqlite_errorname", "")
    families = {StoreFull: _FULL_ERRORS, StoreReadOnly: _READ_ONLY_ERRORS, StoreBusy: _BUSY_ERRORS}
    for family, prefixes in (*families.items(), (StoreFailure, _FILE_ERRORS)):
        if name.startswith(prefixes):
            return family(f"{error} ({name})")
    return None


def to_open_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Convert an SQLite error of opening or creating a store file: the message says why, and what to do."""
    failure = to_store_failure(error)
    if getattr(error, "sqlite_errorname", "").startswith("SQLITE_CANTOPEN"):
        return StoreError(f"{path} cannot be opened or created ({error}): use another file")
    if getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
        return StoreDamaged.from_problems(path, [str(error)])
    if isinstance(failure, StoreBusy):
        return StoreError(f"{path} is in use by another mock: stop that one, or use another file")
    if isinstance(failure, StoreFull):
        return StoreError(f"{path} cannot be written ({error}): free some space, or use another file")
    if isinstance(failure, StoreReadOnly):
        return StoreError(f"{path} is read-only ({error}): make file and folder writable, or use another file")
    return StoreError(f"{path} is not a store of this mock ({error}): use another file")
