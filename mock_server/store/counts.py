"""How many records of one resource fulfil each of the conditions that lists ask: counted once, then kept up by writes.

A COUNT(*) reads every record that fulfils its condition; a write asks only of its own record, and in one statement,
which of the conditions it fulfils. That is told by conditions that read nothing but the record's own row. New records
are asked of together, when a count is wanted next.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

# A write pays for each condition that is kept.
MAX_CONDITIONS = 32
MAX_PARAMETERS = 100
# New records that are asked of together; some milliseconds.
MAX_PENDING_RECORDS = 500

_Condition = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class CountCache:
    """The counts of one table. `pending_keys`: keys of new records that are not counted yet."""

    connection: sqlite3.Connection
    table: str
    counts: dict[_Condition, int] = field(default_factory=dict)
    sql: str = ""
    parameters: tuple[Any, ...] = ()
    pending_keys: list[Any] = field(default_factory=list)

    @staticmethod
    def is_cacheable(where: str, parameters: Sequence[Any]) -> bool:
        """Whether a condition reads nothing but its own row, and is no burden to a write."""
        return "SELECT" not in where and len(parameters) <= MAX_PARAMETERS

    def get(self, where: str, parameters: tuple[Any, ...], compute: Callable[[], int]) -> int:
        """How many records fulfil a condition that is taken. `compute` counts them where that is not kept."""
        self.count_pending()
        count = self.counts.get((where, parameters))
        if count is None:
            count = compute()
            if len(self.counts) >= MAX_CONDITIONS:
                self.counts.clear()
            self.counts[where, parameters] = count
            self.sql = ""
        return count

    def clear(self) -> None:
        """Count anew when asked next."""
        self.counts.clear()
        self.pending_keys.clear()
        self.sql = ""

    def matches_for_row(self, key: Any, columns: Iterable[str] | None = None) -> Sequence[Any]:
        """Which of the conditions a record fulfils now: a truth for each, in their order; () when there are none.

        `columns`: those that are to change; () as well when no condition reads any of them.
        """
        if not self.counts:
            return ()
        if not self.sql:
            self.sql = f"SELECT {', '.join(where for where, _ in self.counts)} FROM {self.table} WHERE key = ?"
            self.parameters = tuple(value for _, values in self.counts for value in values)
        if columns is not None and not any(column in self.sql for column in columns):
            return ()
        self.count_pending()
        matches: Sequence[Any] | None = self.connection.execute(self.sql, (*self.parameters, key)).fetchone()
        return matches or ()

    def on_insert(self, key: Any) -> None:
        """A record was added."""
        if self.counts:
            self.pending_keys.append(key)
            if len(self.pending_keys) >= MAX_PENDING_RECORDS:
                self.count_pending()

    def count_pending(self) -> None:
        """Count the new records, as they stand now."""
        if not self.pending_keys:
            return
        keys, self.pending_keys = orjson.dumps(self.pending_keys).decode(), []
        columns = ", ".join(f"COUNT(*) FILTER (WHERE {where})" for where, _ in self.counts)
        sql = f"SELECT {columns} FROM {self.table} WHERE key IN (SELECT value FROM json_each(?))"
        values = [value for _, parameters in self.counts for value in parameters]
        increments = self.connection.execute(sql, (*values, keys)).fetchone()
        for condition, increment in zip(self.counts, increments, strict=True):
            self.counts[condition] += increment

    def on_update(self, matches_before: Sequence[Any], matches_after: Sequence[Any]) -> None:
        """A record that was counted by `matches_before` is now by `matches_after`; () where it was not, or is no longer, there."""
        for sign, matches in ((-1, matches_before), (1, matches_after)):
            for condition, is_match in zip(self.counts, matches, strict=False):
                if is_match:
                    self.counts[condition] += sign
