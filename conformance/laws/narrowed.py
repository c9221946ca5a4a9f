"""Narrowed lists, page by page: their total is of what the filter lets through, their links stay within it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.cause import insufficient_data
from conformance.errors import SkipCheck
from conformance.laws.filters import filters_of, shown_rows
from conformance.laws.law import Case, Law
from conformance.laws.lists import Answer, Finding, Listing, Moving, found, is_list
from conformance.laws.own import weakest
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation
from spec.provenance import INFERRED
from spec.words import PAGINATION_LINKS

Pairs = tuple[tuple[str, str], ...]


def _is_narrowed(contract: Contract, operation: Operation) -> bool:
    """Whether a list has filters, pages and a total."""
    said = {p.x_query.role for p in operation.query_parameters if p.x_query}
    totals = any("total" in page.values() for page in operation.envelope.pagination.values())
    return is_list(contract, operation) and {"filter", "page", "size"} <= said and totals


def _linked(contract: Contract, operation: Operation) -> bool:
    links = any(word in PAGINATION_LINKS for page in operation.envelope.pagination.values() for word in page.values())
    said = {p.x_query.role for p in operation.query_parameters if p.x_query}
    return is_list(contract, operation) and {"page", "size"} <= said and links


def _narrowings(case: Case) -> Iterator[tuple[str, Pairs]]:
    """(filter, a query that it narrows the list by) with values that some rows show and others do not."""
    listing = Listing(case.session, case.operation)
    rows = listing.sample()
    for one in filters_of(case):
        seen = shown_rows(one, rows)
        if one.several or all(one.shown(row) is None for row in seen):
            continue
        try:
            values = one.values(seen)
        except SkipCheck:
            continue
        for asked in values[:1]:
            yield one.parameter.name, (*one.listing.within, *one.pairs(asked))


def total_is_of_the_rows(case: Case) -> Iterator[CheckResult]:
    """One promise for each filter whose values the rows show."""
    listing = Listing(case.session, case.operation)
    pointer, total = listing.word_pointer("total")
    told = False
    for name, pairs in _narrowings(case):
        told = True

        def find(pairs: Pairs = pairs) -> Finding:
            answers: list[Answer] = []

            def look() -> str:  # again for a while: a total may be behind
                rows, answer = listing.walk(*pairs) if _is_full(listing, pairs) else _only(listing, pairs)
                answers.append(answer)
                due = len(rows)
                return "" if answer.total == due else f"{total} is {answer.total}, and {due} rows are on all pages"

            said = listing.session.wait_until(look)
            return said, (answers[-1].exchange,)

        place = weakest(case, (pointer, None), (listing.needed("page").pointer, None))
        yield found(case, case.promise(*place, parameter=name), find)
    if not told:
        yield case.not_judged(case.promise(pointer), "the rows show nothing that the list is filtered by")


def _is_full(listing: Listing, pairs: Pairs) -> bool:
    """Whether the largest page is full, so that more may follow."""
    (_, most), *_ = listing.largest()
    return len(listing.ask(*listing.largest(), *pairs).rows) >= int(most)


def _only(listing: Listing, pairs: Pairs) -> tuple[list[Any], Answer]:
    answer = listing.ask(*listing.largest(), *pairs)
    return answer.rows, answer


def links_keep_the_query(case: Case) -> Iterator[CheckResult]:
    """From the second of pages of one row, of a list that is filtered and sorted: each link leads to the page that the
    same query is answered by."""
    listing = Listing(case.session, case.operation)
    page, size = listing.needed("page"), listing.needed("size")
    listing.stocked(3)
    query = (*_narrowest(case, listing), *_sorting(listing), (size.name, "1"))
    known = {word for words in case.operation.envelope.pagination.values() for word in words.values()}
    for word in (word for word in PAGINATION_LINKS if word in known):
        pointer, name = listing.word_pointer(word)
        # Laravel's links keep no query unless they are told to, and documented examples print none: never known.
        promise = replace(case.promise(pointer, parameter=name), grade=INFERRED)
        yield found(case, promise, _following(listing, word, name, page.name, query))


def _narrowest(case: Case, listing: Listing) -> Pairs:
    """A filter that leaves three rows or more, or else two, and not all of them; none where no filter does."""
    whole = listing.ask().total
    two: Pairs = ()
    for _, pairs in _narrowings(case):
        left = listing.ask(*pairs).total
        if 2 < left < whole:
            return pairs
        two = pairs if left == 2 < whole and not two else two
    return two


def _sorting(listing: Listing) -> Pairs:
    """A wish for an order other than the usual one: by the first property, the last first."""
    sort, direction = listing.parameter("sort"), listing.parameter("direction")
    by = next((str(name) for name in sort.schema.get("enum", ()) if name), "") if sort else ""
    ways = direction.schema.get("enum", ()) if direction else ()
    way = next((str(name) for name in reversed(ways) if name), "")
    return tuple((p.name, v) for p, v in ((sort, by), (direction, way)) if p is not None and v and by)


def _following(listing: Listing, word: str, name: str, page: str, query: Pairs) -> Callable[[], Finding]:
    def find() -> Finding:
        here = listing.ask(*query, (page, "2"))
        due = {"first": 1, "previous": 1, "next": 3, "last": here.total}[word]
        if here.total < 2 or due > here.total:
            raise SkipCheck(insufficient_data("the list has too few rows to tell"))
        link = here.words.get(word)
        if not isinstance(link, str):
            return f"{name} of page 2 of {here.total} is {link!r}, a link is due", (here.exchange,)
        before = listing.keys(listing.ask(*query, (page, str(due))).rows)
        pairs = tuple(parse_qsl(urlsplit(link).query, keep_blank_values=True))
        followed = Listing(listing.session, listing.operation).ask(*pairs)
        if listing.keys(followed.rows) == before:
            return "", (here.exchange, followed.exchange)
        if listing.keys(listing.ask(*query, (page, str(due))).rows) != before:
            raise Moving
        lost = sorted({n for n, v in query if v} - {n.removesuffix("[]") for n, _ in pairs})
        why = f", it has lost {', '.join(lost)}" if lost else ""
        said = f"{name} of page 2 leads to {len(followed.rows)} rows that are not page {due} of the same query{why}"
        return said, (here.exchange, followed.exchange)

    return find


LAWS: tuple[Law, ...] = (
    Law(
        "total-is-of-the-filtered-rows",
        "The total of a filtered list is the number of rows on all of its pages.",
        _is_narrowed,
        total_is_of_the_rows,
    ),
    Law(
        "links-keep-the-query",
        "A link to another page leads to that page of the list as it was asked for.",
        _linked,
        links_keep_the_query,
    ),
)
