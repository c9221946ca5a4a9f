"""Compares a list with the model: rows, order, pages and totals, for any combination of query parameters."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
from conformance.model.orders import Order, iter_orders, parse_order
from conformance.model.queries import (
    ValueReader,
    evaluate_condition,
    is_reordered,
    iter_conditions,
    iter_pairs,
    read_model,
    read_row,
)
from conformance.model.row_sets import RowSet, RowSets, build_row_set, describe_difference, select_cause
from conformance.model.specification import Model, ModelRecord, RecordId, is_volatile
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.extensions import POSITION_ROLES
from spec.model import Operation, Parameter

MAX_PAGES_OF_SIZE = 6  # pages that are requested with the page size of a query
PAGES_PAST_END = 50
MAX_WITNESS_REQUESTS = 4  # that are sent to learn whether a parameter of a wrong list has an effect
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
    an effect. `parameter`: the one that the target may ignore, if that explains the difference.
    """

    subject: str
    pointers: tuple[str, ...]
    message: str
    evidence: tuple[Exchange, ...]
    missing: ModelRecord | None = None
    is_contradiction: bool = False
    parameter: Parameter | None = None


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
    row_sets: RowSets = field(default_factory=RowSets)
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
            row_problems = list(self._selection_problems()) or list(self._row_problems())
            problems[:] = [*(row_problems or self._total_problems()), *self._order_problems()]
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

    def read_again(self) -> str:
        """Read the list again; return ""."""
        self._read()
        return ""

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
        listing = self._build_listing()
        first = listing.fetch_largest()
        total = parse_integer(first.pagination_values.get("total"))
        if total is not None and total > MAX_ROWS and not self.narrowed_by:
            self.narrowed_by = self._find_narrowing()
            if self.narrowed_by:
                self._read()
                return
        self.pages = [first]
        self.is_complete = listing.position is not None or (total is not None and total <= len(first.rows))
        while listing.position is not None and self._has_more(listing, total):
            next_page = listing.fetch_next(self.pages, *listing.build_largest_page_query())
            if next_page is None or not next_page.rows or (total is None and not self._has_new_rows(next_page)):
                break
            self.pages.append(next_page)
        self.rows = [row for page_ in self.pages for row in page_.rows]

    def _has_new_rows(self, page: ListPage) -> bool:
        """Whether a page has rows that the pages before lack; else the target ignores the position."""
        known = {str(row.get(self._key)) for known_page in self.pages for row in known_page.rows}
        return any(str(row.get(self._key)) not in known for row in page.rows)

    def _has_more(self, listing: Listing, total: int | None) -> bool:
        """Whether another page may follow: by the cursor, the total, or because the last page is as long as the first.

        Too many rows are not read.
        """
        row_count, page_rows = self._row_count(), len(self.pages[0].rows)
        if (total is not None and total > MAX_ROWS) or row_count >= MAX_ROWS:
            self.is_complete = total is not None and row_count >= total
            return False
        if listing.has_cursor:
            return True
        return row_count < total if total is not None else len(self.pages[-1].rows) == page_rows > 0

    def _row_count(self) -> int:
        return sum(len(page.rows) for page in self.pages)

    def _build_scope(self) -> QueryPairs:
        """Return the pairs of the query without page and page size, because all rows are read."""
        paging = self._find_paging_names()
        query = {name: value for name, value in self.query.items() if name not in paging}
        return tuple(iter_pairs(self.operation, {**query, **self.narrowed_by}))

    def _find_paging_names(self) -> list[str]:
        roles = (*POSITION_ROLES, "size")
        return [p.name for p in self.operation.query_parameters if p.x_query and p.x_query.role in roles]

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
                    problem = self._problem("", [parameter], f"{key} is listed, but it does not match")
                    yield replace(problem, parameter=parameter)

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
            is_contradiction = self._is_witnessed(excluded_by[:1]) or self._is_excluded_elsewhere(record, *excluded_by)
            yield replace(problem, is_contradiction=is_contradiction, parameter=excluded_by[0])
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

    def _is_excluded_elsewhere(self, record: ModelRecord, *parameters: Parameter) -> bool:
        """Whether a filter has an effect in another request: alone, with the value of another record, or with its own.

        The list by the filter alone lacks the record; that by the other value has the other record and lacks this one;
        that by the own value has the record and lacks one with another value.
        """
        for parameter in parameters:
            x_query, own = parameter.x_query, self._reader(record)
            if x_query is None or (x_query.role, x_query.operator) != ("filter", "eq"):
                continue
            others = (other for other in self._records if not other.is_deleted and other is not record)
            known = ((other, self._reader(other)(x_query.paths[0])) for other in others)
            values = {str(v[0]): (other.key, v[0]) for other, v in known if v and isinstance(v[0], (str, int))}
            requests = [(None, self.query[parameter.name])] if len(self._conditions()) > 1 else []
            requests += [r for r in values.values() if evaluate_condition(parameter, r[1], own) is False]
            for expected_key, value in requests[:MAX_WITNESS_REQUESTS]:
                listed = self._list_keys({parameter.name: value})
                if listed and record.key not in listed and (expected_key is None or expected_key in listed):
                    return True
            if self._is_implemented_for_own_value(parameter, record):
                return True
        return False

    def _is_implemented_for_own_value(self, parameter: Parameter, record: ModelRecord) -> bool:
        """Whether the filter by the value of a record lists it, and lacks one that is listed without the filter."""
        x_query = parameter.x_query
        own = self._reader(record)(x_query.paths[0]) if x_query is not None else None
        if not own or not isinstance(own[0], (str, int)):
            return False
        others = [other for other in self._records if not other.is_deleted and other is not record]
        differing = {o.key for o in others if evaluate_condition(parameter, own[0], self._reader(o)) is False}
        listed = self._list_keys({parameter.name: own[0]}) if differing else []
        return record.key in listed and bool(differing & set(self._list_keys({})) - set(listed))

    def _list_keys(self, query: Mapping[str, Any]) -> list[Any]:
        """Return the keys of the first rows of another query; none if it is rejected."""
        listing = Listing(
            self.session, self.operation, tuple(iter_pairs(self.operation, {**query, **self.narrowed_by}))
        )
        with suppress(SkipCheck):
            return [row.get(self._key) for row in listing.fetch_largest().rows]
        return []

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

    def _describe(self, pairs: QueryPairs | None = None) -> str:
        """Return path and query, by default those of this list."""
        query = "&".join(f"{name}={value}" for name, value in (self._build_scope() if pairs is None else pairs))
        return f"{self.operation.path}?{query}" if query else self.operation.path

    # Relations between requests

    def _selection_problems(self) -> Iterator[ListProblem]:
        """Compare the rows with those of an earlier list that differs in order and included properties only."""
        if not self.is_complete:
            return
        current = self._build_row_set()
        other = self.row_sets.find_other(current)
        if other is not None and other.keys != current.keys:
            other_rows = self._fetch_all_rows(other.query)
            self._read()  # again: another client may have written between the two
            current, other = self._build_row_set(), replace(other, keys=self._sort_keys(other_rows))
            if self.is_complete and other.keys != current.keys:
                parameter = select_cause(self.operation, current, other)
                message = f"{describe_difference(current, other)} {self._describe(other.query)}"
                problem = self._problem("rows", [parameter] if parameter else [], message)
                yield replace(problem, is_contradiction=True)
                return
        self.row_sets.add(current)

    def _build_row_set(self) -> RowSet:
        query, write_count = {**self.query, **self.narrowed_by}, self.comparison.model.write_count
        paging = self._find_paging_names()
        query = {name: value for name, value in query.items() if name not in paging}
        return build_row_set(self.operation, query, write_count, self.rows, self._key)

    def _sort_keys(self, rows: list[Row]) -> tuple[str, ...]:
        return tuple(sorted(str(row.get(self._key)) for row in rows))

    def _fetch_all_rows(self, query: QueryPairs) -> list[Row]:
        """Return the rows of all pages of another query; at most `MAX_ROWS`."""
        listing, pages = Listing(self.session, self.operation, query), list[ListPage]()
        page: ListPage | None = listing.fetch_largest()
        while page is not None and page.rows:
            pages.append(page)
            rows = [row for page_ in pages for row in page_.rows]
            is_last = listing.position is None or len(page.rows) < len(pages[0].rows) or len(rows) >= MAX_ROWS
            page = None if is_last else listing.fetch_next(pages, *listing.build_largest_page_query())
        return [row for page_ in pages for row in page_.rows]

    def _total_problems(self) -> Iterator[ListProblem]:
        """Compare the total with the number of rows on all pages."""
        totals = [parse_integer(page.pagination_values.get("total")) for page in self.pages]
        wrong = next((total for total in totals if total not in (None, len(self.rows))), None)
        if wrong is None or not self.is_complete or len({row.get(self._key) for row in self.rows}) < len(self.rows):
            return
        listing = Listing(self.session, self.operation)
        pointer, name = listing.find_pagination_property("total")
        message = f"{self._describe()}: {name}: got {wrong}, expected {len(self.rows)}, the number of rows"
        evidence = (self.pages[0].exchange,)
        yield ListProblem("total", (pointer,), message, evidence, is_contradiction=True)

    # Order

    def _order_problems(self) -> Iterator[ListProblem]:
        order = parse_order(self.operation, self.query)
        attribute = self.session.operations.resource(self.operation).attributes.get(order.name) if order else None
        is_repeated = len(self.rows) > len({str(row.get(self._key)) for row in self.rows})  # pages are wrong
        if order is None or is_repeated or (attribute is not None and attribute.enum_values):
            return
        inversion = order.find_inversion(self.rows)
        if inversion is None:
            return
        message = f"{self._describe()}: got {inversion[0]!r} before {inversion[1]!r}, expected the reverse"
        subject, pointers = f"{order.sort.name}={order.value}", [f"{order.sort.pointer}/schema", order.sort.pointer]
        is_opposite = order.is_opposite_of(self.rows)
        if is_opposite and order.direction is not None:
            subject, pointers = f"{subject} {order.direction.name}={order.chosen}", [order.direction.pointer]
        ignored = order.direction if is_opposite else order.sort
        problem = ListProblem(subject, tuple(pointers), message, (self.pages[0].exchange,), parameter=ignored)
        yield replace(problem, is_contradiction=self._is_order_witnessed(order, is_opposite=is_opposite))

    def _is_order_witnessed(self, order: Order, *, is_opposite: bool) -> bool:
        """Whether the target sorts by another property as requested, or by this one in the other direction.

        If the order is the opposite one, only the same direction with another property shows that it has an effect.
        """
        orders = [other for other in iter_orders(self.operation) if other != order]
        if is_opposite:
            orders = [other for other in orders if other.chosen == order.chosen and other.is_descending]
        conditions = self._build_row_set().conditions
        for other in orders[:MAX_WITNESS_REQUESTS]:
            scope = (*conditions, *iter_pairs(self.operation, other.query))
            with suppress(SkipCheck):
                if other.is_shown_by(Listing(self.session, self.operation, scope).fetch_largest().rows):
                    return True
        return False

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
        size, listing = find_parameter(self.operation, "size"), self._build_listing()
        if size is None or listing.position is None or size.name not in self.query or not self.is_complete:
            return
        rows = self.rows
        requested = min(int(self.query[size.name]), max(1, len(rows) - 1))  # more than one page
        requested = max(requested, -(-len(rows) // MAX_PAGES_OF_SIZE))
        before = self._row_keys()
        pages = list(self._fetch_pages(listing, requested, max(1, -(-len(before) // requested))))
        past_end = None if listing.has_cursor else self._fetch_page(listing, requested, pages, PAGES_PAST_END)
        self._read()
        if sorted(map(str, self._row_keys())) == sorted(map(str, before)):
            yield from self._compare_pages(pages, past_end, requested, before)
        if self._row_keys() != before:
            yield from self._order_changes(rows)
        else:
            yield from self._paged_order_problems(pages, requested)

    def _build_listing(self) -> Listing:
        return Listing(self.session, self.operation, self._build_scope())

    def _fetch_pages(self, listing: Listing, size: int, last: int) -> Iterator[ListPage]:
        """Yield the pages of a list; with cursors at most one more than expected."""
        pages: list[ListPage] = []
        while len(pages) < last + int(listing.has_cursor):
            page = self._fetch_page(listing, size, pages)
            if page is None:
                return
            pages.append(page)
            yield page

    @staticmethod
    def _fetch_page(listing: Listing, size: int, pages: list[ListPage], skipped: int = 0) -> ListPage | None:
        """Fetch a page after `pages`. `skipped`: number of pages between."""
        query = listing.build_position_query(len(pages) + skipped, (len(pages) + skipped) * size, pages)
        return None if query is None else listing.fetch(*query, size=size)

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

    def _paged_order_problems(self, pages: list[ListPage], size: int) -> Iterator[ListProblem]:
        """Yield a problem if the rows of all pages are not in the order in which the complete list is."""
        order = parse_order(self.operation, self.query)
        paged_rows = [row for page in pages for row in page.rows]
        if order is None or order.find_inversion(self.rows) is not None or not order.is_shown_by(self.rows):
            return
        inversion = order.find_inversion(paged_rows)
        if inversion is not None and are_pages_distinct(pages, self._key):
            values = f"got {inversion[0]!r} before {inversion[1]!r}, expected the reverse as in the complete list"
            message = f"{self._describe()} in pages of {size}: {values}"
            evidence = tuple(page.exchange for page in pages[:3])
            yield ListProblem("order of pages", (order.sort.pointer,), message, evidence, is_contradiction=True)

    def _compare_pages(
        self, pages: list[ListPage], past_end: ListPage | None, requested: int, keys: list[Any]
    ) -> Iterator[ListProblem]:
        label = f"{self._describe()} in pages of {requested}"
        yield from self._compare_paged_rows(label, pages, requested, keys)
        position = self._build_listing().position
        if past_end is not None and past_end.rows and position is not None:
            message = f"{label}: got {len(past_end.rows)} rows on a page after the last, expected none"
            yield ListProblem(position.name, (position.pointer,), message, (past_end.exchange,))
        for number, page in enumerate(pages, 1):
            if page.rows or number == 1:
                yield from self._compare_pagination_values(label, page, number, requested, len(keys))

    def _compare_paged_rows(
        self, label: str, pages: list[ListPage], requested: int, keys: list[Any]
    ) -> Iterator[ListProblem]:
        size, position = find_parameter(self.operation, "size"), self._build_listing().position
        assert size is not None
        assert position is not None
        paged_keys = [row.get(self._key) for page in pages for row in page.rows]
        if sorted(map(str, paged_keys)) != sorted(map(str, keys)):
            key = next(k for k in (*keys, *paged_keys) if keys.count(k) != paged_keys.count(k))
            counts = f"got {key} {paged_keys.count(key)} times on the pages"
            detail = f"{counts}, expected {keys.count(key)} times as in the complete list"
            is_size_wrong = any(len(page.rows) > requested for page in pages)
            cause = size if is_size_wrong else position
            is_paged = not is_size_wrong and are_pages_distinct(pages, self._key)
            evidence = tuple(page.exchange for page in pages[:3])
            yield ListProblem("pages", (cause.pointer,), f"{label}: {detail}", evidence, is_contradiction=is_paged)

    def _compare_pagination_values(
        self, label: str, page: ListPage, number: int, size: int, total: int
    ) -> Iterator[ListProblem]:
        expected: dict[str, Any] = {**compute_pagination_values(number, size, total)}
        if not page.rows:
            expected |= {"first-item": None, "last-item": None}
        expected["has-more"] = number * size < total
        for role, value in expected.items():
            actual = page.pagination_values.get(role, value)
            if (actual if value is None or isinstance(value, bool) else parse_integer(actual)) != value:
                message = f"{label}, page {number}: {role}: got {actual}, expected {value}"
                pointer, _ = Listing(self.session, self.operation).find_pagination_property(role)
                is_contradiction = role == "total" and parse_integer(actual) is not None
                yield ListProblem(role, (pointer,), message, (page.exchange,), is_contradiction=is_contradiction)
