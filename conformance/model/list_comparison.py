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
from conformance.model.row_sets import RowSet, RowSets, build_row_set, describe_difference, find_cause
from conformance.model.specification import Model, ModelRecord, RecordId, is_volatile
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import GONE_STATUSES, Exchange
from spec.extensions import POSITION_ROLES
from spec.model import Operation, Parameter

MAX_PAGES_OF_SIZE = 6  # with the page size of a query
PAGES_PAST_END = 50  # number of pages that are skipped to request one after the last
MAX_PROBE_REQUESTS = 4  # that test whether the target implements a parameter
MAX_DIFFERENCES = 3  # that a message lists for a missing record
DELAYED_ROLES = ("total", "last-page", "last-item")  # of pagination values that depend on the total
MAX_ROWS = 300  # of a list that is read completely; a longer one is narrowed to the records of the run


def build_reader(session: Session, model: Model, record: ModelRecord) -> ValueReader:
    """Build a function that returns the values of a record at a path, or None if they are unknown.

    In addition to the model, it uses the tenant and account of the run and the last row of a record of another client.
    """
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
    """A difference between a list and the model.

    `subject`: names of the parameters concerned, or what differs. `pointers`: to these parameters, or to the list.
    `missing`: the record that the list lacks. `is_contradiction`: whether two responses of the target contradict each
    other. `parameter`: the one that the target may ignore, if that explains the difference. `may_replace`: whether it
    shows more than an earlier difference of the same subject.
    """

    subject: str
    pointers: tuple[str, ...]
    message: str
    evidence: tuple[Exchange, ...]
    missing: ModelRecord | None = None
    is_contradiction: bool = False
    parameter: Parameter | None = None
    may_replace: bool = False


@dataclass(slots=True)
class ListComparison:
    """Compares one list request and all its pages with the records of the run.

    `query`: parameters of the request. `narrowed_by`: parameters added to a long list to select the records of the run.
    `rows` and `pages`: results of the last read; `is_complete`: whether they are the complete list. `row_sets`: of
    earlier requests.
    """

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
            row_problems = list(self._find_row_set_problems()) or list(self._find_row_problems())
            problems[:] = [*(row_problems or self._find_total_problems()), *self._find_order_problems()]
            return next((problem.message for problem in problems if problem.subject not in reported), "")

        self.session.client.wait_until(find_problem, is_delay_of_write=False)
        return problems or [*self._find_unstable_order(), *self._find_page_problems(reported)]

    def iter_own_rows(self) -> Iterator[tuple[Row, Exchange]]:
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
        """Whether another page may follow, by the cursor, the total, or the length of the last page.

        False once MAX_ROWS are read; then also sets `is_complete`.
        """
        row_count, page_rows = self._count_rows(), len(self.pages[0].rows)
        if (total is not None and total > MAX_ROWS) or row_count >= MAX_ROWS:
            self.is_complete = total is not None and row_count >= total
            return False
        if listing.has_cursor:
            return True
        return row_count < total if total is not None else len(self.pages[-1].rows) == page_rows > 0

    def _count_rows(self) -> int:
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
        """Return a query for the records of the run: a filter by a common parent, or a search; empty if none."""
        live = [record for record in self._records if not record.is_deleted]
        for parameter in self.operation.query_parameters if live else ():
            x_query = parameter.x_query
            if x_query is None or parameter.name in self.query:
                continue
            if x_query.role == "filter" and x_query.operator == "eq" and len(x_query.paths[0]) == 2:
                parents = {self._find_parent(record, x_query.paths[0][0]) for record in live}
                parent = next(iter(parents)) if len(parents) == 1 else None
                if parent is not None:
                    return {parameter.name: parent[1]}
            if x_query.role == "search" and all(self._has_marker(record, x_query.paths) for record in live):
                return {parameter.name: self.session.payloads.marker}
        return {}

    def _find_parent(self, record: ModelRecord, name: str) -> RecordId | None:
        """Return the record of the run that a relation to one record refers to."""
        relation = record.resource.relations.get(name)
        ids = self.comparison.model.related_ids(record, relation) if relation and not relation.to_many else None
        return ids[0] if ids and ids[0] in self.comparison.model.records else None

    def _has_marker(self, record: ModelRecord, paths: tuple[tuple[str, ...], ...]) -> bool:
        read = build_reader(self.session, self.comparison.model, record)
        return any(self.session.payloads.marker in str(value) for path in paths for value in read(path) or ())

    # Rows

    def _list_conditions(self) -> list[tuple[Parameter, Any]]:
        return list(iter_conditions(self.operation, {**self.query, **self.narrowed_by}))

    def _find_row_problems(self) -> Iterator[ListProblem]:
        """Compare the rows with the records that must and must not be in the list."""
        rows: dict[Any, list[Row]] = {}
        for row in self.rows:
            if is_key(row.get(self._key)):
                rows.setdefault(row[self._key], []).append(row)
        for record in self._records:
            yield from self._find_record_problems(record, rows.get(record.key, []))
        own = {record.key for record in self._records}
        for key in rows.keys() - own:
            yield from self._find_repeated_rows(key, rows[key])
            for parameter, value in self._list_conditions():
                if self._violates_filter(parameter, value, rows[key][0]):
                    problem = self._build_problem("", [parameter], f"got {key}, which does not match the query")
                    differs = self._is_excluded_with_other_size(key)
                    yield replace(problem, parameter=parameter, is_contradiction=differs, may_replace=differs)

    def _find_record_problems(self, record: ModelRecord, rows: list[Row]) -> Iterator[ListProblem]:
        """Compare the number of rows of one record with the expected one: 1 if it matches all conditions, else 0."""
        if record.is_deleted:
            if rows:
                problem = self._build_problem("rows", [], f"got {record.key}, which is deleted")
                yield replace(problem, is_contradiction=self._is_gone(record))
            return
        matches = [(parameter, self._matches(record, rows, parameter, v)) for parameter, v in self._list_conditions()]
        excluded_by = [parameter for parameter, is_match in matches if is_match is False]
        if rows and excluded_by:
            problem = self._build_problem("", excluded_by[:1], f"got {record.key}, which does not match the query")
            differs = self._is_excluded_with_other_size(record.key)
            is_contradiction = (
                differs
                or self._are_filters_implemented(excluded_by[:1])
                or self._is_filter_implemented(record, *excluded_by)
            )
            parameter = excluded_by[0]
            yield replace(problem, is_contradiction=is_contradiction, parameter=parameter, may_replace=differs)
        elif rows:
            yield from self._find_repeated_rows(record.key, rows)
        elif self.is_complete and all(is_match is True for _, is_match in matches):
            effective = [parameter for parameter, _ in matches if parameter.name in self.query]
            # Other clients may have deleted their record, and a value may have changed.
            may_change = record.is_foreign or any(self._may_change(record, parameter) for parameter, _ in matches)
            if (not may_change or self._matches_now(record)) and not self._has_other_relations(record):
                message = f"got {self._describe_rows()} without {record.key}, which matches the query"
                is_contradiction = self._is_retrieved_but_unlisted(record)
                problem = self._build_problem("rows", effective, message)
                yield replace(problem, missing=record, is_contradiction=is_contradiction)

    def _is_excluded_with_other_size(self, key: Any) -> bool:
        """Whether the same query with another page size returns all matching rows, without this one.

        A cache may omit a parameter from its key.
        """
        listing, size = self._build_listing(), find_parameter(self.operation, "size")
        largest = dict(listing.build_largest_page_query()).get(size.name) if size is not None else None
        if largest is None or int(largest) < 2:
            return False
        with suppress(SkipCheck):
            page = listing.fetch(size=int(largest) - 1)
            return 0 < len(page.rows) < int(largest) - 1 and key not in [row.get(self._key) for row in page.rows]
        return False

    def _is_gone(self, record: ModelRecord) -> bool:
        """Whether a retrieve states that a record does not exist."""
        retrieve = self.session.operations.find(record.resource.name, "retrieve")
        if retrieve is None:
            return False
        path = {retrieve.path_parameter_names[0]: record.key}
        return self.session.client.send(retrieve, path=path).response.status in GONE_STATUSES

    def _is_retrieved_but_unlisted(self, record: ModelRecord) -> bool:
        """Whether a retrieve returns a record that the list lacks, although it has other records of the run.

        If the query has conditions, the list must show that the target implements them.
        """
        parameters = [parameter for parameter, _ in self._list_conditions()]
        is_foreign = record.is_foreign or record.is_borrowed
        if (
            is_foreign
            or not any(self.iter_own_rows())
            or (parameters and not self._are_filters_implemented(parameters))
        ):
            return False
        return self._retrieve(record) is not None

    def _are_filters_implemented(self, parameters: list[Parameter]) -> bool:
        """Whether the rows show that the target implements these filters.

        That is so if a matching record is listed and one that does not match is not. False for a search and for filters
        other than `eq`, which may follow other rules than the model.
        """
        if any(p.x_query is None or (p.x_query.role, p.x_query.operator) != ("filter", "eq") for p in parameters):
            return False
        listed = {row.get(self._key) for row in self.rows}
        conditions = [(p, value) for p, value in self._list_conditions() if p in parameters]
        matches = {
            (
                all(evaluate_condition(p, value, self._build_reader(record)) is True for p, value in conditions),
                is_listed,
            )
            for record in self._records
            if not record.is_deleted
            for is_listed in (record.key in listed,)
        }
        return {(True, True), (False, False)} <= matches

    def _is_filter_implemented(self, record: ModelRecord, *parameters: Parameter) -> bool:
        """Whether another request shows that the target implements one of the filters.

        One of these lists shows it:

        - filtered by this parameter alone: the record is missing;
        - filtered by the value of another record: that record is listed, this one is not;
        - filtered by the value of this record: it is listed, and a record with another value is not.
        """
        for parameter in parameters:
            x_query, own = parameter.x_query, self._build_reader(record)
            if x_query is None or (x_query.role, x_query.operator) != ("filter", "eq"):
                continue
            others = (other for other in self._records if not other.is_deleted and other is not record)
            known = ((other, self._build_reader(other)(x_query.paths[0])) for other in others)
            values = {str(v[0]): (other.key, v[0]) for other, v in known if v and isinstance(v[0], (str, int))}
            requests = [(None, self.query[parameter.name])] if len(self._list_conditions()) > 1 else []
            requests += [r for r in values.values() if evaluate_condition(parameter, r[1], own) is False]
            for expected_key, value in requests[:MAX_PROBE_REQUESTS]:
                listed = self._list_keys({parameter.name: value})
                if listed and record.key not in listed and (expected_key is None or expected_key in listed):
                    return True
            if self._is_implemented_for_value_of(parameter, record):
                return True
        return False

    def _is_implemented_for_value_of(self, parameter: Parameter, record: ModelRecord) -> bool:
        """Whether a filter by the value of a record lists it, and omits another one that is listed without it."""
        x_query = parameter.x_query
        own = self._build_reader(record)(x_query.paths[0]) if x_query is not None else None
        if not own or not isinstance(own[0], (str, int)):
            return False
        others = [other for other in self._records if not other.is_deleted and other is not record]
        differing = {o.key for o in others if evaluate_condition(parameter, own[0], self._build_reader(o)) is False}
        listed = self._list_keys({parameter.name: own[0]}) if differing else []
        return record.key in listed and bool(differing & set(self._list_keys({})) - set(listed))

    def _list_keys(self, query: Mapping[str, Any]) -> list[Any]:
        """Return the keys on the first page of another query; empty if the target rejects it."""
        listing = Listing(
            self.session, self.operation, tuple(iter_pairs(self.operation, {**query, **self.narrowed_by}))
        )
        with suppress(SkipCheck):
            return [row.get(self._key) for row in listing.fetch_largest().rows]
        return []

    def _build_reader(self, record: ModelRecord) -> ValueReader:
        return build_reader(self.session, self.comparison.model, record)

    def explain_missing(self, record: ModelRecord) -> str:
        """Describe a missing record: whether retrieve returns it, and how it differs from the listed records."""
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
        for parameter, value in self._list_conditions():
            if parameter.x_query and parameter.x_query.role == "search":
                differences[:0] = find_text_differences(parameter.x_query.paths, str(value), body, rows)
        listed = f"; unlike each of {len(rows)} listed records, " + "; ".join(differences[:MAX_DIFFERENCES])
        return "retrieve returns it" + (listed if differences else "")

    def _describe_rows(self) -> str:
        """Describe the number of rows on all pages, and the total that the target returns."""
        total = parse_integer(self.pages[0].pagination_values.get("total"))
        return f"{len(self.rows)} rows" + ("" if total is None else f" (total: {total})")

    def _find_repeated_rows(self, key: Any, rows: list[Row]) -> Iterator[ListProblem]:
        """Yield a problem if a record is listed twice, unless it changed during the read and so may have moved."""
        if len(rows) < 2 or any(row != rows[0] for row in rows):
            return
        totals = {parse_integer(page.pagination_values.get("total")) for page in self.pages}
        is_stable = len(totals) == 1 and None not in totals
        is_on_one_page = any(sum(row.get(self._key) == key for row in page.rows) > 1 for page in self.pages)
        if is_stable or is_on_one_page:
            problem = self._build_problem("rows", [], f"got {key} {len(rows)} times, expected once")
            yield replace(problem, is_contradiction=is_on_one_page or are_pages_distinct(self.pages, self._key))

    def _matches(self, record: ModelRecord, rows: list[Row], parameter: Parameter, value: Any) -> bool | None:
        """Evaluate a condition for a record; None if unknown. A value that may have changed is read from the target."""
        known = evaluate_condition(parameter, value, build_reader(self.session, self.comparison.model, record))
        if not rows or not self._may_change(record, parameter):
            return known
        listed = evaluate_condition(parameter, value, read_row(rows[0]))
        body = self._retrieve(record) if listed is None and known is False else None
        return listed if body is None else evaluate_condition(parameter, value, read_row(body))

    def _may_change(self, record: ModelRecord, parameter: Parameter) -> bool:
        """Whether other clients or the server may have changed the value that a parameter refers to."""
        names = [path[0] for path in parameter.x_query.paths] if parameter.x_query else []
        attributes = [name for name in names if name in record.resource.attributes]
        return record.is_foreign or any(is_volatile(record.resource, name) for name in attributes)

    def _matches_now(self, record: ModelRecord) -> bool:
        """Whether the record, retrieved again, exists and satisfies all conditions."""
        body = self._retrieve(record)
        conditions = self._list_conditions()
        return body is not None and all(evaluate_condition(p, value, read_row(body)) is True for p, value in conditions)

    def _has_other_relations(self, record: ModelRecord) -> bool:
        """Whether a retrieve shows that a condition on related records, which others may create, is not satisfied."""
        conditions = [(p, v) for p, v in self._list_conditions() if p.x_query and p.x_query.operator == "exists"]
        body = self._retrieve(record) if conditions else None
        return body is not None and any(evaluate_condition(p, v, read_row(body)) is False for p, v in conditions)

    def _retrieve(self, record: ModelRecord) -> Mapping[str, Any] | None:
        """Return the record as it is now, with all relations; None if it cannot be retrieved."""
        retrieve = self.session.operations.find(record.resource.name, "retrieve")
        if retrieve is None:
            return None
        body, _ = retrieve_with_relations(self.session, retrieve, record.key)
        return body if isinstance(body, Mapping) else None

    def _violates_filter(self, parameter: Parameter, value: Any, row: Row) -> bool:
        """Whether a row of another client violates a filter; False for `exists`: rows need not embed relations."""
        x_query = parameter.x_query
        if x_query is None or x_query.role != "filter" or x_query.operator == "exists":
            return False
        return evaluate_condition(parameter, value, read_row(row)) is False

    def _build_problem(self, subject: str, parameters: list[Parameter], message: str) -> ListProblem:
        name = " ".join(parameter.name for parameter in parameters) or subject
        pointers = tuple(parameter.pointer for parameter in parameters) or (self.operation.pointer,)
        return ListProblem(name, pointers, f"{self._describe()}: {message}", (self.pages[0].exchange,))

    def _describe(self, pairs: QueryPairs | None = None) -> str:
        """Return path and query as they are sent, by default those of this list."""
        scope = self._build_scope() if pairs is None else pairs
        sent = self.session.client.boolean_notation.format(self.operation, scope)
        query = "&".join(f"{name}={value}" for name, value in sent)
        return f"{self.operation.path}?{query}" if query else self.operation.path

    # Relations between requests

    def _find_row_set_problems(self) -> Iterator[ListProblem]:
        """Compare the rows with those of an earlier request with the same conditions."""
        if not self.is_complete:
            return
        current = self._build_row_set()
        other = self.row_sets.find_other(current)
        if other is not None and other.keys != current.keys:
            before = self._sort_keys(self._fetch_all_rows(other.query))
            self._read()
            after = self._sort_keys(self._fetch_all_rows(other.query))
            current, other = self._build_row_set(), replace(other, keys=after)
            is_unchanged = before == after  # else another client writes, and the lists cannot be compared
            if self.is_complete and is_unchanged and other.keys != current.keys:
                parameter = find_cause(self.operation, current, other)
                message = f"{describe_difference(current, other)} {self._describe(other.query)}"
                problem = self._build_problem("rows", [parameter] if parameter else [], message)
                yield replace(problem, is_contradiction=True)
                return
        yield from self._find_overlap(current)
        self.row_sets.add(current)

    def _find_overlap(self, current: RowSet) -> Iterator[ListProblem]:
        """Yield a problem if a row is also listed for another value of a filter by one related record."""
        found = self.row_sets.find_disjoint(current, self._list_single_valued())
        if found is None:
            return
        other, name = found
        before = set(self._sort_keys(self._fetch_all_rows(other.query)))
        self._read()
        after = set(self._sort_keys(self._fetch_all_rows(other.query)))  # else another client moved the record
        common = sorted(before & after & set(self._sort_keys(self.rows)))
        if common:
            parameter = next(p for p in self.operation.query_parameters if p.name == name)
            message = f"got {common[0]}, which {self._describe(other.query)} contains too, expected it in one of them"
            yield self._build_problem("rows", [parameter], message)

    def _list_single_valued(self) -> list[str]:
        """Return the filters by the key of a related record, of which each record has at most one."""
        resources = self.session.contract.resources
        names: list[str] = []
        for parameter in self.operation.query_parameters:
            x_query = parameter.x_query
            is_filter = x_query is not None and (x_query.role, x_query.operator) == ("filter", "eq")
            if x_query is None or not is_filter or len(x_query.paths) != 1:
                continue
            resource, is_single = self.session.operations.resource(self.operation), len(x_query.paths[0]) > 1
            for name in x_query.paths[0][:-1]:
                relation = resource.relations.get(name)
                is_single = is_single and relation is not None and not relation.to_many and len(relation.targets) == 1
                resource = resources[relation.targets[0]] if relation is not None else resource
            if is_single and x_query.paths[0][-1] == resource.key_attribute:
                names.append(parameter.name)
        return names

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

    def _find_total_problems(self) -> Iterator[ListProblem]:
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

    def _find_order_problems(self) -> Iterator[ListProblem]:
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
        yield replace(problem, is_contradiction=self._is_sorting_implemented(order, is_opposite=is_opposite))

    def _is_sorting_implemented(self, order: Order, *, is_opposite: bool) -> bool:
        """Whether another request shows that the target implements sorting.

        `is_opposite`: the rows are in the opposite order. Only a request with the same direction and another property
        then shows that the target implements the direction.
        """
        orders = [other for other in iter_orders(self.operation) if other != order]
        if is_opposite:
            orders = [other for other in orders if other.chosen == order.chosen and other.is_descending]
        conditions = self._build_row_set().conditions
        for other in orders[:MAX_PROBE_REQUESTS]:
            scope = (*conditions, *iter_pairs(self.operation, other.query))
            with suppress(SkipCheck):
                if other.is_shown_by(Listing(self.session, self.operation, scope).fetch_largest().rows):
                    return True
        return False

    # Pages

    def _find_page_problems(self, reported: Collection[str]) -> list[ListProblem]:
        """Compare the pages with the complete list. Wait for the totals, which may be updated later than the rows."""
        problems: list[ListProblem] = []

        def find_problem() -> str:
            problems[:] = self._read_pages()
            new = (p for p in problems if p.subject not in reported)
            return next((p.message for p in new if p.subject in DELAYED_ROLES), "")

        self.session.client.wait_until(find_problem, is_delay_of_write=False)
        return problems

    def _read_pages(self) -> Iterator[ListProblem]:
        """Read the list with the page size of the query; its pages must contain each row once and have its total."""
        size, listing = find_parameter(self.operation, "size"), self._build_listing()
        if size is None or listing.position is None or size.name not in self.query or not self.is_complete:
            return
        rows = self.rows
        requested = min(int(self.query[size.name]), max(1, len(rows) - 1))  # more than one page
        requested = max(requested, -(-len(rows) // MAX_PAGES_OF_SIZE))
        before = self._list_row_keys()
        pages = list(self._fetch_pages(listing, requested, max(1, -(-len(before) // requested))))
        past_end = None if listing.has_cursor else self._fetch_page(listing, requested, pages, PAGES_PAST_END)
        self._read()
        has_moved = self._list_row_keys() != before and not is_reordered(rows, self.rows)  # a record that changed
        if not has_moved and sorted(map(str, self._list_row_keys())) == sorted(map(str, before)):
            yield from self._compare_pages(pages, past_end, requested, before)
        if self._list_row_keys() != before:
            yield from self._find_order_changes(rows)
        else:
            yield from self._find_paged_order_problems(pages, requested)

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
        """Fetch a page after `pages`; None if the last of them has no cursor. `skipped`: number of pages between."""
        query = listing.build_position_query(len(pages) + skipped, (len(pages) + skipped) * size, pages)
        return None if query is None else listing.fetch(*query, size=size)

    def _list_row_keys(self) -> list[Any]:
        return [row.get(self._key) for row in self.rows]

    def _find_unstable_order(self) -> Iterator[ListProblem]:
        """Read a list without query parameters again; its order must be the same."""
        if not self.query:
            rows = self.rows
            self._read()
            yield from self._find_order_changes(rows)

    def _find_order_changes(self, before: list[Row]) -> Iterator[ListProblem]:
        """Yield a problem if the rows of the last read are those of `before` in another order."""
        if is_reordered(before, self.rows):
            message = f"{self._describe()}: got another order for the same request, expected the same"
            yield ListProblem("order", (self.operation.pointer,), message, (self.pages[0].exchange,))

    def _find_paged_order_problems(self, pages: list[ListPage], size: int) -> Iterator[ListProblem]:
        """Yield a problem if the complete list is in the requested order, but its pages are not."""
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
            numbers = [str(n) for n, page in enumerate(pages, 1) if any(row.get(self._key) == key for row in page.rows)]
            found = f"on page {' and '.join(numbers)}" if numbers else "on no page"
            detail = f"got {key} {found}, and {keys.count(key)} x in the complete list"
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
