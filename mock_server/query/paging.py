"""List queries: a validated query as SQL conditions and order, and the pages of its result.

Only records that the viewer may see are counted and returned. No table is scanned in Python.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any

from mock_server.query import filters, visibility
from mock_server.query.cursors import decode_cursor
from mock_server.query.filters import QueryArgument
from mock_server.query.visibility import Viewer
from mock_server.store import Store, StoredRecord
from mock_server.store.expressions import SqlExpression, all_of
from spec.extensions import split_sort_name
from spec.model import Resource
from spec.property_paths import resolve_count, resolve_include

DEFAULT_PAGE_SIZE = 100  # if the contract defines no size
# Search candidates are listed in the condition if they are at most CANDIDATE_LIMIT, and few enough that scanning the
# table in the order of the list would not find a page of TYPICAL_PAGE_SIZE matches sooner.
CANDIDATE_LIMIT = 2_000
TYPICAL_PAGE_SIZE = 20
# Counting candidates is faster than counting in the complete table up to this fraction of its records.
COUNT_CANDIDATE_DIVISOR = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A list query as SQL; valid until an access grant is written.

    `read_resources`: the resources that decide which records are listed, and in which order. `search_arguments`: all
    arguments if there is a search, which the search index can speed up. `reverse_order`: the order from the end; both
    orders have `order_parameters`. `offset`: number of rows before the page.
    """

    resource: Resource
    condition: SqlExpression
    read_resources: tuple[str, ...]
    search_arguments: tuple[QueryArgument, ...]
    order: str
    reverse_order: str
    order_parameters: tuple[Any, ...]
    offset: int
    page_size: int


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of a list. `total`: the number of records on all pages."""

    rows: list[StoredRecord]
    total: int


@dataclass(frozen=True, slots=True)
class Query:
    """Queries of one viewer to one store."""

    store: Store
    viewer: Viewer | None

    def build_visibility_condition(self, resource: Resource) -> SqlExpression:
        """Build the condition that the viewer may see a record, see `visibility`."""
        memo_key, grants = ("visible", resource.name, self.viewer), self.store.contract.access_grant_resources
        build = partial(visibility.build_visibility_condition, self.store, self.viewer, resource)
        return self.store.memoize(memo_key, grants, build)

    def build_visibility_condition_by_name(self, resource_name: str) -> SqlExpression:
        return self.build_visibility_condition(self.store.contract.resources[resource_name])

    def build_expression(self, resource: Resource, name: str) -> SqlExpression:
        """Build the expression of an attribute, or of a count, sum or max of the records that the viewer may see."""
        return self.store.build_expression(resource.name, name, self.build_visibility_condition_by_name)

    def build_visible_condition(
        self, resource: Resource, arguments: Iterable[QueryArgument], max_candidates: int = 0
    ) -> SqlExpression:
        """Build the condition of all filters and searches, and of visibility, see `filters.build_condition`."""
        restrict = self.build_visibility_condition_by_name
        condition = filters.build_condition(self.store, resource, arguments, max_candidates, restrict)
        return all_of((condition, self.build_visibility_condition(resource)))

    def create_list_query(self, resource: Resource, arguments: Iterable[QueryArgument]) -> ListQuery:
        all_arguments = tuple(arguments)
        values: dict[str, Any] = {
            item.x_query.role: item.value for item in all_arguments if item.x_query.role != "filter"
        }
        sort, is_descending = _parse_order(values)
        page_size = int(values.get("size", DEFAULT_PAGE_SIZE))
        condition = self.build_visible_condition(resource, all_arguments)
        sort_key, grants = self._build_sort_key(resource, sort), self.store.contract.access_grant_resources
        return ListQuery(
            resource=resource,
            condition=condition,
            read_resources=(resource.name, *condition.resources, *sort_key.resources, *grants),
            search_arguments=all_arguments if "search" in values else (),
            order=f"{sort_key.sql} {'DESC' if is_descending else 'ASC'}, key",
            reverse_order=f"{sort_key.sql} {'ASC' if is_descending else 'DESC'}, key DESC",
            order_parameters=sort_key.parameters,
            offset=_parse_offset(values, page_size),
            page_size=page_size,
        )

    def _build_sort_key(self, resource: Resource, sort: str | None) -> SqlExpression:
        """Build the expression by which a list is sorted: the property `sort`, or else the creation time.

        SQLite orders null before all other values: first in ascending order, last in descending order.
        """
        created = resource.attributes_with_stamp("created")
        name = sort or next(iter(created), None)
        return SqlExpression("n") if name is None else self.build_expression(resource, name)

    def fetch_page(self, query: ListQuery) -> ResultPage:
        """Return one page of the records that match a list query."""
        name, size = query.resource.name, query.page_size
        total = self._count_total(query)
        rows_before = query.offset
        row_count = max(0, min(size, total - rows_before))
        rows_after = total - rows_before - row_count
        # SQLite steps over all rows before a page: start from the end for pages of the second half.
        is_reversed = rows_after < rows_before
        rows: list[StoredRecord] = []
        if row_count:
            max_candidates = isqrt(TYPICAL_PAGE_SIZE * (self.store.next_number(name) - 1))
            condition = self._narrow_condition(query, min(CANDIDATE_LIMIT, max_candidates))
            order, offset = (query.reverse_order, rows_after) if is_reversed else (query.order, rows_before)
            limit = f"LIMIT {row_count} OFFSET {offset}"
            rows = self.store.select(name, condition, order, limit, query.order_parameters)
        return ResultPage(rows[::-1] if is_reversed else rows, total)

    def _count_total(self, query: ListQuery) -> int:
        name = query.resource.name
        max_candidates = max(CANDIDATE_LIMIT, (self.store.next_number(name) - 1) // COUNT_CANDIDATE_DIVISOR)
        return self.store.count(name, query.condition, partial(self._narrow_condition, query, max_candidates))

    def _narrow_condition(self, query: ListQuery, max_candidates: int) -> SqlExpression:
        """Return an equivalent condition that lists the search candidates, if any; valid until the next write."""
        if not query.search_arguments:
            return query.condition
        return self.build_visible_condition(query.resource, query.search_arguments, max_candidates)

    def parse_includes(
        self, resource: Resource, arguments: Iterable[QueryArgument]
    ) -> tuple[list[tuple[str, ...]] | None, frozenset[str]]:
        """Return (relation paths to embed, or None for the default; optional properties to include)."""
        include_paths: list[tuple[str, ...]] | None = None
        property_names: set[str] = set()
        for argument in arguments:
            role, value = argument.x_query.role, argument.value
            names = value if isinstance(value, list) else str(value).split(",")
            if role == "include" and value:
                include_paths = [resolve_include(self.store.contract, resource, name, "") for name in names]
            elif role == "count":
                property_names |= {resolve_count(resource, name, "") for name in names}
            elif role == "show" and value:
                property_names.add(argument.x_query.paths[0][0])
        return include_paths, frozenset(property_names)


def _parse_order(values: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the property to sort by, and whether the order is descending; a sign decides before the direction."""
    if values.get("sort") is None:
        return None, values.get("direction", "desc") == "desc"
    name, has_sign = split_sort_name(values["sort"])
    return name, has_sign or values.get("direction") == "desc"


def _parse_offset(values: Mapping[str, Any], page_size: int) -> int:
    """Return the number of rows before the requested page: by offset, cursor or page number."""
    if "offset" in values:
        return int(values["offset"])
    if "cursor" in values:
        return decode_cursor(str(values["cursor"]))
    return (int(values.get("page", 1)) - 1) * page_size
