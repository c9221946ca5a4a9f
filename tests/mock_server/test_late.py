"""A connection that keeps rows back is like any other to whoever asks it, also where a transaction is undone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.store.connection import connect
from mock_server.store.write_behind import BEGIN, COMMIT, MAX_PENDING_WRITES, ROLLBACK, WriteBehindConnection

INSERT = "INSERT INTO rows VALUES (?)"


def made(kind: type[sqlite3.Connection]) -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=kind)
    connection.execute("CREATE TABLE rows (value)")
    return connection


@pytest.fixture
def late() -> Iterator[WriteBehindConnection]:
    connection: WriteBehindConnection = made(WriteBehindConnection)
    yield connection
    connection.close()


def shown(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT value FROM rows ORDER BY rowid")]


STEPS = ("add", "add at once", "read", "begin", "commit", "roll back", "save", "give up", "release")


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_deferred_writes_equal_direct_writes_for_any_statements(steps: list[str]) -> None:
    late, plain = made(WriteBehindConnection), made(sqlite3.Connection)
    for number, step in enumerate(steps):
        for connection in (late, plain):
            take(connection, step, number)
        assert late.in_transaction == plain.in_transaction
    assert shown(late) == shown(plain)
    late.close()
    plain.close()


def take(connection: Any, step: str, number: int) -> None:
    """One step, where it can be taken."""
    if step == "add":
        add = connection.enqueue if isinstance(connection, WriteBehindConnection) else connection.execute
        add(INSERT, (number,))
    elif step == "add at once":
        connection.execute(INSERT, (number,))
    elif step == "read":
        assert shown(connection) is not None
    elif step == "begin":
        if not connection.in_transaction:
            connection.execute(BEGIN)
    elif connection.in_transaction:
        inside = {"save": "SAVEPOINT s", "give up": "ROLLBACK TO s", "release": "RELEASE s"}
        with suppress(sqlite3.OperationalError):  # no such savepoint
            connection.execute(inside.get(step) or {"commit": COMMIT, "roll back": ROLLBACK}[step])


@pytest.mark.parametrize(
    "ask",
    [
        lambda late: late.execute("SELECT COUNT(*) FROM rows").fetchone()[0],
        lambda late: late.cursor().execute("SELECT COUNT(*) FROM rows").fetchone()[0],
        lambda late: late.executemany(INSERT, []) and len(shown(late)),
        lambda late: late.executescript("SELECT 1") and len(shown(late)),
        lambda late: counted(late.serialize()),
        lambda late: backed_up(late),
        lambda late: left(late),
    ],
)
def test_every_read_sees_deferred_rows(late: WriteBehindConnection, ask: Callable[[WriteBehindConnection], int]) -> None:
    late.enqueue(INSERT, (1,))
    late.enqueue(INSERT, (2,))
    assert ask(late) == 2


def counted(image: bytes) -> int:
    with sqlite3.connect(":memory:") as other:
        other.deserialize(image)
        return len(shown(other))


def backed_up(late: WriteBehindConnection) -> int:
    with sqlite3.connect(":memory:") as other:
        late.backup(other)
        return len(shown(other))


def left(late: WriteBehindConnection) -> int:
    with late:
        late.execute(BEGIN)
    assert not late.in_transaction
    return len(shown(late))


def test_rows_are_deferred_up_to_the_limit(late: WriteBehindConnection) -> None:
    told: list[str] = []
    late.set_trace_callback(told.append)
    for number in range(MAX_PENDING_WRITES - 1):
        late.execute(BEGIN)
        late.enqueue(INSERT, (number,))
        late.execute(COMMIT)
    assert told == []
    late.enqueue(INSERT, (MAX_PENDING_WRITES,))
    assert (told[0], len(told), told[-1]) == (BEGIN, MAX_PENDING_WRITES + 2, COMMIT)


def test_failed_write_leaves_no_transaction_open(late: WriteBehindConnection) -> None:
    late.enqueue(INSERT, (1,))
    late.enqueue("INSERT INTO rows VALUES (?, ?)", (1, 2))
    with pytest.raises(sqlite3.OperationalError, match="has 1 columns"):
        shown(late)
    assert not late.in_transaction
    assert shown(late) == []


def test_file_connection_does_not_defer_writes(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "a.sqlite"))
    assert not isinstance(connection, WriteBehindConnection)
    connection.close()
