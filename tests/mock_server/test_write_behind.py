"""A connection that defers writes returns the same rows as any other, also after rollbacks."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.store.connection import (
    BEGIN,
    COMMIT,
    MAX_PENDING_WRITES,
    ROLLBACK,
    WriteBehindConnection,
    connect,
)

INSERT = "INSERT INTO rows VALUES (?)"


def create_connection(kind: type[sqlite3.Connection]) -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=kind)
    connection.execute("CREATE TABLE rows (value)")
    return connection


@pytest.fixture
def write_behind() -> Iterator[WriteBehindConnection]:
    connection: WriteBehindConnection = create_connection(WriteBehindConnection)
    yield connection
    connection.close()


def read_rows(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT value FROM rows ORDER BY rowid")]


STEPS = ("add", "add at once", "read", "begin", "commit", "roll back", "save", "give up", "release")


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_deferred_writes_equal_direct_writes_for_any_statements(steps: list[str]) -> None:
    write_behind, plain = create_connection(WriteBehindConnection), create_connection(sqlite3.Connection)
    for number, step in enumerate(steps):
        for connection in (write_behind, plain):
            execute_step(connection, step, number)
        assert write_behind.in_transaction == plain.in_transaction
    assert read_rows(write_behind) == read_rows(plain)
    write_behind.close()
    plain.close()


def execute_step(connection: Any, step: str, number: int) -> None:
    """Execute one step if it is possible."""
    if step == "add":
        add = connection.enqueue if isinstance(connection, WriteBehindConnection) else connection.execute
        add(INSERT, (number,))
    elif step == "add at once":
        connection.execute(INSERT, (number,))
    elif step == "read":
        assert read_rows(connection) is not None
    elif step == "begin":
        if not connection.in_transaction:
            connection.execute(BEGIN)
    elif connection.in_transaction:
        savepoint_statements = {"save": "SAVEPOINT s", "give up": "ROLLBACK TO s", "release": "RELEASE s"}
        with suppress(sqlite3.OperationalError):  # no such savepoint
            connection.execute(savepoint_statements.get(step) or {"commit": COMMIT, "roll back": ROLLBACK}[step])


@pytest.mark.parametrize(
    "read_count",
    [
        lambda write_behind: write_behind.execute("SELECT COUNT(*) FROM rows").fetchone()[0],
        lambda write_behind: write_behind.cursor().execute("SELECT COUNT(*) FROM rows").fetchone()[0],
        lambda write_behind: write_behind.executemany(INSERT, []) and len(read_rows(write_behind)),
        lambda write_behind: write_behind.executescript("SELECT 1") and len(read_rows(write_behind)),
        lambda write_behind: count_rows_of_image(write_behind.serialize()),
        lambda write_behind: count_rows_of_backup(write_behind),
        lambda write_behind: count_rows_after_exit(write_behind),
    ],
)
def test_every_read_sees_deferred_rows(
    write_behind: WriteBehindConnection, read_count: Callable[[WriteBehindConnection], int]
) -> None:
    write_behind.enqueue(INSERT, (1,))
    write_behind.enqueue(INSERT, (2,))
    assert read_count(write_behind) == 2


def count_rows_of_image(image: bytes) -> int:
    with sqlite3.connect(":memory:") as other:
        other.deserialize(image)
        return len(read_rows(other))


def count_rows_of_backup(write_behind: WriteBehindConnection) -> int:
    with sqlite3.connect(":memory:") as other:
        write_behind.backup(other)
        return len(read_rows(other))


def count_rows_after_exit(write_behind: WriteBehindConnection) -> int:
    with write_behind:
        write_behind.execute(BEGIN)
    assert not write_behind.in_transaction
    return len(read_rows(write_behind))


def test_rows_are_deferred_up_to_the_limit(write_behind: WriteBehindConnection) -> None:
    statements: list[str] = []
    write_behind.set_trace_callback(statements.append)
    for number in range(MAX_PENDING_WRITES - 1):
        write_behind.execute(BEGIN)
        write_behind.enqueue(INSERT, (number,))
        write_behind.execute(COMMIT)
    assert statements == []
    write_behind.enqueue(INSERT, (MAX_PENDING_WRITES,))
    assert (statements[0], len(statements), statements[-1]) == (BEGIN, MAX_PENDING_WRITES + 2, COMMIT)


def test_failed_write_leaves_no_transaction_open(write_behind: WriteBehindConnection) -> None:
    write_behind.enqueue(INSERT, (1,))
    write_behind.enqueue("INSERT INTO rows VALUES (?, ?)", (1, 2))
    with pytest.raises(sqlite3.OperationalError, match="has 1 columns"):
        read_rows(write_behind)
    assert not write_behind.in_transaction
    assert read_rows(write_behind) == []


def test_file_connection_does_not_defer_writes(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "a.sqlite"))
    assert not isinstance(connection, WriteBehindConnection)
    connection.close()
