"""Order: what a list is sorted by, both ways, and that it stays so.

Databases sort texts by their own collations, put nulls first or last, and keep enums as numbers. A pair of texts is
judged only where every usual collation agrees; nulls are not judged; of an enum only that both ways are opposite.
"""

import unicodedata
from collections.abc import Iterator
from itertools import combinations, takewhile
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListPage,
    Row,
    evaluate_requirement,
    is_list,
    parse_zoned_datetime,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult, Requirement, Status
from conformance.skip_reasons import insufficient_data, not_testable
from spec.loader import Contract, Operation, Parameter

MAX_COMPARED_ROWS = 100  # rows of a page, at most: every pair of them is looked at
MAX_TEXT_CHARS = 200  # characters of a text


def _is_sortable_list(contract: Contract, operation: Operation) -> bool:
    roles = {p.x_query.role for p in operation.query_parameters if p.x_query}
    return is_list(contract, operation) and {"sort", "direction"} <= roles


def build_collation_keys(value: Any) -> tuple[Any, ...] | None:
    """A value as collations may read it; None for what cannot be ordered here."""
    if isinstance(value, (bool, int, float)):
        return (float(value),)
    if not isinstance(value, str):
        return None
    instant = parse_zoned_datetime(value)
    if instant is not None:
        return (instant.timestamp(),)
    stripped = value.strip()[:MAX_TEXT_CHARS]
    base_letters = "".join(c for c in unicodedata.normalize("NFD", stripped.casefold()) if not unicodedata.combining(c))
    alphanumeric = "".join(
        takewhile(str.isascii, (c for c in base_letters if c.isalnum()))
    )  # signs are passed over by some
    return stripped, stripped.casefold(), base_letters, alphanumeric


def sorts_before(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Whether a value stands before another by every reading."""
    is_comparable = len(left) == len(right) and all(type(a) is type(b) for a, b in zip(left, right, strict=True))
    return is_comparable and all(a < b for a, b in zip(left, right, strict=True))


def check_sort_order(case: Case) -> Iterator[CheckResult]:
    """One promise for each value of the sort parameter, ascending, and one for the parameter itself."""
    results = list(_evaluate_sort_values(case))
    yield from results
    yield from _evaluate_parameter_effect(case, "sort", results)


def _evaluate_parameter_effect(case: Case, role: str, results: list[CheckResult]) -> Iterator[CheckResult]:
    """Whether a parameter does anything: broken where each value that could be judged is in no order.

    Its values may be inferred where the parameter is not: this takes the parameter's own grade.
    """
    parameter = Listing(case.session, case.operation).require_parameter(role)
    requirement = case.build_requirement(parameter.pointer, parameter=parameter.name)
    evaluated = [result for result in results if result.status is not Status.SKIPPED]
    if not evaluated or any(result.evidence and not result.evidence[0].response.ok for result in evaluated):
        yield case.skip(requirement, "the rows show no value to order by")
    elif all(result.status is Status.FAILED for result in evaluated):
        yield case.build_result(requirement, f"it does nothing: {evaluated[0].message}", *evaluated[0].evidence)
    else:
        yield case.build_result(requirement, "", *evaluated[0].evidence)


def _evaluate_sort_values(case: Case) -> Iterator[CheckResult]:
    for listing, requirement, sort_parameter, name in _iter_sort_requirements(case):
        if _sorts_by_number(listing, name):
            yield case.skip(requirement, not_testable(f"{name} is an enum: a database may sort it by its own numbers"))
            continue

        def evaluate(
            listing: Listing = listing, sort_parameter: Parameter = sort_parameter, name: str = name
        ) -> Evaluation:
            page = _fetch_sorted(listing, sort_parameter, name, "asc")
            keyed_values = [(key, value) for key, value in _find_sortable_values(listing, page.rows, name)]
            if len({value for _, value in keyed_values}) < 2:
                raise SkipCheck(insufficient_data(f"the rows show fewer than two values of {name}"))
            for (first_key, first_value), (second_key, second_value) in combinations(keyed_values, 2):
                if sorts_before(second_value, first_value):
                    message = f"{first_key} ({name} {first_value[0]!r}) before {second_key} ({name} {second_value[0]!r}): the other way is due"
                    return message, (page.exchange,)
            return "", (page.exchange,)

        yield evaluate_requirement(case, requirement, evaluate)


def check_descending_order(case: Case) -> Iterator[CheckResult]:
    """No two records with different values stand in the same order both ways: for each value of the sort parameter,
    and for the parameter itself."""
    results = list(_evaluate_reversal(case))
    yield from results
    yield from _evaluate_parameter_effect(case, "direction", results)


def _evaluate_reversal(case: Case) -> Iterator[CheckResult]:
    for listing, requirement, sort_parameter, name in _iter_sort_requirements(case):

        def evaluate(
            listing: Listing = listing, sort_parameter: Parameter = sort_parameter, name: str = name
        ) -> Evaluation:
            narrowed = listing.narrow(2)
            ascending, descending = (
                _fetch_sorted(narrowed, sort_parameter, name, "asc"),
                _fetch_sorted(narrowed, sort_parameter, name, "desc"),
            )
            ascending_values, descending_values = (
                dict(_find_sortable_values(narrowed, ascending.rows, name)),
                dict(_find_sortable_values(narrowed, descending.rows, name)),
            )
            descending_positions = {key: index for index, key in enumerate(descending_values)}
            common_keys = [
                key
                for key in ascending_values
                if key in descending_positions and ascending_values[key] == descending_values[key]
            ]
            compared = 0
            for left, right in combinations(common_keys, 2):
                if _differ(ascending_values[left], ascending_values[right], by_number=_sorts_by_number(narrowed, name)):
                    compared += 1
                    if descending_positions[left] < descending_positions[right]:
                        message = f"{left} ({name} {ascending_values[left][0]!r}) stands before {right} ({ascending_values[right][0]!r}) both ways"
                        return message, (ascending.exchange, descending.exchange)
            if not compared:
                raise SkipCheck(insufficient_data(f"the rows show fewer than two values of {name}"))
            return "", (ascending.exchange, descending.exchange)

        yield evaluate_requirement(case, requirement, evaluate)


def check_repeatability(case: Case) -> Iterator[CheckResult]:
    """One request twice; a third time where they differ, to tell a list that flaps from one that was changed."""
    listing = Listing(case.session, case.operation)

    def evaluate() -> Evaluation:
        listing.ensure_records(2)
        pages = [listing.fetch(*listing.build_largest_page_query()) for _ in range(2)]
        first, second = (listing.get_keys(page.rows) for page in pages)
        if first == second:
            return "", (pages[0].exchange,)
        third = listing.get_keys(listing.fetch(*listing.build_largest_page_query()).rows)
        if sorted(map(str, first)) == sorted(map(str, second)) or third == first:
            return "the same request was answered in another order", tuple(a.exchange for a in pages)
        raise ListChangedDuringCheck

    yield evaluate_requirement(case, case.build_requirement(), evaluate)


def _iter_sort_requirements(case: Case) -> Iterator[tuple[Listing, Requirement, Parameter, str]]:
    listing = Listing(case.session, case.operation)
    sort_parameter = listing.require_parameter("sort")
    for name in sort_parameter.schema.get("enum", ()):
        if name:
            yield (
                listing,
                case.build_requirement(f"{sort_parameter.pointer}/schema", "enum", f"{sort_parameter.name}={name}"),
                sort_parameter,
                str(name),
            )


def _fetch_sorted(listing: Listing, sort_parameter: Parameter, name: str, order: str) -> ListPage:
    direction_parameter = listing.require_parameter("direction")
    return listing.fetch(
        *listing.build_largest_page_query(), (sort_parameter.name, name), (direction_parameter.name, order)
    )


def _find_sortable_values(listing: Listing, rows: list[Row], name: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """(key, readings) of the rows that show a value which can be ordered."""
    values = []
    for row in rows[:MAX_COMPARED_ROWS]:
        collation_keys = build_collation_keys(row.get(name))
        if collation_keys is not None:
            values.append((listing.session.key_of(listing.resource.name, row), collation_keys))
    return values


def _differ(left: tuple[Any, ...], right: tuple[Any, ...], *, by_number: bool) -> bool:
    return left[0] != right[0] if by_number else sorts_before(left, right) or sorts_before(right, left)


def _sorts_by_number(listing: Listing, name: str) -> bool:
    attribute = listing.resource.attributes.get(name)
    return attribute is not None and "enum" in listing.session.payloads.resolve_schema(attribute.schema)


CHECKS: tuple[Check, ...] = (
    Check(
        "sort-order-respected",
        "A list is sorted by the requested property.",
        Category.LISTS,
        _is_sortable_list,
        check_sort_order,
    ),
    Check(
        "descending-reverses-ascending",
        "Descending order is the reverse of ascending order, except for ties.",
        Category.LISTS,
        _is_sortable_list,
        check_descending_order,
    ),
    Check(
        "list-is-repeatable",
        "Repeating a list request returns the same records in the same order.",
        Category.LISTS,
        is_list,
        check_repeatability,
    ),
)
