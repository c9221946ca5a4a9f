"""Checks of pagination of filtered lists: totals and links."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl, urlsplit

from conformance.checks.lists.filters import iter_filter_values
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    evaluate_requirement,
    get_pagination_roles,
    is_list_with,
)
from conformance.checks.support.parameters import QueryPairs, find_parameter
from conformance.errors import SkipCheck, insufficient_data
from conformance.model.queries import iter_pairs
from conformance.results import CheckResult
from spec.extensions import PAGINATION_LINKS
from spec.provenance import INFERRED


@check(
    "page-links-keep-query",
    "A pagination link leads to its page of the same query.",
    Category.LISTS,
    lambda c, o: is_list_with("page", "size")(c, o) and not get_pagination_roles(o).isdisjoint(PAGINATION_LINKS),
    affected_by_other_clients=True,
)
def check_links_keep_query(case: Case) -> Iterator[CheckResult]:
    """Follow each link of the second page of a filtered and sorted list with one row per page; one by each filter."""
    listing = Listing(case.session, case.operation)
    listing.ensure_records(3)
    common = (*_build_sort_query(listing), (listing.require_parameter("size").name, "1"))
    queries = [(*filter_query, *common) for filter_query in _select_filter_queries(case, listing)] or [common]
    roles = [role for role in PAGINATION_LINKS if role in get_pagination_roles(case.operation)]
    for index, role in enumerate(roles):
        pointer, name = listing.find_pagination_property(role)
        # Laravel's links drop the query by default, and the documented examples have none: always inferred.
        requirement = replace(case.build_requirement(pointer, parameter=name), provenance=INFERRED)
        selected = queries[: 1 if index else len(queries)]
        yield evaluate_requirement(case, requirement, partial(_evaluate_links, listing, role, name, selected))


def _select_filter_queries(case: Case, listing: Listing) -> list[QueryPairs]:
    """Select each filter, by a value with several rows, but not all; those with three rows, for all links, first."""
    total = listing.fetch().total
    queries: dict[str, tuple[bool, QueryPairs]] = {}  # by parameter, with whether it has three rows
    for parameter, value in iter_filter_values(case):
        has_enough, _ = queries.get(parameter.name, (False, ()))
        if isinstance(value, list) or has_enough:
            continue
        query = tuple(iter_pairs(case.operation, {parameter.name: value}))
        filtered_total = listing.fetch(*query).total
        if 2 <= filtered_total < total and (filtered_total > 2 or parameter.name not in queries):
            queries[parameter.name] = (filtered_total > 2, query)
    return [query for _, query in sorted(queries.values(), key=lambda item: not item[0])]


def _build_sort_query(listing: Listing) -> QueryPairs:
    """Build a query for another order than the default: by the first sort property, descending."""
    sort, direction = find_parameter(listing.operation, "sort"), find_parameter(listing.operation, "direction")
    sort_value = next((str(name) for name in sort.schema.get("enum", ()) if name), "") if sort else ""
    directions = direction.schema.get("enum", ()) if direction else ()
    direction_value = next((str(name) for name in reversed(directions) if name), "")
    candidates = ((sort, sort_value), (direction, direction_value))
    return tuple((p.name, value) for p, value in candidates if p is not None and value and sort_value)


def _evaluate_links(listing: Listing, role: str, name: str, queries: Sequence[QueryPairs]) -> Evaluation:
    """Follow the link in the list of each query, until one is wrong. Raises SkipCheck if the first has too few rows."""
    evaluation = _evaluate_link(listing, role, name, queries[0])
    for query in queries[1:]:
        if evaluation[0]:
            break
        with suppress(SkipCheck):
            evaluation = _evaluate_link(listing, role, name, query)
    return evaluation


def _evaluate_link(listing: Listing, role: str, name: str, query: QueryPairs) -> Evaluation:
    page = listing.fetch(*query, page=2)
    target = {"first": 1, "previous": 1, "next": 3, "last": page.total}[role]
    if page.total < 2 or target > page.total:
        raise SkipCheck(insufficient_data("the list has too few rows"))
    link = page.pagination_values.get(role)
    if not isinstance(link, str):
        return f"{name} of page 2 of {page.total}: got {link!r}, expected a link", (page.exchange,)
    expected_keys = listing.get_keys(listing.fetch(*query, page=target).rows)
    pairs = tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    linked_page = Listing(listing.session, listing.operation).fetch(*pairs)
    evidence = (page.exchange, linked_page.exchange)
    if listing.get_keys(linked_page.rows) == expected_keys:
        return "", evidence
    if listing.get_keys(listing.fetch(*query, page=target).rows) != expected_keys:
        raise ListChangedDuringCheck
    dropped = sorted({n for n, v in query if v} - {n.removesuffix("[]") for n, _ in pairs})
    detail = f" (without {', '.join(dropped)})" if dropped else ""
    rows = f"{len(linked_page.rows)} rows{detail}"
    return f"{name} of page 2: got a link to {rows}, expected page {target} of the same query", evidence
