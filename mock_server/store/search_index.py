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

from mock_server.store.schema import Table, fold_case, get_nested, quote_identifier

TRIGRAM_LENGTH = 3
# Records that are not indexed; reading as many takes about a millisecond.
MAX_UNINDEXED_RECORDS = 1_000
# Characters that one search indexes at most: a tenth of a second.
MAX_BATCH_CHARS = 1_000_000
# Runs of a term that are looked for; more of them hardly tell more.
MAX_TERM_TRIGRAMS = 16
MAX_COMMON_TERMS = 1_000
# Of runs that begin with a shorter term; FTS5 is asked for all of them at once.
MAX_PREFIX_TRIGRAMS = 2_000
MAX_CHARACTER = "\U0010ffff"
# Below all numbers.
NO_RECORD = -(2**63)
# Stands where a text ends, and for NUL, where FTS5 would end it.
_TERMINATOR = "\1"


@dataclass(slots=True)
class TrigramIndex:
    """The index of one table. `last_indexed`: the number of the last record in it, NOTHING when there is none.

    `max_unindexed`: so many records may be left for later. `common_terms`: terms that more than so many records may hold, so that
    these are not gone through again.
    """

    connection: sqlite3.Connection
    table: Table
    last_indexed: int
    max_unindexed: int = MAX_UNINDEXED_RECORDS
    common_terms: dict[str, int] = field(default_factory=dict)

    @property
    def index_name(self) -> str:
        """The index's own table."""
        return quote_identifier(f"{self.table.resource.name} trigrams")

    @property
    def vocabulary_name(self) -> str:
        """The table of all runs that are in the index."""
        return quote_identifier(f"{self.table.resource.name} trigrams, each")

    @property
    def _meta_key(self) -> str:
        """Under which name the store says how far the index goes."""
        return f"trigrams of {self.table.resource.name}"

    @staticmethod
    def create_all(connection: sqlite3.Connection, tables: Mapping[str, Table]) -> "dict[str, TrigramIndex]":
        """The index of each table that is searched, as a connection's store has it; empty where SQLite has no FTS5."""
        if not _has_trigram_support(connection):  # what is written now will not be in an index that was made before
            connection.execute("DELETE FROM _meta WHERE name LIKE 'trigrams of %'")
            return {}
        indexes = {
            name: TrigramIndex(connection, table, NO_RECORD) for name, table in tables.items() if table.search_columns
        }
        for index in indexes.values():
            last_indexed = connection.execute("SELECT value FROM _meta WHERE name = ?", (index._meta_key,)).fetchone()
            index.last_indexed = NO_RECORD if last_indexed is None else int(last_indexed[0])
        return indexes

    # Asking -----------------------------------------------------------------------------------------------------

    def find_candidates(self, term: str, max_candidates: int) -> list[int] | None:
        """Numbers of all indexed records that may hold a folded term; None when they are more than `max_candidates`, or unknown.

        Those after `last_indexed` may hold it too.
        """
        if self.last_indexed == NO_RECORD or not term or self.common_terms.get(term, -1) >= max_candidates:
            return None
        escaped = term.replace("\0", _TERMINATOR)
        match_query = (
            _build_match_query(escaped)
            if len(escaped) >= TRIGRAM_LENGTH
            else self._build_prefix_query(escaped, max_candidates)
        )
        candidates: list[int] | None = None
        if match_query is not None:
            sql = f"SELECT rowid FROM {self.index_name} WHERE {self.index_name} MATCH ? LIMIT {max_candidates + 1}"
            candidates = [row[0] for row in self.connection.execute(sql, (match_query,))] if match_query else []
        if candidates is not None and len(candidates) <= max_candidates:
            return candidates
        if len(self.common_terms) >= MAX_COMMON_TERMS:
            self.common_terms.clear()
        self.common_terms[term] = max_candidates
        return None

    def _build_prefix_query(self, prefix: str, max_candidates: int) -> str | None:
        """What FTS5 is asked for a term that is shorter than a run; None where so many have it that it is of no use."""
        phrases: list[str] = []
        record_count = 0
        sql = f"SELECT term, doc FROM {self.vocabulary_name} WHERE term BETWEEN ? AND ?"
        for trigram, document_count in self.connection.execute(
            sql, (prefix, prefix + MAX_CHARACTER * (TRIGRAM_LENGTH - len(prefix)))
        ):
            phrases.append(_quote_phrase(trigram))
            record_count += document_count
            if record_count > max_candidates * TRIGRAM_LENGTH or len(phrases) > MAX_PREFIX_TRIGRAMS:
                return None
        return " OR ".join(phrases)

    # Keeping up -------------------------------------------------------------------------------------------------

    def index_all(self) -> None:
        """Index all records, if they are many, and merge what was indexed: for who has the time."""
        while self.index_pending():
            pass
        if self.last_indexed != NO_RECORD:
            self.connection.execute(f"INSERT INTO {self.index_name} ({self.index_name}) VALUES ('optimize')")

    def index_pending(self) -> bool:
        """Index the next records where many are not indexed; whether that was so. Never inside a transaction: what is
        undone would have to be undone in `last_indexed` too.
        """
        if self.connection.in_transaction or not self.is_behind():
            return False
        with self.connection:  # commits, or rolls back
            self.connection.execute("BEGIN IMMEDIATE")
            last_indexed = self.index_batch()
        self.last_indexed = last_indexed
        return True

    def index_batch(self) -> int:
        """Index the next records inside a transaction; how far the index goes when that is committed."""
        index_definition = "fts5(text, content='', detail='none', columnsize=0, tokenize='trigram case_sensitive 1')"
        self.connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.index_name} USING {index_definition}")
        vocabulary_definition = f"fts5vocab({self.index_name}, 'row')"
        self.connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.vocabulary_name} USING {vocabulary_definition}"
        )
        last_indexed = self.last_indexed
        for last_indexed, text in self._iter_unindexed():
            self.connection.execute(f"INSERT INTO {self.index_name} (rowid, text) VALUES (?, ?)", (last_indexed, text))
        self.connection.execute("INSERT OR REPLACE INTO _meta VALUES (?, ?)", (self._meta_key, str(last_indexed)))
        return last_indexed

    def is_behind(self) -> bool:
        """Whether so many records are not indexed that going through them takes its time."""
        last_number = self.connection.execute(f"SELECT MAX(n) FROM {self.table.name}").fetchone()[0]
        if last_number is None or last_number - self.last_indexed <= self.max_unindexed:
            return False
        sql = f"SELECT n FROM {self.table.name} WHERE n > ? LIMIT 1 OFFSET {self.max_unindexed}"
        return self.connection.execute(sql, (self.last_indexed,)).fetchone() is not None

    def _iter_unindexed(self) -> Iterator[tuple[int, str]]:
        """(number, text) of the next records, not too many at once."""
        columns = ", ".join(self.table.search_columns)
        remaining_chars = MAX_BATCH_CHARS
        for number, *texts in self.connection.execute(
            f"SELECT n, {columns} FROM {self.table.name} WHERE n > ? ORDER BY n", (self.last_indexed,)
        ):
            text = _join_texts(texts)
            yield number, text
            remaining_chars -= len(text)
            if remaining_chars < 0:
                return

    def on_update(
        self, number: int, old_attributes: Mapping[str, Any] | None, new_attributes: Mapping[str, Any] | None
    ) -> None:
        """The record with a number has other own properties now; None: it was not there, or is there no longer."""
        if number > self.last_indexed:
            return
        old_text, new_text = self._build_text(old_attributes), self._build_text(new_attributes)
        if old_text == new_text:
            return
        if old_text is not None:
            sql = f"INSERT INTO {self.index_name} ({self.index_name}, rowid, text) VALUES ('delete', ?, ?)"
            self.connection.execute(sql, (number, old_text))
        if new_text is not None:
            self.connection.execute(f"INSERT INTO {self.index_name} (rowid, text) VALUES (?, ?)", (number, new_text))

    def _build_text(self, attributes: Mapping[str, Any] | None) -> str | None:
        return (
            None
            if attributes is None
            else _join_texts([fold_case(get_nested(attributes, path)) for path in self.table.search_columns.values()])
        )


def _has_trigram_support(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5, and trigrams in it (3.34)."""
    if sqlite3.sqlite_version_info < (3, 34):
        return False
    return bool(connection.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0])


def _join_texts(texts: list[str | None]) -> str:
    """All folded texts of a record as one, where each character of theirs begins a run."""
    return "".join(text.replace("\0", _TERMINATOR) + _TERMINATOR * (TRIGRAM_LENGTH - 1) for text in texts if text)


def _build_match_query(term: str) -> str:
    """What FTS5 is asked for a term: runs of it, in any order. Not all are needed: the texts are compared."""
    trigrams = [term[start : start + TRIGRAM_LENGTH] for start in range(len(term) - TRIGRAM_LENGTH + 1)]
    return " AND ".join(map(_quote_phrase, dict.fromkeys(trigrams[:: 1 + len(trigrams) // MAX_TERM_TRIGRAMS])))


def _quote_phrase(trigram: str) -> str:
    """A run as FTS5 reads it."""
    return '"' + trigram.replace('"', '""') + '"'
