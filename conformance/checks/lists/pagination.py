"""Pages: how many rows, which, and what the page words say of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

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
    parse_integer,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from spec.extensions import PAGINATION_LINKS
from spec.loader import Contract, Operation


def _has_parameters(*roles: str) -> Callable[[Contract, Operation], bool]:
    def applies(contract: Contract, operation: Operation) -> bool:
        available = {p.x_query.role for p in operation.query_parameters if p.x_query}
        return is_list(contract, operation) and available.issuperset(roles)

    return applies


def check_page_size(case: Case) -> Iterator[CheckResult]:
    """Pages of 1 and 2 rows."""
    listing = Listing(case.session, case.operation)
    size_parameter = listing.require_parameter("size")

    def evaluate() -> Evaluation:
        listing.ensure_records(3)
        for requested in (1, 2):
            page = listing.fetch((size_parameter.name, str(requested)))
            if len(page.rows) != requested:
                return f"{len(page.rows)} rows, {requested} are due ({size_parameter.name}={requested})", (
                    page.exchange,
                )
        return "", (page.exchange,)

    yield evaluate_requirement(
        case, case.build_requirement(size_parameter.pointer, parameter=size_parameter.name), evaluate
    )


def check_pages_complete(case: Case) -> Iterator[CheckResult]:
    """Walk a list of at most WALKED rows by pages; a list that changes meanwhile is walked again, once."""
    listing = Listing(case.session, case.operation)
    page_parameter, size_parameter = listing.require_parameter("page"), listing.require_parameter("size")

    def evaluate() -> Evaluation:
        narrowed = listing.narrow(3)
        for _ in range(2):
            total = narrowed.fetch().total
            page_size = min(total - 1, max(2, -(-total // 8)))
            list_pages = list(_fetch_pages(narrowed, page_parameter.name, size_parameter.name, total, page_size))
            if {list_page.total for list_page in list_pages} == {total}:
                rows = [row for list_page in list_pages for row in list_page.rows]
                return _find_page_problem(narrowed, rows, total, page_size), tuple(a.exchange for a in list_pages[:3])
        raise ListChangedDuringCheck

    yield evaluate_requirement(
        case, case.build_requirement(page_parameter.pointer, parameter=page_parameter.name), evaluate
    )


def _fetch_pages(listing: Listing, page_name: str, size_name: str, total: int, page_size: int) -> Iterator[ListPage]:
    for page_number in range(1, -(-total // page_size) + 1):
        yield listing.fetch((size_name, str(page_size)), (page_name, str(page_number)))


def _find_page_problem(listing: Listing, rows: list[Row], total: int, page_size: int) -> str:
    keys = listing.get_keys(rows)
    duplicates = sorted({str(key) for key in keys if keys.count(key) > 1})
    if duplicates:
        return f"on two pages of {page_size}: {', '.join(duplicates[:3])}; each record is due once"
    if len(keys) != total:
        return f"{len(keys)} rows on all pages of {page_size}, {total} are due (the total)"
    return ""


def check_total_independent_of_size(case: Case) -> Iterator[CheckResult]:
    """The total with pages of 1, 2 and as many as may be."""
    listing = Listing(case.session, case.operation)
    size_parameter = listing.require_parameter("size")
    pointer, name = listing.find_pagination_property("total")

    def evaluate() -> Evaluation:
        listing.ensure_records(2)
        first_page = listing.fetch((size_parameter.name, "1"))
        for query in (((size_parameter.name, "2"),), listing.build_largest_page_query()):
            page = listing.fetch(*query)
            if page.total != first_page.total:
                if listing.fetch((size_parameter.name, "1")).total != first_page.total:
                    raise ListChangedDuringCheck
                message = (
                    f"total {page.total} with {size_parameter.name}={query[0][1]}, {first_page.total} is due as with 1"
                )
                return message, (first_page.exchange, page.exchange)
        return "", (first_page.exchange,)

    yield evaluate_requirement(case, case.build_requirement(pointer, parameter=name), evaluate)


def check_past_last_page(case: Case) -> Iterator[CheckResult]:
    """A page behind the last one."""
    listing = Listing(case.session, case.operation)
    page_parameter, size_parameter = listing.require_parameter("page"), listing.require_parameter("size")

    def evaluate() -> Evaluation:
        page_number = listing.fetch((size_parameter.name, "2")).total // 2 + 50
        list_page = listing.fetch((size_parameter.name, "2"), (page_parameter.name, str(page_number)))
        if list_page.rows:
            return f"{len(list_page.rows)} rows on page {page_number}, none are due", (list_page.exchange,)
        for role in ("first-item", "last-item"):
            if list_page.pagination_values.get(role) is not None:
                return f"{role} is {list_page.pagination_values[role]!r} on an empty page, null is due", (
                    list_page.exchange,
                )
        return "", (list_page.exchange,)

    yield evaluate_requirement(
        case, case.build_requirement(page_parameter.pointer, parameter=page_parameter.name), evaluate
    )


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """A page that was asked for: its number among pages of `size` rows, and the answer."""

    number: int
    size: int
    list_page: ListPage

    @property
    def last_number(self) -> int:
        """The number of the last page, by the total."""
        return max(1, -(-self.list_page.total // self.size))


def check_pagination_values(case: Case) -> Iterator[CheckResult]:
    """Every page word on the first page, one between, and the last; and where the last page is not full."""
    listing = Listing(case.session, case.operation)
    page_parameter, size_parameter = listing.require_parameter("page"), listing.require_parameter("size")
    try:
        total = _ensure_total(listing, size_parameter.name)
        uneven_size = next((candidate_size for candidate_size in range(2, total + 3) if total % candidate_size), 2)
        candidates = [(1, 1), (2, 1), (total, 1), (1, uneven_size), (-(-total // uneven_size), uneven_size)]
        existing = dict.fromkeys((n, rows) for n, rows in candidates if (n - 1) * rows < total)
        pages = [
            NumberedPage(n, rows, listing.fetch((size_parameter.name, str(rows)), (page_parameter.name, str(n))))
            for n, rows in existing
        ]
    except ListRequestRejected as rejection:
        raise SkipCheck(rejection.reason) from None
    roles = {role for page_roles in case.operation.envelope.pagination.values() for role in page_roles.values()}
    for role in sorted(roles):
        pointer, name = listing.find_pagination_property(role)
        find_problem = _find_link_problem if role in PAGINATION_LINKS else _find_value_problem
        yield evaluate_requirement(
            case,
            case.build_requirement(pointer, parameter=name),
            _build_page_evaluator(find_problem, listing, role, name, page_parameter.name, pages),
        )


def _ensure_total(listing: Listing, size_name: str) -> int:
    """The total of the list, with own records in it where there can be any. Raises CannotMake for one without rows."""
    try:
        listing.ensure_records(3)
    except SkipCheck:
        if not listing.fetch((size_name, "1")).rows:
            raise
    return listing.fetch((size_name, "1")).total


PageProblemFinder = Callable[[Listing, str, str, NumberedPage], str]


def _build_page_evaluator(
    find_problem: PageProblemFinder, listing: Listing, role: str, name: str, page_name: str, pages: list[NumberedPage]
) -> Callable[[], Evaluation]:
    def evaluate() -> Evaluation:
        for numbered_page in pages:
            if not numbered_page.list_page.rows:
                raise ListChangedDuringCheck
            problem = find_problem(listing, role, page_name, numbered_page)
            if problem:
                return f"{name} on page {numbered_page.number} of pages of {numbered_page.size}: {problem}", (
                    numbered_page.list_page.exchange,
                )
        return "", (pages[0].list_page.exchange,)

    return evaluate


def _find_value_problem(listing: Listing, role: str, page_name: str, numbered_page: NumberedPage) -> str:
    """What is wrong with a figure of a page."""
    list_page, page_number = numbered_page.list_page, numbered_page.number
    if role not in list_page.pagination_values:
        return "it is not there"
    value = list_page.pagination_values[role]
    if role == "path":
        parts = urlsplit(str(value))
        is_list_url = parts.path.rstrip("/").endswith(listing.operation.path.rstrip("/")) and not parts.query
        return "" if is_list_url else f"{value!r}, the URL of the list without a query is due"
    if role == "total":
        return (
            ""
            if (parse_integer(value) or 0) >= page_number
            else f"{value!r}, but there are {page_number} rows at least"
        )
    first_item = (page_number - 1) * numbered_page.size + 1
    expected = {
        "current-page": page_number,
        "first-item": first_item,
        "last-item": min(page_number * numbered_page.size, list_page.total),
        "size": numbered_page.size,
        "last-page": numbered_page.last_number,
    }[role]
    return "" if parse_integer(value) == expected else f"{value!r}, {expected} is due"


def _find_link_problem(listing: Listing, role: str, page_name: str, numbered_page: NumberedPage) -> str:
    """What is wrong with a link of a page, and with the page it leads to."""
    if role not in numbered_page.list_page.pagination_values:
        return "it is not there"
    link, last_number, page_number = (
        numbered_page.list_page.pagination_values[role],
        numbered_page.last_number,
        numbered_page.number,
    )
    expected = {
        "first": 1,
        "last": last_number,
        "previous": page_number - 1,
        "next": page_number + 1 if page_number < last_number else 0,
    }[role]
    if expected == 0:
        return "" if link is None else f"{link!r}, null is due"
    if not isinstance(link, str):
        return f"{link!r}, a link to page {expected} is due"
    query = tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    linked_number = parse_integer(dict(query).get(page_name, "1"))
    if linked_number != expected or not urlsplit(link).path.rstrip("/").endswith(listing.operation.path.rstrip("/")):
        return f"{link!r}, a link to page {expected} of the list is due"
    linked_page = Listing(listing.session, listing.operation).fetch(*query)
    current = parse_integer(linked_page.pagination_values.get("current-page", expected))
    return "" if current == expected else f"it leads to page {current}, {expected} is due"


CHECKS: tuple[Check, ...] = (
    Check(
        "page-size-respected",
        "A list page contains the requested number of records.",
        Category.LISTS,
        _has_parameters("size"),
        check_page_size,
    ),
    Check(
        "pages-are-complete",
        "Every record of a list appears on exactly one page.",
        Category.LISTS,
        _has_parameters("page", "size"),
        check_pages_complete,
    ),
    Check(
        "total-independent-of-page-size",
        "The total of a list does not depend on the page size.",
        Category.LISTS,
        lambda c, o: (
            _has_parameters("size")(c, o) and any("total" in p.values() for p in o.envelope.pagination.values())
        ),
        check_total_independent_of_size,
    ),
    Check(
        "pagination-metadata-correct",
        "Pagination metadata and links match the returned page.",
        Category.LISTS,
        lambda c, o: (
            _has_parameters("page", "size")(c, o) and any("total" in p.values() for p in o.envelope.pagination.values())
        ),
        check_pagination_values,
    ),
    Check(
        "page-past-end-is-empty",
        "A page after the last page is empty.",
        Category.LISTS,
        _has_parameters("page", "size"),
        check_past_last_page,
    ),
)
