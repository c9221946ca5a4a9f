"""Mutants of lists: pages, order, filters, search. After Segura et al., "Metamorphic testing of RESTful Web APIs"."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from conformance.mutants.mutant import Mutant
from conformance.mutants.planted import Answered, Ask, Asked, Fault, Pairs
from conformance.mutants.probes import browsed
from spec.contract import Contract, Operation, Parameter
from spec.words import PAGINATION_LINKS

SEGURA = "Segura et al., TSE 2018"
MOST = 100
Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list operation, and where in its answers and queries things stand."""

    operation: Operation
    roles: Mapping[str, Parameter]
    words: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, operation: Operation) -> "Listing":
        """What the contract says of a list."""
        roles = {
            p.x_query.role: p
            for p in operation.query_parameters
            if p.x_query and p.x_query.role not in ("filter", "show")
        }
        words = {
            word: (name, key) for name, page in operation.envelope.pagination.items() for key, word in page.items()
        }
        return cls(operation, roles, words)

    def name(self, role: str) -> str:
        """The name of the parameter with a role."""
        return self.roles[role].name

    def rows(self, answered: Answered) -> list[Any]:
        """The rows of an answer."""
        body = answered.json
        return list(body[self.operation.envelope.data_property] if self.operation.envelope.data_property else body)

    def showing(self, answered: Answered, rows: list[Any] | None = None, **words: Change) -> Answered:
        """The answer with other rows, and page words changed."""
        return self.figuring(answered if rows is None else self._with(answered, rows), words)

    def figuring(self, answered: Answered, words: Mapping[str, Change]) -> Answered:
        """The answer with page words changed."""
        body = dict(answered.json)
        for word, change in words.items():
            found = self.words.get(word)
            if found is not None:
                page, key = found
                body[page] = {**body[page], key: change(body[page].get(key))}
        return answered.showing(body)

    def _with(self, answered: Answered, rows: list[Any]) -> Answered:
        data = self.operation.envelope.data_property
        return answered.showing({**answered.json, data: rows} if data else rows)


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every list of a resource."""
    for operation in contract.operations.values():
        if operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources:
            listing = Listing.of(operation)
            yield from _pages(listing)
            yield from _figures(listing)
            yield from _order(listing)
            yield from _search(listing)
            for parameter in operation.query_parameters:
                if parameter.x_query is not None and parameter.x_query.role == "filter":
                    yield from _filters(listing, parameter)


def without(pairs: Pairs, *names: str) -> Pairs:
    """A query without some parameters, however they are spelled."""
    return tuple((n, v) for n, v in pairs if n.removesuffix("[]") not in names)


def value_of(pairs: Pairs, name: str) -> str | None:
    """The last value of a parameter; None when it is absent or blank."""
    found = [v for n, v in pairs if n.removesuffix("[]") == name]
    return found[-1] or None if found else None


def number_of(pairs: Pairs, name: str, otherwise: int) -> int:
    """The number that a parameter says."""
    found = value_of(pairs, name)
    return int(found) if found and found.isdigit() else otherwise


Twist = Callable[[Asked, Ask, Answered], Awaitable[Answered]]


def _granted(twist: Twist) -> Callable[[], Fault]:
    """A fault that changes successes; `twist` gets the sound answer."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return await twist(asked, ask, answered) if answered.ok and answered.json is not None else answered

    return lambda: fault


def _deaf(*names: str) -> Callable[[], Fault]:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        return await ask(asked.querying(without(asked.query, *names)))

    return lambda: fault


def _mutant(
    listing: Listing,
    family: str,
    detail: str,
    sentence: str,
    plant: Callable[[], Fault],
    parameter: Parameter | None,
    rests_on: tuple[tuple[str, str | None], ...] = (),
) -> Mutant:
    operation = listing.operation
    pointer = parameter.pointer if parameter is not None else operation.pointer
    return Mutant(
        family,
        operation.id,
        detail,
        sentence,
        pointer,
        plant,
        partial(browsed, parameter=parameter),
        source=SEGURA,
        rests_on=rests_on,
    )


# Pages ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pages:
    """Wrong ways to turn the pages of a list."""

    listing: Listing

    def _number(self, asked: Asked) -> int:
        return number_of(asked.query, self.listing.name("page"), 1)

    async def _turned(self, asked: Asked, ask: Ask, to: int) -> list[Any]:
        page = self.listing.name("page")
        return self.listing.rows(await ask(asked.querying((*without(asked.query, page), (page, str(to))))))

    async def shifted(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The rows of the page after."""
        return self.listing.showing(answered, await self._turned(asked, ask, self._number(asked) + 1))

    async def overlapping(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The last row of the page before in place of the first."""
        at, rows = self._number(asked), self.listing.rows(answered)
        before = await self._turned(asked, ask, at - 1) if at > 1 else []
        return self.listing.showing(answered, [before[-1], *rows[1:]]) if before and rows else answered

    async def endless(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The first page where there is none."""
        if self.listing.rows(answered):
            return answered
        return self.listing.showing(answered, await self._turned(asked, ask, 1))

    async def longer(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """One row of the page after too."""
        after = await self._turned(asked, ask, self._number(asked) + 1)
        return self.listing.showing(answered, [*self.listing.rows(answered), *after[:1]])

    async def shorter(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """Without the last row."""
        return self.listing.showing(answered, self.listing.rows(answered)[:-1])

    async def twice(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The first row in place of the last."""
        rows = self.listing.rows(answered)
        return self.listing.showing(answered, [*rows[:-1], rows[0]]) if len(rows) > 1 else answered

    async def counting(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The number of its rows as the total."""
        return self.listing.showing(answered, total=lambda value: len(self.listing.rows(answered)))


def _pages(listing: Listing) -> Iterator[Mutant]:
    if not {"page", "size"} <= listing.roles.keys():
        return
    page, size, wrong = listing.roles["page"], listing.roles["size"], Pages(listing)
    disjoint, whole = "Pages do not overlap.", "All pages together are the list."
    yield _mutant(listing, "page", "ignored", disjoint, _deaf(page.name), page)
    kinds: Mapping[str, tuple[str, Twist]] = {
        "off by one": (whole, wrong.shifted),
        "begins with the last row of the one before": (disjoint, wrong.overlapping),
        "after the last is the first": ("A page past the end is empty.", wrong.endless),
        "misses its last row": (whole, wrong.shorter),
        "shows a row twice": (disjoint, wrong.twice),
    }
    for detail, (sentence, twist) in kinds.items():
        yield _mutant(listing, "page", detail, sentence, _granted(twist), page)
    yield _mutant(listing, "page-size", "ignored", "A page has as many rows as asked for.", _deaf(size.name), size)
    sentence = "A page has no more rows than asked for."
    yield _mutant(listing, "page-size", "one too many", sentence, _granted(wrong.longer), size)
    sentence = "The total does not depend on the page's size."
    yield _mutant(listing, "page-meta", "total counts the page", sentence, _granted(wrong.counting), size)


def _plus(value: Any) -> Any:
    return value + 1 if isinstance(value, int) else value


def _cut(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) else value


def _gone(value: Any) -> Any:
    return None


# Page word -> (what is done to it, the change).
FIGURES: Mapping[str, tuple[tuple[str, Change], ...]] = {
    "total": (("wrong", _plus),),
    "last-page": (("wrong", _plus),),
    "current-page": (("wrong", _plus),),
    "size": (("wrong", _plus),),
    "first-item": (("wrong", _plus),),
    "last-item": (("wrong", _plus),),
    "path": (("wrong", lambda value: f"{value}/elsewhere"),),
    "first": (("gone", _gone),),
    "last": (("gone", _gone), ("loses the query", _cut)),
    "next": (("gone", _gone), ("loses the query", _cut)),
    "previous": (("gone", _gone),),
}


def _figures(listing: Listing) -> Iterator[Mutant]:
    """Each page word wrong by itself."""
    for word, changes in FIGURES.items():
        for detail, change in changes if word in listing.words else ():
            family = "page-links" if word in PAGINATION_LINKS else "page-meta"
            sentence = f"The page word {word} says what it means."
            fault = _granted(_figuring(listing, word, change))
            yield _mutant(listing, family, f"{word} {detail}", sentence, fault, listing.roles.get("page"))


def _figuring(listing: Listing, word: str, change: Change) -> Twist:
    async def wrong(asked: Asked, ask: Ask, answered: Answered) -> Answered:
        return listing.figuring(answered, {word: change})

    return wrong


# Order ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Order:
    """Wrong ways to order a list. `times`: how often it was asked."""

    listing: Listing
    times: int = 0

    async def by_another(self, asked: Asked, ask: Ask) -> Answered:
        """By another property than the one asked for."""
        sort = self.listing.roles["sort"]
        wanted, choices = value_of(asked.query, sort.name), tuple(sort.schema.get("enum", ()))
        if wanted not in choices or len(choices) < 2:
            return await ask(asked)
        instead = choices[(choices.index(wanted) + 1) % len(choices)]
        return await ask(asked.querying((*without(asked.query, sort.name), (sort.name, instead))))

    async def turned(self, asked: Asked, ask: Ask) -> Answered:
        """The other way round."""
        direction = self.listing.roles["direction"]
        if value_of(asked.query, self.listing.name("sort")) is None:
            return await ask(asked)
        asc, desc = (*direction.schema.get("enum", ()), "asc", "desc")[:2]
        instead = asc if value_of(asked.query, direction.name) == desc else desc
        return await ask(asked.querying((*without(asked.query, direction.name), (direction.name, instead))))

    async def shuffled(self, asked: Asked, ask: Ask) -> Answered:
        """Backwards every other time."""
        answered = await ask(asked)
        self.times += 1
        if not answered.ok or self.times % 2:
            return answered
        return self.listing.showing(answered, self.listing.rows(answered)[::-1])


def _order(listing: Listing) -> Iterator[Mutant]:
    if "sort" not in listing.roles:
        return
    sort, direction = listing.roles["sort"], listing.roles.get("direction")
    by = "Rows come in the order of the property that was asked for."
    named = ((f"{sort.pointer}/schema", "enum"),)  # without a name the usual order is right
    yield _mutant(listing, "order", "ignored", by, _deaf(sort.name), sort, named)
    yield _mutant(listing, "order", "by another property", by, lambda: Order(listing).by_another, sort, named)
    stable = "The same request gives the same order."
    yield _mutant(listing, "order", "differs each time", stable, lambda: Order(listing).shuffled, sort)
    if direction is not None:
        reverse = "Descending is ascending reversed."
        yield _mutant(listing, "order", "direction ignored", reverse, _deaf(direction.name), direction)
        yield _mutant(listing, "order", "the other way round", reverse, lambda: Order(listing).turned, sort)


# Filters and search --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Wrong ways to narrow a list by the parameter `name`."""

    listing: Listing
    name: str

    async def _all(self, asked: Asked, ask: Ask) -> list[Any]:
        pages = [self.listing.name(role) for role in ("page", "size") if role in self.listing.roles]
        more = ((self.listing.name("size"), str(MOST)),) if "size" in self.listing.roles else ()
        answered = await ask(asked.querying((*without(asked.query, self.name, *pages), *more)))
        return self.listing.rows(answered) if answered.ok else []

    async def inverted(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """The rows that do not satisfy it."""
        if value_of(asked.query, self.name) is None:
            return answered
        fitting = [repr(row) for row in self.listing.rows(answered)]
        rows = [row for row in await self._all(asked, ask) if repr(row) not in fitting]
        most = number_of(asked.query, self.listing.name("size"), 20) if "size" in self.listing.roles else 20
        return self.listing.showing(answered, rows[:most], total=lambda value: len(rows))

    async def incomplete(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """Without the first row."""
        rows = self.listing.rows(answered)
        if value_of(asked.query, self.name) is None or not rows:
            return answered
        return self.listing.showing(answered, rows[1:], total=lambda value: value - 1)

    async def nothing(self, asked: Asked, ask: Ask, answered: Answered) -> Answered:
        """No row at all."""
        if value_of(asked.query, self.name) is None:
            return answered
        return self.listing.showing(answered, [], total=lambda value: 0)


def _filters(listing: Listing, parameter: Parameter) -> Iterator[Mutant]:
    name, wrong = parameter.name, Narrowed(listing, parameter.name)
    satisfied = "Every row of a filtered list satisfies the filter."
    yield _mutant(listing, "filter", f"{name} ignored", satisfied, _deaf(name), parameter)
    yield _mutant(listing, "filter", f"{name} inverted", satisfied, _granted(wrong.inverted), parameter)
    complete = "A filtered list has every row that satisfies the filter."
    yield _mutant(listing, "filter", f"{name} incomplete", complete, _granted(wrong.incomplete), parameter)


def _search(listing: Listing) -> Iterator[Mutant]:
    if "search" not in listing.roles:
        return
    search = listing.roles["search"]
    wrong, found = Narrowed(listing, search.name), "A search finds what contains the term."
    yield _mutant(listing, "search", "ignored", "What a search finds contains the term.", _deaf(search.name), search)
    yield _mutant(listing, "search", "finds nothing", found, _granted(wrong.nothing), search)
    yield _mutant(listing, "search", "misses the first", found, _granted(wrong.incomplete), search)
