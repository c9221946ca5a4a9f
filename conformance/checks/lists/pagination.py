"""Checks of pagination: metadata and links of a page, and their host."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import parse_qsl, urlsplit

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.declared_headers import find_response_headers
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    ListRequestRejected,
    compute_pagination_values,
    evaluate_requirement,
    get_pagination_roles,
    is_list,
    is_list_with,
)
from conformance.checks.support.parameters import find_parameter
from conformance.checks.support.values import parse_integer
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from spec.extensions import PAGINATION_LINKS
from spec.model import Contract, Operation
from spec.provenance import INFERRED

URL_ROLES = ("path", *PAGINATION_LINKS)
LINK_HEADER = "link"
LINK_TARGET = re.compile(r"<([^<>]*)>")  # RFC 8288
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """A page with its number among pages of `size` rows."""

    number: int
    size: int
    list_page: ListPage


@check(
    "pagination-metadata-correct",
    "Pagination metadata and links match the returned page.",
    Category.LISTS,
    lambda c, o: is_list_with("page", "size")(c, o) and "total" in get_pagination_roles(o),
    affected_by_other_clients=True,
)
def check_pagination_values(case: Case) -> Iterator[CheckResult]:
    """Check each pagination value on the first, a middle and the last page, and on an incomplete last page."""
    listing = Listing(case.session, case.operation)
    try:
        pages = _fetch_numbered_pages(listing)
    except ListRequestRejected as rejection:
        raise SkipCheck(rejection.reason) from None
    for role in sorted(get_pagination_roles(case.operation)):
        pointer, name = listing.find_pagination_property(role)
        evaluate = partial(_evaluate_pagination_value, listing, role, name, pages)
        yield evaluate_requirement(case, case.build_requirement(pointer, parameter=name), evaluate)


def _fetch_numbered_pages(listing: Listing) -> list[NumberedPage]:
    total = _ensure_total(listing)
    uneven = next((size for size in range(2, total + 3) if total % size), 2)
    candidates = [(1, 1), (2, 1), (total, 1), (1, uneven), (-(-total // uneven), uneven)]
    existing = dict.fromkeys((number, size) for number, size in candidates if (number - 1) * size < total)
    return [NumberedPage(number, size, listing.fetch(size=size, page=number)) for number, size in existing]


def _ensure_total(listing: Listing) -> int:
    """Return the total after creating records where possible. Raises SkipCheck for an empty list."""
    try:
        listing.ensure_records(3)
    except SkipCheck:
        if not listing.fetch(size=1).rows:
            raise
    return listing.fetch(size=1).total


def _evaluate_pagination_value(listing: Listing, role: str, name: str, pages: list[NumberedPage]) -> Evaluation:
    for page in pages:
        if not page.list_page.rows:
            raise ListChangedDuringCheck
        if role not in page.list_page.pagination_values:
            problem = "got none, expected a value"
        elif role in PAGINATION_LINKS:
            problem = _find_link_problem(listing, role, page)
        else:
            problem = _find_value_problem(listing, role, page)
        if problem:
            return f"{name} of page {page.number} ({page.size} rows per page): {problem}", (page.list_page.exchange,)
    return "", (pages[0].list_page.exchange,)


def _is_list_url(listing: Listing, url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith(listing.operation.path.rstrip("/"))


def _find_value_problem(listing: Listing, role: str, page: NumberedPage) -> str:
    value = page.list_page.pagination_values[role]
    if role == "path":
        is_valid = _is_list_url(listing, str(value)) and not urlsplit(str(value)).query
        return "" if is_valid else f"got {value!r}, expected the URL of the list without a query"
    if role == "total":
        is_valid = (parse_integer(value) or 0) >= page.number
        return "" if is_valid else f"got {value!r}, expected at least {page.number}"
    expected = compute_pagination_values(page.number, page.size, page.list_page.total)[role]
    return "" if parse_integer(value) == expected else f"got {value!r}, expected {expected}"


def _find_link_problem(listing: Listing, role: str, page: NumberedPage) -> str:
    link = page.list_page.pagination_values[role]
    last = compute_pagination_values(page.number, page.size, page.list_page.total)["last-page"]
    next_number = page.number + 1 if page.number < last else 0
    expected = {"first": 1, "last": last, "previous": page.number - 1, "next": next_number}[role]
    if expected == 0:
        return "" if link is None else f"got {link!r}, expected null"
    if not isinstance(link, str):
        return f"got {link!r}, expected a link to page {expected}"
    query = tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    number = dict(query).get(listing.require_parameter("page").name, "1")
    if parse_integer(number) != expected or not _is_list_url(listing, link):
        return f"got {link!r}, expected a link to page {expected} of the list"
    linked_page = Listing(listing.session, listing.operation).fetch(*query)
    current = parse_integer(linked_page.pagination_values.get("current-page", expected))
    return "" if current == expected else f"got a link to page {current}, expected {expected}"


# Host of links


def _has_links(contract: Contract, operation: Operation) -> bool:
    has_roles = not get_pagination_roles(operation).isdisjoint(URL_ROLES)
    headers = find_response_headers(contract, operation, operation.envelope.status)
    return is_list(contract, operation) and (has_roles or LINK_HEADER in headers)


@check(
    "page-links-have-the-request-host",
    "The absolute URLs of pages have the host and port of the request.",
    Category.LISTS,
    _has_links,
    affected_by_other_clients=True,
)
def check_link_hosts(case: Case) -> Iterator[CheckResult]:
    """Compare the host of each URL in the pagination and in the Link header; no request is sent to another host."""
    size = find_parameter(case.operation, "size")
    page = Listing(case.session, case.operation).fetch(*(((size.name, "1"),) if size is not None else ()))
    # A proxy in front of the target may have another host than the target: always inferred.
    requirement = replace(case.build_requirement(), provenance=INFERRED)
    roles = ((".".join(path), role) for path, role in case.operation.envelope.page_property_paths if role in URL_ROLES)
    urls = [(name, str(url)) for name, role in roles if (url := page.pagination_values.get(role))]
    headers = page.exchange.response.headers
    urls += [("Link", url) for url in LINK_TARGET.findall(headers.get(LINK_HEADER, ""))]
    absolute = [(name, url) for name, url in urls if _parse_host(url) is not None]
    expected = _parse_host(case.session.client.target.base)
    if not absolute or expected is None:
        yield case.skip(requirement, not_testable("the response has no absolute URL of a page"))
        return
    name, url = next(((name, url) for name, url in absolute if _parse_host(url) != expected), ("", ""))
    message = f"{name} is {url!r}, expected a URL with the host of the request, {_format_host(expected)}"
    yield case.build_result(requirement, message if url else "", page.exchange)


def _parse_host(url: str) -> tuple[str, int | None] | None:
    """Return host and port of a URL, None for the default port; None for a relative URL.

    A proxy may use another scheme than the target: the default ports of all schemes are equal.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url, None
    if not parts.hostname:
        return None
    return parts.hostname, None if port == DEFAULT_PORTS.get(parts.scheme) else port


def _format_host(host: tuple[str, int | None]) -> str:
    return host[0] if host[1] is None else f"{host[0]}:{host[1]}"
