"""Lists: filter conditions, pages, and Laravel's `meta` and `links`."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import request

from tests.reference_backend.access import fetch_all, fetch_one
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.request_data import Kind, query
from tests.reference_backend.serializers import Json, Tree, tree
from tests.reference_backend.validation import Rule, array, choice, number, string

DEFAULT_PAGE_SIZE = 20
LIST_PARAMETERS: Mapping[str, Kind] = {
    "page": "integer",
    "per_page": "integer",
    "sort_by": "text",
    "sort_direction": "text",
    "search": "text",
    "with": "words",
}


@dataclass(slots=True)
class SqlListing:
    """A list request. `params`: query parameters. `visible`: condition of the caller's rows. `conditions`: filters."""

    table: str
    params: Mapping[str, Any]
    visible: str
    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def where(self, name: str, condition: str) -> None:
        """Filter by a query parameter, if present; the condition uses its name."""
        if name in self.params:
            self.conditions.append(condition)
            self.parameters[name] = self.params[name]

    def where_in(self, name: str, column: str) -> None:
        """Filter by a query parameter with several values, if present."""
        if name not in self.params:
            return
        values = self.params[name][:1] if is_enabled("first-of-many-only") and name == "user_ids" else self.params[name]
        marks = [f"{name}_{index}" for index in range(len(values))]
        self.conditions.append(f"{column} IN ({', '.join(':' + mark for mark in marks)})")
        self.parameters |= dict(zip(marks, values, strict=True))

    def search(self, *columns: str) -> None:
        """Filter by a search term in any column, ignoring case like MySQL's LIKE.

        SQLite's LIKE ignores case for ASCII only and stops at NUL.
        """
        if "search" not in self.params:
            return
        words = self.params["search"]
        if is_enabled("search-put-into-the-sql") and self.table == "agents":
            self.conditions.append(f"({' OR '.join(f'{c} LIKE {chr(39)}%{words}%{chr(39)}' for c in columns)})")
            return
        if is_enabled("search-in-first-column-only"):
            columns = columns[:1]
        place = "= 1" if is_enabled("search-from-the-start-only") else "> 0"
        terms = " OR ".join(f"instr(fold({column}), fold(:search)) {place}" for column in columns)
        loose = is_enabled("search-or-without-brackets") and self.table == "agents"
        self.conditions.append(terms if loose else f"({terms})")
        self.parameters["search"] = words

    @property
    def condition(self) -> str:
        """The complete condition, limited to the caller's rows."""
        operator = " OR " if is_enabled("filters-joined-by-or") and self.table == "threads" else " AND "
        filters = operator.join(self.conditions)
        if operator == " OR " and filters:
            filters = f"({filters})"
        return f"{self.visible} AND {filters}" if filters else self.visible


def read(
    kinds: Mapping[str, Kind], rules: Mapping[str, Rule], sorts: tuple[str, ...], relations: Rule
) -> dict[str, Any]:
    """Read the query of a list: the common parameters and its own."""
    least = -1 if is_enabled("page-zero-is-taken") else 1
    return query(
        {**LIST_PARAMETERS, **kinds},
        {
            "page": number(least, 2147483647, is_integer=True),
            "per_page": number(1, 100, is_integer=True),
            "sort_by": choice(*sorts),
            "sort_direction": choice("asc", "desc"),
            "search": string(0, 255),
            "with": array(relations, 20),
            **rules,
        },
    )


def select_relations(params: Mapping[str, Any], default: Tree) -> Tree:
    """The requested relations, or the default ones."""
    words = params.get("with")
    if words is None:
        return default
    if is_enabled("nested-relation-forgotten"):
        words = [word.partition(".")[0] for word in words]
    return tree(words)


def paginate(listing: SqlListing, show: Callable[[sqlite3.Row], Json], sorts: Mapping[str, str]) -> Json:
    """Build one page. `sorts`: SQL for values of sort_by that are not column names."""
    params, table = listing.params, listing.table
    size = (
        DEFAULT_PAGE_SIZE
        if is_enabled("page-size-is-fixed") and table == "agents"
        else params.get("per_page", DEFAULT_PAGE_SIZE)
    )
    number = params.get("page", 1)
    count_condition = (
        listing.visible if is_enabled("total-before-filter") and table == "messages" else listing.condition
    )
    total = _total(f"SELECT COUNT(*) AS total FROM {_from_clause(table)} WHERE {count_condition}", listing.parameters)
    page_rows = fetch_all(
        f"SELECT {table}.* FROM {_from_clause(table)} WHERE {listing.condition} ORDER BY {_order(listing, sorts)} "
        "LIMIT :limit OFFSET :offset",
        **listing.parameters,
        limit=size + 1 if is_enabled("limit-plus-one") and table == "threads" else size,
        offset=_offset(number, size, table),
    )
    serialized = [show(row) for row in page_rows]
    last = max(1, total // size if is_enabled("last-page-rounded-down") else -(-total // size))
    return {"data": serialized, **_pagination(number, size, total, last, len(serialized))}


def _from_clause(table: str) -> str:
    if is_enabled("inner-join-loses-rows") and table == "threads":
        return "threads JOIN agents ON agents.id = threads.agent_id"
    return table


def _total(sql: str, parameters: Mapping[str, Any]) -> int:
    row = fetch_one(sql, **parameters)
    return int(row["total"]) if row is not None else 0


def _offset(number: int, size: int, table: str) -> int:
    if is_enabled("offset-off-by-one") and table == "messages" and number > 1:
        return (number - 1) * size - 1
    return max(0, (number - 1) * size)


def _order(listing: SqlListing, sorts: Mapping[str, str]) -> str:
    """The ORDER BY terms: newest first by default, with the id as tie-breaker."""
    table, by = listing.table, listing.params.get("sort_by")
    if by is None:
        direction = "ASC" if is_enabled("oldest-first") and table == "threads" else "DESC"
        tie_breaker = (
            "random()" if is_enabled("ties-in-any-order") and table == "messages" else f"{table}.id {direction}"
        )
        return f"{table}.created_at {direction}, {tie_breaker}"
    direction = "DESC" if listing.params.get("sort_direction") == "desc" else "ASC"
    if is_enabled("direction-ignored-for-a-column") and by == "updated_at" and table == "threads":
        direction = "ASC"
    column = sorts.get(by, f"{table}.{by}")
    if is_enabled("sorts-by-another-column") and by == "updated_at" and table == "agents":
        column = "agents.id"
    return f"{column} {direction}, {table}.id {direction}"


def _pagination(number: int, size: int, total: int, last: int, count: int) -> Json:
    first = (number - 1) * size + 1
    return {
        "meta": {
            "current_page": number,
            "from": first if count else None,
            "last_page": last,
            "per_page": size,
            "to": first + count - 1 if count else None,
            "total": total,
            "path": request.base_url,
        },
        "links": {
            "first": _url(1),
            "last": _url(last),
            "prev": _url(number - 1) if number > 1 else None,
            "next": _url(number + 1) if number < last else None,
        },
    }


def _url(number: int) -> str:
    """The URL of another page."""
    parameters = [(name, value) for name, value in request.args.items(multi=True) if name != "page"]
    if is_enabled("page-links-lose-the-query"):
        parameters = []
    return f"{request.base_url}?{urlencode([*parameters, ('page', str(number))])}"
