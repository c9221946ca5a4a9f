"""Lists: conditions gathered one by one, a page of what is left, and Laravel's `meta` and `links` about it."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import request

from tests.reference_backend.access import one, rows
from tests.reference_backend.asked import Kind, query
from tests.reference_backend.bugs import planted
from tests.reference_backend.presenting import Shown, Tree, tree
from tests.reference_backend.validation import Rule, array, choice, number, string

SIZE = 20
PAGED: Mapping[str, Kind] = {
    "page": "integer",
    "per_page": "integer",
    "sort_by": "text",
    "sort_direction": "text",
    "search": "text",
    "with": "words",
}


@dataclass(slots=True)
class Listing:
    """A list that is being asked for: its table, the conditions so far with their parameters, and what was asked."""

    table: str
    asked: Mapping[str, Any]
    seen: str
    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def where(self, name: str, condition: str) -> None:
        """Narrow by a parameter where it was given; the condition knows it by its name."""
        if name in self.asked:
            self.conditions.append(condition)
            self.parameters[name] = self.asked[name]

    def among(self, name: str, column: str) -> None:
        """Narrow to any of the values of a parameter where it was given."""
        if name not in self.asked:
            return
        values = self.asked[name][:1] if planted("first-of-many-only") and name == "user_ids" else self.asked[name]
        marks = [f"{name}_{index}" for index in range(len(values))]
        self.conditions.append(f"{column} IN ({', '.join(':' + mark for mark in marks)})")
        self.parameters |= dict(zip(marks, values, strict=True))

    def search(self, *columns: str) -> None:
        """Narrow to rows that hold the searched words in a column, as MySQL's LIKE: upper and lower case alike.

        SQLite's own LIKE folds ASCII alone and ends at a NUL.
        """
        if "search" not in self.asked:
            return
        words = self.asked["search"]
        if planted("search-put-into-the-sql") and self.table == "agents":
            self.conditions.append(f"({' OR '.join(f'{c} LIKE {chr(39)}%{words}%{chr(39)}' for c in columns)})")
            return
        if planted("search-in-first-column-only"):
            columns = columns[:1]
        place = "= 1" if planted("search-from-the-start-only") else "> 0"
        found = " OR ".join(f"instr(fold({column}), fold(:search)) {place}" for column in columns)
        loose = planted("search-or-without-brackets") and self.table == "agents"
        self.conditions.append(found if loose else f"({found})")
        self.parameters["search"] = words

    @property
    def condition(self) -> str:
        """All conditions as one, one's own rows alone."""
        joint = " OR " if planted("filters-joined-by-or") and self.table == "threads" else " AND "
        narrowed = joint.join(self.conditions)
        if joint == " OR " and narrowed:
            narrowed = f"({narrowed})"
        return f"{self.seen} AND {narrowed}" if narrowed else self.seen


def read(
    kinds: Mapping[str, Kind], rules: Mapping[str, Rule], sorts: tuple[str, ...], relations: Rule
) -> dict[str, Any]:
    """The query of a list: the words that every list has, and its own."""
    least = -1 if planted("page-zero-is-taken") else 1
    return query(
        {**PAGED, **kinds},
        {
            "page": number(least, 2147483647, whole=True),
            "per_page": number(1, 100, whole=True),
            "sort_by": choice(*sorts),
            "sort_direction": choice("asc", "desc"),
            "search": string(0, 255),
            "with": array(relations, 20),
            **rules,
        },
    )


def embedded(asked: Mapping[str, Any], default: Tree) -> Tree:
    """The relations that were asked for, or else those that are embedded anyhow."""
    words = asked.get("with")
    if words is None:
        return default
    if planted("nested-relation-forgotten"):
        words = [word.partition(".")[0] for word in words]
    return tree(words)


def paginated(listing: Listing, show: Callable[[sqlite3.Row], Shown], sorts: Mapping[str, str]) -> Shown:
    """One page. `sorts`: what a value of sort_by orders by, where that is no column of its name."""
    asked, table = listing.asked, listing.table
    size = SIZE if planted("page-size-is-fixed") and table == "agents" else asked.get("per_page", SIZE)
    number = asked.get("page", 1)
    counted = listing.seen if planted("total-before-filter") and table == "messages" else listing.condition
    total = _total(f"SELECT COUNT(*) AS total FROM {_joined(table)} WHERE {counted}", listing.parameters)
    found = rows(
        f"SELECT {table}.* FROM {_joined(table)} WHERE {listing.condition} ORDER BY {_order(listing, sorts)} "
        "LIMIT :limit OFFSET :offset",
        **listing.parameters,
        limit=size + 1 if planted("limit-plus-one") and table == "threads" else size,
        offset=_offset(number, size, table),
    )
    shown = [show(row) for row in found]
    last = max(1, total // size if planted("last-page-rounded-down") else -(-total // size))
    return {"data": shown, **_frame(number, size, total, last, len(shown))}


def _joined(table: str) -> str:
    if planted("inner-join-loses-rows") and table == "threads":
        return "threads JOIN agents ON agents.id = threads.agent_id"
    return table


def _total(sql: str, parameters: Mapping[str, Any]) -> int:
    row = one(sql, **parameters)
    return int(row["total"]) if row is not None else 0


def _offset(number: int, size: int, table: str) -> int:
    if planted("offset-off-by-one") and table == "messages" and number > 1:
        return (number - 1) * size - 1
    return max(0, (number - 1) * size)


def _order(listing: Listing, sorts: Mapping[str, str]) -> str:
    """Newest first; by what was asked for, ascending; the id where that says nothing."""
    table, by = listing.table, listing.asked.get("sort_by")
    if by is None:
        way = "ASC" if planted("oldest-first") and table == "threads" else "DESC"
        tie = "random()" if planted("ties-in-any-order") and table == "messages" else f"{table}.id {way}"
        return f"{table}.created_at {way}, {tie}"
    way = "DESC" if listing.asked.get("sort_direction") == "desc" else "ASC"
    if planted("direction-ignored-for-a-column") and by == "updated_at" and table == "threads":
        way = "ASC"
    column = sorts.get(by, f"{table}.{by}")
    if planted("sorts-by-another-column") and by == "updated_at" and table == "agents":
        column = "agents.id"
    return f"{column} {way}, {table}.id {way}"


def _frame(number: int, size: int, total: int, last: int, count: int) -> Shown:
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
    """The same list at another page."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "page"]
    if planted("page-links-lose-the-query"):
        kept = []
    return f"{request.base_url}?{urlencode([*kept, ('page', str(number))])}"
