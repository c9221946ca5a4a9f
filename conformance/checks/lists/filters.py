"""Filter parameters of lists: the values to send, the query, and which rows match."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.listing import Listing, ListPage, QueryPairs, Row
from conformance.checks.support.tenancy import build_unmatched_value
from conformance.checks.support.values import (
    format_query_value,
    get_values_at,
    loosely_equal,
    parse_utc_date,
    parse_zoned_datetime,
)
from conformance.errors import SkipCheck, not_testable
from spec.extensions import QueryExtension
from spec.model import Parameter

MAX_FILTER_VALUES = 2  # values of one filter that are tested
MAX_RETRIEVED_ROWS = 3  # rows that are retrieved if the list does not contain the filtered property


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter parameter of a list."""

    listing: Listing
    parameter: Parameter
    x_query: QueryExtension

    @property
    def path(self) -> tuple[str, ...]:
        """Path of the filtered property in a row."""
        return self.x_query.paths[0]

    @property
    def dotted_path(self) -> str:
        """The path for messages."""
        return ".".join(self.path)

    @property
    def accepts_many(self) -> bool:
        """Whether it accepts several values, of which a row matches at least one."""
        return self.parameter.schema.get("type") == "array"

    def extract_values(self, row: Row) -> list[Any] | None:
        """Return the values of the filtered property in a row; None if the row does not have it."""
        if self.x_query.operator == "exists":
            return None if self.path[0] not in row else [row[self.path[0]] not in (None, [])]
        values = get_values_at(row, self.path)
        if values is None:
            return None
        return [item for value in values for item in (value if isinstance(value, list) else [value])]

    def matches(self, values: list[Any], expected: list[Any]) -> bool:
        """Return whether the values of a row match the requested values."""
        if self.x_query.operator in ("from", "to"):
            return any(self._is_in_range(value, expected[0]) for value in values)
        return any(loosely_equal(value, candidate) for value in values for candidate in expected)

    def _is_in_range(self, value: Any, bound: Any) -> bool:
        low, high = (bound, value) if self.x_query.operator == "from" else (value, bound)
        if parse_utc_date(bound) is None:
            return bool(low <= high) if type(low) is type(high) else True
        if len(str(bound)) == 10:
            low_date, high_date = parse_utc_date(low), parse_utc_date(high)
            return low_date is not None and high_date is not None and low_date <= high_date
        low_instant, high_instant = parse_zoned_datetime(low), parse_zoned_datetime(high)
        return low_instant is not None and high_instant is not None and low_instant <= high_instant

    def row_matches(self, row: Row, expected: list[Any]) -> bool | None:
        """Return whether a row matches the requested values; None if it does not have the filtered property."""
        values = self.extract_values(row)
        return None if values is None else self.matches(values, expected)

    def build_query(self, values: list[Any]) -> QueryPairs:
        """Build the query for values: repeated or comma-separated, as the contract specifies."""
        if self.accepts_many and not self.parameter.explode:
            return ((self.parameter.name, ",".join(map(format_query_value, values))),)
        return tuple((self.parameter.name, format_query_value(value)) for value in values)

    def fetch(self, values: list[Any]) -> ListPage:
        """Fetch the first page of the list filtered by values."""
        return self.listing.fetch_largest(*self.build_query(values))

    def select_values(self, rows: list[Row]) -> list[list[Any]]:
        """Select values that some rows have and others do not, the rarest first. Raises SkipCheck."""
        if self.x_query.operator == "exists":
            return [[True], [False]]
        row_values = [values for row in rows if (values := self.extract_values(row)) is not None]
        if not row_values:
            raise SkipCheck(not_testable(f"the rows have no {self.dotted_path}"))
        scalars = (value for values in row_values for value in values if isinstance(value, (str, int, float)))
        distinct = deduplicate(scalars)
        if self.x_query.operator in ("from", "to"):
            return self._select_bounds(distinct)
        distinct.sort(key=lambda value: sum(self.matches(values, [value]) for values in row_values))
        for value in (*self._get_enum_values(), *self._fetch_reference_keys()):
            if not any(loosely_equal(value, other) for other in distinct):
                distinct.append(value)
        discriminating = [v for v in distinct if not all(self.matches(values, [v]) for values in row_values)]
        if not discriminating and distinct:
            return [[build_unmatched_value(distinct[0])], distinct[:1]]
        if not discriminating:
            raise SkipCheck("the rows have no value")
        selections = [[value] for value in discriminating[:MAX_FILTER_VALUES]]
        return [discriminating[:2], *selections] if self.accepts_many and len(discriminating) > 2 else selections

    def _select_bounds(self, values: list[Any]) -> list[list[Any]]:
        dates = sorted({str(d) for v in values if (d := parse_utc_date(v))})
        if self.parameter.schema.get("format") != "date" or len(dates) < 2:
            raise SkipCheck("the rows have fewer than two dates")
        return [[dates[len(dates) // 2] if self.x_query.operator == "from" else dates[(len(dates) - 1) // 2]]]

    def _fetch_reference_keys(self) -> list[Any]:
        """Return keys of the referenced resource, because all rows may reference the same record."""
        session, relation = self.listing.session, self.listing.resource.relations.get(self.path[0])
        if relation is None or len(self.path) != 2:
            return []
        key = session.contract.resources[relation.targets[0]].key_attribute
        operation = session.operation(relation.targets[0], "list")
        if self.path[1] != key or operation is None:
            return []
        return [row[key] for row in Listing(session, operation).fetch().rows if key in row]

    def _get_enum_values(self) -> list[Any]:
        schema = self.parameter.schema.get("items", self.parameter.schema)
        if schema.get("type") == "boolean":
            return [True, False]
        return [value for value in schema.get("enum", ()) if value not in (None, "")]

    def load_rows(self, rows: list[Row]) -> list[Row]:
        """Return the rows with the filtered property.

        If a list omits the property, a few of its records are retrieved instead. A hidden property is in no response:
        the rows are returned as they are.
        """
        if any(self.extract_values(row) is not None for row in rows) or self.path[0] in self._find_hidden_names():
            return rows
        session, resource = self.listing.session, self.listing.resource.name
        retrieved: list[Row] = []
        for key in self.listing.get_keys(rows)[:MAX_RETRIEVED_ROWS]:
            exchange = session.retrieve(resource, key)
            row = session.data(session.require_operation(resource, "retrieve"), exchange)
            if exchange.response.ok and isinstance(row, dict):
                retrieved.append(row)
        return retrieved

    def _find_hidden_names(self) -> set[str]:
        resource = self.listing.resource
        hidden = {name for name, attribute in resource.attributes.items() if attribute.write_only}
        return hidden | {name for name, relation in resource.relations.items() if relation.write_only}

    def is_hidden(self) -> bool:
        """Return whether no response contains the filtered attribute."""
        return self.x_query.operator == "eq" and len(self.path) == 1 and self.path[0] in self._find_hidden_names()

    def is_visible(self, rows: list[Row]) -> bool:
        """Return whether a row has the filtered property."""
        return self.x_query.operator == "exists" or any(self.extract_values(row) is not None for row in rows)


def deduplicate(values: Iterator[Any]) -> list[Any]:
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
