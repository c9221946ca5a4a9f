"""Pages: how many rows, which, and what the page words say of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import Answer, Finding, Listing, Moving, Refused, Row, found, is_list, number
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation
from spec.words import PAGINATION_LINKS


def _has(*roles: str) -> Callable[[Contract, Operation], bool]:
    def applies(contract: Contract, operation: Operation) -> bool:
        said = {p.x_query.role for p in operation.query_parameters if p.x_query}
        return is_list(contract, operation) and said.issuperset(roles)

    return applies


def size_is_respected(case: Case) -> Iterator[CheckResult]:
    """Pages of 1 and 2 rows."""
    listing = Listing(case.session, case.operation)
    size = listing.needed("size")

    def find() -> Finding:
        listing.stocked(3)
        for asked in (1, 2):
            answer = listing.ask((size.name, str(asked)))
            if len(answer.rows) != asked:
                return f"{len(answer.rows)} rows, {asked} are due ({size.name}={asked})", (answer.exchange,)
        return "", (answer.exchange,)

    yield found(case, case.promise(size.pointer, parameter=size.name), find)


def pages_are_whole(case: Case) -> Iterator[CheckResult]:
    """Walk a list of at most WALKED rows by pages; a list that changes meanwhile is walked again, once."""
    listing = Listing(case.session, case.operation)
    page, size = listing.needed("page"), listing.needed("size")

    def find() -> Finding:
        part = listing.small(3)
        for _ in range(2):
            total = part.ask().total
            length = min(total - 1, max(2, -(-total // 8)))
            answers = list(_walked(part, page.name, size.name, total, length))
            if {answer.total for answer in answers} == {total}:
                rows = [row for answer in answers for row in answer.rows]
                return _whole(part, rows, total, length), tuple(a.exchange for a in answers[:3])
        raise Moving

    yield found(case, case.promise(page.pointer, parameter=page.name), find)


def _walked(listing: Listing, page: str, size: str, total: int, length: int) -> Iterator[Answer]:
    for asked in range(1, -(-total // length) + 1):
        yield listing.ask((size, str(length)), (page, str(asked)))


def _whole(listing: Listing, rows: list[Row], total: int, length: int) -> str:
    keys = listing.keys(rows)
    again = sorted({str(key) for key in keys if keys.count(key) > 1})
    if again:
        return f"on two pages of {length}: {', '.join(again[:3])}; each record is due once"
    if len(keys) != total:
        return f"{len(keys)} rows on all pages of {length}, {total} are due (the total)"
    return ""


def total_is_the_same(case: Case) -> Iterator[CheckResult]:
    """The total with pages of 1, 2 and as many as may be."""
    listing = Listing(case.session, case.operation)
    size = listing.needed("size")
    pointer, name = listing.word_pointer("total")

    def find() -> Finding:
        listing.stocked(2)
        first = listing.ask((size.name, "1"))
        for query in (((size.name, "2"),), listing.largest()):
            answer = listing.ask(*query)
            if answer.total != first.total:
                if listing.ask((size.name, "1")).total != first.total:
                    raise Moving
                said = f"total {answer.total} with {size.name}={query[0][1]}, {first.total} is due as with 1"
                return said, (first.exchange, answer.exchange)
        return "", (first.exchange,)

    yield found(case, case.promise(pointer, parameter=name), find)


def past_the_end(case: Case) -> Iterator[CheckResult]:
    """A page behind the last one."""
    listing = Listing(case.session, case.operation)
    page, size = listing.needed("page"), listing.needed("size")

    def find() -> Finding:
        beyond = listing.ask((size.name, "2")).total // 2 + 50
        answer = listing.ask((size.name, "2"), (page.name, str(beyond)))
        if answer.rows:
            return f"{len(answer.rows)} rows on page {beyond}, none are due", (answer.exchange,)
        for word in ("first-item", "last-item"):
            if answer.words.get(word) is not None:
                return f"{word} is {answer.words[word]!r} on an empty page, null is due", (answer.exchange,)
        return "", (answer.exchange,)

    yield found(case, case.promise(page.pointer, parameter=page.name), find)


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was asked for: its number among pages of `size` rows, and the answer."""

    number: int
    size: int
    answer: Answer

    @property
    def last(self) -> int:
        """The number of the last page, by the total."""
        return max(1, -(-self.answer.total // self.size))


def page_words(case: Case) -> Iterator[CheckResult]:
    """Every page word on the first page, one between, and the last; and where the last page is not full."""
    listing = Listing(case.session, case.operation)
    page, size = listing.needed("page"), listing.needed("size")
    try:
        total = _stocked_or_not(listing, size.name)
        uneven = next((length for length in range(2, total + 3) if total % length), 2)
        due = [(1, 1), (2, 1), (total, 1), (1, uneven), (-(-total // uneven), uneven)]
        there = dict.fromkeys((n, rows) for n, rows in due if (n - 1) * rows < total)
        pages = [Page(n, rows, listing.ask((size.name, str(rows)), (page.name, str(n)))) for n, rows in there]
    except Refused as refused:
        raise SkipCheck(refused.reason) from None
    known = {word for words in case.operation.envelope.pagination.values() for word in words.values()}
    for word in sorted(known):
        pointer, name = listing.word_pointer(word)
        judge = _link if word in PAGINATION_LINKS else _figure
        yield found(case, case.promise(pointer, parameter=name), _on_each(judge, listing, word, name, page.name, pages))


def _stocked_or_not(listing: Listing, size: str) -> int:
    """The total of the list, with own records in it where there can be any. Raises CannotMake for one without rows."""
    try:
        listing.stocked(3)
    except SkipCheck:
        if not listing.ask((size, "1")).rows:
            raise
    return listing.ask((size, "1")).total


Judge = Callable[[Listing, str, str, Page], str]


def _on_each(
    judge: Judge, listing: Listing, word: str, name: str, page: str, pages: list[Page]
) -> Callable[[], Finding]:
    def find() -> Finding:
        for one in pages:
            if not one.answer.rows:
                raise Moving
            broken = judge(listing, word, page, one)
            if broken:
                return f"{name} on page {one.number} of pages of {one.size}: {broken}", (one.answer.exchange,)
        return "", (pages[0].answer.exchange,)

    return find


def _figure(listing: Listing, word: str, page: str, one: Page) -> str:
    """What is wrong with a figure of a page."""
    answer, asked = one.answer, one.number
    if word not in answer.words:
        return "it is not there"
    said = answer.words[word]
    if word == "path":
        parts = urlsplit(str(said))
        fits = parts.path.rstrip("/").endswith(listing.operation.path.rstrip("/")) and not parts.query
        return "" if fits else f"{said!r}, the URL of the list without a query is due"
    if word == "total":
        return "" if (number(said) or 0) >= asked else f"{said!r}, but there are {asked} rows at least"
    first = (asked - 1) * one.size + 1
    due = {
        "current-page": asked,
        "first-item": first,
        "last-item": min(asked * one.size, answer.total),
        "size": one.size,
        "last-page": one.last,
    }[word]
    return "" if number(said) == due else f"{said!r}, {due} is due"


def _link(listing: Listing, word: str, page: str, one: Page) -> str:
    """What is wrong with a link of a page, and with the page it leads to."""
    if word not in one.answer.words:
        return "it is not there"
    said, last, asked = one.answer.words[word], one.last, one.number
    due = {"first": 1, "last": last, "previous": asked - 1, "next": asked + 1 if asked < last else 0}[word]
    if due == 0:
        return "" if said is None else f"{said!r}, null is due"
    if not isinstance(said, str):
        return f"{said!r}, a link to page {due} is due"
    pairs = tuple(parse_qsl(urlsplit(said).query, keep_blank_values=True))
    leads = number(dict(pairs).get(page, "1"))
    if leads != due or not urlsplit(said).path.rstrip("/").endswith(listing.operation.path.rstrip("/")):
        return f"{said!r}, a link to page {due} of the list is due"
    followed = Listing(listing.session, listing.operation).ask(*pairs)
    current = number(followed.words.get("current-page", due))
    return "" if current == due else f"it leads to page {current}, {due} is due"


LAWS: tuple[Law, ...] = (
    Law("size-is-respected", "A page has as many rows as were asked for.", _has("size"), size_is_respected),
    Law(
        "pages-do-not-overlap-and-are-whole",
        "Every record of a list is on one of its pages, once.",
        _has("page", "size"),
        pages_are_whole,
    ),
    Law(
        "total-does-not-depend-on-size",
        "The total of a list is the same whatever the size of its pages.",
        lambda c, o: _has("size")(c, o) and any("total" in p.values() for p in o.envelope.pagination.values()),
        total_is_the_same,
    ),
    Law(
        "page-words-are-right",
        "What a page says of itself and of its neighbours is so.",
        lambda c, o: _has("page", "size")(c, o) and any("total" in p.values() for p in o.envelope.pagination.values()),
        page_words,
    ),
    Law("past-the-end-is-empty", "Behind the last page of a list are no rows.", _has("page", "size"), past_the_end),
)
