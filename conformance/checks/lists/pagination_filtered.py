"""Narrowed lists, page by page: their total is of what the filter lets through, their links stay within it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.checks.lists.filters import find_filters, load_filtered_rows
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    evaluate_requirement,
    is_list,
)
from conformance.checks.support.values import select_least_certain
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.skip_reasons import insufficient_data
from spec.extensions import PAGINATION_LINKS
from spec.loader import Contract, Operation
from spec.provenance import INFERRED

QueryPairs = tuple[tuple[str, str], ...]


def _has_filters_and_total(contract: Contract, operation: Operation) -> bool:
    """Whether a list has filters, pages and a total."""
    roles = {p.x_query.role for p in operation.query_parameters if p.x_query}
    has_total = any("total" in page.values() for page in operation.envelope.pagination.values())
    return is_list(contract, operation) and {"filter", "page", "size"} <= roles and has_total


def _has_page_links(contract: Contract, operation: Operation) -> bool:
    has_links = any(
        role in PAGINATION_LINKS for page in operation.envelope.pagination.values() for role in page.values()
    )
    roles = {p.x_query.role for p in operation.query_parameters if p.x_query}
    return is_list(contract, operation) and {"page", "size"} <= roles and has_links


def _iter_filter_queries(case: Case) -> Iterator[tuple[str, QueryPairs]]:
    """(filter, a query that it narrows the list by) with values that some rows show and others do not."""
    listing = Listing(case.session, case.operation)
    rows = listing.sample()
    for list_filter in find_filters(case):
        visible_rows = load_filtered_rows(list_filter, rows)
        if list_filter.accepts_many or all(list_filter.extract_values(row) is None for row in visible_rows):
            continue
        try:
            values = list_filter.select_values(visible_rows)
        except SkipCheck:
            continue
        for selection in values[:1]:
            yield list_filter.parameter.name, (*list_filter.listing.scope, *list_filter.build_query(selection))


def check_filtered_total(case: Case) -> Iterator[CheckResult]:
    """One promise for each filter whose values the rows show."""
    listing = Listing(case.session, case.operation)
    pointer, property_name = listing.find_pagination_property("total")
    has_evaluated = False
    for name, pairs in _iter_filter_queries(case):
        has_evaluated = True

        def evaluate(pairs: QueryPairs = pairs) -> Evaluation:
            pages: list[ListPage] = []

            def find_problem() -> str:  # again for a while: a total may be behind
                rows, page = (
                    listing.fetch_all(*pairs) if _is_page_full(listing, pairs) else _fetch_single_page(listing, pairs)
                )
                pages.append(page)
                expected = len(rows)
                return (
                    ""
                    if page.total == expected
                    else f"{property_name} is {page.total}, and {expected} rows are on all pages"
                )

            message = listing.session.wait_until(find_problem)
            return message, (pages[-1].exchange,)

        location = select_least_certain(case, (pointer, None), (listing.require_parameter("page").pointer, None))
        yield evaluate_requirement(case, case.build_requirement(*location, parameter=name), evaluate)
    if not has_evaluated:
        yield case.skip(case.build_requirement(pointer), "the rows show nothing that the list is filtered by")


def _is_page_full(listing: Listing, pairs: QueryPairs) -> bool:
    """Whether the largest page is full, so that more may follow."""
    (_, max_size), *_ = listing.build_largest_page_query()
    return len(listing.fetch(*listing.build_largest_page_query(), *pairs).rows) >= int(max_size)


def _fetch_single_page(listing: Listing, pairs: QueryPairs) -> tuple[list[Any], ListPage]:
    page = listing.fetch(*listing.build_largest_page_query(), *pairs)
    return page.rows, page


def check_links_keep_query(case: Case) -> Iterator[CheckResult]:
    """From the second of pages of one row, of a list that is filtered and sorted: each link leads to the page that the
    same query is answered by."""
    listing = Listing(case.session, case.operation)
    page_parameter, size_parameter = listing.require_parameter("page"), listing.require_parameter("size")
    listing.ensure_records(3)
    query = (*_select_filter_query(case, listing), *_build_sort_query(listing), (size_parameter.name, "1"))
    roles = {role for page_roles in case.operation.envelope.pagination.values() for role in page_roles.values()}
    for role in (role for role in PAGINATION_LINKS if role in roles):
        pointer, name = listing.find_pagination_property(role)
        # Laravel's links keep no query unless they are told to, and documented examples print none: never known.
        requirement = replace(case.build_requirement(pointer, parameter=name), provenance=INFERRED)
        yield evaluate_requirement(
            case, requirement, _build_link_evaluator(listing, role, name, page_parameter.name, query)
        )


def _select_filter_query(case: Case, listing: Listing) -> QueryPairs:
    """A filter that leaves three rows or more, or else two, and not all of them; none where no filter does."""
    total = listing.fetch().total
    fallback: QueryPairs = ()
    for _, pairs in _iter_filter_queries(case):
        filtered_total = listing.fetch(*pairs).total
        if 2 < filtered_total < total:
            return pairs
        fallback = pairs if filtered_total == 2 < total and not fallback else fallback
    return fallback


def _build_sort_query(listing: Listing) -> QueryPairs:
    """A wish for an order other than the usual one: by the first property, the last first."""
    sort_parameter, direction_parameter = listing.find_parameter("sort"), listing.find_parameter("direction")
    sort_value = (
        next((str(name) for name in sort_parameter.schema.get("enum", ()) if name), "") if sort_parameter else ""
    )
    directions = direction_parameter.schema.get("enum", ()) if direction_parameter else ()
    direction_value = next((str(name) for name in reversed(directions) if name), "")
    return tuple(
        (p.name, v)
        for p, v in ((sort_parameter, sort_value), (direction_parameter, direction_value))
        if p is not None and v and sort_value
    )


def _build_link_evaluator(
    listing: Listing, role: str, name: str, page_name: str, query: QueryPairs
) -> Callable[[], Evaluation]:
    def evaluate() -> Evaluation:
        current_page = listing.fetch(*query, (page_name, "2"))
        target_page = {"first": 1, "previous": 1, "next": 3, "last": current_page.total}[role]
        if current_page.total < 2 or target_page > current_page.total:
            raise SkipCheck(insufficient_data("the list has too few rows to tell"))
        link = current_page.pagination_values.get(role)
        if not isinstance(link, str):
            return f"{name} of page 2 of {current_page.total} is {link!r}, a link is due", (current_page.exchange,)
        expected_keys = listing.get_keys(listing.fetch(*query, (page_name, str(target_page))).rows)
        pairs = tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True))
        linked_page = Listing(listing.session, listing.operation).fetch(*pairs)
        if listing.get_keys(linked_page.rows) == expected_keys:
            return "", (current_page.exchange, linked_page.exchange)
        if listing.get_keys(listing.fetch(*query, (page_name, str(target_page))).rows) != expected_keys:
            raise ListChangedDuringCheck
        lost_parameters = sorted({n for n, v in query if v} - {n.removesuffix("[]") for n, _ in pairs})
        detail = f", it has lost {', '.join(lost_parameters)}" if lost_parameters else ""
        message = f"{name} of page 2 leads to {len(linked_page.rows)} rows that are not page {target_page} of the same query{detail}"
        return message, (current_page.exchange, linked_page.exchange)

    return evaluate


CHECKS: tuple[Check, ...] = (
    Check(
        "filtered-total-correct",
        "The total of a filtered list is the number of records on all of its pages.",
        Category.LISTS,
        _has_filters_and_total,
        check_filtered_total,
    ),
    Check(
        "page-links-keep-query",
        "A pagination link leads to its page of the same query.",
        Category.LISTS,
        _has_page_links,
        check_links_keep_query,
    ),
)
