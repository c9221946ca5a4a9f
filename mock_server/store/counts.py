"""Counts of a resource's records by condition: counted once with COUNT(*), then kept up to date by each write.

A write evaluates the conditions on its own record only, in one statement; so only conditions that read nothing but the
record's row are cached. New records are evaluated together, before the next count is returned.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from mock_server.store.expressions import SqlExpression

MAX_CONDITIONS = 32  # each one makes writes slower
MAX_PARAMETERS = 100
MAX_PENDING_RECORDS = 500  # evaluated together in some milliseconds


@dataclass(slots=True)
class CountCache:
    """The counts of one table.

    `indexes`: condition -> position of its count. `sql`, `parameters`: of the statement that evaluates all conditions.
    `columns`: those that the conditions read. `pending_keys`: keys of new records that are not counted yet.
    """

    connection: sqlite3.Connection
    table: str
    indexes: dict[SqlExpression, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    sql: str = ""
    parameters: tuple[Any, ...] = ()
    columns: frozenset[str] = frozenset()
    pending_keys: list[Any] = field(default_factory=list)

    def get(self, condition: SqlExpression, compute: Callable[[], int]) -> int:
        """Return how many records fulfil a condition on their own row. `compute` counts them if that is not cached."""
        self.count_pending()
        index = self.indexes.get(condition)
        if index is not None:
            return self.counts[index]
        count = compute()
        if len(self.counts) >= MAX_CONDITIONS:
            self.clear()
        self.indexes[condition] = len(self.counts)
        self.counts.append(count)
        self.sql = f"SELECT {', '.join(item.sql for item in self.indexes)} FROM {self.table} WHERE key = ?"
        self.parameters = (*self.parameters, *condition.parameters)
        self.columns |= condition.columns
        return count

    def clear(self) -> None:
        self.indexes.clear()
        self.counts.clear()
        self.pending_keys.clear()
        self.parameters, self.columns = (), frozenset()

    def matches_for_row(self, key: Any, columns: Iterable[str] | None = None) -> Sequence[Any]:
        """Evaluate the conditions on a record: a truth value for each, in their order; () if nothing is cached.

        `columns`: the columns that change; () is returned if no condition reads any of them.
        """
        if not self.counts or (columns is not None and self.columns.isdisjoint(columns)):
            return ()
        self.count_pending()
        matches: Sequence[Any] | None = self.connection.execute(self.sql, (*self.parameters, key)).fetchone()
        return matches or ()

    def on_insert(self, key: Any) -> None:
        """Count a new record, later."""
        if self.counts:
            self.pending_keys.append(key)
            if len(self.pending_keys) >= MAX_PENDING_RECORDS:
                self.count_pending()

    def count_pending(self) -> None:
        """Count the new records in their current state."""
        if not self.pending_keys:
            return
        keys, self.pending_keys = orjson.dumps(self.pending_keys).decode(), []
        columns = ", ".join(f"COUNT(*) FILTER (WHERE {condition.sql})" for condition in self.indexes)
        sql = f"SELECT {columns} FROM {self.table} WHERE key IN (SELECT value FROM json_each(?))"
        increments = self.connection.execute(sql, (*self.parameters, keys)).fetchone()
        self.counts = [count + increment for count, increment in zip(self.counts, increments, strict=True)]

    def on_update(self, matches_before: Sequence[Any], matches_after: Sequence[Any]) -> None:
        """Replace a record's matches before a write by those after it; () if the record does not exist."""
        for sign, matches in ((-1, matches_before), (1, matches_after)):
            for index, is_match in enumerate(matches):
                if is_match:
                    self.counts[index] += sign
