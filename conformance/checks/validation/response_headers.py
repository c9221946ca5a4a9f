"""Checks of response headers that the contract declares: Location, totals, links, media types and their charset."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.message import Message
from functools import partial
from urllib.parse import urljoin, urlsplit

from conformance.checks.support.bad_requests import build_readable_path
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.declared_headers import DeclaredHeader, find_media_types, find_response_headers
from conformance.checks.support.listing import Evaluation, Listing, evaluate_requirement, is_list, poll
from conformance.checks.support.parameters import find_parameter
from conformance.checks.support.values import is_create, new_record, parse_integer
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange, Request
from spec.model import Contract, Operation

LOCATION, LINK = "location", "link"
TOTAL_HEADER = re.compile("(?:x-)?(?:pagination-)?total(?:-count|-results|-items)?")
LINK_VALUE = re.compile(r"<([^<>]*)>((?:\s*;\s*[^\s;,=]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,]+))?)*)")
RELATION = re.compile(r"\brel\s*=\s*\"?([^\";,]+)\"?")
UNKNOWN_MEDIA_TYPE = "application/x-conformance"
MAX_LINKED_PAGES = 20
MIN_LINKED_ROWS = 3  # so that the list has three pages


@check(
    "location-resolves",
    "The Location header of a created record is the URL of that record.",
    Category.HTTP,
    lambda c, o: is_create(c, o) and LOCATION in find_response_headers(c, o, 201),
    writes=True,
    compares_responses=True,
)
def check_location(case: Case) -> Iterator[CheckResult]:
    """Create a record and request its Location. The host is ignored, since a target behind a proxy may not know it."""
    session, operation = case.session, case.operation
    record = new_record(case)
    declared = find_response_headers(session.contract, operation, 201)[LOCATION]
    requirement = case.build_requirement(declared.pointer)
    location = record.exchange.response.headers.get(LOCATION, "")
    if not location:
        problem = f"the response with {record.exchange.response.status} has none, expected the URL of the record"
        yield case.build_result(requirement, declared.report_absence(problem), record.exchange)
        return
    retrieve = session.operations.require(record.resource, "retrieve")
    base = session.client.target.base
    path = _find_path_below(base, urljoin(record.exchange.request.build_url(base), location))
    if path is None:
        message = f"Location: got {location!r}, expected a URL below {urlsplit(base).path or '/'}"
        yield case.build_result(requirement, message, record.exchange)
        return
    request = Request(retrieve.id, "get", path)
    exchange = Exchange(request, session.client.target.send(request))
    data = session.operations.data(retrieve, exchange) if exchange.response.ok else None
    key_attribute = session.contract.resources[record.resource].key_attribute
    key = data.get(key_attribute) if isinstance(data, Mapping) else None
    message = ""
    if key != record.key:
        result = f"{key_attribute} {key!r}" if exchange.response.ok else f"status {exchange.response.status}"
        message = f"Location {location!r}: got {result}, expected {key_attribute} {record.key!r}"
    yield case.build_result(requirement, message, record.exchange, exchange)


def _find_path_below(base: str, url: str) -> str | None:
    """Return the path and query of a URL below the path of the base URL; None if it is not below it."""
    parts, base_path = urlsplit(url), urlsplit(base).path
    if not parts.path.startswith(f"{base_path}/"):
        return None
    path = parts.path[len(base_path) :]
    return f"{path}?{parts.query}" if parts.query else path


# Lists


def _find_total_headers(contract: Contract, operation: Operation) -> list[str]:
    return [name for name in find_response_headers(contract, operation, 200) if TOTAL_HEADER.fullmatch(name)]


@check(
    "total-header-matches-body",
    "A header with a total is the number of rows that the list has.",
    Category.HTTP,
    lambda c, o: is_list(c, o) and bool(_find_total_headers(c, o)),
    affected_by_other_clients=True,
    compares_responses=True,
)
def check_total_header(case: Case) -> Iterator[CheckResult]:
    """Compare the header with the total in the body; if there is none, with the number of listed rows."""
    declared = find_response_headers(case.session.contract, case.operation, 200)
    for name in _find_total_headers(case.session.contract, case.operation):
        requirement = case.build_requirement(declared[name].pointer, None, name)
        evaluate = partial(poll, case.session, partial(_evaluate_total, case, declared[name]))
        yield evaluate_requirement(case, requirement, evaluate)


def _evaluate_total(case: Case, header: DeclaredHeader) -> Evaluation:
    """Request a page with one row, so that the total differs from the number of rows on the page."""
    listing = Listing(case.session, case.operation)
    if not case.session.options.read_only:
        with suppress(SkipCheck):
            listing.ensure_records(2)
    has_size = find_parameter(case.operation, "size") is not None
    page = listing.fetch(size=1) if has_size else listing.fetch_largest()
    text = page.exchange.response.headers.get(header.name.lower())
    if text is None:
        return header.report_absence("the response has none, expected the total"), (page.exchange,)
    expected, total = parse_integer(page.pagination_values.get("total")), parse_integer(text)
    if expected is None:
        has_pages = find_parameter(case.operation, "page") is not None
        rows = list(case.session.records.rows(listing.operation, {})) if has_pages else listing.fetch_largest().rows
        expected = len(rows)
    message = "" if total == expected else f"{header.name}: got {text!r}, expected {expected}, the number of rows"
    return message, (page.exchange,)


@check(
    "link-header-reaches-all-pages",
    "The Link header of each page except the last has the URL of the next page.",
    Category.HTTP,
    lambda c, o: is_list(c, o) and LINK in find_response_headers(c, o, 200),
    affected_by_other_clients=True,
    compares_responses=True,
)
def check_link_header(case: Case) -> Iterator[CheckResult]:
    """Follow the links `rel=next` from the first page; the pages must contain each row once."""
    session, operation = case.session, case.operation
    declared = find_response_headers(session.contract, operation, 200)[LINK]
    listing = Listing(session, operation)
    if find_parameter(operation, "size") is None:
        raise SkipCheck(not_testable("the list has no size parameter"))
    if not session.options.read_only:
        listing.ensure_records(MIN_LINKED_ROWS)
    yield evaluate_requirement(
        case, case.build_requirement(declared.pointer), partial(_follow_links, listing, declared)
    )


def _count_rows(listing: Listing) -> int:
    """Return the number of rows. Raises SkipCheck if they are too few for three pages."""
    count = len(listing.fetch_largest().rows)
    if count < MIN_LINKED_ROWS:
        raise SkipCheck(insufficient_data("the list has too few rows"))
    return count


def _follow_links(listing: Listing, header: DeclaredHeader) -> Evaluation:
    session, operation = listing.session, listing.operation
    count = _count_rows(listing)
    page = listing.fetch(size=-(-count // 3))
    exchange, keys = page.exchange, listing.get_keys(page.rows)
    if not exchange.response.headers.get(LINK):
        message = header.report_absence("the first of several pages has none, expected the URL of the next one")
        return message, (exchange,)
    for _ in range(MAX_LINKED_PAGES):
        link = parse_links(exchange.response.headers.get(LINK, "")).get("next")
        if link is None:
            break
        base = session.client.target.base
        path = _find_path_below(base, urljoin(exchange.request.build_url(base), link))
        if path is None:
            return f"rel=next: got {link!r}, expected a URL below {urlsplit(base).path or '/'}", (exchange,)
        request = Request(operation.id, "get", path)
        exchange = Exchange(request, session.client.target.send(request))
        rows = session.operations.data(operation, exchange) if exchange.response.ok else None
        if not isinstance(rows, list):
            return f"rel=next {link!r}: got {exchange.response.status}, expected a list", (page.exchange, exchange)
        keys += listing.get_keys(rows)
        if len(keys) >= count and len(set(keys)) == len(keys):
            break
    if len(set(keys)) != len(keys):
        return (
            f"pages of rel=next: got {len(keys)} rows with {len(set(keys))} different keys, expected each row once",
            (page.exchange, exchange),
        )
    message = f"pages of rel=next: got {len(keys)} rows, expected at least {count}" if len(keys) < count else ""
    return message, (page.exchange, exchange)


def parse_links(header: str) -> dict[str, str]:
    """Return relation -> URL of the links in a Link header (RFC 8288)."""
    links: dict[str, str] = {}
    for match in LINK_VALUE.finditer(header):
        relation = RELATION.search(match[2])
        for name in relation[1].lower().split() if relation else ():
            links.setdefault(name, match[1])
    return links


# Media types


def _list_concrete_types(contract: Contract, operation: Operation) -> dict[str, str]:
    declared = find_media_types(contract, operation, operation.envelope.status)
    return {name: pointer for name, pointer in declared.items() if "*" not in name}


def _has_negotiation(contract: Contract, operation: Operation) -> bool:
    is_negotiable = len(_list_concrete_types(contract, operation)) > 1 or 406 in operation.responses
    return operation.method == "get" and is_negotiable


@check(
    "accept-is-honoured",
    "A request for a declared media type returns it; one for another media type returns 406 where that is declared.",
    Category.HTTP,
    _has_negotiation,
)
def check_accept(case: Case) -> Iterator[CheckResult]:
    """Request each declared media type, and one that is not declared where the contract documents 406."""
    session, operation = case.session, case.operation
    path, query = build_readable_path(case), session.records.required_query(operation)

    def send(media_type: str) -> Exchange:
        return session.client.send(operation, path=path, query=query, headers={"Accept": media_type})

    for media_type, pointer in _list_concrete_types(session.contract, operation).items():
        exchange = send(media_type)
        content_type, status = exchange.response.headers.get("content-type", ""), exchange.response.status
        message = ""
        if not exchange.response.ok:
            message = f"Accept: {media_type}: got {status}, expected 2XX"
        elif _parse_media_type(content_type)[0] != _parse_media_type(media_type)[0]:
            message = f"Accept: {media_type}: got {content_type or 'no media type'}, expected {media_type}"
        yield case.build_result(case.build_requirement(pointer), message, exchange)
    if 406 in operation.responses:
        exchange = send(UNKNOWN_MEDIA_TYPE)
        status = exchange.response.status
        message = "" if status == 406 else f"Accept: {UNKNOWN_MEDIA_TYPE}: got {status}, expected 406"
        yield case.build_result(case.build_requirement(operation.responses[406], None, "406"), message, exchange)


def _parse_media_type(text: str) -> tuple[str, str]:
    """Return the media type and its charset, both in lower case; each is "" if missing."""
    message = Message()
    message["content-type"] = text
    return message.get_content_type() if text else "", (message.get_content_charset() or "").lower()


def _find_declared_charsets(contract: Contract, operation: Operation) -> Mapping[str, str]:
    """Return media type -> charset of the success response, where the contract declares one."""
    declared = find_media_types(contract, operation, operation.envelope.status)
    return {media_type: charset for media_type, charset in map(_parse_media_type, declared) if charset}


@check(
    "charset-matches-contract",
    "A response has the charset that the contract declares, and its body is encoded in it.",
    Category.HTTP,
    lambda c, o: o.method == "get" and bool(_find_declared_charsets(c, o)),
)
def check_charset(case: Case) -> Iterator[CheckResult]:
    """Compare the charset of Content-Type with the declared one, and decode the body with it."""
    session, operation = case.session, case.operation
    path, query = build_readable_path(case), session.records.required_query(operation)
    exchange = session.client.send(operation, path=path, query=query)
    media_type, charset = _parse_media_type(exchange.response.headers.get("content-type", ""))
    expected = _find_declared_charsets(session.contract, operation).get(media_type)
    if not exchange.response.ok or expected is None:
        raise SkipCheck(
            insufficient_data(
                f"got {exchange.response.status} with {media_type or 'no media type'}, expected a declared media type"
            )
        )
    message = f"charset: got {charset or 'none'}, expected {expected}" if charset != expected else ""
    if not message and not _is_encoded(exchange.response.content, expected):
        message = f"body: got bytes that are not valid {expected}"
    yield case.build_result(case.build_requirement(), message, exchange)


def _is_encoded(content: bytes, charset: str) -> bool:
    try:
        content.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return False
    return True
