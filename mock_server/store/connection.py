"""SQLite connections, transactions and copies of images."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mock_server.store.write_behind import BEGIN, COMMIT, ROLLBACK, WriteBehindConnection

# (begin, commit, rollback) of an outermost transaction and of a nested one.
_TRANSACTION_STATEMENTS = (BEGIN, COMMIT, (ROLLBACK,))
_SAVEPOINT_STATEMENTS = ("SAVEPOINT step", "RELEASE step", ("ROLLBACK TO step", "RELEASE step"))


def connect(target: str) -> sqlite3.Connection:
    """Open a database file, or ":memory:", in autocommit mode. Writes to memory may be deferred."""
    is_memory = target == ":memory:"
    connection = sqlite3.connect(
        target,
        isolation_level=None,
        cached_statements=1024,
        check_same_thread=False,  # one thread builds the store, another one serves it
        factory=WriteBehindConnection if is_memory else sqlite3.Connection,
    )
    connection.execute("PRAGMA journal_mode = MEMORY" if is_memory else "PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, on_rollback: Callable[[], None]) -> Iterator[None]:
    """Commit everything written inside, or nothing if an exception is raised. Transactions can be nested."""
    begin, commit, rollback = _SAVEPOINT_STATEMENTS if connection.in_transaction else _TRANSACTION_STATEMENTS
    connection.execute(begin)
    try:
        yield
        connection.execute(commit)
    except BaseException:
        for statement in rollback if connection.in_transaction else ():  # SQLite may have rolled back already
            connection.execute(statement)
        on_rollback()
        raise


def copy_image(image: bytes | Path, connection: sqlite3.Connection) -> None:
    """Fill an empty store from an image. Copies it, since a database that SQLite deserializes is limited to 1 GiB."""
    database_uri = f"{image.absolute().as_uri()}?mode=ro&immutable=1" if isinstance(image, Path) else ":memory:"
    with closing(sqlite3.connect(database_uri, uri=True)) as source:
        if isinstance(image, bytes):
            source.deserialize(image)
        source.backup(connection)
