"""Trigram index of the searched texts of a table, on SQLite's FTS5.

It returns candidates only: a search still compares the texts. Records are indexed in batches, when a dataset is built
and when a search finds many new records: indexing each record on insert would make creates several times slower. So the
newest records are not in the index and are always candidates.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from mock_server.store.errors import to_store_failure
from mock_server.store.schema import Attributes, Table, Tables, fold_case, get_nested, quote_identifier

TRIGRAM_LENGTH = 3
MAX_UNINDEXED_RECORDS = 1_000  # comparing these takes about a millisecond
MAX_BATCH_CHARS = 1_000_000  # indexed by one search, in a tenth of a second
MAX_TERM_TRIGRAMS = 16  # more of them are hardly more selective
MAX_COMMON_TERMS = 1_000
MAX_PREFIX_TRIGRAMS = 2_000  # in one query, for a term shorter than a trigram
MAX_CHARACTER = "\U0010ffff"
NO_RECORD = -(2**63)  # less than all numbers
_TERMINATOR = "\1"  # ends a text and replaces NUL, where FTS5 would end it


@dataclass(slots=True)
class TrigramIndex:
    """The index of one table.

    `last_indexed`: number of the last indexed record, or NO_RECORD. `common_terms`: term -> a number of candidates that
    it exceeds, so that it is not looked up again. `index_name`, `vocabulary_name`: the FTS5 table, and the table of all
    trigrams in it. `meta_key`: the metadata name of `last_indexed`.
    """

    connection: sqlite3.Connection
    table: Table
    last_indexed: int
    max_unindexed: int = MAX_UNINDEXED_RECORDS
    common_terms: dict[str, int] = field(default_factory=dict)
    index_name: str = field(init=False)
    vocabulary_name: str = field(init=False)
    meta_key: str = field(init=False)

    def __post_init__(self) -> None:
        name = self.table.resource.name
        self.index_name, self.meta_key = quote_identifier(f"{name} trigrams"), f"trigrams of {name}"
        self.vocabulary_name = quote_identifier(f"{name} trigrams, each")

    @staticmethod
    def create_all(connection: sqlite3.Connection, tables: Tables) -> "dict[str, TrigramIndex]":
        """Open the index of each searched table; empty if SQLite does not support trigrams."""
        if not _has_trigram_support(connection):  # an existing index would become outdated
            connection.execute("DELETE FROM _meta WHERE name LIKE 'trigrams of %'")
            return {}
        indexes = {
            name: TrigramIndex(connection, table, NO_RECORD) for name, table in tables.items() if table.search_columns
        }
        for index in indexes.values():
            index.reload()
        return indexes

    def reload(self) -> None:
        """Read the state of the index from the store."""
        row = self.connection.execute("SELECT value FROM _meta WHERE name = ?", (self.meta_key,)).fetchone()
        self.last_indexed = NO_RECORD if row is None else int(row[0])
        self.common_terms.clear()

    def find_candidates(self, term: str, max_candidates: int) -> list[int] | None:
        """Return the numbers of all indexed records that may contain a case-folded term.

        None if there are more than `max_candidates`. Records after `last_indexed` may contain it too.
        """
        if self.last_indexed == NO_RECORD or not term or self.common_terms.get(term, -1) >= max_candidates:
            return None
        escaped = term.replace("\0", _TERMINATOR)
        is_short = len(escaped) < TRIGRAM_LENGTH
        match_query = self._build_prefix_query(escaped, max_candidates) if is_short else _build_match_query(escaped)
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
        """Build the FTS5 query for a term shorter than a trigram; None if it would match too many records."""
        phrases: list[str] = []
        record_count = 0
        sql = f"SELECT term, doc FROM {self.vocabulary_name} WHERE term BETWEEN ? AND ?"
        bounds = (prefix, prefix + MAX_CHARACTER * (TRIGRAM_LENGTH - len(prefix)))
        for trigram, document_count in self.connection.execute(sql, bounds):
            phrases.append(_quote_phrase(trigram))
            record_count += document_count
            if record_count > max_candidates * TRIGRAM_LENGTH or len(phrases) > MAX_PREFIX_TRIGRAMS:
                return None
        return " OR ".join(phrases)

    def index_all(self) -> None:
        """Index all records, if they are many, and optimize the index."""
        while self.index_pending():
            pass
        if self.last_indexed != NO_RECORD:
            self.connection.execute(f"INSERT INTO {self.index_name} ({self.index_name}) VALUES ('optimize')")

    def index_pending(self) -> bool:
        """Index the next records if many are not indexed. Returns whether it did.

        Does nothing inside a transaction, since a rollback would not reset `last_indexed`, and if the store cannot be
        written: a search works without the index.
        """
        if self.connection.in_transaction or not self.is_behind():
            return False
        try:
            with self.connection:  # commits, or rolls back
                self.connection.execute("BEGIN IMMEDIATE")
                last_indexed = self.index_batch()
        except sqlite3.Error as error:
            if to_store_failure(error) is None:
                raise
            return False
        self.last_indexed = last_indexed
        return True

    def index_batch(self) -> int:
        """Index the next records inside a transaction. Returns the new `last_indexed`."""
        index_definition = "fts5(text, content='', detail='none', columnsize=0, tokenize='trigram case_sensitive 1')"
        self.connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.index_name} USING {index_definition}")
        vocabulary_definition = f"fts5vocab({self.index_name}, 'row')"
        self.connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.vocabulary_name} USING {vocabulary_definition}"
        )
        last_indexed = self.last_indexed
        for last_indexed, text in self._iter_unindexed():
            self.connection.execute(f"INSERT INTO {self.index_name} (rowid, text) VALUES (?, ?)", (last_indexed, text))
        self.connection.execute("INSERT OR REPLACE INTO _meta VALUES (?, ?)", (self.meta_key, str(last_indexed)))
        return last_indexed

    def is_behind(self) -> bool:
        """Return whether more than `max_unindexed` records are not indexed."""
        last_number = self.connection.execute(f"SELECT MAX(n) FROM {self.table.name}").fetchone()[0]
        if last_number is None or last_number - self.last_indexed <= self.max_unindexed:
            return False
        sql = f"SELECT n FROM {self.table.name} WHERE n > ? LIMIT 1 OFFSET {self.max_unindexed}"
        return self.connection.execute(sql, (self.last_indexed,)).fetchone() is not None

    def _iter_unindexed(self) -> Iterator[tuple[int, str]]:
        """Yield (number, text) of the next records, up to MAX_BATCH_CHARS."""
        columns = ", ".join(self.table.search_columns)
        remaining_chars = MAX_BATCH_CHARS
        sql = f"SELECT n, {columns} FROM {self.table.name} WHERE n > ? ORDER BY n"
        for number, *texts in self.connection.execute(sql, (self.last_indexed,)):
            text = _join_texts(texts)
            yield number, text
            remaining_chars -= len(text)
            if remaining_chars < 0:
                return

    def on_update(self, number: int, old: Attributes | None, new: Attributes | None) -> None:
        """Update the entry of a record whose attributes changed; None: it did not exist before, or was deleted."""
        if number > self.last_indexed:
            return
        old_text, new_text = self._build_text(old), self._build_text(new)
        if old_text == new_text:
            return
        if old_text is not None:
            sql = f"INSERT INTO {self.index_name} ({self.index_name}, rowid, text) VALUES ('delete', ?, ?)"
            self.connection.execute(sql, (number, old_text))
        if new_text is not None:
            self.connection.execute(f"INSERT INTO {self.index_name} (rowid, text) VALUES (?, ?)", (number, new_text))

    def _build_text(self, attributes: Attributes | None) -> str | None:
        if attributes is None:
            return None
        return _join_texts([fold_case(get_nested(attributes, path)) for path in self.table.search_columns.values()])


def _has_trigram_support(connection: sqlite3.Connection) -> bool:
    """Return whether this SQLite has FTS5 with the trigram tokenizer (3.34)."""
    if sqlite3.sqlite_version_info < (3, 34):
        return False
    return bool(connection.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0])


def _join_texts(texts: list[str | None]) -> str:
    """Join the case-folded texts of a record so that a trigram starts at each of their characters."""
    return "".join(text.replace("\0", _TERMINATOR) + _TERMINATOR * (TRIGRAM_LENGTH - 1) for text in texts if text)


def _build_match_query(term: str) -> str:
    """Build the FTS5 query for a term: some of its trigrams, in any order, since the texts are compared anyway."""
    trigrams = [term[start : start + TRIGRAM_LENGTH] for start in range(len(term) - TRIGRAM_LENGTH + 1)]
    return " AND ".join(map(_quote_phrase, dict.fromkeys(trigrams[:: 1 + len(trigrams) // MAX_TERM_TRIGRAMS])))


def _quote_phrase(trigram: str) -> str:
    return '"' + trigram.replace('"', '""') + '"'
