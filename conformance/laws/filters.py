"""Filters and search: every row satisfies them, none that does is missing, and blanks do not count."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

from conformance.cause import insufficient_data, not_testable
from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import (
    Answer,
    Finding,
    Listing,
    Moving,
    Refused,
    Row,
    alike,
    day,
    found,
    is_list,
    moment,
    number,
    shown_at,
    text,
)
from conformance.laws.tenancy import known, unlike
from conformance.outcome import CheckResult
from conformance.session import Session
from spec.contract import BodyField, Contract, Operation, Parameter
from spec.words import QueryExtension

NIL = str(UUID(int=0))
TRIED = 2  # values of a filter, at most
LOOKED_FOR = 3  # records that a filter must let through, at most
RETRIEVED = 3  # rows that are retrieved where the list does not show what it is filtered by
SHORTEST = 4  # letters of a word that is searched


def _with(role: str) -> Callable[[Contract, Operation], bool]:
    return lambda contract, operation: (
        is_list(contract, operation) and any(p.x_query and p.x_query.role == role for p in operation.query_parameters)
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list."""

    listing: Listing
    parameter: Parameter
    word: QueryExtension

    @property
    def several(self) -> bool:
        """Whether it takes several values, any of which may fit."""
        return self.parameter.schema.get("type") == "array"

    def shown(self, row: Row) -> list[Any] | None:
        """What a row shows of the filtered property; None when it does not show it."""
        path = self.word.paths[0]
        if self.word.operator == "exists":
            if path[0] not in row:
                return None
            return [row[path[0]] not in (None, [])]
        values = shown_at(row, path)
        if values is None:
            return None
        return [one for value in values for one in (value if isinstance(value, list) else [value])]

    def fits(self, shown: list[Any], asked: list[Any]) -> bool:
        """Whether what a row shows satisfies the asked values."""
        if self.word.operator in ("from", "to"):
            return any(self._within(value, asked[0]) for value in shown)
        return any(alike(value, one) for value in shown for one in asked)

    def _within(self, value: Any, bound: Any) -> bool:
        low, high = (bound, value) if self.word.operator == "from" else (value, bound)
        if day(bound) is None:
            return bool(low <= high) if type(low) is type(high) else True
        if len(str(bound)) == 10:
            first, last = day(low), day(high)
            return first is not None and last is not None and first <= last
        one, other = moment(low), moment(high)
        return one is not None and other is not None and one <= other

    def pairs(self, asked: list[Any]) -> tuple[tuple[str, str], ...]:
        """The query for values: repeated, or joined by commas, as the contract says."""
        if self.several and not self.parameter.explode:
            return ((self.parameter.name, ",".join(map(text, asked))),)
        return tuple((self.parameter.name, text(value)) for value in asked)

    def values(self, rows: list[Row]) -> list[list[Any]]:
        """What to ask: values that some rows have and others have not, the rarest first. Raises CannotMake."""
        if self.word.operator == "exists":
            return [[True], [False]]
        shown = [values for row in rows if (values := self.shown(row)) is not None]
        if not shown:
            raise SkipCheck(not_testable(f"the rows do not show {'.'.join(self.word.paths[0])}"))
        told = _unlike(value for values in shown for value in values if isinstance(value, (str, int, float)))
        if self.word.operator in ("from", "to"):
            return self._bounds(told)
        told.sort(key=lambda value: sum(self.fits(values, [value]) for values in shown))
        told += [v for v in (*self._allowed(), *self._records()) if not any(alike(v, other) for other in told)]
        usual = [v for v in told if not all(self.fits(values, [v]) for values in shown)]
        if not usual and told:
            return [[unlike(told[0])], told[:1]]
        if not usual:
            raise SkipCheck("the rows show no value")
        asked = [[value] for value in usual[:TRIED]]
        return [usual[:2], *asked] if self.several and len(usual) > 2 else asked

    def _bounds(self, told: list[Any]) -> list[list[Any]]:
        days = sorted({str(d) for v in told if (d := day(v))})
        if self.parameter.schema.get("format") != "date" or len(days) < 2:
            raise SkipCheck("the rows show fewer than two days")
        return [[days[len(days) // 2] if self.word.operator == "from" else days[(len(days) - 1) // 2]]]

    def _records(self) -> list[Any]:
        """Keys of records that it may be about: where all rows are of one, another is asked for."""
        path, session = self.word.paths[0], self.listing.session
        relation = self.listing.resource.relations.get(path[0])
        if (
            relation is None
            or len(path) != 2
            or path[1] != session.contract.resources[relation.targets[0]].key_attribute
        ):
            return []
        listed = session.operation(relation.targets[0], "list")
        return [] if listed is None else [row[path[1]] for row in Listing(session, listed).ask().rows if path[1] in row]

    def _allowed(self) -> list[Any]:
        said = self.parameter.schema
        said = said.get("items", said)
        if said.get("type") == "boolean":
            return [True, False]
        return [value for value in said.get("enum", ()) if value not in (None, "")]


def _unlike(values: Iterator[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value != "" and not any(alike(value, other) for other in kept):
            kept.append(value)
    return kept


def filters_of(case: Case) -> Iterator[Filter]:
    """The filters of a list, each with the query that makes rows show what it is about, where they need one."""
    listing = Listing(case.session, case.operation)
    include = listing.parameter("include")
    for parameter in listing.filters():
        if parameter.x_query:
            path = parameter.x_query.paths[0]
            relation = listing.resource.relations.get(path[0])
            wanted = ".".join(path[:-1]) or path[0]
            allowed = include.schema.get("items", include.schema).get("enum", ()) if include else ()
            hidden = relation is not None and (not relation.is_embedded or len(path) > 2)
            within = ((include.name, wanted),) if include and hidden and wanted in allowed else ()
            yield Filter(Listing(case.session, case.operation, within), parameter, parameter.x_query)


def every_row_satisfies(case: Case) -> Iterator[CheckResult]:
    """One promise for each filter."""
    for one in filters_of(case):
        yield found(case, case.promise(one.parameter.pointer, parameter=one.parameter.name), partial(_satisfied, one))


def _satisfied(one: Filter) -> Finding:
    """The first row that does not satisfy a filter, for each value that is asked."""
    if _is_hidden(one):
        return _as_sent(one)
    stray = _for_nobody(one)
    if stray is not None:
        return f"{len(stray.rows)} rows for a key that nothing has, none are due", (stray.exchange,)
    rows = shown_rows(one, one.listing.sample())
    if not _is_shown(one, rows):
        return _as_known(one, there=False)
    answer = None
    for asked in one.values(rows):
        answer = one.listing.ask(*one.listing.largest(), *one.pairs(asked))
        for row in shown_rows(one, answer.rows):
            shown = one.shown(row)
            if shown is not None and not one.fits(shown, asked):
                return _stray(one, row, shown, asked), (answer.exchange,)
    if answer is None:
        raise SkipCheck("there is no value to ask for")
    return "", (answer.exchange,)


def _for_nobody(one: Filter) -> Answer | None:
    """What a filter by a key or name that nobody has lets through; None: nothing, or it is refused."""
    schema = one.listing.session.payloads.resolve_schema
    said = schema(one.parameter.schema)
    said = schema(said.get("items", said))
    nobody = {"uuid": unlike(NIL), None: unlike("")}.get(said.get("format"))
    if one.word.operator != "eq" or said.get("type") != "string" or "enum" in said or nobody is None:
        return None
    try:
        answer = one.listing.ask(*one.listing.largest(), *one.pairs([nobody]))
    except Refused:  # some servers look up what a filter names
        return None
    return answer if answer.rows else None


def _stray(one: Filter, row: Row, shown: list[Any], asked: list[Any]) -> str:
    key = one.listing.keys([row])[0]
    path = ".".join(one.word.paths[0])
    said = f"{one.word.operator} " if one.word.operator != "eq" else ""
    return f"{key} shows {path} {shown!r:.100}, {said}{' or '.join(map(repr, asked))} is due"


def shown_rows(one: Filter, rows: list[Row]) -> list[Row]:
    """Rows that show what is filtered; a few of them retrieved where the list does not show it."""
    if any(one.shown(row) is not None for row in rows) or one.word.paths[0][0] in _hidden(one):
        return rows
    listing = one.listing
    seen: list[Row] = []
    for key in listing.keys(rows)[:RETRIEVED]:
        exchange = listing.session.retrieve(listing.resource.name, key)
        operation = listing.session.require_operation(listing.resource.name, "retrieve")
        row = listing.session.data(operation, exchange)
        if exchange.response.ok and isinstance(row, dict):
            seen.append(row)
    return seen


def _hidden(one: Filter) -> set[str]:
    resource = one.listing.resource
    own = {p.name for p in resource.attributes.values() if p.write_only}
    return own | {r.name for r in resource.relations.values() if r.write_only}


def complete(case: Case) -> Iterator[CheckResult]:
    """Records that the unfiltered list shows with a value are in the list filtered by it; hidden ones as sent."""
    for one in filters_of(case):

        def find(one: Filter = one) -> Finding:
            if _is_hidden(one):
                return _as_sent(one)
            rows = shown_rows(one, one.listing.sample())
            if not _is_shown(one, rows):
                return _as_known(one, there=True)
            judged: list[Answer] = []
            for asked in one.values(rows):
                due = [r for r in rows if (shown := one.shown(r)) is not None and one.fits(shown, asked)]
                missing, answer = _missing(one, one.listing.keys(due)[:LOOKED_FOR], asked)
                judged.append(answer)
                if missing and _still(one, missing, asked):
                    path = ".".join(one.word.paths[0])
                    said = f"{missing[0]} is missing, which shows {path} {' or '.join(map(repr, asked))}"
                    return said, (answer.exchange,)
            return "", tuple(answer.exchange for answer in judged)[:1]

        yield found(case, case.promise(one.parameter.pointer, parameter=one.parameter.name), find)


def _is_hidden(one: Filter) -> bool:
    """Whether it is about a property of the records themselves that no answer shows."""
    return one.word.operator == "eq" and len(one.word.paths[0]) == 1 and one.word.paths[0][0] in _hidden(one)


def _is_shown(one: Filter, rows: list[Row]) -> bool:
    return one.word.operator == "exists" or any(one.shown(row) is not None for row in rows)


def _as_known(one: Filter, *, there: bool) -> Finding:
    """What no row shows, but the run knows of its own record: it is in the list for its value, and in no other."""
    session, path = one.listing.session, one.word.paths[0]
    value = known(session, one.listing.resource, path)
    key = session.shared_record(one.listing.resource.name).key
    asked = value if there else unlike(value)
    found_there, answer = one.listing.holds(key, *one.pairs([asked]))
    if found_there == there:
        return "", (answer.exchange,)
    said = "is missing" if there else "is there"
    return f"{key} {said}, whose {'.'.join(path)} is {value!r}, for {asked!r}", (answer.exchange,)


def _as_sent(one: Filter) -> Finding:
    """A property that no answer shows: own records are in the list filtered by what was sent, and in no other."""
    session, resource, name = one.listing.session, one.listing.resource, one.word.paths[0][0]
    creating = session.operation(resource.name, "create")
    sent = creating.request_body.fields.get(name) if creating and creating.request_body else None
    values = _sendable(session, sent) if sent else []
    if not values:
        raise SkipCheck(not_testable(f"the contract has no way to send {name}, which the rows do not show"))
    for value in values:
        key = session.create(resource.name, {name: value}).key
        for other in values:
            asked = other if isinstance(other, list) else [other]
            there, answer = one.listing.holds(key, *one.pairs(asked))
            if there != (value == other):
                said = "is missing" if value == other else "is there"
                return f"{key} {said}, which was made with {name} {value}, for {other}", (answer.exchange,)
    return "", (answer.exchange,)


def _sendable(session: Session, field: BodyField) -> list[Any]:
    """Two values of a flag, a choice, or a list of plain values."""
    said = session.payloads.resolve_schema(field.schema)
    if said.get("type") == "boolean":
        return [True, False]
    if said.get("type") == "array" and session.payloads.resolve_schema(said.get("items", {})).get("type") == "string":
        return [[session.payloads.generate_value(said["items"], field.name)] for _ in range(2)]
    return [value for value in said.get("enum", ()) if value is not None][:2]


def _missing(one: Filter, due: list[Any], asked: list[Any]) -> tuple[list[Any], Answer]:
    first = one.listing.ask(*one.listing.largest(), *one.pairs(asked))
    missing = [key for key in due if key not in one.listing.keys(first.rows)]
    if missing:
        rows, first = one.listing.walk(*one.pairs(asked))
        missing = [key for key in missing if key not in one.listing.keys(rows)]
    return missing, first


def _still(one: Filter, missing: list[Any], asked: list[Any]) -> bool:
    """Whether the unfiltered list still shows a missing record so. Raises Moving when it does not."""
    rows = shown_rows(one, one.listing.sample())
    for row, key in zip(rows, one.listing.keys(rows), strict=True):
        if key == missing[0] and (shown := one.shown(row)) is not None and one.fits(shown, asked):
            return True
    raise Moving


def combined_is_intersection(case: Case) -> Iterator[CheckResult]:
    """Neighbours among the filters whose values the rows show, both with values of one record."""
    rows = Listing(case.session, case.operation).sample()
    usable = [one for one in filters_of(case) if one.word.operator == "eq" and any(one.shown(row) for row in rows)]
    for one, other in pairwise(usable):
        if one.parameter.name != other.word.unless_parameter and other.parameter.name != one.word.unless_parameter:
            named = f"{one.parameter.name}&{other.parameter.name}"
            yield found(case, case.promise(other.parameter.pointer, parameter=named), _both(one, other, rows))
    if len(usable) < 2:
        yield case.not_judged(case.promise(), "the rows show what one filter is about, at most")


def _both(one: Filter, other: Filter, rows: list[Row]) -> Callable[[], Finding]:
    def find() -> Finding:
        for row in rows:
            first, second = one.shown(row), other.shown(row)
            if first and second and None not in (first[0], second[0]):
                break
        else:
            raise SkipCheck("no row shows what both filters are about")
        wanted = ((one, [first[0]]), (other, [second[0]]))
        pairs = tuple(pair for each, asked in wanted for pair in each.pairs(asked))
        answer = one.listing.ask(*one.listing.largest(), *pairs)
        for each, asked in wanted:
            for found_row in answer.rows:
                shown = each.shown(found_row)
                if shown is not None and not each.fits(shown, asked):
                    return _stray(each, found_row, shown, asked), (answer.exchange,)
        key = one.listing.keys([row])[0]
        there, answer = one.listing.holds(key, *pairs)
        if not there and all(_still(each, [key], asked) for each, asked in wanted):
            return f"{key} is missing, which satisfies both", (answer.exchange,)
        return "", (answer.exchange,)

    return find


def arrays_agree(case: Case) -> Iterator[CheckResult]:
    """``x=1&x=2`` and ``x[]=1&x[]=2``."""
    for one in filters_of(case):
        if not one.several or not one.parameter.explode:
            continue

        def find(one: Filter = one) -> Finding:
            rows = shown_rows(one, one.listing.sample())
            shown = [values for row in rows if (values := one.shown(row)) is not None]
            told = _unlike(v for values in shown for v in values if isinstance(v, (str, int)))[:2]
            if len(told) < 2:
                raise SkipCheck(insufficient_data("the rows show fewer than two values"))
            pairs = one.pairs(told)
            bracketed = tuple((f"{name}[]", value) for name, value in pairs)
            plain, other = (one.listing.ask(*one.listing.largest(), *asked) for asked in (pairs, bracketed))
            if _keys(one.listing, plain) != _keys(one.listing, other):
                if _keys(one.listing, one.listing.ask(*one.listing.largest(), *pairs)) != _keys(one.listing, plain):
                    raise Moving
                return "x=1&x=2 and x[]=1&x[]=2 are answered differently", (plain.exchange, other.exchange)
            return "", (plain.exchange, other.exchange)

        yield found(case, case.promise(one.parameter.pointer, "explode", one.parameter.name), find)


def _keys(listing: Listing, answer: Answer) -> list[Any]:
    return [number(answer.words.get("total")), *listing.keys(answer.rows)]


# Search ---------------------------------------------------------------------------------------------------------


def word_of(value: Any) -> str | None:
    """The longest plain word of a text, as a search term."""
    parts = str(value).split() if isinstance(value, str) else []
    plain = [p for p in parts if p.isascii() and p.isalnum() and len(p) >= SHORTEST]
    return max(plain, key=len, default=None)


def search_finds(case: Case) -> Iterator[CheckResult]:
    """A word of a shown text, in capitals and small, for each property that is searched."""
    listing = Listing(case.session, case.operation)
    search = listing.needed("search")
    for path in search.x_query.paths if search.x_query else ():

        def find(path: tuple[str, ...] = path) -> Finding:
            rows = listing.sample()
            row, term = _searched(rows, path)
            key = listing.keys([row])[0]
            there, answer = listing.holds(key, (search.name, term))
            due = [r for r in rows if any(term in str(value) for value in shown_at(r, path) or ())]
            first = listing.keys(due)[0]
            if there and first not in listing.keys(answer.rows) and not listing.holds(first, (search.name, term))[0]:
                if first not in listing.keys(listing.sample()):
                    raise Moving
                return f"{first} is missing, whose {'.'.join(path)} contains {term!r}", (answer.exchange,)
            for asked in (term, term.upper(), term.lower()):
                there, answer = listing.holds(key, (search.name, asked))
                if not there:
                    if key not in listing.keys(listing.sample()):
                        raise Moving
                    said = f"{key} is missing, whose {'.'.join(path)} contains {term!r} ({search.name}={asked})"
                    return said, (answer.exchange,)
            return "", (answer.exchange,)

        yield found(case, case.promise(search.pointer, parameter=f"{search.name}:{'.'.join(path)}"), find)


def _searched(rows: list[Row], path: tuple[str, ...]) -> tuple[Row, str]:
    for row in reversed(rows):
        for value in shown_at(row, path) or ():
            term = word_of(value)
            if term:
                return row, term
    raise SkipCheck(f"no row shows a text at {'.'.join(path)}")


def search_rows_contain(case: Case) -> Iterator[CheckResult]:
    """Every row that a search finds shows the term, where it shows all that is searched."""
    listing = Listing(case.session, case.operation)
    search = listing.needed("search")
    paths = search.x_query.paths if search.x_query else ()

    def find() -> Finding:
        rows = listing.sample()
        term = next((t for p in paths for t in _terms(rows, p)), None)
        if term is None:
            raise SkipCheck("no row shows a text that is searched")
        answer = listing.ask(*listing.largest(), (search.name, term))
        told = 0
        for row in answer.rows:
            shown = [shown_at(row, path) for path in paths]
            if None in shown:
                continue
            told += 1
            texts = [str(value) for values in shown for value in values or ()]
            if not any(term.casefold() in value.casefold() for value in texts):
                return f"{listing.keys([row])[0]} does not contain {term!r}", (answer.exchange,)
        if not told:
            raise SkipCheck(not_testable("the rows do not show all that is searched"))
        return "", (answer.exchange,)

    yield found(case, case.promise(search.pointer, parameter=search.name), find)


def _terms(rows: list[Row], path: tuple[str, ...]) -> Iterator[str]:
    """Words at a path that some rows do not have."""
    texts = [" ".join(map(str, shown_at(row, path) or ())).casefold() for row in rows]
    for row in reversed(rows):
        for value in shown_at(row, path) or ():
            term = word_of(value)
            if term and not all(term.casefold() in said for said in texts):
                yield term


# Blanks ---------------------------------------------------------------------------------------------------------


def blank_is_absent(case: Case) -> Iterator[CheckResult]:
    """Each parameter that may be blank, blank, against the list without it."""
    listing = Listing(case.session, case.operation)
    for parameter in case.operation.query_parameters:
        if not parameter.allow_empty_value or parameter.required:
            continue

        def find(parameter: Parameter = parameter) -> Finding:
            answers: list[Answer] = []

            def look() -> str:  # again for a while: a total may be behind
                plain, blank = listing.ask(), listing.ask((parameter.name, ""))
                answers[:] = [plain, blank]
                if _keys(listing, blank) == _keys(listing, plain):
                    return ""
                return f"{parameter.name}= is answered by {len(blank.rows)} rows that are not those without it"

            said = listing.session.wait_until(look)
            plain, blank = answers
            if said and _keys(listing, listing.ask()) != _keys(listing, plain):
                raise Moving
            return said, (plain.exchange, blank.exchange)

        yield found(case, case.promise(parameter.pointer, "allowEmptyValue", parameter.name), find)


def _pairable(contract: Contract, operation: Operation) -> bool:
    said = [
        p for p in operation.query_parameters if p.x_query and p.x_query.role == "filter" and p.x_query.operator == "eq"
    ]
    return is_list(contract, operation) and len(said) > 1


LAWS: tuple[Law, ...] = (
    Law(
        "every-row-satisfies",
        "Every row of a filtered list satisfies the filter.",
        _with("filter"),
        every_row_satisfies,
    ),
    Law(
        "complete-against-unfiltered",
        "Every record of a list that satisfies a filter is in the list filtered by it.",
        _with("filter"),
        complete,
    ),
    Law(
        "combined-is-intersection",
        "A list with two filters holds the records that satisfy both.",
        _pairable,
        combined_is_intersection,
    ),
    Law(
        "bracketed-and-repeated-arrays-agree",
        "A list of values may be sent as x=1&x=2 and as x[]=1&x[]=2.",
        lambda c, o: (
            _with("filter")(c, o) and any(p.schema.get("type") == "array" and p.explode for p in o.query_parameters)
        ),
        arrays_agree,
    ),
    Law(
        "search-finds-a-known-record",
        "A search finds the records whose searched text contains the term, whatever its case.",
        _with("search"),
        search_finds,
    ),
    Law(
        "search-rows-contain-the-term",
        "Every record that a search finds contains the term, whatever its case.",
        _with("search"),
        search_rows_contain,
    ),
    Law(
        "blank-means-absent",
        "A parameter that is sent blank is as one that is not sent.",
        lambda c, o: is_list(c, o) and any(p.allow_empty_value for p in o.query_parameters),
        blank_is_absent,
    ),
)
