"""A backend with the bugs that teams make: projects and tasks, in memory, written from `planner_contract.yaml`.

Each bug of `BUGS` is one mistake in one place. Responses are JSON from an ASGI application.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from html import escape
from pathlib import Path
from random import Random
from struct import pack, unpack
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from starlette.types import Receive, Scope, Send

from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators

TOKENS = frozenset({"demo-token", "other-token"})
Row = dict[str, Any]
BUGS: Mapping[str, str] = {
    # Query parameters are independent
    "total-ignores-filters": "the total counts all rows",
    "total-ignores-search": "the total is counted before the search",
    "sort-drops-nulls": "sorting by a nullable column leaves out the rows without a value",
    "ties-in-any-order": "rows with equal sort keys have another order on each request",
    "order-by-without-key": "each page of a sort with ties has its own order of ties",
    "with-drops-empty-relation": "an inner join of the included relation drops rows without it",
    "with-multiplies-rows": "a join of the included children repeats the parent",
    "with-multiplies-total": "the total counts the joined rows",
    "count-multiplies-rows": "a join for the requested count repeats the parent",
    "count-drops-empty": "an inner join for the requested count drops parents without children",
    "total-is-page-length": "the total is the number of rows on the page",
    "sort-loses-filters": "the query with an order forgets the filters",
    "search-loses-filters": "a search replaces the filters",
    "search-any-word": "a search finds rows with any word of the text",
    "search-zero-ignored": "a search for 0 does nothing",
    "filter-by-deleted-parent": "a filter by a deleted parent finds the children that were deleted with it",
    "page-size-capped": "a page has at most 3 rows",
    "sort-within-page": "the page is cut first, then sorted",
    "filter-within-page": "the page is cut first, then filtered",
    "numbers-sorted-as-text": "numbers are sorted as texts",
    "last-page-for-later": "a page past the end is the last page",
    "sort-by-count-drops-empty": "sorting by a count drops parents without children",
    "total-with-deleted": "the total includes deleted rows",
    "zero-filter-ignored": "a filter by 0 or false does nothing",
    "direction-ignored": "descending order is ascending",
    "nulls-on-each-page": "rows without a sort value are at the start of each page",
    "sort-skips-ties": "the next page starts after the sort value of the last row",
    "page-two-loses-filters": "from the second page on, the filters are lost",
    "page-two-loses-sort": "from the second page on, the order is lost",
    "sort-hides-new": "a sorted list is read from a copy that lacks records without children",
    "include-changes-order": "rows with an included relation are in the order of that relation",
    # Caches
    "list-cached-after-create": "a list is cached until an update or delete",
    "list-cached-after-update": "a list is cached until a create or delete",
    "list-cached-after-delete": "a list is cached until a create or update",
    "query-cached-after-write": "a list with a filter is cached, the plain one is not",
    "total-cached": "the total is cached until a restart",
    "retrieve-cached-after-update": "a retrieve is cached beyond an update",
    "retrieve-cached-after-delete": "a retrieve is cached beyond a delete",
    "retrieve-cached-with-include": "a retrieve with relations is cached beyond an update",
    "parent-copied-into-child": "the parent in a child is as it was when the child was read",
    "child-copied-into-parent": "the children in a parent are as they were when the parent was read",
    "count-cached": "a count is cached when it is first read",
    "count-kept-after-delete": "a counter column is not decreased",
    "count-kept-after-move": "a counter column ignores that a child moved",
    "cached-by-first-caller": "an updated record is cached, and later updates change the copy only",
    "sort-index-stale": "the order of a sorted list is as it was before updates",
    "filter-index-stale": "a filter uses the value that the record had when it was created",
    "search-index-stale": "a search uses the text of the create",
    "sum-cached": "a sum is computed on create only",
    # Partial updates
    "empty-update-resets": "an update with an empty body resets optional fields",
    "null-ignored": "null in an update means not sent",
    "null-is-default": "null in an update means the default",
    "update-resets-absent": "fields that an update does not send get their default",
    "update-clears-relation": "an update without the relation clears it",
    "relation-only-ignored": "an update with a relation only is not saved",
    "relation-null-ignored": "a relation cannot be cleared",
    "relation-update-resets": "an update of the relation resets the other fields",
    "falsy-ignored-in-update": "0, false and empty texts in an update mean not sent",
    "falsy-ignored-in-create": "0, false and empty texts in a create get the default",
    "null-number-is-zero": "null in a number column is stored as 0",
    "null-text-is-empty": "null in a text column is stored as an empty text",
    "update-changes-siblings": "an update changes all rows of the same parent",
    "list-appended": "an update adds to a list",
    "empty-list-ignored": "an empty list in an update means not sent",
    "update-response-only": "an update returns what was sent, and stores it only with a title",
    "move-copies": "moving a child leaves a copy with its old parent",
    "one-field-ignored": "an update does not store one field",
    "unchanged-value-rejected": "a unique value must differ from that of the updated row too",
    "second-update-ignored": "a field can be updated once",
    # Values
    "default-missing": "an omitted field is null or empty, not its default",
    "wrong-default": "an omitted field has another default",
    "decimal-truncated": "decimals are stored as integers",
    "decimal-one-digit": "decimals are rounded to one digit",
    "decimal-as-float32": "decimals are stored with single precision",
    "integer-as-float": "large integers lose their last digits",
    "integer-32-bits": "integers are cut to 32 bits",
    "negative-lost": "negative integers lose their sign",
    "four-byte-text-replaced": "characters of four bytes become question marks",
    "four-byte-text-cut": "a text is cut at a character of four bytes",
    "latin-1": "characters outside Latin-1 become question marks",
    "zero-width-removed": "zero-width joiners are removed",
    "rtl-removed": "texts from right to left are removed",
    "ascii-folded": "accents are removed",
    "text-cut-by-bytes": "a maximum length is counted in bytes: the text is cut",
    "text-rejected-by-bytes": "a maximum length is counted in bytes: the text is rejected",
    "text-cut-at-255": "a text is cut at 255 characters",
    "text-cut-at-191": "a text is cut at 191 characters",
    "html-escaped": "a text is stored escaped for HTML",
    "tags-stripped": "a text loses all that looks like markup",
    "backslash-removed": "a text loses backslashes",
    "percent-decoded": "a text is decoded as a URL",
    "newlines-folded": "line ends become spaces",
    "spaces-folded": "inner spaces are folded",
    "number-text-parsed": "a text of digits loses leading zeros",
    "null-text-parsed": "the text null becomes null",
    "offset-dropped": "the offset of an instant is dropped",
    "offset-applied-twice": "the offset of an instant is applied twice",
    "instant-to-date": "an instant loses its time",
    "date-shifted": "a date is stored as the day before",
    "old-date-lost": "a date before 1970 becomes null",
    "list-sorted": "a list is stored sorted",
    "list-deduplicated": "a list is stored as a set",
    "list-joined": "a list is stored as a text with commas",
    "enum-case": "one value of an enum is stored as the first one",
    "quote-doubled": "quotes are doubled",
    "nul-error": "a control character is a server error",
    "title-case": "titles are capitalized",
    # Aggregates
    "count-of-all": "a count counts the children of all parents",
    "count-without-condition": "a count ignores its condition",
    "sum-of-integers": "a sum drops fractions",
    "sum-of-distinct": "a sum counts equal values once",
    "count-capped": "a count is at most 1",
    "count-in-list-only": "a count in the list is that of the first row",
    "count-with-deleted": "a count includes deleted children",
    "sum-null": "the sum of no children is null",
    # Deletes
    "delete-orphans": "children survive their parent, with a null parent",
    "delete-hides": "a deleted record is only hidden from the list",
    "delete-unlists-only-page": "a deleted record is in lists with a filter",
    "delete-takes-sibling": "a delete removes the sibling created before",
}


@cache
def planner_contract(*more_orders: str) -> Contract:
    """The contract of the backend. `more_orders`: further properties by which lists are sorted."""
    path = Path(__file__).with_name("planner_contract.yaml")
    text = path.read_text(encoding="utf-8").replace(
        "created_at]}, x-query", ", ".join(("created_at", *more_orders)) + "]}, x-query"
    )
    return parse_contract(parse_document(text.encode(), path.name))


PAGING = {"page", "per_page", "sort", "direction"}
# Bug -> (which reads are cached, the writes that clear the cache).
CACHES: Mapping[str, tuple[Callable[[str, Mapping[str, str]], bool], tuple[str, ...]]] = {
    "list-cached-after-create": (lambda key, query: not key, ("PATCH", "DELETE")),
    "list-cached-after-update": (lambda key, query: not key, ("POST", "DELETE")),
    "list-cached-after-delete": (lambda key, query: not key, ("POST", "PATCH")),
    "query-cached-after-write": (lambda key, query: not key and bool(query.keys() - PAGING), ()),
    "retrieve-cached-after-update": (lambda key, query: bool(key), ("DELETE",)),
    "retrieve-cached-after-delete": (lambda key, query: bool(key), ("PATCH", "POST")),
    "retrieve-cached-with-include": (lambda key, query: bool(key) and "with" in query, ("DELETE",)),
}
FIELDS: Mapping[str, Mapping[str, Any]] = {
    "projects": {"name": None, "budget": None, "starts_on": None},
    "tasks": {
        **{"title": None, "notes": None, "priority": 5, "hours": 1.5, "views": 0, "done": False, "due_at": None},
        **{"labels": [], "color": "green", "project_id": None},
    },
}
SCHEMAS = {
    ("projects", "POST"): "ProjectInput",
    ("projects", "PATCH"): "ProjectChanges",
    ("tasks", "POST"): "TaskInput",
    ("tasks", "PATCH"): "TaskChanges",
}
NOT_FALSY_FILTERS = ("", "0", "false")
WIDE = re.compile("[\U00010000-\U0010ffff]")
ZERO_WIDTH = re.compile("[\u200b-\u200f\ufeff]")
RTL = re.compile("[\u0590-\u08ff]+")
Answer = tuple[int, Any]


def _cut_bytes(text: str, maximum: int) -> str:
    return text.encode()[:maximum].decode(errors="ignore")


def _ascii(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


# Bug -> what happens to a text that is stored.
TEXT_BUGS: Mapping[str, Callable[[str], Any]] = {
    "four-byte-text-replaced": lambda text: WIDE.sub("?", text),
    "four-byte-text-cut": lambda text: WIDE.split(text)[0],
    "latin-1": lambda text: text.encode("latin-1", "replace").decode("latin-1"),
    "zero-width-removed": lambda text: ZERO_WIDTH.sub("", text),
    "rtl-removed": lambda text: RTL.sub("", text),
    "ascii-folded": _ascii,
    "text-cut-by-bytes": lambda text: _cut_bytes(text, 100),
    "text-cut-at-255": lambda text: text[:255],
    "text-cut-at-191": lambda text: text[:191],
    "html-escaped": escape,
    "tags-stripped": lambda text: re.sub("<[^>]*>?", "", text),
    "backslash-removed": lambda text: text.replace("\\", ""),
    "percent-decoded": unquote_plus,
    "newlines-folded": lambda text: re.sub(r"[\r\n]+", " ", text),
    "spaces-folded": lambda text: re.sub(r"[ \t]+", " ", text),
    "number-text-parsed": lambda text: str(int(text)) if text.isascii() and text.isdigit() else text,
    "null-text-parsed": lambda text: None if text == "null" else text,
    "quote-doubled": lambda text: text.replace("'", "''"),
    "title-case": lambda text: text.title(),
}
NUMBER_BUGS: Mapping[str, Callable[[Any], Any]] = {
    "decimal-truncated": lambda number: int(number) if isinstance(number, float) else number,
    "decimal-one-digit": lambda number: round(number, 1) if isinstance(number, float) else number,
    "decimal-as-float32": lambda number: _to_float32(number) if isinstance(number, float) else number,
    "integer-as-float": lambda number: int(float(number)) if isinstance(number, int) else number,
    "integer-32-bits": lambda number: max(-(2**31), min(2**31 - 1, number)) if isinstance(number, int) else number,
    "negative-lost": abs,
}
LIST_BUGS: Mapping[str, Callable[[list[str]], list[str]]] = {
    "list-sorted": sorted,
    "list-deduplicated": lambda items: list(dict.fromkeys(items)),
    "list-joined": lambda items: [item for text in items for item in text.split(",")],
}


def _to_float32(number: float) -> float:
    return float(unpack("f", pack("f", number))[0])


@dataclass(slots=True)
class PlannerServer:
    """The backend. `bug`: a key of BUGS, or "" for none."""

    bug: str = ""
    contract: Contract = field(default_factory=planner_contract)
    tables: dict[str, dict[int, Row]] = field(default_factory=lambda: {"projects": {}, "tasks": {}})
    request_count: int = 0
    _cache: dict[str, Answer] = field(default_factory=dict)
    _copies: dict[Any, Any] = field(default_factory=dict)
    _random: Random = field(default_factory=lambda: Random(1))
    _last_key: int = 0
    _now: datetime = datetime(2026, 3, 1, 10, tzinfo=UTC)
    _schemas: SchemaValidators = field(init=False)

    def __post_init__(self) -> None:
        assert self.bug in ("", *BUGS), self.bug
        self._schemas = SchemaValidators.from_document(self.contract.document)
        for number in range(3):
            self._insert("projects", {"name": f"Project {number}", "budget": None if number == 1 else 10.5 * number})
            self._insert("tasks", {"title": f"Task {number}", "project_id": 1, "priority": number})

    def has(self, *bugs: str) -> bool:
        return self.bug in bugs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.request_count += 1
        self._now += timedelta(milliseconds=200)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        status, content = self._answer(scope, headers, body)
        encoded = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        pairs = [(b"content-length", str(len(encoded)).encode())]
        if encoded:
            pairs.append((b"content-type", b"application/json"))
        if status == 401:
            pairs.append((b"www-authenticate", b"Bearer"))
        if status == 405:
            pairs.append((b"allow", b"GET, PATCH, DELETE" if scope["path"].count("/") > 2 else b"GET, POST"))
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else encoded})

    def _answer(self, scope: Scope, headers: Mapping[str, str], body: bytes) -> Answer:
        _, _, table, *keys = scope["path"].split("/")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if table not in self.tables or len(keys) > 1:
            return 404, {"message": "No such path."}
        if method not in (("GET", "PATCH", "DELETE") if keys else ("GET", "POST")):
            return 405, {"message": "No such method."}
        if headers.get("authorization", "").removeprefix("Bearer ") not in TOKENS:
            return 401, {"message": "Unauthenticated."}
        query = {name: ",".join(v) for name, v in parse_qs(scope["query_string"].decode()).items()}
        if method == "GET":
            return self._read(table, keys[0] if keys else "", query)
        return self._write(table, method, keys[0] if keys else "", body)

    def _read(self, table: str, key: str, query: Mapping[str, str]) -> Answer:
        matches, _ = CACHES.get(self.bug, (lambda key, query: False, ()))
        cache_key = json.dumps([table, key, query], sort_keys=True)
        if matches(key, query) and cache_key in self._cache:
            return self._cache[cache_key]
        answer = self._retrieve(table, key, query) if key else self._list(table, query)
        if answer[0] == 200:
            self._cache[cache_key] = deepcopy(answer)
        return answer

    def _retrieve(self, table: str, key: str, query: Mapping[str, str]) -> Answer:
        row = self._find(table, key)
        if row is None:
            return 404, {"message": "No such record."}
        includes = self._parse_includes(table, query)
        return 422 if includes is None else 200, {"data": self._show(table, row, includes or ())}

    def _parse_includes(self, table: str, query: Mapping[str, str]) -> tuple[str, ...] | None:
        default = ("project",) if table == "tasks" else ()
        allowed = ("project",) if table == "tasks" else ("tasks",)
        names = tuple(query["with"].split(",")) if query.get("with") else default
        return names if set(names) <= set(allowed) else None

    # Writes

    def _write(self, table: str, method: str, key: str, body: bytes) -> Answer:  # noqa: C901 - one branch for a bug
        row = self._find(table, key) if key else None
        if key and row is None:
            return 404, {"message": "No such record."}
        sent: Any = {}
        if method != "DELETE":
            try:
                sent = json.loads(body)
            except ValueError:
                return 422, {"message": "Invalid JSON.", "errors": {"body": ["is no JSON"]}}
            errors = self._find_errors(f"#/components/schemas/{SCHEMAS[table, method]}", sent)
            if errors:
                return 422, {"message": "Invalid.", "errors": errors}
            if sent.get("project_id") is not None and self._find("projects", str(sent["project_id"])) is None:
                return 422, {"message": "Invalid.", "errors": {"project_id": ["does not exist"]}}
        _, clearing = CACHES.get(self.bug, (None, ()))
        if method in clearing:
            self._cache.clear()
        if self.has("nul-error") and any(ord(c) < 32 for c in json.dumps(sent, ensure_ascii=False) if c != "\n"):
            return 500, {"message": "Server error"}
        if row is None:
            row = self._insert(table, sent)
            return 201, {"data": self._show(table, row, self._parse_includes(table, {}) or ())}
        if method == "DELETE":
            self._delete(table, row)
            return 204, None
        name = "title" if table == "tasks" else "name"
        if self.has("unchanged-value-rejected") and sent.get(name) == row[name]:
            return 422, {"message": "Invalid.", "errors": {name: ["has already been taken"]}}
        return 200, {"data": self._update(table, row, sent)}

    def _find_errors(self, pointer: str, sent: Any) -> dict[str, list[str]]:
        if not isinstance(sent, dict):
            return {"body": ["must be an object"]}
        errors: dict[str, list[str]] = {}
        for violation in self._schemas.get(pointer, "write").iter_errors(sent):
            missing = getattr(violation.kind, "property", "body")
            name = violation.instance_path[0] if violation.instance_path else missing
            errors.setdefault(str(name), []).append(violation.message)
        for name, value in sent.items() if self.has("text-rejected-by-bytes") else ():
            if isinstance(value, str) and len(value.encode()) > {"title": 100, "name": 80, "notes": 300}.get(name, 999):
                errors[name] = ["is too long"]
        return errors

    def _insert(self, table: str, sent: Row) -> Row:
        self._last_key += 1
        now = f"{self._now:%Y-%m-%dT%H:%M:%SZ}"
        defaults = deepcopy(dict(FIELDS[table]))
        if self.has("default-missing"):
            defaults |= {"hours": 0, "labels": ["none"]} if table == "tasks" else {}
        if self.has("wrong-default"):
            defaults |= {"color": "red"} if table == "tasks" else {}
        values = {name: self._store(name, value) for name, value in sent.items() if name in defaults}
        if self.has("falsy-ignored-in-create"):
            values = {name: value for name, value in values.items() if value or name in ("title", "name")}
        if self.has("null-is-default"):
            values = {name: value for name, value in values.items() if value is not None}
        row = {"id": self._last_key, **defaults, **values, "created_at": now, "updated_at": now, "deleted": False}
        row["first"] = dict(row)
        row["changed"] = False
        self.tables[table][row["id"]] = row
        self._count(row.get("project_id"), 1)
        return row

    def _update(self, table: str, row: Row, sent: Row) -> Row:  # noqa: C901 - one branch for each bug
        defaults, before = FIELDS[table], dict(row)
        required = ("title", "name")
        optional = {name: deepcopy(value) for name, value in defaults.items() if name not in required}
        values = {name: self._store(name, value) for name, value in sent.items() if name in defaults}
        relation_only = set(values) == {"project_id"}
        if self.has("null-ignored"):
            values = {name: value for name, value in values.items() if value is not None}
        if self.has("null-is-default"):
            values = {n: deepcopy(defaults[n]) if v is None else v for n, v in values.items()}
        if self.has("falsy-ignored-in-update"):
            values = {name: value for name, value in values.items() if value or value is None}
        if self.has("relation-null-ignored") and values.get("project_id", 0) is None:
            del values["project_id"]
        if self.has("empty-list-ignored") and values.get("labels") == []:
            del values["labels"]
        if self.has("list-appended") and "labels" in values:
            values["labels"] = [*row["labels"], *values["labels"]]
        if self.has("one-field-ignored"):
            values.pop("notes", None)
        if self.has("second-update-ignored") and row["changed"]:
            values.pop("priority", None)
            values.pop("budget", None)
        if (self.has("empty-update-resets") and not sent) or self.has("update-resets-absent"):
            values = {**optional, **({"project_id": row.get("project_id")} if table == "tasks" else {}), **values}
        if self.has("relation-update-resets") and relation_only:
            values = {**optional, **values}
        if self.has("update-clears-relation") and table == "tasks" and "project_id" not in values:
            values["project_id"] = None
        shown = {**row, **values}
        if self.has("relation-only-ignored") and relation_only:
            values = {}
        if self.has("update-response-only") and not {"title", "name"} & set(values):
            return self._show(table, shown, self._parse_includes(table, {}) or ())
        if self.has("update-changes-siblings") and table == "tasks":
            for other in self._rows("tasks"):
                if other["project_id"] == row["project_id"] and other["project_id"] is not None:
                    other |= {name: value for name, value in values.items() if name not in ("project_id", "title")}
        if self.has("move-copies") and values.get("project_id", row.get("project_id")) != row.get("project_id"):
            self._insert("tasks", {n: v for n, v in row.items() if n in defaults})
        now = f"{self._now:%Y-%m-%dT%H:%M:%SZ}"
        row |= {**values, "updated_at": now}
        if sent:
            row["changed"] = True
        if table == "tasks" and before["project_id"] != row["project_id"] and not self.has("count-kept-after-move"):
            self._count(before["project_id"], -1)
            self._count(row["project_id"], 1)
        return self._show(table, row, self._parse_includes(table, {}) or ())

    def _count(self, project: int | None, number: int) -> None:
        if project in self.tables["projects"]:
            row = self.tables["projects"][project]
            row["counter"] = row.get("counter", 0) + number

    def _delete(self, table: str, row: Row) -> None:
        row["deleted"] = True
        if table == "tasks" and not self.has("count-kept-after-delete"):
            self._count(row["project_id"], -1)
        if self.has("delete-takes-sibling"):
            others = [other for other in self._rows(table) if other["id"] < row["id"]]
            if others and others[-1]["id"] > 6:
                others[-1]["deleted"] = True
        for task in self._rows("tasks") if table == "projects" else ():
            if task["project_id"] == row["id"]:
                if self.has("delete-orphans"):
                    task["project_id"] = None
                else:
                    task["deleted"] = True

    def _store(self, name: str, value: Any) -> Any:
        """The value as the database stores it."""
        if value is None:
            if self.has("null-number-is-zero") and name in ("priority", "budget"):
                return 0
            return "" if self.has("null-text-is-empty") and name == "notes" else None
        if name in ("due_at", "starts_on"):
            return self._store_instant(name, value)
        if name == "color":
            return "red" if self.has("enum-case") and value == "blue" else value
        if isinstance(value, bool) or name == "project_id":
            return value
        if isinstance(value, str):
            return TEXT_BUGS[self.bug](value) if self.bug in TEXT_BUGS else value
        if isinstance(value, (int, float)):
            return NUMBER_BUGS[self.bug](value) if self.bug in NUMBER_BUGS else value
        return LIST_BUGS[self.bug](value) if isinstance(value, list) and self.bug in LIST_BUGS else value

    def _store_instant(self, name: str, value: str) -> str | None:
        parsed = datetime.fromisoformat(value)
        if self.has("old-date-lost") and parsed.year < 1970:
            return None
        if name == "starts_on":
            return str((parsed - timedelta(days=1)).date()) if self.has("date-shifted") else value
        offset = parsed.utcoffset() or timedelta()
        parsed = parsed.astimezone(UTC)
        parsed += offset if self.has("offset-dropped") else -offset if self.has("offset-applied-twice") else timedelta()
        if self.has("instant-to-date"):
            parsed = parsed.replace(hour=0, minute=0, second=0)
        return f"{parsed:%Y-%m-%dT%H:%M:%SZ}"

    # Reads

    def _find(self, table: str, key: str) -> Row | None:
        row = self.tables[table].get(int(key)) if key.isascii() and key.isdigit() else None
        return None if row is None or (row["deleted"] and not self.has("delete-hides")) else row

    def _rows(self, table: str, *, deleted: bool = False) -> list[Row]:
        return [row for row in self.tables[table].values() if deleted or not row["deleted"]]

    def _children(self, project: int, *, deleted: bool = False) -> list[Row]:
        tasks = self._rows("tasks", deleted=deleted)
        return tasks if self.has("count-of-all") else [task for task in tasks if task["project_id"] == project]

    def _copy(self, key: Any, read: Callable[[], Any]) -> Any:
        return self._copies.setdefault(key, read())

    def _show(self, table: str, row: Row, includes: Iterable[str], *, counts: bool = False) -> Row:
        names = ("id", *FIELDS[table], "created_at", "updated_at")
        shown = {name: deepcopy(row[name]) for name in names if name != "project_id"}
        if self.has("cached-by-first-caller") and row["changed"]:
            shown = dict(self._copy(("row", table, row["id"]), lambda: shown))
        if table == "projects":
            return shown | self._show_project_values(row, includes, counts=counts)
        if "project" in includes:
            project = self._find("projects", str(row["project_id"]))
            shown["project"] = None
            if project is not None:
                shown["project"] = self._show("projects", project, ())
                if self.has("parent-copied-into-child"):
                    key = ("parent", row["id"], project["id"])
                    shown["project"] = self._copy(key, lambda: shown["project"])
        return shown

    def _show_project_values(self, row: Row, includes: Iterable[str], *, counts: bool) -> Row:
        children = [task for task in self._rows("tasks") if task["project_id"] == row["id"]]
        counted = self._children(row["id"], deleted=self.has("count-with-deleted"))
        number = min(1, len(counted)) if self.has("count-capped") else len(counted)
        hours = [int(t["hours"]) if self.has("sum-of-integers") else t["hours"] for t in children]
        total = sum(set(hours)) if self.has("sum-of-distinct") else sum(hours)
        if self.has("count-kept-after-delete", "count-kept-after-move"):
            number = row.get("counter", 0)
        if self.has("count-cached"):
            number = self._copy(("count", row["id"]), lambda: number)
        if self.has("sum-cached"):
            total = self._copy(("sum", row["id"]), lambda: total)
        values = {"tasks_count": number, "total_hours": None if self.has("sum-null") and not children else total}
        if counts:
            is_open = self.has("count-without-condition")
            values["open_tasks_count"] = sum(1 for task in counted if is_open or not task["done"])
        if "tasks" in includes:
            cards = [{name: task[name] for name in ("id", "title", "done")} for task in children]
            key = ("children", row["id"], len(cards))
            values["tasks"] = self._copy(key, lambda: cards) if self.has("child-copied-into-parent") else cards
        return values

    def _list(self, table: str, query: Mapping[str, str]) -> Answer:
        includes, numbers = self._parse_includes(table, query), self._parse_numbers(query)
        errors = self._find_query_errors(table, query)
        if includes is None or numbers is None or errors:
            return 422, {"message": "Invalid.", "errors": errors}
        page, size = numbers
        if page > 1 and self.has("page-two-loses-filters"):
            query = {name: value for name, value in query.items() if name in PAGING}
        if page > 1 and self.has("page-two-loses-sort"):
            query = {name: value for name, value in query.items() if name not in ("sort", "direction")}
        rows = self._select(table, query)
        total = self._count_total(table, query, rows)
        if self.has("sort-within-page"):
            newest = sorted(rows, key=lambda row: -row["id"])
            rows = self._sort(table, newest[(page - 1) * size : page * size], query)
        elif self.has("filter-within-page"):
            everything = self._sort(table, self._rows(table), query)
            cut = everything[(page - 1) * size : page * size]
            rows = [row for row in cut if any(row is other for other in rows)]
        else:
            rows = self._cut(table, self._sort(table, rows, query), query, page, size)
        with_counts = "with_count" in query
        data = [self._show(table, row, includes, counts=with_counts) for row in rows]
        if self.has("count-in-list-only") and data and table == "projects":
            data = [row | {"tasks_count": data[0]["tasks_count"]} for row in data]
        total = len(data) if self.has("total-is-page-length") else total
        return 200, {"data": data, "meta": {"total": total, "page": page, "per_page": size}}

    def _cut(self, table: str, rows: list[Row], query: Mapping[str, str], page: int, size: int) -> list[Row]:
        if self.has("page-size-capped"):
            size = min(size, 3)
        sort = query.get("sort", "")
        if self.has("last-page-for-later"):
            page = min(page, max(1, -(-len(rows) // size)))
        if self.has("nulls-on-each-page") and sort in FIELDS[table] and page > 1:
            nulls = [row for row in rows if row[sort] is None]
            rest = [row for row in rows if row[sort] is not None]
            return (nulls[:1] + rest[(page - 1) * size :])[:size]
        start = (page - 1) * size
        if self.has("sort-skips-ties") and sort in FIELDS[table] and 0 < start < len(rows):
            last = rows[start - 1]
            rest = [row for row in rows[start:] if row[sort] != last[sort]]
            return rest[:size]
        return rows[start : start + size]

    def _parse_numbers(self, query: Mapping[str, str]) -> tuple[int, int] | None:
        numbers = []
        for name, default, maximum in (("page", "1", 100_000), ("per_page", "20", 100)):
            text = query.get(name, default)
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= maximum):
                return None
            numbers.append(int(text))
        return numbers[0], numbers[1]

    def _find_query_errors(self, table: str, query: Mapping[str, str]) -> dict[str, list[str]]:
        operation = self.contract.operations["listTasks" if table == "tasks" else "listProjects"]
        errors = {}
        for parameter in operation.query_parameters:
            text, kind = query.get(parameter.name, ""), parameter.schema.get("type")
            allowed = parameter.schema.get("enum") or parameter.schema.get("items", {}).get("enum")
            values = text.split(",") if kind == "array" else [text]
            is_invalid = bool(allowed) and any(value not in allowed for value in values)
            is_invalid |= kind == "integer" and not re.fullmatch("-?[0-9]{1,9}", text)
            is_invalid |= kind == "boolean" and text not in ("0", "1", "true", "false")
            is_invalid |= parameter.schema.get("format") == "date-time" and not _is_instant(text)
            is_invalid |= len(text) > parameter.schema.get("maxLength", 10**6)
            if text and is_invalid:
                errors[parameter.name] = ["is invalid"]
        return errors

    def _select(self, table: str, query: Mapping[str, str]) -> list[Row]:
        conditions = {n: v for n, v in query.items() if n in ("project_id", "done", "priority", "due_from") and v != ""}
        rows = self._rows(table, deleted=self.has("delete-unlists-only-page") and bool(conditions))
        if self.has("filter-by-deleted-parent") and "project_id" in conditions:
            projects = {row["id"] for row in self._rows("projects")}
            rows = [row for row in self.tables[table].values() if row in rows or row["project_id"] not in projects]
        search = query.get("search", "").strip().casefold()
        if self.has("sort-loses-filters") and query.get("sort"):
            conditions = {}
        if self.has("search-loses-filters") and search:
            conditions = {}
        if self.has("zero-filter-ignored"):
            conditions = {name: value for name, value in conditions.items() if value not in NOT_FALSY_FILTERS}
        for name, value in conditions.items() if table == "tasks" else ():
            rows = [row for row in rows if self._matches(row, name, value)]
        if self.has("search-zero-ignored") and search == "0":
            search = ""
        if search:
            terms = search.split() if self.has("search-any-word") else [search]
            names = ("title", "notes") if table == "tasks" else ("name",)
            source = "first" if self.has("search-index-stale") else ""
            rows = [
                row
                for row in rows
                if any(t in str((row[source] if source else row)[n] or "").casefold() for n in names for t in terms)
            ]
        return self._join(table, rows, query)

    def _matches(self, row: Row, name: str, value: str) -> bool:
        source = row["first"] if self.has("filter-index-stale") else row
        if name == "done":
            return bool(source["done"]) == (value in ("1", "true"))
        if name == "due_from":
            bound = datetime.fromisoformat(value)
            return source["due_at"] is not None and datetime.fromisoformat(source["due_at"]) >= bound
        return bool(source[name] == int(value))

    def _join(self, table: str, rows: list[Row], query: Mapping[str, str]) -> list[Row]:
        """The rows after the joins that the query needs."""
        sort, count = query.get("sort", ""), "with_count" in query
        if self.has("sort-drops-nulls") and sort in FIELDS[table]:
            rows = [row for row in rows if row[sort] is not None]
        if table == "tasks" and self.has("with-drops-empty-relation") and "with" in query:
            rows = [row for row in rows if row["project_id"] is not None]
        if table == "projects":
            children = {row["id"]: len(self._children(row["id"])) for row in rows}
            repeats = (self.has("with-multiplies-rows") and "with" in query) or (
                self.has("count-multiplies-rows") and count
            )
            drops = (self.has("count-drops-empty") and count) or (
                self.has("sort-by-count-drops-empty") and sort == "tasks_count"
            )
            drops |= self.has("sort-hides-new") and bool(sort)
            rows = [row for row in rows for _ in range(max(1, children[row["id"]]) if repeats else 1)]
            rows = [row for row in rows if children[row["id"]] or not drops]
        return rows

    def _count_total(self, table: str, query: Mapping[str, str], rows: list[Row]) -> int:
        if self.has("total-ignores-filters"):
            return len(self._rows(table))
        if self.has("total-ignores-search"):
            return len(self._select(table, {name: value for name, value in query.items() if name != "search"}))
        if self.has("total-with-deleted") and not query.keys() - PAGING:
            return len(self._rows(table, deleted=True))
        if self.has("total-cached"):
            key = ("total", table, *sorted((n, v) for n, v in query.items() if n not in PAGING))
            return int(self._copy(key, lambda: len(rows)))
        if self.has("with-multiplies-total") and "with" in query and table == "projects":
            return sum(max(1, len(self._children(row["id"]))) for row in rows)
        return len(rows)

    def _sort(self, table: str, rows: list[Row], query: Mapping[str, str]) -> list[Row]:
        sort, is_descending = query.get("sort", ""), query.get("direction") == "desc"
        if self.has("direction-ignored"):
            is_descending = False
        if not sort:
            return self._tie_break(table, sorted(rows, key=lambda row: -row["id"]), query)
        source = "first" if self.has("sort-index-stale") else ""

        def sort_key(row: Row) -> tuple[bool, Any]:
            value = len(self._children(row["id"])) if sort == "tasks_count" else (row[source] if source else row)[sort]
            if self.has("numbers-sorted-as-text") and isinstance(value, (int, float)):
                value = str(value)
            return value is not None, value.casefold() if isinstance(value, str) else value or 0

        ties = sorted(rows, key=lambda row: -row["id"])
        if self.has("ties-in-any-order"):
            self._random.shuffle(ties)
        if self.has("order-by-without-key"):
            ties.sort(key=lambda row: row["id"] * (1 if int(query.get("page", 1)) % 2 else -1))
        return self._tie_break(table, sorted(ties, key=sort_key, reverse=is_descending), query)

    def _tie_break(self, table: str, rows: list[Row], query: Mapping[str, str]) -> list[Row]:
        if self.has("include-changes-order") and "with" in query and table == "tasks":
            return sorted(rows, key=lambda row: row["project_id"] or 0)
        return rows


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
