"""Filter parameters of lists: the rows that have the filtered property, and the values to filter by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.listing import Listing, QueryPairs, Row
from conformance.checks.support.values import get_values_at, loosely_equal, parse_utc_date
from conformance.model.queries import evaluate_condition, iter_pairs, read_row
from spec.extensions import QueryExtension
from spec.model import Parameter

MAX_RETRIEVED_ROWS = 3  # rows that are retrieved if the list does not contain the filtered property


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter parameter of a list."""

    listing: Listing
    parameter: Parameter
    x_query: QueryExtension

    @property
    def accepts_many(self) -> bool:
        """Whether it accepts several values, of which a row matches at least one."""
        return self.parameter.schema.get("type") == "array"

    def find_values(self, rows: list[Row]) -> list[Any]:
        """Return the different values to filter by, as the parameter accepts them."""
        if self.x_query.operator == "exists":
            return [True, False]
        values = [value for row in rows for value in self._extract_values(row) or ()]
        if self.x_query.operator in ("from", "to") and self.parameter.schema.get("format") == "date":
            values = [str(date) for value in values if (date := parse_utc_date(value))]
        return _deduplicate(value for value in values if isinstance(value, (str, int, float)))

    def count_matches(self, value: Any, rows: list[Row]) -> int:
        """Return the number of rows that match a value."""
        return sum(evaluate_condition(self.parameter, value, read_row(row)) is True for row in rows)

    def build_query(self, value: Any) -> QueryPairs:
        """Build the query for a value or several: repeated or comma-separated, as the contract specifies."""
        return tuple(iter_pairs(self.listing.operation, {self.parameter.name: value}))

    def load_rows(self, rows: list[Row]) -> list[Row]:
        """Return the rows with the filtered property.

        If a list omits the property, a few of its records are retrieved instead. A hidden property is in no response:
        the rows are returned as they are.
        """
        if self._is_hidden() or any(self._extract_values(row) is not None for row in rows):
            return rows
        session, resource = self.listing.session, self.listing.resource.name
        retrieved: list[Row] = []
        for key in self.listing.get_keys(rows)[:MAX_RETRIEVED_ROWS]:
            exchange = session.client.retrieve(resource, key)
            row = session.operations.data(session.operations.require(resource, "retrieve"), exchange)
            if exchange.response.ok and isinstance(row, dict):
                retrieved.append(row)
        return retrieved

    def _extract_values(self, row: Row) -> list[Any] | None:
        """Return the values of the filtered property in a row; None if the row does not have it."""
        path = self.x_query.paths[0][:1] if self.x_query.operator == "exists" else self.x_query.paths[0]
        values = get_values_at(row, path)
        if values is None:
            return None
        return [item for value in values for item in (value if isinstance(value, list) else [value])]

    def _is_hidden(self) -> bool:
        """Return whether no response contains the filtered property."""
        name, resource = self.x_query.paths[0][0], self.listing.resource
        definition = resource.attributes.get(name) or resource.relations.get(name)
        return definition is not None and definition.write_only


def _deduplicate(values: Iterable[Any]) -> list[Any]:
    """Return the values that are not blank and not loosely equal to an earlier one."""
    distinct: list[Any] = []
    for value in values:
        if value != "" and not any(loosely_equal(value, other) for other in distinct):
            distinct.append(value)
    return distinct


def find_filters(case: Case) -> Iterator[Filter]:
    """Yield the filters of a list, scoped to a query that embeds the filtered relation if the rows need one."""
    listing = Listing(case.session, case.operation)
    include = listing.find_parameter("include")
    include_values = include.schema.get("items", include.schema).get("enum", ()) if include else ()
    for parameter in listing.iter_filters():
        if not parameter.x_query:
            continue
        path = parameter.x_query.paths[0]
        relation, include_path = listing.resource.relations.get(path[0]), ".".join(path[:-1]) or path[0]
        needs_include = relation is not None and (not relation.is_embedded or len(path) > 2)
        scope: QueryPairs = ()
        if include and needs_include and include_path in include_values:
            scope = ((include.name, include_path),)
        yield Filter(Listing(case.session, case.operation, scope), parameter, parameter.x_query)
