"""Order: what a list is sorted by, both ways, and that it stays so.

Databases sort texts by their own collations, put nulls first or last, and keep enums as numbers. A pair of texts is
judged only where every usual collation agrees; nulls are not judged; of an enum only that both ways are opposite.
"""

import unicodedata
from collections.abc import Iterator
from itertools import combinations, takewhile
from typing import Any

from conformance.cause import insufficient_data, not_testable
from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import Answer, Finding, Listing, Moving, Row, found, is_list, moment
from conformance.outcome import CheckResult, Requirement, Status
from spec.contract import Contract, Operation, Parameter

JUDGED = 100  # rows of a page, at most: every pair of them is looked at
LONGEST = 200  # characters of a text


def _sorted_list(contract: Contract, operation: Operation) -> bool:
    roles = {p.x_query.role for p in operation.query_parameters if p.x_query}
    return is_list(contract, operation) and {"sort", "direction"} <= roles


def readings(value: Any) -> tuple[Any, ...] | None:
    """A value as collations may read it; None for what cannot be ordered here."""
    if isinstance(value, (bool, int, float)):
        return (float(value),)
    if not isinstance(value, str):
        return None
    instant = moment(value)
    if instant is not None:
        return (instant.timestamp(),)
    said = value.strip()[:LONGEST]
    bare = "".join(c for c in unicodedata.normalize("NFD", said.casefold()) if not unicodedata.combining(c))
    plain = "".join(takewhile(str.isascii, (c for c in bare if c.isalnum())))  # signs are passed over by some
    return said, said.casefold(), bare, plain


def before(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether a value stands before another by every reading."""
    same = len(one) == len(other) and all(type(a) is type(b) for a, b in zip(one, other, strict=True))
    return same and all(a < b for a, b in zip(one, other, strict=True))


def sorted_by_the_property(case: Case) -> Iterator[CheckResult]:
    """One promise for each value of the sort parameter, ascending, and one for the parameter itself."""
    outcomes = list(_sorted(case))
    yield from outcomes
    yield from _heeded(case, "sort", outcomes)


def _heeded(case: Case, role: str, outcomes: list[CheckResult]) -> Iterator[CheckResult]:
    """Whether a parameter does anything: broken where each value that could be judged is in no order.

    Its values may be inferred where the parameter is not: this takes the parameter's own grade.
    """
    parameter = Listing(case.session, case.operation).needed(role)
    promise = case.promise(parameter.pointer, parameter=parameter.name)
    told = [one for one in outcomes if one.status is not Status.SKIPPED]
    if not told or any(one.evidence and not one.evidence[0].response.ok for one in told):
        yield case.not_judged(promise, "the rows show no value to order by")
    elif all(one.status is Status.FAILED for one in told):
        yield case.judged(promise, f"it does nothing: {told[0].message}", *told[0].evidence)
    else:
        yield case.judged(promise, "", *told[0].evidence)


def _sorted(case: Case) -> Iterator[CheckResult]:
    for listing, promise, sort, name in _asked(case):
        if _by_number(listing, name):
            yield case.not_judged(
                promise, not_testable(f"{name} is an enum: a database may sort it by its own numbers")
            )
            continue

        def find(listing: Listing = listing, sort: Parameter = sort, name: str = name) -> Finding:
            answer = _in_order(listing, sort, name, "asc")
            shown = [(key, value) for key, value in _values(listing, answer.rows, name)]
            if len({value for _, value in shown}) < 2:
                raise SkipCheck(insufficient_data(f"the rows show fewer than two values of {name}"))
            for (first, one), (second, other) in combinations(shown, 2):
                if before(other, one):
                    said = f"{first} ({name} {one[0]!r}) before {second} ({name} {other[0]!r}): the other way is due"
                    return said, (answer.exchange,)
            return "", (answer.exchange,)

        yield found(case, promise, find)


def descending_is_reversed(case: Case) -> Iterator[CheckResult]:
    """No two records with different values stand in the same order both ways: for each value of the sort parameter,
    and for the parameter itself."""
    outcomes = list(_reversed(case))
    yield from outcomes
    yield from _heeded(case, "direction", outcomes)


def _reversed(case: Case) -> Iterator[CheckResult]:
    for listing, promise, sort, name in _asked(case):

        def find(listing: Listing = listing, sort: Parameter = sort, name: str = name) -> Finding:
            part = listing.small(2)
            up, down = _in_order(part, sort, name, "asc"), _in_order(part, sort, name, "desc")
            first, second = dict(_values(part, up.rows, name)), dict(_values(part, down.rows, name))
            places = {key: index for index, key in enumerate(second)}
            both = [key for key in first if key in places and first[key] == second[key]]
            told = 0
            for one, other in combinations(both, 2):
                if _differ(first[one], first[other], by_number=_by_number(part, name)):
                    told += 1
                    if places[one] < places[other]:
                        said = f"{one} ({name} {first[one][0]!r}) stands before {other} ({first[other][0]!r}) both ways"
                        return said, (up.exchange, down.exchange)
            if not told:
                raise SkipCheck(insufficient_data(f"the rows show fewer than two values of {name}"))
            return "", (up.exchange, down.exchange)

        yield found(case, promise, find)


def same_request_same_answer(case: Case) -> Iterator[CheckResult]:
    """One request twice; a third time where they differ, to tell a list that flaps from one that was changed."""
    listing = Listing(case.session, case.operation)

    def find() -> Finding:
        listing.stocked(2)
        answers = [listing.ask(*listing.largest()) for _ in range(2)]
        first, second = (listing.keys(answer.rows) for answer in answers)
        if first == second:
            return "", (answers[0].exchange,)
        third = listing.keys(listing.ask(*listing.largest()).rows)
        if sorted(map(str, first)) == sorted(map(str, second)) or third == first:
            return "the same request was answered in another order", tuple(a.exchange for a in answers)
        raise Moving

    yield found(case, case.promise(), find)


def _asked(case: Case) -> Iterator[tuple[Listing, Requirement, Parameter, str]]:
    listing = Listing(case.session, case.operation)
    sort = listing.needed("sort")
    for name in sort.schema.get("enum", ()):
        if name:
            yield listing, case.promise(f"{sort.pointer}/schema", "enum", f"{sort.name}={name}"), sort, str(name)


def _in_order(listing: Listing, sort: Parameter, name: str, way: str) -> Answer:
    direction = listing.needed("direction")
    return listing.ask(*listing.largest(), (sort.name, name), (direction.name, way))


def _values(listing: Listing, rows: list[Row], name: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """(key, readings) of the rows that show a value which can be ordered."""
    found = []
    for row in rows[:JUDGED]:
        said = readings(row.get(name))
        if said is not None:
            found.append((listing.session.key_of(listing.resource.name, row), said))
    return found


def _differ(one: tuple[Any, ...], other: tuple[Any, ...], *, by_number: bool) -> bool:
    return one[0] != other[0] if by_number else before(one, other) or before(other, one)


def _by_number(listing: Listing, name: str) -> bool:
    said = listing.resource.attributes.get(name)
    return said is not None and "enum" in listing.session.payloads.resolve_schema(said.schema)


LAWS: tuple[Law, ...] = (
    Law(
        "sorted-by-the-asked-property",
        "A list stands in the order of the property that was asked for.",
        _sorted_list,
        sorted_by_the_property,
    ),
    Law(
        "descending-is-ascending-reversed",
        "Descending order is ascending order reversed, but for ties.",
        _sorted_list,
        descending_is_reversed,
    ),
    Law(
        "same-request-same-answer",
        "The same request is answered by the same records in the same order.",
        is_list,
        same_request_same_answer,
    ),
)
