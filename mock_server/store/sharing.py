"""What the processes that share one file tell each other of their writes, so that each may keep what was not touched.

Each transaction that writes adds a row to a table: the number of the write, and what it touched. Who begins the next
one, or only reads, takes in the rows since the last that it knows. They are read within a transaction, so that they
tell of what it sees, all of it and nothing else. That they are as many as the commits since then says that nobody
wrote without telling.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mock_server.store.commits import Commits, number
from mock_server.store.errors import StoreError
from mock_server.store.queue import ENDING, Queue

# (resource, key): the record itself. (resource, relation, value): the set of records whose relation holds that value.
Tag = tuple[str, Any] | tuple[str, str, Any]

# Writes that are taken in one by one, and that are kept for those who have not looked for a while.
MOST = 1000
# Of tags that one write tells; beyond, it may have touched anything.
MOST_TAGS = 1000
# A snapshot that somebody committed just before or after; who comes between so often is no longer asked.
_TRIES = 5
_ROOM = 2**32  # SQLite's number of commits begins anew there

_TABLE = "CREATE TABLE IF NOT EXISTS _changes (n INTEGER PRIMARY KEY, written BLOB)"
_NEWS = f"SELECT n, written FROM _changes WHERE n > ? ORDER BY n LIMIT {MOST + 1}"


@dataclass(slots=True)
class Written:
    """What was written. `touched`: None where it may be anything. `before`: how records among it stood before, by what
    they are counted by; None for those that were not there. `numbers`: by resource, the last one that was given.
    """

    touched: set[Tag] | None = field(default_factory=set)
    before: dict[Tag, Sequence[Any] | None] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def touch(self, tags: Iterable[Tag] | None) -> None:
        """Say that these were touched as well."""
        if tags is None or self.touched is None:
            self.touched = None
        else:
            self.touched.update(tags)

    def stood(self, tag: Tag, row: Sequence[Any] | None) -> None:
        """Say how a record stands that will be touched now. Of one that was touched before that is too late."""
        if self.touched is not None and tag not in self.touched:
            self.before[tag] = row
            self.touched.add(tag)

    def count(self, resource: str, number: int) -> None:
        """Say that a record has this number."""
        self.numbers[resource] = max(number, self.numbers.get(resource, 0))

    def copy(self) -> "Written":
        """The same, which stays as it is."""
        return Written(None if self.touched is None else set(self.touched), dict(self.before), dict(self.numbers))

    def told(self) -> bytes | None:
        """As a row says it."""
        if self.touched is None or len(self.touched) > MOST_TAGS:
            return None
        return orjson.dumps([list(self.touched), list(self.before.items()), self.numbers])

    @classmethod
    def heard(cls, rows: Iterable[bytes | None]) -> "Written":
        """What the rows of several writes say together, the oldest first."""
        found = cls()
        for row in rows:
            if row is None:
                return cls(None)
            touched, before, numbers = orjson.loads(row)
            for tag, stood in before:
                found.stood(tuple(tag), stood)
            found.touch(map(tuple, touched))
            for resource, last in numbers.items():
                found.count(resource, last)
        return found


@dataclass(slots=True)
class Sharing:
    """One process's part in it. `seen`: the number of the last write that is known; `header`: of the file's index then,
    empty where that is not known for sure. `draft`: what the transaction under way has written so far, `changed` the
    connection's rows that were changed before it.
    """

    connection: sqlite3.Connection
    queue: Queue
    commits: Commits
    seen: int = 0
    header: bytes = b""
    draft: Written = field(default_factory=Written)
    changed: int = 0

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> "Sharing":
        """The part of a connection to a file. Raises StoreError for one that cannot be shared where it lies."""
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{path} cannot be shared: found SQLite's journal as {mode!r}; allowed: 'wal'")
        try:
            queue = Queue(Path(path + ENDING))
        except OSError as error:
            allowed = "a file beside the store that may be opened, or made"
            raise StoreError(f"{path}{ENDING}: found {error.strerror}; allowed: {allowed}") from None
        with queue:
            connection.execute(_TABLE)
        return cls(connection, queue, Commits(Path(path + "-shm")))

    def close(self) -> None:
        """End it, after its connection."""
        self.commits.close()
        self.queue.close()

    def is_behind(self) -> bool:
        """Whether anybody has written since this process looked."""
        return self.commits.now() != self.header

    def begin(self, statement: str) -> Written:
        """Begin a transaction; what others have written up to the instant that it sees."""
        rows: list[tuple[int, bytes | None]] = []
        before = after = b""
        for tries in range(_TRIES):
            if tries:
                self.connection.execute("COMMIT")
            before = self.commits.settled()
            self.connection.execute(statement)
            rows = self.connection.execute(_NEWS, (self.seen,)).fetchall()
            after = self.commits.now()
            if after in (before, self.header):
                break
        self.draft, self.changed = Written(), self.connection.total_changes
        return self._taken(rows, after if after in (before, self.header) else b"")

    def _taken(self, rows: Sequence[tuple[int, bytes | None]], header: bytes) -> Written:
        """What rows say, which an instant with this header has behind those that are known."""
        whole = self._follows(header, len(rows)) and len(rows) <= MOST
        self.header = header
        if whole and (not rows or rows[-1][0] == self.seen + len(rows)):
            self.seen += len(rows)
            return Written.heard(row[1] for row in rows)
        self.seen = self.connection.execute("SELECT COALESCE(MAX(n), 0) FROM _changes").fetchone()[0]
        return Written(None)

    def _follows(self, header: bytes, commits: int) -> bool:
        """Whether a header is known to be so many commits after the last one."""
        return bool(self.header and header) and (number(header) - number(self.header)) % _ROOM == commits

    def tell(self) -> bool:
        """Tell the others what the transaction has written, before it is committed; whether it has."""
        if self.connection.total_changes == self.changed:
            return False
        told = self.seen + 1
        self.connection.execute("INSERT INTO _changes VALUES (?, ?)", (told, self.draft.told()))
        if told % MOST == 0:
            self.connection.execute("DELETE FROM _changes WHERE n <= ?", (told - MOST,))
        return True

    def committed(self, told: bool) -> None:
        """The transaction is committed, and was told of or had nothing to tell. To be said before others may write."""
        header = self.commits.settled()
        self.header = header if self._follows(header, int(told)) else b""
        self.seen += told
