"""Checks of filters: every row matches, no matching record is missing, blank parameters are ignored."""

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from conformance.checks.lists.filters import Filter, deduplicate, find_filters
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    ListRequestRejected,
    Row,
    evaluate_requirement,
    is_list,
    is_list_with,
    poll,
)
from conformance.checks.support.tenancy import build_unmatched_value, derive_value
from conformance.checks.support.values import parse_integer
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from spec.model import BodyField, Contract, Operation, Parameter

NIL_UUID = str(UUID(int=0))
MAX_EXPECTED_RECORDS = 3  # records that a filtered list must contain


def _check_filtered_rows(case: Case) -> Iterator[CheckResult]:
    for list_filter in find_filters(case):
        requirement = case.build_requirement(list_filter.parameter.pointer, parameter=list_filter.parameter.name)
        yield evaluate_requirement(case, requirement, partial(_evaluate_rows, list_filter))


def _evaluate_rows(list_filter: Filter) -> Evaluation:
    if list_filter.is_hidden():
        return _evaluate_sent_value(list_filter)
    unmatched_page = _fetch_unmatched(list_filter)
    if unmatched_page is not None:
        return f"got {len(unmatched_page.rows)} rows for an unknown key, expected none", (unmatched_page.exchange,)
    rows = list_filter.load_rows(list_filter.listing.sample())
    if not list_filter.is_visible(rows):
        return _evaluate_derived_value(list_filter, should_match=False)
    page = None
    for values in list_filter.select_values(rows):
        page = list_filter.fetch(values)
        mismatch = _find_mismatch(list_filter, list_filter.load_rows(page.rows), values)
        if mismatch:
            return mismatch, (page.exchange,)
    if page is None:
        raise SkipCheck("there is no value to filter by")
    return "", (page.exchange,)


def _fetch_unmatched(list_filter: Filter) -> ListPage | None:
    """Fetch the rows for a key or name that no record has.

    None if there are none, as expected, if the request is rejected, or if the filter is not by key or name.
    """
    resolve = list_filter.listing.session.payloads.resolve_schema
    schema = resolve(list_filter.parameter.schema)
    schema = resolve(schema.get("items", schema))
    sample_values = {"uuid": NIL_UUID, None: ""}
    is_text = schema.get("type") == "string" and "enum" not in schema
    if list_filter.x_query.operator != "eq" or not is_text or schema.get("format") not in sample_values:
        return None
    try:
        page = list_filter.fetch([build_unmatched_value(sample_values[schema.get("format")])])
    except ListRequestRejected:  # some servers validate that the referenced record exists
        return None
    return page if page.rows else None


def _find_mismatch(list_filter: Filter, rows: list[Row], expected: list[Any]) -> str:
    """Describe the first row that does not match the requested values; "" if all match."""
    row = next((row for row in rows if list_filter.row_matches(row, expected) is False), None)
    if row is None:
        return ""
    key, values = list_filter.listing.get_keys([row])[0], list_filter.extract_values(row)
    operator = f"{list_filter.x_query.operator} " if list_filter.x_query.operator != "eq" else ""
    description = f"{operator}{' or '.join(map(repr, expected))}"
    return f"{list_filter.dotted_path} of {key}: got {values!r:.100}, expected {description}"


def _check_filter_completeness(case: Case) -> Iterator[CheckResult]:
    for list_filter in find_filters(case):
        requirement = case.build_requirement(list_filter.parameter.pointer, parameter=list_filter.parameter.name)
        yield evaluate_requirement(case, requirement, partial(_evaluate_completeness, list_filter))


def _evaluate_completeness(list_filter: Filter) -> Evaluation:
    """Find a record of the unfiltered list that matches and is missing from the filtered list."""
    listing = list_filter.listing
    if list_filter.is_hidden():
        return _evaluate_sent_value(list_filter)
    rows = list_filter.load_rows(listing.sample())
    if not list_filter.is_visible(rows):
        return _evaluate_derived_value(list_filter, should_match=True)
    pages: list[ListPage] = []
    for values in list_filter.select_values(rows):
        keys = listing.get_keys([row for row in rows if list_filter.row_matches(row, values)])[:MAX_EXPECTED_RECORDS]
        missing, page = _find_missing(list_filter, keys, values)
        pages.append(page)
        if missing and _is_still_listed(list_filter, missing[0], values):
            message = (
                f"{missing[0]} is missing, expected for {list_filter.dotted_path} {' or '.join(map(repr, values))}"
            )
            return message, (page.exchange,)
    return "", tuple(page.exchange for page in pages)[:1]


def _evaluate_derived_value(list_filter: Filter, *, should_match: bool) -> Evaluation:
    """Filter by a value that only the run knows: its record is listed for that value and for no other."""
    listing = list_filter.listing
    value = derive_value(listing.session, listing.resource, list_filter.path)
    key = listing.session.shared_record(listing.resource.name).key
    query_value = value if should_match else build_unmatched_value(value)
    is_listed, page = listing.contains_key(key, *list_filter.build_query([query_value]))
    message = _describe_membership(list_filter, key, value, query_value, is_listed=is_listed)
    return "" if is_listed == should_match else message, (page.exchange,)


def _describe_membership(list_filter: Filter, key: Any, value: Any, query_value: Any, *, is_listed: bool) -> str:
    state = "is listed, not expected" if is_listed else "is missing, expected"
    return f"{key} with {list_filter.dotted_path} {value!r} {state} for {query_value!r}"


def _evaluate_sent_value(list_filter: Filter) -> Evaluation:
    """Filter by an attribute that no response contains: created records are listed for the value that was sent."""
    session, resource, name = list_filter.listing.session, list_filter.listing.resource, list_filter.path[0]
    operation = session.operation(resource.name, "create")
    field = operation.request_body.fields.get(name) if operation and operation.request_body else None
    values = _build_sendable_values(session, field) if field else []
    if not values:
        raise SkipCheck(not_testable(f"{name} is not returned, and no request sets it"))
    for value in values:
        key = session.create(resource.name, {name: value}).key
        for query_value in values:
            query_values = query_value if isinstance(query_value, list) else [query_value]
            is_listed, page = list_filter.listing.contains_key(key, *list_filter.build_query(query_values))
            if is_listed != (value == query_value):
                message = _describe_membership(list_filter, key, value, query_value, is_listed=is_listed)
                return message, (page.exchange,)
    return "", (page.exchange,)


def _build_sendable_values(session: Session, field: BodyField) -> list[Any]:
    """Return two values of a boolean, an enum or a list of strings."""
    schema = session.payloads.resolve_schema(field.schema)
    if schema.get("type") == "boolean":
        return [True, False]
    items = session.payloads.resolve_schema(schema.get("items", {}))
    if schema.get("type") == "array" and items.get("type") == "string":
        return [[session.payloads.generate_value(schema["items"], field.name)] for _ in range(2)]
    return [value for value in schema.get("enum", ()) if value is not None][:2]


def _find_missing(list_filter: Filter, expected: list[Any], values: list[Any]) -> tuple[list[Any], ListPage]:
    page = list_filter.fetch(values)
    missing = [key for key in expected if key not in list_filter.listing.get_keys(page.rows)]
    if missing:
        rows, page = list_filter.listing.fetch_all(*list_filter.build_query(values))
        missing = [key for key in missing if key not in list_filter.listing.get_keys(rows)]
    return missing, page


def _is_still_listed(list_filter: Filter, key: Any, values: list[Any]) -> bool:
    """Return True if the unfiltered list still has the record with these values, else raise ListChangedDuringCheck."""
    rows = list_filter.load_rows(list_filter.listing.sample())
    for row, row_key in zip(rows, list_filter.listing.get_keys(rows), strict=True):
        if row_key == key and list_filter.row_matches(row, values):
            return True
    raise ListChangedDuringCheck


def _has_array_filter(contract: Contract, operation: Operation) -> bool:
    has_array = any(p.schema.get("type") == "array" and p.explode for p in operation.query_parameters)
    return is_list_with("filter")(contract, operation) and has_array


def _check_array_encodings(case: Case) -> Iterator[CheckResult]:
    for list_filter in find_filters(case):
        parameter = list_filter.parameter
        if list_filter.accepts_many and parameter.explode:
            requirement = case.build_requirement(parameter.pointer, "explode", parameter.name)
            yield evaluate_requirement(case, requirement, partial(_evaluate_array_encodings, list_filter))


def _evaluate_array_encodings(list_filter: Filter) -> Evaluation:
    listing = list_filter.listing
    rows = list_filter.load_rows(listing.sample())
    row_values = [values for row in rows if (values := list_filter.extract_values(row)) is not None]
    selected = deduplicate(v for values in row_values for v in values if isinstance(v, (str, int)))[:2]
    if len(selected) < 2:
        raise SkipCheck(insufficient_data("the rows have fewer than two values"))
    pairs = list_filter.build_query(selected)
    repeated = listing.fetch_largest(*pairs)
    bracketed = listing.fetch_largest(*((f"{name}[]", value) for name, value in pairs))
    failure, expected = "", _get_total_and_keys(listing, repeated)
    if _get_total_and_keys(listing, bracketed) != expected:
        if _get_total_and_keys(listing, listing.fetch_largest(*pairs)) != expected:
            raise ListChangedDuringCheck
        failure = "got different rows for x=1&x=2 and x[]=1&x[]=2, expected the same"
    return failure, (repeated.exchange, bracketed.exchange)


def _get_total_and_keys(listing: Listing, page: ListPage) -> list[Any]:
    return [parse_integer(page.pagination_values.get("total")), *listing.get_keys(page.rows)]


def _check_blank_parameters(case: Case) -> Iterator[CheckResult]:
    listing = Listing(case.session, case.operation)
    for parameter in case.operation.query_parameters:
        if parameter.allow_empty_value and not parameter.required:
            requirement = case.build_requirement(parameter.pointer, "allowEmptyValue", parameter.name)
            yield evaluate_requirement(case, requirement, partial(_evaluate_blank_parameter, listing, parameter))


def _evaluate_blank_parameter(listing: Listing, parameter: Parameter) -> Evaluation:
    pages: list[ListPage] = []

    def evaluate() -> Evaluation:  # polled, because a total may be updated with a delay
        plain, blank = listing.fetch(), listing.fetch((parameter.name, ""))
        pages[:] = [plain, blank]
        is_same = _get_total_and_keys(listing, blank) == _get_total_and_keys(listing, plain)
        failure = f"{parameter.name}=: got other rows or another total, expected those without the parameter"
        return "" if is_same else failure, (plain.exchange, blank.exchange)

    failure, evidence = poll(listing.session, evaluate)
    if failure and _get_total_and_keys(listing, listing.fetch()) != _get_total_and_keys(listing, pages[0]):
        raise ListChangedDuringCheck
    return failure, evidence


CHECKS: tuple[Check, ...] = (
    Check(
        "filter-excludes-non-matches",
        "A filtered list contains only records that match the filter.",
        Category.LISTS,
        is_list_with("filter"),
        _check_filtered_rows,
    ),
    Check(
        "filter-includes-all-matches",
        "A filtered list contains every record that matches the filter.",
        Category.LISTS,
        is_list_with("filter"),
        _check_filter_completeness,
    ),
    Check(
        "array-encodings-equivalent",
        "The array encodings x=1&x=2 and x[]=1&x[]=2 return the same result.",
        Category.LISTS,
        _has_array_filter,
        _check_array_encodings,
    ),
    Check(
        "blank-parameter-ignored",
        "A blank query parameter has the same effect as an omitted one.",
        Category.LISTS,
        lambda c, o: is_list(c, o) and any(p.allow_empty_value for p in o.query_parameters),
        _check_blank_parameters,
    ),
)
