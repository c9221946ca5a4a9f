"""Relations between the results of two requests to a list.

Order, included properties and page size do not change which records a list contains, nor how many.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.checks.support.listing import Row
from conformance.model.queries import iter_pairs
from spec.model import Operation, Parameter

PRESENTATION_ROLES = ("include", "count", "show", "sort", "direction")  # do not change which records are listed

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RowSet:
    """The keys of all rows of one list request.

    `write_count`: number of writes of the run before the request. `conditions`: query pairs that select the records.
    `presentation`: query pairs that affect only the order and the properties of the rows.
    """

    operation_id: str
    write_count: int
    conditions: Pairs
    presentation: Pairs
    keys: tuple[str, ...]

    @property
    def query(self) -> Pairs:
        """Return all query pairs."""
        return (*self.conditions, *self.presentation)


@dataclass(slots=True)
class RowSets:
    """The row sets of a run: for each operation and its conditions, the one with the fewest parameters."""

    sets: dict[tuple[str, Pairs], RowSet] = field(default_factory=dict)

    def add(self, row_set: RowSet) -> None:
        """Store a row set for later comparison, unless a simpler one of the same state is stored."""
        stored = self.find_other(row_set)
        if stored is None or len(row_set.presentation) <= len(stored.presentation):
            self.sets[row_set.operation_id, row_set.conditions] = row_set

    def find_other(self, row_set: RowSet) -> RowSet | None:
        """Return a stored row set with the same conditions and no write since; None if there is none."""
        stored = self.sets.get((row_set.operation_id, row_set.conditions))
        return stored if stored is not None and stored.write_count == row_set.write_count else None

    def find_disjoint(self, row_set: RowSet, single_valued: Collection[str]) -> tuple[RowSet, str] | None:
        """Return a stored row set with a common row that must have none, and the parameter whose value differs.

        `single_valued`: names of the filters by one value, which no record matches for two different values.
        """
        for stored in self.sets.values():
            if (stored.operation_id, stored.write_count) != (row_set.operation_id, row_set.write_count):
                continue
            name = _find_other_value(stored.conditions, row_set.conditions)
            if name in single_valued and set(stored.keys) & set(row_set.keys):
                return stored, name
        return None


def _find_other_value(first: Pairs, second: Pairs) -> str:
    """Return the parameter that both conditions have once, with two values, if all others are equal; "" if none."""
    names = [name for name, _ in first]
    differing = [(name, value) for name, value in first if (name, value) not in second]
    is_same = names == [name for name, _ in second] and len(differing) == 1
    return differing[0][0] if is_same and names.count(differing[0][0]) == 1 else ""


def build_row_set(
    operation: Operation, query: Mapping[str, Any], write_count: int, rows: list[Row], key: str
) -> RowSet:
    """Build the row set of a complete list. `key`: name of the key attribute."""
    roles = {p.name: p.x_query.role for p in operation.query_parameters if p.x_query}
    pairs = sorted(iter_pairs(operation, query))
    presentation = tuple(pair for pair in pairs if roles.get(pair[0]) in PRESENTATION_ROLES)
    conditions = tuple(pair for pair in pairs if pair not in presentation)
    return RowSet(operation.id, write_count, conditions, presentation, tuple(sorted(str(row.get(key)) for row in rows)))


def find_cause(operation: Operation, row_set: RowSet, other: RowSet) -> Parameter | None:
    """Return the parameter that probably causes a difference: the first one by role that only one request has."""
    names = {name for name, _ in set(row_set.presentation) ^ set(other.presentation)}
    causes = [p for p in operation.query_parameters if p.name in names and p.x_query]
    return min(causes, key=lambda p: PRESENTATION_ROLES.index(p.x_query.role if p.x_query else "")) if causes else None


def describe_difference(row_set: RowSet, other: RowSet) -> str:
    """Describe the first key whose number of rows differs; the caller appends the other request. "" if none differs."""
    for key in dict.fromkeys((*other.keys, *row_set.keys)):
        count, expected = row_set.keys.count(key), other.keys.count(key)
        if count != expected:
            return f"got {key} {count} times, expected {expected} times as in"
    return ""
