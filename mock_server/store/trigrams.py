"""Which records may hold a term, told by the runs of three characters that their searched texts are made of.

An index of SQLite's FTS5 for each table that is searched. It only narrows: whoever asks still compares the texts. It is
made in batches, when a dataset is built and when a search finds many new records: to index each record as it is
created would make creating several times as dear. So the newest records are not in it yet, and are always among those
that may hold a term.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mock_server.store.plan import Table, at_path, folded, quoted

RUN = 3
# Records that are not indexed; reading as many takes about a millisecond.
UNINDEXED = 1_000
# Characters that one search indexes at most: a tenth of a second.
AT_ONCE = 1_000_000
# Runs of a term that are looked for; more of them hardly tell more.
MOST_RUNS = 16
MOST_COMMON = 1_000
# Of runs that begin with a shorter term; FTS5 is asked for all of them at once.
MOST_BEGINNINGS = 2_000
LAST = "\U0010ffff"
# Below all numbers.
NOTHING = -(2**63)
# Stands where a text ends, and for NUL, where FTS5 would end it.
_END = "\1"


@dataclass(slots=True)
class Trigrams:
    """The index of one table. `upto`: the number of the last record in it, NOTHING when there is none.

    `unindexed`: so many records may be left for later. `common`: terms that more than so many records may hold, so that
    these are not gone through again.
    """

    connection: sqlite3.Connection
    table: Table
    upto: int
    unindexed: int = UNINDEXED
    common: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The index's own table."""
        return quoted(f"{self.table.resource.name} trigrams")

    @property
    def vocabulary(self) -> str:
        """The table of all runs that are in the index."""
        return quoted(f"{self.table.resource.name} trigrams, each")

    @property
    def _said(self) -> str:
        """Under which name the store says how far the index goes."""
        return f"trigrams of {self.table.resource.name}"

    @staticmethod
    def all(connection: sqlite3.Connection, tables: Mapping[str, Table]) -> "dict[str, Trigrams]":
        """The index of each table that is searched, as a connection's store has it; empty where SQLite has no FTS5."""
        if not _is_there(connection):  # what is written now will not be in an index that was made before
            connection.execute("DELETE FROM _meta WHERE name LIKE 'trigrams of %'")
            return {}
        found = {name: Trigrams(connection, table, NOTHING) for name, table in tables.items() if table.searched}
        for index in found.values():
            said = connection.execute("SELECT value FROM _meta WHERE name = ?", (index._said,)).fetchone()
            index.upto = NOTHING if said is None else int(said[0])
        return found

    # Asking -----------------------------------------------------------------------------------------------------

    def holding(self, term: str, most: int) -> list[int] | None:
        """Numbers of all indexed records that may hold a folded term; None when they are more than `most`, or unknown.

        Those after `upto` may hold it too.
        """
        if self.upto == NOTHING or not term or self.common.get(term, -1) >= most:
            return None
        said = term.replace("\0", _END)
        asked = _all_of(said) if len(said) >= RUN else self._any_beginning(said, most)
        found: list[int] | None = None
        if asked is not None:
            sql = f"SELECT rowid FROM {self.name} WHERE {self.name} MATCH ? LIMIT {most + 1}"
            found = [row[0] for row in self.connection.execute(sql, (asked,))] if asked else []
        if found is not None and len(found) <= most:
            return found
        if len(self.common) >= MOST_COMMON:
            self.common.clear()
        self.common[term] = most
        return None

    def _any_beginning(self, start: str, most: int) -> str | None:
        """What FTS5 is asked for a term that is shorter than a run; None where so many have it that it is of no use."""
        runs: list[str] = []
        records = 0
        sql = f"SELECT term, doc FROM {self.vocabulary} WHERE term BETWEEN ? AND ?"
        for run, number in self.connection.execute(sql, (start, start + LAST * (RUN - len(start)))):
            runs.append(_phrase(run))
            records += number
            if records > most * RUN or len(runs) > MOST_BEGINNINGS:
                return None
        return " OR ".join(runs)

    # Keeping up -------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Index all records, if they are many, and merge what was indexed: for who has the time."""
        while self.catch_up():
            pass
        if self.upto != NOTHING:
            self.connection.execute(f"INSERT INTO {self.name} ({self.name}) VALUES ('optimize')")

    def catch_up(self) -> bool:
        """Index the next records where many are not indexed; whether that was so. Never inside a transaction: what is
        undone would have to be undone in `upto` too.
        """
        if self.connection.in_transaction or not self.is_behind():
            return False
        with self.connection:  # commits, or rolls back
            self.connection.execute("BEGIN IMMEDIATE")
            upto = self.go_on()
        self.upto = upto
        return True

    def go_on(self) -> int:
        """Index the next records inside a transaction; how far the index goes when that is committed."""
        made = "fts5(text, content='', detail='none', columnsize=0, tokenize='trigram case_sensitive 1')"
        self.connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.name} USING {made}")
        each = f"fts5vocab({self.name}, 'row')"
        self.connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.vocabulary} USING {each}")
        upto = self.upto
        for upto, text in self._next():
            self.connection.execute(f"INSERT INTO {self.name} (rowid, text) VALUES (?, ?)", (upto, text))
        self.connection.execute("INSERT OR REPLACE INTO _meta VALUES (?, ?)", (self._said, str(upto)))
        return upto

    def is_behind(self) -> bool:
        """Whether so many records are not indexed that going through them takes its time."""
        last = self.connection.execute(f"SELECT MAX(n) FROM {self.table.name}").fetchone()[0]
        if last is None or last - self.upto <= self.unindexed:
            return False
        sql = f"SELECT n FROM {self.table.name} WHERE n > ? LIMIT 1 OFFSET {self.unindexed}"
        return self.connection.execute(sql, (self.upto,)).fetchone() is not None

    def _next(self) -> Iterator[tuple[int, str]]:
        """(number, text) of the next records, not too many at once."""
        columns = ", ".join(self.table.searched)
        left = AT_ONCE
        for number, *texts in self.connection.execute(
            f"SELECT n, {columns} FROM {self.table.name} WHERE n > ? ORDER BY n", (self.upto,)
        ):
            text = _indexed(texts)
            yield number, text
            left -= len(text)
            if left < 0:
                return

    def moved(self, number: int, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """The record with a number has other own properties now; None: it was not there, or is there no longer."""
        if number > self.upto:
            return
        was, now = self._text(before), self._text(after)
        if was == now:
            return
        if was is not None:
            sql = f"INSERT INTO {self.name} ({self.name}, rowid, text) VALUES ('delete', ?, ?)"
            self.connection.execute(sql, (number, was))
        if now is not None:
            self.connection.execute(f"INSERT INTO {self.name} (rowid, text) VALUES (?, ?)", (number, now))

    def _text(self, own: Mapping[str, Any] | None) -> str | None:
        return None if own is None else _indexed([folded(at_path(own, p)) for p in self.table.searched.values()])


def _is_there(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5, and trigrams in it (3.34)."""
    if sqlite3.sqlite_version_info < (3, 34):
        return False
    return bool(connection.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0])


def _indexed(texts: list[str | None]) -> str:
    """All folded texts of a record as one, where each character of theirs begins a run."""
    return "".join(text.replace("\0", _END) + _END * (RUN - 1) for text in texts if text)


def _all_of(term: str) -> str:
    """What FTS5 is asked for a term: runs of it, in any order. Not all are needed: the texts are compared."""
    runs = [term[at : at + RUN] for at in range(len(term) - RUN + 1)]
    return " AND ".join(map(_phrase, dict.fromkeys(runs[:: 1 + len(runs) // MOST_RUNS])))


def _phrase(run: str) -> str:
    """A run as FTS5 reads it."""
    return '"' + run.replace('"', '""') + '"'
