"""Compares a list with the model: rows, order, pages and totals, for any combination of query parameters."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.checks.support.listing import Listing, ListPage, Row, compute_pagination_values
from conformance.checks.support.parameters import (
    QueryPairs,
    build_full_include_query,
    find_parameter,
    retrieve_with_relations,
)
from conformance.checks.support.tenancy import derive_value
from conformance.checks.support.values import get_values_at, parse_integer
from conformance.errors import SkipCheck
from conformance.model.comparison import Comparison
from conformance.model.contrast import find_differences, find_text_differences
from conformance.model.queries import (
    ValueReader,
    evaluate_condition,
    find_inversion,
    is_reordered,
    iter_conditions,
    iter_pairs,
    read_model,
    read_row,
)
from conformance.model.specification import Model, ModelRecord, RecordId, is_volatile
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Operation, Parameter

MAX_PAGES_OF_SIZE = 6  # pages that are requested with the page size of a query
PAGES_PAST_END = 50
MAX_DIFFERENCES = 3  # that are shown of a missing record
DELAYED_ROLES = ("total", "last-page", "last-item")  # of pagination values that depend on the total
MAX_ROWS = 300  # rows of a list that is read completely; a longer one is narrowed to the records of the run


def build_reader(session: Session, model: Model, record: ModelRecord) -> ValueReader:
    """Build a reader of a record of the model that also knows the tenant, the account and rows of other clients."""
    read_known = read_model(model, record)
    shared = session.records.shared.get(record.resource.name)
    is_own = not record.is_foreign or (shared is not None and shared.key == record.key)

    def read(path: tuple[str, ...]) -> list[Any] | None:
        values = read_known(path)
        if values is None and is_own:
            with suppress(SkipCheck):
                return [derive_value(session, record.resource, path)]
        return get_values_at(record.row, path) if values is None else values

    return read


def are_pages_distinct(pages: Sequence[ListPage], key: str) -> bool:
    """Whether the page parameter has an effect: a later page has rows that the first one lacks."""
    first = {str(row.get(key)) for row in pages[0].rows}
    return any(str(row.get(key)) not in first for page in pages[1:] for row in page.rows)


@dataclass(frozen=True, slots=True)
class ListProblem:
    """A difference in a list.

    `subject`: the parameters concerned. `pointers`: of these parameters, or of the list. `missing`: the record that
    the list lacks. `is_contradiction`: two responses of the target contradict each other; a parameter concerned has
    an effect.
    """

    subject: str
    pointers: tuple[str, ...]
    message: str
    evidence: tuple[Exchange, ...]
    missing: ModelRecord | None = None
    is_contradiction: bool = False


@dataclass(slots=True)
class ListComparison:
    """One list request with all its pages, compared with the records of the run."""

    session: Session
    comparison: Comparison
    operation: Operation
    query: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)
    pages: list[ListPage] = field(default_factory=list)
    narrowed_by: dict[str, Any] = field(default_factory=dict)
    is_complete: bool = True
    _records: list[ModelRecord] = field(default_factory=list)

    def compare(self, records: list[ModelRecord], reported: Collection[str] = ()) -> list[ListProblem]:
        """Read the list until it agrees with the model or the consistency timeout has elapsed; return the problems.

        `reported`: subjects of earlier problems, which are not waited for again. Raises SkipCheck if the
        list cannot be read.
        """
        self._records = records
        self.query = {**self._build_required_query(), **self.query}
        problems: list[ListProblem] = []

        def find_problem() -> str:
            self._read()
            problems[:] = [*self._row_problems(), *self._order_problems()]
            return next((problem.message for problem in problems if problem.subject not in reported), "")

        self.session.client.wait_until(find_problem, is_delay_of_write=False)
        return problems or [*self._repetition_problems(), *self._page_problems(reported)]

    def own_rows(self) -> Iterator[tuple[Row, Exchange]]:
        """Yield the rows of the run's existing records, with the exchange that returned them."""
        keys = {record.key for record in self._records if not record.is_deleted}
        for page in self.pages:
            rows = (row for row in page.rows if is_key(row.get(self._key)) and row[self._key] in keys)
            yield from ((row, page.exchange) for row in rows)

    # Reading

    def _build_required_query(self) -> dict[str, Any]:
        """Return values for the required parameters.

        For a filter, the value of the newest record of the run, if known.
        """
        values = self.session.records.required_query(self.operation)
        live = [record for record in self._records if not record.is_deleted]
        for parameter in self.operation.query_parameters:
            if parameter.name in values and parameter.x_query and parameter.x_query.role == "filter" and live:
                known = build_reader(self.session, self.comparison.model, live[-1])(parameter.x_query.paths[0])
                values[parameter.name] = known[0] if known else values[parameter.name]
        return values

    @property
    def _key(self) -> str:
        return self.session.operations.resource(self.operation).key_attribute

    def _read(self) -> None:
        """Read all rows, or those of the run if the list is long."""
        page = find_parameter(self.operation, "page")
        listing = Listing(self.session, self.operation, self._build_scope())
        first = listing.fetch_largest()
        total = parse_integer(first.pagination_values.get("total"))
        if total is not None and total > MAX_ROWS and not self.narrowed_by:
            self.narrowed_by = self._find_narrowing()
            if self.narrowed_by:
                self._read()
                return
        self.pages = [first]
        self.is_complete = page is not None or (total is not None and total <= len(first.rows))
        while page is not None and self._has_more(total, len(first.rows)):
            next_page = listing.fetch_largest(page=len(self.pages) + 1)
            if not next_page.rows:
                break
            self.pages.append(next_page)
        self.rows = [row for page_ in self.pages for row in page_.rows]

    def _has_more(self, total: int | None, page_rows: int) -> bool:
        """Whether another page may follow: by the total, or because the last page is as long as the first one."""
        if (total is not None and total > MAX_ROWS) or (total is None and self._row_count() >= MAX_ROWS):
            self.is_complete = False
        else:
            return self._row_count() < total if total is not None else len(self.pages[-1].rows) == page_rows > 0
        return False

    def _row_count(self) -> int:
        return sum(len(page.rows) for page in self.pages)

    def _build_scope(self) -> QueryPairs:
        """Return the pairs of the query without page and page size, because all rows are read."""
        paging = [p.name for p in self.operation.query_parameters if p.x_query and p.x_query.role in ("size", "page")]
        query = {name: value for name, value in self.query.items() if name not in paging}
        return tuple(iter_pairs(self.operation, {**query, **self.narrowed_by}))

    def _find_narrowing(self) -> dict[str, Any]:
        """Return a parameter that selects the records of the run: a filter by a common parent, or a search."""
        live = [record for record in self._records if not record.is_deleted]
        for parameter in self.operation.query_parameters if live else ():
            x_query = parameter.x_query
            if x_query is None or parameter.name in self.query:
                continue
            if x_query.role == "filter" and x_query.operator == "eq" and len(x_query.paths[0]) == 2:
                parents = {self._parent(record, x_query.paths[0][0]) for record in live}
                parent = next(iter(parents)) if len(parents) == 1 else None
                if parent is not None:
                    return {parameter.name: parent[1]}
            if x_query.role == "search" and all(self._has_marker(record, x_query.paths) for record in live):
                return {parameter.name: self.session.payloads.marker}
        return {}

    def _parent(self, record: ModelRecord, name: str) -> RecordId | None:
        """Return the record of the run that a relation to one record refers to."""
        relation = record.resource.relations.get(name)
        ids = self.comparison.model.related_ids(record, relation) if relation and not relation.to_many else None
        return ids[0] if ids and ids[0] in self.comparison.model.records else None

    def _has_marker(self, record: ModelRecord, paths: tuple[tuple[str, ...], ...]) -> bool:
        read = build_reader(self.session, self.comparison.model, record)
        return any(self.session.payloads.marker in str(value) for path in paths for value in read(path) or ())

    # Rows

    def _conditions(self) -> list[tuple[Parameter, Any]]:
        return list(iter_conditions(self.operation, {**self.query, **self.narrowed_by}))

    def _row_problems(self) -> Iterator[ListProblem]:
        """Compare the rows with the records that must and must not be in the list."""
        rows: dict[Any, list[Row]] = {}
        for row in self.rows:
            if is_key(row.get(self._key)):
                rows.setdefault(row[self._key], []).append(row)
        for record in self._records:
            yield from self._record_problems(record, rows.get(record.key, []))
        own = {record.key for record in self._records}
        for key in rows.keys() - own:
            yield from self._repeated_row_problems(key, rows[key])
            for parameter, value in self._conditions():
                if self._is_wrong(parameter, value, rows[key][0]):
                    yield self._problem("", [parameter], f"{key} is listed, but it does not match")

    def _record_problems(self, record: ModelRecord, rows: list[Row]) -> Iterator[ListProblem]:
        """Compare the number of rows of one record with 0 or 1, as the conditions decide."""
        if record.is_deleted:
            if rows:
                problem = self._problem("rows", [], f"{record.key} is listed, but it is deleted")
                yield replace(problem, is_contradiction=self._is_gone(record))
            return
        verdicts = [(parameter, self._verdict(record, rows, parameter, v)) for parameter, v in self._conditions()]
        excluded_by = [parameter for parameter, verdict in verdicts if verdict is False]
        if rows and excluded_by:
            problem = self._problem("", excluded_by[:1], f"got {record.key}, which does not match the query")
            yield replace(problem, is_contradiction=self._is_witnessed(excluded_by[:1]))
        elif rows:
            yield from self._repeated_row_problems(record.key, rows)
        elif self.is_complete and all(verdict is True for _, verdict in verdicts):
            effective = [parameter for parameter, _ in verdicts if parameter.name in self.query]
            # Other clients may have deleted their record, and a value may have changed.
            may_change = record.is_foreign or any(self._may_change(record, parameter) for parameter, _ in verdicts)
            if not may_change or self._matches_now(record):
                message = f"got {self._describe_rows()} without {record.key}, which matches the query"
                is_contradiction = self._is_retrieved_but_unlisted(record)
                problem = self._problem("rows", effective, message)
                yield replace(problem, missing=record, is_contradiction=is_contradiction)

    def _is_gone(self, record: ModelRecord) -> bool:
        """Whether a retrieve states that a record does not exist."""
        retrieve = self.session.operations.find(record.resource.name, "retrieve")
        if retrieve is None:
            return False
        path = {retrieve.path_parameter_names[0]: record.key}
        return self.session.client.send(retrieve, path=path).response.status in (404, 410)

    def _is_retrieved_but_unlisted(self, record: ModelRecord) -> bool:
        """Whether a retrieve returns a record that the list lacks, although it has other records of the run.

        If the query has conditions, the list must show that the target implements them.
        """
        parameters = [parameter for parameter, _ in self._conditions()]
        is_foreign = record.is_foreign or record.is_borrowed
        if is_foreign or not any(self.own_rows()) or (parameters and not self._is_witnessed(parameters)):
            return False
        return self._retrieve(record) is not None

    def _is_witnessed(self, parameters: list[Parameter]) -> bool:
        """Whether the rows show that the target implements these filters: it lists records that match, and only some.

        A search, and a filter by a range or a part, may follow other rules than the model.
        """
        if any(p.x_query is None or (p.x_query.role, p.x_query.operator) != ("filter", "eq") for p in parameters):
            return False
        listed = {row.get(self._key) for row in self.rows}
        conditions = [(p, value) for p, value in self._conditions() if p in parameters]
        verdicts = {
            (all(evaluate_condition(p, value, self._reader(record)) is True for p, value in conditions), is_listed)
            for record in self._records
            if not record.is_deleted
            for is_listed in (record.key in listed,)
        }
        return {(True, True), (False, False)} <= verdicts

    def _reader(self, record: ModelRecord) -> ValueReader:
        return build_reader(self.session, self.comparison.model, record)

    def explain_missing(self, record: ModelRecord) -> str:
        """Describe a record that the list lacks: whether retrieve returns it, how it differs from the listed ones."""
        if self.session.operations.find(record.resource.name, "retrieve") is None:
            return ""
        body = self._retrieve(record)
        if body is None:
            return "retrieve does not return it either"
        relations = build_full_include_query(self.session, self.operation)
        query = {n: v for n, v in {**self.query, **self.narrowed_by}.items() if n not in dict(relations)}
        rows: list[Row] = []
        with suppress(SkipCheck):
            scope = tuple(iter_pairs(self.operation, query))
            rows = Listing(self.session, self.operation, scope).fetch_largest(*relations).rows
        differences = list(find_differences(record.resource, body, rows))
        for parameter, value in self._conditions():
            if parameter.x_query and parameter.x_query.role == "search":
                differences[:0] = find_text_differences(parameter.x_query.paths, str(value), body, rows)
        listed = f"; unlike each of {len(rows)} listed records, " + "; ".join(differences[:MAX_DIFFERENCES])
        return "retrieve returns it" + (listed if differences else "")

    def _describe_rows(self) -> str:
        """Describe how many rows all pages have, and how many the target counts."""
        total = parse_integer(self.pages[0].pagination_values.get("total"))
        return f"{len(self.rows)} rows" + ("" if total is None else f" (total: {total})")

    def _repeated_row_problems(self, key: Any, rows: list[Row]) -> Iterator[ListProblem]:
        """Yield a problem if a record is listed twice, unless it changed, and so moved, during the read."""
        if len(rows) < 2 or any(row != rows[0] for row in rows):
            return
        totals = {parse_integer(page.pagination_values.get("total")) for page in self.pages}
        is_stable = len(totals) == 1 and None not in totals
        is_on_one_page = any(sum(row.get(self._key) == key for row in page.rows) > 1 for page in self.pages)
        if is_stable or is_on_one_page:
            problem = self._problem("rows", [], f"got {key} {len(rows)} times, expected once")
            yield replace(problem, is_contradiction=is_on_one_page or are_pages_distinct(self.pages, self._key))

    def _verdict(self, record: ModelRecord, rows: list[Row], parameter: Parameter, value: Any) -> bool | None:
        """Return whether a record matches; a value that may have changed is taken from its row, or read again."""
        known = evaluate_condition(parameter, value, build_reader(self.session, self.comparison.model, record))
        if not rows or not self._may_change(record, parameter):
            return known
        shown = evaluate_condition(parameter, value, read_row(rows[0]))
        body = self._retrieve(record) if shown is None and known is False else None
        return shown if body is None else evaluate_condition(parameter, value, read_row(body))

    def _may_change(self, record: ModelRecord, parameter: Parameter) -> bool:
        """Whether other clients or the server may have changed the value that a parameter refers to."""
        names = [path[0] for path in parameter.x_query.paths] if parameter.x_query else []
        attributes = [name for name in names if name in record.resource.attributes]
        return record.is_foreign or any(is_volatile(record.resource, name) for name in attributes)

    def _matches_now(self, record: ModelRecord) -> bool:
        """Whether the record, retrieved again, exists and satisfies all conditions."""
        body = self._retrieve(record)
        conditions = self._conditions()
        return body is not None and all(evaluate_condition(p, value, read_row(body)) is True for p, value in conditions)

    def _retrieve(self, record: ModelRecord) -> Mapping[str, Any] | None:
        """Return the record as it is now, with all relations; None if it cannot be retrieved."""
        retrieve = self.session.operations.find(record.resource.name, "retrieve")
        if retrieve is None:
            return None
        body, _ = retrieve_with_relations(self.session, retrieve, record.key)
        return body if isinstance(body, Mapping) else None

    def _is_wrong(self, parameter: Parameter, value: Any, row: Row) -> bool:
        """Whether a row of another client shows that it does not match; a row need not embed the complete relation."""
        x_query = parameter.x_query
        if x_query is None or x_query.role != "filter" or x_query.operator == "exists":
            return False
        return evaluate_condition(parameter, value, read_row(row)) is False

    def _problem(self, subject: str, parameters: list[Parameter], message: str) -> ListProblem:
        name = " ".join(parameter.name for parameter in parameters) or subject
        pointers = tuple(parameter.pointer for parameter in parameters) or (self.operation.pointer,)
        return ListProblem(name, pointers, f"{self._describe()}: {message}", (self.pages[0].exchange,))

    def _describe(self) -> str:
        """Return path and query."""
        query = "&".join(f"{name}={value}" for name, value in self._build_scope())
        return f"{self.operation.path}?{query}" if query else self.operation.path

    # Order

    def _order_problems(self) -> Iterator[ListProblem]:
        sort, direction = find_parameter(self.operation, "sort"), find_parameter(self.operation, "direction")
        name = self.query.get(sort.name) if sort is not None else None
        chosen = self.query.get(direction.name) if direction is not None else None
        attribute = self.session.operations.resource(self.operation).attributes.get(str(name))
        is_enum = attribute is not None and bool(attribute.enum_values)
        if sort is None or direction is None or not name or chosen is None or is_enum:
            return
        values = [row.get(str(name)) for row in self.rows]
        inversion = find_inversion(values, descending=chosen == "desc")
        if inversion is None:
            return
        message = f"{self._describe()}: got {inversion[0]!r} before {inversion[1]!r}, expected the reverse"
        subject, pointers = f"{sort.name}={name}", [f"{sort.pointer}/schema", sort.pointer]
        if find_inversion(values, descending=chosen != "desc") is None:  # the order is the opposite one
            subject, pointers = f"{subject} {direction.name}={chosen}", [direction.pointer]
        yield ListProblem(subject, tuple(pointers), message, (self.pages[0].exchange,))

    # Pages

    def _page_problems(self, reported: Collection[str]) -> list[ListProblem]:
        """Compare the pages with the complete list; wait for totals, which may follow a write later than the rows."""
        problems: list[ListProblem] = []

        def find_problem() -> str:
            problems[:] = self._read_pages()
            new = (p for p in problems if p.subject not in reported)
            return next((p.message for p in new if p.subject in DELAYED_ROLES), "")

        self.session.client.wait_until(find_problem, is_delay_of_write=False)
        return problems

    def _read_pages(self) -> Iterator[ListProblem]:
        """Read the list with the page size of the query: the pages contain each row once and state the same total."""
        size, page = find_parameter(self.operation, "size"), find_parameter(self.operation, "page")
        if size is None or page is None or size.name not in self.query or not self.is_complete:
            return
        rows = self.rows
        requested = min(int(self.query[size.name]), max(1, len(rows) - 1))  # more than one page
        requested = max(requested, -(-len(rows) // MAX_PAGES_OF_SIZE))
        before = self._row_keys()
        last = max(1, -(-len(before) // requested))
        listing = Listing(self.session, self.operation, self._build_scope())
        numbers = [*range(1, last + 1), last + PAGES_PAST_END]
        pages = [listing.fetch(size=requested, page=number) for number in numbers]
        self._read()
        if self._row_keys() == before:
            yield from self._compare_pages(pages, requested, before, size, page)
        else:
            yield from self._order_changes(rows)

    def _row_keys(self) -> list[Any]:
        return [row.get(self._key) for row in self.rows]

    def _repetition_problems(self) -> Iterator[ListProblem]:
        """Read a list without conditions again."""
        if not self.query:
            rows = self.rows
            self._read()
            yield from self._order_changes(rows)

    def _order_changes(self, before: list[Row]) -> Iterator[ListProblem]:
        """Yield a problem if the rows are the same as before in another order."""
        if is_reordered(before, self.rows):
            message = f"{self._describe()}: got another order for the same request, expected the same"
            yield ListProblem("order", (self.operation.pointer,), message, (self.pages[0].exchange,))

    def _compare_pages(
        self, all_pages: list[ListPage], requested: int, keys: list[Any], size: Parameter, page_parameter: Parameter
    ) -> Iterator[ListProblem]:
        *pages, past_end = all_pages
        paged_keys = [row.get(self._key) for page in pages for row in page.rows]
        evidence = tuple(page.exchange for page in pages[:3])
        problem = partial(ListProblem, evidence=evidence)
        label = f"{self._describe()} in pages of {requested}"
        if sorted(map(str, paged_keys)) != sorted(map(str, keys)):
            key = next(k for k in (*keys, *paged_keys) if keys.count(k) != paged_keys.count(k))
            counts = f"got {key} {paged_keys.count(key)} times on the pages"
            detail = f"{counts}, expected {keys.count(key)} times as in the complete list"
            is_size_wrong = any(len(page.rows) > requested for page in pages)
            cause = size if is_size_wrong else page_parameter
            is_paged = not is_size_wrong and are_pages_distinct(pages, self._key)
            lost = problem(subject="pages", pointers=(cause.pointer,), message=f"{label}: {detail}")
            yield replace(lost, is_contradiction=is_paged)
        if past_end.rows:
            message = f"{label}: got {len(past_end.rows)} rows on a page after the last, expected none"
            yield ListProblem("page", (page_parameter.pointer,), message, (past_end.exchange,))
        for number, page in enumerate(pages, 1):
            expected: dict[str, int | None] = {**compute_pagination_values(number, requested, len(keys))}
            if not page.rows:
                expected |= {"first-item": None, "last-item": None}
            for role, value in expected.items():
                actual = page.pagination_values.get(role, value)
                if (parse_integer(actual) if value is not None else actual) != value:
                    message = f"{label}, page {number}: {role}: got {actual}, expected {value}"
                    pointer, _ = Listing(self.session, self.operation).find_pagination_property(role)
                    differs = problem(subject=role, pointers=(pointer,), message=message)
                    yield replace(differs, is_contradiction=role == "total" and parse_integer(actual) is not None)
