"""Relations between the results of two requests to a list.

Order, included properties and page size do not change which records a list contains, nor how many.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.checks.support.listing import Row
from conformance.model.queries import iter_pairs
from spec.model import Operation, Parameter

SELECTION_ROLES = ("include", "count", "show", "sort", "direction")  # that do not change which records are listed

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RowSet:
    """The keys of all rows of one list request.

    `write_count`: number of writes of the run before it. `conditions`: query pairs that decide which records are
    listed. `selection`: the other ones.
    """

    operation_id: str
    write_count: int
    conditions: Pairs
    selection: Pairs
    keys: tuple[str, ...]

    @property
    def query(self) -> Pairs:
        """All query pairs."""
        return (*self.conditions, *self.selection)


@dataclass(slots=True)
class RowSets:
    """The row sets since the last write; only the one with the fewest parameters for each set of conditions."""

    sets: dict[tuple[str, Pairs], RowSet] = field(default_factory=dict)

    def add(self, row_set: RowSet) -> None:
        """Keep a row set to compare others with it."""
        known = self.find_other(row_set)
        if known is None or len(row_set.selection) <= len(known.selection):
            self.sets[row_set.operation_id, row_set.conditions] = row_set

    def find_other(self, row_set: RowSet) -> RowSet | None:
        """Return a row set of the same conditions and the same state; None if there is none."""
        known = self.sets.get((row_set.operation_id, row_set.conditions))
        return known if known is not None and known.write_count == row_set.write_count else None


def build_row_set(
    operation: Operation, query: Mapping[str, Any], write_count: int, rows: list[Row], key: str
) -> RowSet:
    """Build the row set of a complete list."""
    roles = {p.name: p.x_query.role for p in operation.query_parameters if p.x_query}
    pairs = sorted(iter_pairs(operation, query))
    selection = tuple(pair for pair in pairs if roles.get(pair[0]) in SELECTION_ROLES)
    conditions = tuple(pair for pair in pairs if pair not in selection)
    return RowSet(operation.id, write_count, conditions, selection, tuple(sorted(str(row.get(key)) for row in rows)))


def select_cause(operation: Operation, row_set: RowSet, other: RowSet) -> Parameter | None:
    """Return the parameter to which a difference is attributed: the first one that only one request has."""
    names = {name for name, _ in set(row_set.selection) ^ set(other.selection)}
    causes = [p for p in operation.query_parameters if p.name in names and p.x_query]
    return min(causes, key=lambda p: SELECTION_ROLES.index(p.x_query.role if p.x_query else "")) if causes else None


def describe_difference(row_set: RowSet, other: RowSet) -> str:
    """Describe how the rows differ from those of another request."""
    for key in dict.fromkeys((*other.keys, *row_set.keys)):
        count, expected = row_set.keys.count(key), other.keys.count(key)
        if count != expected:
            return f"got {key} {count} times, expected {expected} times as in"
    return ""
