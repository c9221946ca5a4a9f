"""Checks of how query parameters are read: array encodings, blank parameters, special characters of a search."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from conformance.checks.lists.filters import iter_filter_values
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    evaluate_requirement,
    is_list,
    is_list_with,
    poll,
)
from conformance.checks.support.values import parse_integer
from conformance.errors import insufficient_data
from conformance.model.queries import iter_pairs
from conformance.results import CheckResult
from spec.model import Parameter

# Characters with a meaning in SQL, patterns or JSON, and characters of several bytes.
SPECIAL_TEXTS: Mapping[str, str] = {
    "an apostrophe": "it's",
    "a quotation mark": 'so "called',
    "a percent sign": "%",
    "an underscore": "_",
    "a backslash": "\\",
    "brackets": "(a[b{c*",
    "a comment": "a'--",
    "an emoji": "ok 👍🏽",
}
MAX_TERM_CHARS = 2000


def _is_array_filter(parameter: Parameter) -> bool:
    is_filter = parameter.x_query is not None and parameter.x_query.role == "filter"
    return is_filter and parameter.schema.get("type") == "array" and parameter.explode


@check(
    "array-encodings-equivalent",
    "The array encodings x=1&x=2 and x[]=1&x[]=2 return the same result.",
    Category.LISTS,
    lambda c, o: is_list(c, o) and any(map(_is_array_filter, o.query_parameters)),
    affected_by_other_clients=True,
)
def check_array_encodings(case: Case) -> Iterator[CheckResult]:
    listing = Listing(case.session, case.operation)
    pairs_of_values = {p.name: v for p, v in iter_filter_values(case) if isinstance(v, list) and len(v) == 2}
    for parameter in filter(_is_array_filter, case.operation.query_parameters):
        requirement = case.build_requirement(parameter.pointer, "explode", parameter.name)
        values = pairs_of_values.get(parameter.name)
        if values is None:
            yield case.skip(requirement, insufficient_data("the rows have fewer than two values"))
            continue
        yield evaluate_requirement(case, requirement, partial(_evaluate_array_encodings, listing, parameter, values))


def _evaluate_array_encodings(listing: Listing, parameter: Parameter, values: list[Any]) -> Evaluation:
    pairs = tuple(iter_pairs(listing.operation, {parameter.name: values}))
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


@check(
    "blank-parameter-ignored",
    "A blank query parameter has the same effect as an omitted one.",
    Category.LISTS,
    lambda c, o: is_list(c, o) and any(p.allow_empty_value for p in o.query_parameters),
    affected_by_other_clients=True,
)
def check_blank_parameters(case: Case) -> Iterator[CheckResult]:
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


@check("any-search-text-accepted", "A search for any valid text succeeds.", Category.LISTS, is_list_with("search"))
def check_any_search_text(case: Case) -> Iterator[CheckResult]:
    """Search for each special text and for the longest text that the contract allows."""
    listing = Listing(case.session, case.operation)
    parameter = listing.require_parameter("search")
    validator = case.session.schemas.get(parameter.schema_pointer, "write")
    longest_term = "x" * min(MAX_TERM_CHARS, int(parameter.schema.get("maxLength", MAX_TERM_CHARS)))
    for label, term in {**SPECIAL_TEXTS, "a long text": longest_term}.items():
        if not validator.is_valid(term):
            continue

        def evaluate(term: str = term) -> Evaluation:
            return "", (listing.fetch((parameter.name, term)).exchange,)

        yield evaluate_requirement(case, case.build_requirement(parameter.pointer, parameter=label), evaluate)
