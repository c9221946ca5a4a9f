"""The format of store files: its version, and checks of a file before it is opened.

A store is an SQLite database with APPLICATION_ID and, as its `user_version`, FORMAT_VERSION. Its tables follow from the
contract, see `schema`. The metadata RELATIONS_KEY describes the stored relations: a file can be exported without its
contract.
"""

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import orjson

from mock_server.store import schema
from mock_server.store.errors import StoreBusy, StoreDamaged, StoreError, to_open_error, to_store_failure
from spec.model import Contract

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

APPLICATION_ID = 0x4174684D  # "AthM"
FORMAT_VERSION = 1  # increases when the tables or the encoding of their values change
# Metadata: resource -> stored relation -> names of the target resources.
RELATIONS_KEY = "relations"
MAX_CHECKED_BYTES = 64 * 1024 * 1024  # of a file that is checked when it is opened: takes 0.2 s of CPU time
MAX_REPORTED_ERRORS = 5
_SQLITE_MAGIC = b"SQLite format 3\0"
_LOCK_OFFSET, _LOCKED_BYTES = 0x40000002, 510  # each connection to a database has locked some of them


def write_format(connection: sqlite3.Connection, contract: Contract) -> None:
    """Mark a new database as a store, and describe its relations."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    relations = {
        resource.name: {r.name: r.targets for r in resource.relations.values() if r.is_stored}
        for resource in contract.resources.values()
    }
    row = (RELATIONS_KEY, orjson.dumps(relations).decode())
    connection.execute("INSERT OR REPLACE INTO _meta VALUES (?, ?)", row)


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store file; neither it nor its folder changes.

    Raises StoreError if it is in use, not a store, or of another version.
    """
    with describe_file_errors(path):
        path = follow_link(path)
        check_is_store(path)
    with describe_sqlite_errors(path), _delete_log_index(path), closing(_connect_read_only(path)) as connection:
        _check_version(path, connection)
        connection.execute("BEGIN")  # all reads see the same state
        yield connection


@contextmanager
def describe_file_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system and of SQLite to StoreError."""
    try:
        with describe_sqlite_errors(path):
            yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {os.strerror(error.errno or 0)}: use another file") from None


@contextmanager
def describe_sqlite_errors(path: Path) -> Iterator[None]:
    """Convert errors of SQLite to StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise to_open_error(path, error) from None


def follow_link(path: Path) -> Path:
    """Return the file that a symbolic link leads to: SQLite stores its write-ahead log next to that one."""
    return path.resolve() if path.is_symlink() else path


def check_is_store(path: Path) -> None:
    """Raise StoreError if a file is not a regular file that contains an SQLite database."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise StoreError(f"{path} is not a store of this mock (not a regular file): use another file")
    with path.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
            raise StoreError(f"{path} is not a store of this mock (not an SQLite database): use another file")


def _connect_read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if not path.with_name(f"{path.name}-wal").exists():
        uri += "&immutable=1"  # no process uses the file; else SQLite would create files next to it and leave them
    return sqlite3.connect(uri, uri=True, timeout=0.5, isolation_level=None)


def lock_file(file: BinaryIO) -> None:
    """Lock a database as SQLite does before it deletes an index. Raises OSError if a process has a connection to it."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _LOCK_OFFSET)


@contextmanager
def _delete_log_index(path: Path) -> Iterator[None]:
    """Delete the index of a write-ahead log (``-shm``) if it is created during the work and is not in use.

    SQLite creates it to read the log that a killed process left, and deletes it only together with the log.
    """
    index = path.with_name(f"{path.name}-shm")
    existed = index.exists()
    try:
        yield
    finally:
        if not existed and index.exists():
            with suppress(OSError), path.open("r+b") as file:  # in use, or read-only
                lock_file(file)
                index.unlink()


def _check_version(path: Path, connection: sqlite3.Connection) -> None:
    application_id, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application_id == 0 and _has_metadata(connection):
        raise StoreError(
            f"{path} was created by an earlier version of athena-mock, without a format version "
            f"(expected {FORMAT_VERSION}): use another file, or delete this one to start over"
        )
    if application_id != APPLICATION_ID:
        raise StoreError(
            f"{path} is not a store of this mock (SQLite application id {application_id}, "
            f"expected {APPLICATION_ID}): use another file"
        )
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path} has store format {version} (expected {FORMAT_VERSION}): run `athena-mock store export` "
            "of the version that created it, and import its output with this version"
        )


def _has_metadata(connection: sqlite3.Connection) -> bool:
    try:
        row = connection.execute("SELECT 1 FROM _meta WHERE name = 'contract' AND value IS NOT NULL").fetchone()
    except sqlite3.OperationalError:  # no such table or column
        return False
    return row is not None


def read_metadata(connection: sqlite3.Connection) -> dict[str, str]:
    return {str(name): str(value) for name, value in connection.execute("SELECT name, value FROM _meta")}


def count_records(connection: sqlite3.Connection) -> int:
    """Return the number of records of all resources."""
    resources = orjson.loads(read_metadata(connection)[RELATIONS_KEY])
    tables = map(schema.quote_identifier, resources)
    return sum(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables)


def check_integrity(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreDamaged with the first errors that SQLite finds, also in indexes."""
    try:
        rows = connection.execute(f"PRAGMA integrity_check({MAX_REPORTED_ERRORS})").fetchall()
        errors = [row[0] for row in rows if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        if isinstance(to_store_failure(error), StoreBusy):
            raise
        errors = [str(error)]
    if errors:
        raise StoreDamaged.from_problems(path, (" ".join(error.split()) for error in errors))


def check_tables(path: Path, contract: Contract, connection: sqlite3.Connection) -> None:
    """Raise StoreError if a table or index of the contract is missing or was altered."""
    stored = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    for statement in schema.build_ddl(contract):
        kind, name = schema.parse_ddl(statement)
        if stored.get(name) == statement:
            continue
        difference = _compare_columns(connection, name, statement) if name in stored and kind == "table" else ""
        problem = difference or ("was altered" if name in stored else "is missing")
        raise StoreError(
            f"{path}: {kind} {name} {problem}: move the data to a new file with `athena-mock store export` and "
            "`athena-mock store import`, or delete this one to start over"
        )


def _compare_columns(connection: sqlite3.Connection, table: str, statement: str) -> str:
    """Return which columns a table lacks or has in addition; empty if none."""
    name = schema.quote_identifier(table)
    columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(statement)
        expected = {row[1] for row in scratch.execute(f"PRAGMA table_info({name})")}
    parts = [("lacks column", expected - columns), ("has the unknown column", columns - expected)]
    return " and ".join(f"{text} {', '.join(sorted(names))}" for text, names in parts if names)


def check_writable(path: Path) -> None:
    """Raise StoreError if the file of a store, which may not exist yet, or its folder is read-only."""
    for target in (path, path.parent):
        if target.exists() and not os.access(target, os.W_OK):
            raise StoreError(f"{path}: {target} is read-only: make file and folder writable, or use another file")
