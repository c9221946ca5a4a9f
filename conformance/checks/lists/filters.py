"""Filters and search: every row satisfies them, none that does is missing, and blanks do not count."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    ListRequestRejected,
    Row,
    evaluate_requirement,
    format_query_value,
    get_values_at,
    is_list,
    loosely_equal,
    parse_integer,
    parse_utc_date,
    parse_zoned_datetime,
)
from conformance.checks.support.tenancy import build_unmatched_value, derive_value
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.skip_reasons import insufficient_data, not_testable
from spec.extensions import QueryExtension
from spec.loader import BodyField, Contract, Operation, Parameter

NIL_UUID = str(UUID(int=0))
MAX_FILTER_VALUES = 2  # values of a filter, at most
MAX_EXPECTED_RECORDS = 3  # records that a filter must let through, at most
MAX_RETRIEVED_ROWS = 3  # rows that are retrieved where the list does not show what it is filtered by
MIN_SEARCH_WORD_CHARS = 4  # letters of a word that is searched


def _has_parameter(role: str) -> Callable[[Contract, Operation], bool]:
    return lambda contract, operation: (
        is_list(contract, operation) and any(p.x_query and p.x_query.role == role for p in operation.query_parameters)
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list."""

    listing: Listing
    parameter: Parameter
    x_query: QueryExtension

    @property
    def accepts_many(self) -> bool:
        """Whether it takes several values, any of which may fit."""
        return self.parameter.schema.get("type") == "array"

    def extract_values(self, row: Row) -> list[Any] | None:
        """What a row shows of the filtered property; None when it does not show it."""
        path = self.x_query.paths[0]
        if self.x_query.operator == "exists":
            if path[0] not in row:
                return None
            return [row[path[0]] not in (None, [])]
        values = get_values_at(row, path)
        if values is None:
            return None
        return [item for value in values for item in (value if isinstance(value, list) else [value])]

    def matches(self, values: list[Any], expected: list[Any]) -> bool:
        """Whether what a row shows satisfies the asked values."""
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

    def build_query(self, values: list[Any]) -> tuple[tuple[str, str], ...]:
        """The query for values: repeated, or joined by commas, as the contract says."""
        if self.accepts_many and not self.parameter.explode:
            return ((self.parameter.name, ",".join(map(format_query_value, values))),)
        return tuple((self.parameter.name, format_query_value(value)) for value in values)

    def select_values(self, rows: list[Row]) -> list[list[Any]]:
        """What to ask: values that some rows have and others have not, the rarest first. Raises CannotMake."""
        if self.x_query.operator == "exists":
            return [[True], [False]]
        row_values = [values for row in rows if (values := self.extract_values(row)) is not None]
        if not row_values:
            raise SkipCheck(not_testable(f"the rows do not show {'.'.join(self.x_query.paths[0])}"))
        distinct = _deduplicate(
            value for values in row_values for value in values if isinstance(value, (str, int, float))
        )
        if self.x_query.operator in ("from", "to"):
            return self._select_bounds(distinct)
        distinct.sort(key=lambda value: sum(self.matches(values, [value]) for values in row_values))
        distinct += [
            v
            for v in (*self._get_enum_values(), *self._fetch_reference_keys())
            if not any(loosely_equal(v, other) for other in distinct)
        ]
        discriminating = [v for v in distinct if not all(self.matches(values, [v]) for values in row_values)]
        if not discriminating and distinct:
            return [[build_unmatched_value(distinct[0])], distinct[:1]]
        if not discriminating:
            raise SkipCheck("the rows show no value")
        selections = [[value] for value in discriminating[:MAX_FILTER_VALUES]]
        return [discriminating[:2], *selections] if self.accepts_many and len(discriminating) > 2 else selections

    def _select_bounds(self, values: list[Any]) -> list[list[Any]]:
        dates = sorted({str(d) for v in values if (d := parse_utc_date(v))})
        if self.parameter.schema.get("format") != "date" or len(dates) < 2:
            raise SkipCheck("the rows show fewer than two days")
        return [[dates[len(dates) // 2] if self.x_query.operator == "from" else dates[(len(dates) - 1) // 2]]]

    def _fetch_reference_keys(self) -> list[Any]:
        """Keys of records that it may be about: where all rows are of one, another is asked for."""
        path, session = self.x_query.paths[0], self.listing.session
        relation = self.listing.resource.relations.get(path[0])
        if (
            relation is None
            or len(path) != 2
            or path[1] != session.contract.resources[relation.targets[0]].key_attribute
        ):
            return []
        list_operation = session.operation(relation.targets[0], "list")
        return (
            []
            if list_operation is None
            else [row[path[1]] for row in Listing(session, list_operation).fetch().rows if path[1] in row]
        )

    def _get_enum_values(self) -> list[Any]:
        schema = self.parameter.schema
        schema = schema.get("items", schema)
        if schema.get("type") == "boolean":
            return [True, False]
        return [value for value in schema.get("enum", ()) if value not in (None, "")]


def _deduplicate(values: Iterator[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if value != "" and not any(loosely_equal(value, other) for other in distinct):
            distinct.append(value)
    return distinct


def find_filters(case: Case) -> Iterator[Filter]:
    """The filters of a list, each with the query that makes rows show what it is about, where they need one."""
    listing = Listing(case.session, case.operation)
    include_parameter = listing.find_parameter("include")
    for parameter in listing.iter_filters():
        if parameter.x_query:
            path = parameter.x_query.paths[0]
            relation = listing.resource.relations.get(path[0])
            include_path = ".".join(path[:-1]) or path[0]
            include_values = (
                include_parameter.schema.get("items", include_parameter.schema).get("enum", ())
                if include_parameter
                else ()
            )
            needs_include = relation is not None and (not relation.is_embedded or len(path) > 2)
            scope = (
                ((include_parameter.name, include_path),)
                if include_parameter and needs_include and include_path in include_values
                else ()
            )
            yield Filter(Listing(case.session, case.operation, scope), parameter, parameter.x_query)


def check_filtered_rows(case: Case) -> Iterator[CheckResult]:
    """One promise for each filter."""
    for list_filter in find_filters(case):
        yield evaluate_requirement(
            case,
            case.build_requirement(list_filter.parameter.pointer, parameter=list_filter.parameter.name),
            partial(_evaluate_rows, list_filter),
        )


def _evaluate_rows(list_filter: Filter) -> Evaluation:
    """The first row that does not satisfy a filter, for each value that is asked."""
    if _is_hidden(list_filter):
        return _evaluate_sent_value(list_filter)
    unexpected_page = _fetch_unmatched(list_filter)
    if unexpected_page is not None:
        return f"{len(unexpected_page.rows)} rows for a key that nothing has, none are due", (unexpected_page.exchange,)
    rows = load_filtered_rows(list_filter, list_filter.listing.sample())
    if not _has_visible_values(list_filter, rows):
        return _evaluate_derived_value(list_filter, should_match=False)
    page = None
    for values in list_filter.select_values(rows):
        page = list_filter.listing.fetch(
            *list_filter.listing.build_largest_page_query(), *list_filter.build_query(values)
        )
        for row in load_filtered_rows(list_filter, page.rows):
            row_values = list_filter.extract_values(row)
            if row_values is not None and not list_filter.matches(row_values, values):
                return _describe_mismatch(list_filter, row, row_values, values), (page.exchange,)
    if page is None:
        raise SkipCheck("there is no value to ask for")
    return "", (page.exchange,)


def _fetch_unmatched(list_filter: Filter) -> ListPage | None:
    """What a filter by a key or name that nobody has lets through; None: nothing, or it is refused."""
    schema = list_filter.listing.session.payloads.resolve_schema
    value_schema = schema(list_filter.parameter.schema)
    value_schema = schema(value_schema.get("items", value_schema))
    unknown_value = {"uuid": build_unmatched_value(NIL_UUID), None: build_unmatched_value("")}.get(
        value_schema.get("format")
    )
    if (
        list_filter.x_query.operator != "eq"
        or value_schema.get("type") != "string"
        or "enum" in value_schema
        or unknown_value is None
    ):
        return None
    try:
        page = list_filter.listing.fetch(
            *list_filter.listing.build_largest_page_query(), *list_filter.build_query([unknown_value])
        )
    except ListRequestRejected:  # some servers look up what a filter names
        return None
    return page if page.rows else None


def _describe_mismatch(list_filter: Filter, row: Row, row_values: list[Any], expected: list[Any]) -> str:
    key = list_filter.listing.get_keys([row])[0]
    path = ".".join(list_filter.x_query.paths[0])
    operator = f"{list_filter.x_query.operator} " if list_filter.x_query.operator != "eq" else ""
    return f"{key} shows {path} {row_values!r:.100}, {operator}{' or '.join(map(repr, expected))} is due"


def load_filtered_rows(list_filter: Filter, rows: list[Row]) -> list[Row]:
    """Rows that show what is filtered; a few of them retrieved where the list does not show it."""
    if any(list_filter.extract_values(row) is not None for row in rows) or list_filter.x_query.paths[0][
        0
    ] in _find_hidden_names(list_filter):
        return rows
    listing = list_filter.listing
    retrieved_rows: list[Row] = []
    for key in listing.get_keys(rows)[:MAX_RETRIEVED_ROWS]:
        exchange = listing.session.retrieve(listing.resource.name, key)
        operation = listing.session.require_operation(listing.resource.name, "retrieve")
        row = listing.session.data(operation, exchange)
        if exchange.response.ok and isinstance(row, dict):
            retrieved_rows.append(row)
    return retrieved_rows


def _find_hidden_names(list_filter: Filter) -> set[str]:
    resource = list_filter.listing.resource
    hidden_attributes = {p.name for p in resource.attributes.values() if p.write_only}
    return hidden_attributes | {r.name for r in resource.relations.values() if r.write_only}


def check_filter_completeness(case: Case) -> Iterator[CheckResult]:
    """Records that the unfiltered list shows with a value are in the list filtered by it; hidden ones as sent."""
    for list_filter in find_filters(case):

        def evaluate(list_filter: Filter = list_filter) -> Evaluation:
            if _is_hidden(list_filter):
                return _evaluate_sent_value(list_filter)
            rows = load_filtered_rows(list_filter, list_filter.listing.sample())
            if not _has_visible_values(list_filter, rows):
                return _evaluate_derived_value(list_filter, should_match=True)
            pages: list[ListPage] = []
            for values in list_filter.select_values(rows):
                matching = [
                    r
                    for r in rows
                    if (row_values := list_filter.extract_values(r)) is not None
                    and list_filter.matches(row_values, values)
                ]
                missing, page = _find_missing(
                    list_filter, list_filter.listing.get_keys(matching)[:MAX_EXPECTED_RECORDS], values
                )
                pages.append(page)
                if missing and _is_still_listed(list_filter, missing, values):
                    path = ".".join(list_filter.x_query.paths[0])
                    message = f"{missing[0]} is missing, which shows {path} {' or '.join(map(repr, values))}"
                    return message, (page.exchange,)
            return "", tuple(page.exchange for page in pages)[:1]

        yield evaluate_requirement(
            case, case.build_requirement(list_filter.parameter.pointer, parameter=list_filter.parameter.name), evaluate
        )


def _is_hidden(list_filter: Filter) -> bool:
    """Whether it is about a property of the records themselves that no answer shows."""
    return (
        list_filter.x_query.operator == "eq"
        and len(list_filter.x_query.paths[0]) == 1
        and list_filter.x_query.paths[0][0] in _find_hidden_names(list_filter)
    )


def _has_visible_values(list_filter: Filter, rows: list[Row]) -> bool:
    return list_filter.x_query.operator == "exists" or any(list_filter.extract_values(row) is not None for row in rows)


def _evaluate_derived_value(list_filter: Filter, *, should_match: bool) -> Evaluation:
    """What no row shows, but the run knows of its own record: it is in the list for its value, and in no other."""
    session, path = list_filter.listing.session, list_filter.x_query.paths[0]
    value = derive_value(session, list_filter.listing.resource, path)
    key = session.shared_record(list_filter.listing.resource.name).key
    query_value = value if should_match else build_unmatched_value(value)
    is_listed, page = list_filter.listing.contains_key(key, *list_filter.build_query([query_value]))
    if is_listed == should_match:
        return "", (page.exchange,)
    state = "is missing" if should_match else "is there"
    return f"{key} {state}, whose {'.'.join(path)} is {value!r}, for {query_value!r}", (page.exchange,)


def _evaluate_sent_value(list_filter: Filter) -> Evaluation:
    """A property that no answer shows: own records are in the list filtered by what was sent, and in no other."""
    session, resource, name = list_filter.listing.session, list_filter.listing.resource, list_filter.x_query.paths[0][0]
    create_operation = session.operation(resource.name, "create")
    body_field = (
        create_operation.request_body.fields.get(name) if create_operation and create_operation.request_body else None
    )
    values = _build_sendable_values(session, body_field) if body_field else []
    if not values:
        raise SkipCheck(not_testable(f"the contract has no way to send {name}, which the rows do not show"))
    for value in values:
        key = session.create(resource.name, {name: value}).key
        for query_value in values:
            query_values = query_value if isinstance(query_value, list) else [query_value]
            is_listed, page = list_filter.listing.contains_key(key, *list_filter.build_query(query_values))
            if is_listed != (value == query_value):
                state = "is missing" if value == query_value else "is there"
                return f"{key} {state}, which was made with {name} {value}, for {query_value}", (page.exchange,)
    return "", (page.exchange,)


def _build_sendable_values(session: Session, field: BodyField) -> list[Any]:
    """Two values of a flag, a choice, or a list of plain values."""
    schema = session.payloads.resolve_schema(field.schema)
    if schema.get("type") == "boolean":
        return [True, False]
    if (
        schema.get("type") == "array"
        and session.payloads.resolve_schema(schema.get("items", {})).get("type") == "string"
    ):
        return [[session.payloads.generate_value(schema["items"], field.name)] for _ in range(2)]
    return [value for value in schema.get("enum", ()) if value is not None][:2]


def _find_missing(list_filter: Filter, expected_keys: list[Any], values: list[Any]) -> tuple[list[Any], ListPage]:
    first_page = list_filter.listing.fetch(
        *list_filter.listing.build_largest_page_query(), *list_filter.build_query(values)
    )
    missing = [key for key in expected_keys if key not in list_filter.listing.get_keys(first_page.rows)]
    if missing:
        rows, first_page = list_filter.listing.fetch_all(*list_filter.build_query(values))
        missing = [key for key in missing if key not in list_filter.listing.get_keys(rows)]
    return missing, first_page


def _is_still_listed(list_filter: Filter, missing: list[Any], values: list[Any]) -> bool:
    """Whether the unfiltered list still shows a missing record so. Raises Moving when it does not."""
    rows = load_filtered_rows(list_filter, list_filter.listing.sample())
    for row, key in zip(rows, list_filter.listing.get_keys(rows), strict=True):
        if (
            key == missing[0]
            and (row_values := list_filter.extract_values(row)) is not None
            and list_filter.matches(row_values, values)
        ):
            return True
    raise ListChangedDuringCheck


def check_combined_filters(case: Case) -> Iterator[CheckResult]:
    """Neighbours among the filters whose values the rows show, both with values of one record."""
    rows = Listing(case.session, case.operation).sample()
    usable = [
        first_filter
        for first_filter in find_filters(case)
        if first_filter.x_query.operator == "eq" and any(first_filter.extract_values(row) for row in rows)
    ]
    for first_filter, second_filter in pairwise(usable):
        if (
            first_filter.parameter.name != second_filter.x_query.unless_parameter
            and second_filter.parameter.name != first_filter.x_query.unless_parameter
        ):
            names = f"{first_filter.parameter.name}&{second_filter.parameter.name}"
            yield evaluate_requirement(
                case,
                case.build_requirement(second_filter.parameter.pointer, parameter=names),
                _evaluate_intersection(first_filter, second_filter, rows),
            )
    if len(usable) < 2:
        yield case.skip(case.build_requirement(), "the rows show what one filter is about, at most")


def _evaluate_intersection(first_filter: Filter, second_filter: Filter, rows: list[Row]) -> Callable[[], Evaluation]:
    def evaluate() -> Evaluation:
        for row in rows:
            first_values, second_values = first_filter.extract_values(row), second_filter.extract_values(row)
            if first_values and second_values and None not in (first_values[0], second_values[0]):
                break
        else:
            raise SkipCheck("no row shows what both filters are about")
        criteria = ((first_filter, [first_values[0]]), (second_filter, [second_values[0]]))
        pairs = tuple(pair for list_filter, values in criteria for pair in list_filter.build_query(values))
        page = first_filter.listing.fetch(*first_filter.listing.build_largest_page_query(), *pairs)
        for list_filter, values in criteria:
            for result_row in page.rows:
                row_values = list_filter.extract_values(result_row)
                if row_values is not None and not list_filter.matches(row_values, values):
                    return _describe_mismatch(list_filter, result_row, row_values, values), (page.exchange,)
        key = first_filter.listing.get_keys([row])[0]
        is_listed, page = first_filter.listing.contains_key(key, *pairs)
        if not is_listed and all(_is_still_listed(list_filter, [key], values) for list_filter, values in criteria):
            return f"{key} is missing, which satisfies both", (page.exchange,)
        return "", (page.exchange,)

    return evaluate


def check_array_encodings(case: Case) -> Iterator[CheckResult]:
    """``x=1&x=2`` and ``x[]=1&x[]=2``."""
    for list_filter in find_filters(case):
        if not list_filter.accepts_many or not list_filter.parameter.explode:
            continue

        def evaluate(list_filter: Filter = list_filter) -> Evaluation:
            rows = load_filtered_rows(list_filter, list_filter.listing.sample())
            row_values = [values for row in rows if (values := list_filter.extract_values(row)) is not None]
            sample_values = _deduplicate(v for values in row_values for v in values if isinstance(v, (str, int)))[:2]
            if len(sample_values) < 2:
                raise SkipCheck(insufficient_data("the rows show fewer than two values"))
            pairs = list_filter.build_query(sample_values)
            bracketed = tuple((f"{name}[]", value) for name, value in pairs)
            repeated_page, bracketed_page = (
                list_filter.listing.fetch(*list_filter.listing.build_largest_page_query(), *query)
                for query in (pairs, bracketed)
            )
            if _get_total_and_keys(list_filter.listing, repeated_page) != _get_total_and_keys(
                list_filter.listing, bracketed_page
            ):
                if _get_total_and_keys(
                    list_filter.listing,
                    list_filter.listing.fetch(*list_filter.listing.build_largest_page_query(), *pairs),
                ) != _get_total_and_keys(list_filter.listing, repeated_page):
                    raise ListChangedDuringCheck
                return "x=1&x=2 and x[]=1&x[]=2 are answered differently", (
                    repeated_page.exchange,
                    bracketed_page.exchange,
                )
            return "", (repeated_page.exchange, bracketed_page.exchange)

        yield evaluate_requirement(
            case, case.build_requirement(list_filter.parameter.pointer, "explode", list_filter.parameter.name), evaluate
        )


def _get_total_and_keys(listing: Listing, page: ListPage) -> list[Any]:
    return [parse_integer(page.pagination_values.get("total")), *listing.get_keys(page.rows)]


# Search ---------------------------------------------------------------------------------------------------------


def extract_search_word(value: Any) -> str | None:
    """The longest plain word of a text, as a search term."""
    parts = str(value).split() if isinstance(value, str) else []
    candidates = [p for p in parts if p.isascii() and p.isalnum() and len(p) >= MIN_SEARCH_WORD_CHARS]
    return max(candidates, key=len, default=None)


def check_search_finds(case: Case) -> Iterator[CheckResult]:
    """A word of a shown text, in capitals and small, for each property that is searched."""
    listing = Listing(case.session, case.operation)
    search_parameter = listing.require_parameter("search")
    for path in search_parameter.x_query.paths if search_parameter.x_query else ():

        def evaluate(path: tuple[str, ...] = path) -> Evaluation:
            rows = listing.sample()
            row, term = _select_search_term(rows, path)
            key = listing.get_keys([row])[0]
            is_found, page = listing.contains_key(key, (search_parameter.name, term))
            matching = [r for r in rows if any(term in str(value) for value in get_values_at(r, path) or ())]
            first_key = listing.get_keys(matching)[0]
            if (
                is_found
                and first_key not in listing.get_keys(page.rows)
                and not listing.contains_key(first_key, (search_parameter.name, term))[0]
            ):
                if first_key not in listing.get_keys(listing.sample()):
                    raise ListChangedDuringCheck
                return f"{first_key} is missing, whose {'.'.join(path)} contains {term!r}", (page.exchange,)
            for query_term in (term, term.upper(), term.lower()):
                is_found, page = listing.contains_key(key, (search_parameter.name, query_term))
                if not is_found:
                    if key not in listing.get_keys(listing.sample()):
                        raise ListChangedDuringCheck
                    message = f"{key} is missing, whose {'.'.join(path)} contains {term!r} ({search_parameter.name}={query_term})"
                    return message, (page.exchange,)
            return "", (page.exchange,)

        yield evaluate_requirement(
            case,
            case.build_requirement(search_parameter.pointer, parameter=f"{search_parameter.name}:{'.'.join(path)}"),
            evaluate,
        )


def _select_search_term(rows: list[Row], path: tuple[str, ...]) -> tuple[Row, str]:
    for row in reversed(rows):
        for value in get_values_at(row, path) or ():
            term = extract_search_word(value)
            if term:
                return row, term
    raise SkipCheck(f"no row shows a text at {'.'.join(path)}")


def check_search_results(case: Case) -> Iterator[CheckResult]:
    """Every row that a search finds shows the term, where it shows all that is searched."""
    listing = Listing(case.session, case.operation)
    search_parameter = listing.require_parameter("search")
    paths = search_parameter.x_query.paths if search_parameter.x_query else ()

    def evaluate() -> Evaluation:
        rows = listing.sample()
        term = next((t for p in paths for t in _iter_discriminating_terms(rows, p)), None)
        if term is None:
            raise SkipCheck("no row shows a text that is searched")
        page = listing.fetch(*listing.build_largest_page_query(), (search_parameter.name, term))
        evaluated = 0
        for row in page.rows:
            path_values = [get_values_at(row, path) for path in paths]
            if None in path_values:
                continue
            evaluated += 1
            texts = [str(value) for values in path_values for value in values or ()]
            if not any(term.casefold() in value.casefold() for value in texts):
                return f"{listing.get_keys([row])[0]} does not contain {term!r}", (page.exchange,)
        if not evaluated:
            raise SkipCheck(not_testable("the rows do not show all that is searched"))
        return "", (page.exchange,)

    yield evaluate_requirement(
        case, case.build_requirement(search_parameter.pointer, parameter=search_parameter.name), evaluate
    )


def _iter_discriminating_terms(rows: list[Row], path: tuple[str, ...]) -> Iterator[str]:
    """Words at a path that some rows do not have."""
    texts = [" ".join(map(str, get_values_at(row, path) or ())).casefold() for row in rows]
    for row in reversed(rows):
        for value in get_values_at(row, path) or ():
            term = extract_search_word(value)
            if term and not all(term.casefold() in other_text for other_text in texts):
                yield term


# Blanks ---------------------------------------------------------------------------------------------------------


def check_blank_parameters(case: Case) -> Iterator[CheckResult]:
    """Each parameter that may be blank, blank, against the list without it."""
    listing = Listing(case.session, case.operation)
    for parameter in case.operation.query_parameters:
        if not parameter.allow_empty_value or parameter.required:
            continue

        def evaluate(parameter: Parameter = parameter) -> Evaluation:
            pages: list[ListPage] = []

            def find_problem() -> str:  # again for a while: a total may be behind
                plain_page, blank_page = listing.fetch(), listing.fetch((parameter.name, ""))
                pages[:] = [plain_page, blank_page]
                if _get_total_and_keys(listing, blank_page) == _get_total_and_keys(listing, plain_page):
                    return ""
                return f"{parameter.name}= is answered by {len(blank_page.rows)} rows that are not those without it"

            message = listing.session.wait_until(find_problem)
            plain_page, blank_page = pages
            if message and _get_total_and_keys(listing, listing.fetch()) != _get_total_and_keys(listing, plain_page):
                raise ListChangedDuringCheck
            return message, (plain_page.exchange, blank_page.exchange)

        yield evaluate_requirement(
            case, case.build_requirement(parameter.pointer, "allowEmptyValue", parameter.name), evaluate
        )


def _has_two_equality_filters(contract: Contract, operation: Operation) -> bool:
    equality_filters = [
        p for p in operation.query_parameters if p.x_query and p.x_query.role == "filter" and p.x_query.operator == "eq"
    ]
    return is_list(contract, operation) and len(equality_filters) > 1


CHECKS: tuple[Check, ...] = (
    Check(
        "filter-excludes-non-matches",
        "A filtered list contains only records that match the filter.",
        Category.LISTS,
        _has_parameter("filter"),
        check_filtered_rows,
    ),
    Check(
        "filter-includes-all-matches",
        "A filtered list contains every record that matches the filter.",
        Category.LISTS,
        _has_parameter("filter"),
        check_filter_completeness,
    ),
    Check(
        "combined-filters-intersect",
        "A list with two filters contains exactly the records that match both.",
        Category.LISTS,
        _has_two_equality_filters,
        check_combined_filters,
    ),
    Check(
        "array-encodings-equivalent",
        "The array encodings x=1&x=2 and x[]=1&x[]=2 return the same result.",
        Category.LISTS,
        lambda c, o: (
            _has_parameter("filter")(c, o)
            and any(p.schema.get("type") == "array" and p.explode for p in o.query_parameters)
        ),
        check_array_encodings,
    ),
    Check(
        "search-includes-all-matches",
        "A search returns every record whose searchable text contains the term, ignoring case.",
        Category.LISTS,
        _has_parameter("search"),
        check_search_finds,
    ),
    Check(
        "search-excludes-non-matches",
        "A search returns only records that contain the term, ignoring case.",
        Category.LISTS,
        _has_parameter("search"),
        check_search_results,
    ),
    Check(
        "blank-parameter-ignored",
        "A blank query parameter has the same effect as an omitted one.",
        Category.LISTS,
        lambda c, o: is_list(c, o) and any(p.allow_empty_value for p in o.query_parameters),
        check_blank_parameters,
    ),
)
