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
MOST = 32
MOST_PARAMETERS = 100
# New records that are asked of together; some milliseconds.
MOST_JOINING = 500

_Condition = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class Counts:
    """The counts of one table. `joining`: keys of new records that are not counted yet."""

    connection: sqlite3.Connection
    table: str
    kept: dict[_Condition, int] = field(default_factory=dict)
    sql: str = ""
    parameters: tuple[Any, ...] = ()
    joining: list[Any] = field(default_factory=list)

    @staticmethod
    def takes(where: str, parameters: Sequence[Any]) -> bool:
        """Whether a condition reads nothing but its own row, and is no burden to a write."""
        return "SELECT" not in where and len(parameters) <= MOST_PARAMETERS

    def get(self, where: str, parameters: tuple[Any, ...], anew: Callable[[], int]) -> int:
        """How many records fulfil a condition that is taken. `anew` counts them where that is not kept."""
        self.settle()
        found = self.kept.get((where, parameters))
        if found is None:
            found = anew()
            if len(self.kept) >= MOST:
                self.kept.clear()
            self.kept[where, parameters] = found
            self.sql = ""
        return found

    def clear(self) -> None:
        """Count anew when asked next."""
        self.kept.clear()
        self.joining.clear()
        self.sql = ""

    def of(self, key: Any, columns: Iterable[str] | None = None) -> Sequence[Any]:
        """Which of the conditions a record fulfils now: a truth for each, in their order; () when there are none.

        `columns`: those that are to change; () as well when no condition reads any of them.
        """
        if not self.kept:
            return ()
        if not self.sql:
            self.sql = f"SELECT {', '.join(where for where, _ in self.kept)} FROM {self.table} WHERE key = ?"
            self.parameters = tuple(value for _, values in self.kept for value in values)
        if columns is not None and not any(column in self.sql for column in columns):
            return ()
        self.settle()
        found: Sequence[Any] | None = self.connection.execute(self.sql, (*self.parameters, key)).fetchone()
        return found or ()

    def joined(self, key: Any) -> None:
        """A record was added."""
        if self.kept:
            self.joining.append(key)
            if len(self.joining) >= MOST_JOINING:
                self.settle()

    def settle(self) -> None:
        """Count the new records, as they stand now."""
        if not self.joining:
            return
        keys, self.joining = orjson.dumps(self.joining).decode(), []
        counts = ", ".join(f"COUNT(*) FILTER (WHERE {where})" for where, _ in self.kept)
        sql = f"SELECT {counts} FROM {self.table} WHERE key IN (SELECT value FROM json_each(?))"
        values = [value for _, parameters in self.kept for value in parameters]
        found = self.connection.execute(sql, (*values, keys)).fetchone()
        for condition, number in zip(self.kept, found, strict=True):
            self.kept[condition] += number

    def moved(self, before: Sequence[Any], after: Sequence[Any]) -> None:
        """A record that was counted by `before` is now by `after`; () where it was not, or is no longer, there."""
        for sign, truths in ((-1, before), (1, after)):
            for condition, truth in zip(self.kept, truths, strict=False):
                if truth:
                    self.kept[condition] += sign
