"""Checks of sorting: ascending, descending, repeatable, and by update time after an update.

Databases sort texts by different collations, put nulls first or last, and may sort enums by their numbers. Two texts
are compared only if every common collation agrees, nulls are not compared, and of an enum only that descending order
reverses ascending order.
"""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
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
    is_list_with,
)
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.model.queries import build_collation_keys, sorts_before
from conformance.results import CheckResult, Requirement, Status

MAX_COMPARED_ROWS = 100  # rows of a page that are compared in pairs


def _check_sort_order(case: Case) -> Iterator[CheckResult]:
    results = []
    for listing, requirement, name in _iter_sort_requirements(case):
        if _is_enum(listing, name):
            result = case.skip(requirement, not_testable(f"{name} is an enum; a database may sort it by number"))
        else:
            result = evaluate_requirement(case, requirement, partial(_evaluate_ascending, listing, name))
        results.append(result)
    yield from (*results, _evaluate_parameter_effect(case, "sort", results))


def _evaluate_parameter_effect(case: Case, role: str, results: list[CheckResult]) -> CheckResult:
    """Fail if no evaluated value of a parameter results in the expected order.

    The values may be inferred where the parameter is not: this uses the provenance of the parameter.
    """
    parameter = Listing(case.session, case.operation).require_parameter(role)
    requirement = case.build_requirement(parameter.pointer, parameter=parameter.name)
    evaluated = [result for result in results if result.status is not Status.SKIPPED]
    if not evaluated or any(result.evidence and not result.evidence[0].response.ok for result in evaluated):
        return case.skip(requirement, "the rows have no value to sort by")
    has_no_effect = all(result.status is Status.FAILED for result in evaluated)
    failure = f"got no effect, expected another order: {evaluated[0].message}" if has_no_effect else ""
    return case.build_result(requirement, failure, *evaluated[0].evidence)


def _evaluate_ascending(listing: Listing, name: str) -> Evaluation:
    page = _fetch_sorted(listing, name, "asc")
    keyed_values = _find_sortable_values(listing, page.rows, name)
    if len({value for _, value in keyed_values}) < 2:
        raise SkipCheck(insufficient_data(f"the rows have fewer than two values of {name}"))
    for (first, first_value), (second, second_value) in combinations(keyed_values, 2):
        if sorts_before(second_value, first_value):
            order = f"{first} ({name} {first_value[0]!r}) before {second} ({name} {second_value[0]!r})"
            return f"got {order}, expected the reverse", (page.exchange,)
    return "", (page.exchange,)


def _check_descending_order(case: Case) -> Iterator[CheckResult]:
    """Check for each value of the sort parameter that no two different values have the same order both ways."""
    results = [
        evaluate_requirement(case, requirement, partial(_evaluate_reversal, listing, name))
        for listing, requirement, name in _iter_sort_requirements(case)
    ]
    yield from (*results, _evaluate_parameter_effect(case, "direction", results))


def _evaluate_reversal(listing: Listing, name: str) -> Evaluation:
    narrowed = listing.narrow(2)
    pages = [_fetch_sorted(narrowed, name, direction) for direction in ("asc", "desc")]
    evidence = tuple(page.exchange for page in pages)
    ascending, descending = (dict(_find_sortable_values(narrowed, page.rows, name)) for page in pages)
    positions = {key: index for index, key in enumerate(descending)}
    common = [key for key in ascending if key in positions and ascending[key] == descending[key]]
    by_number, compared = _is_enum(narrowed, name), 0
    for left, right in combinations(common, 2):
        if _differ(ascending[left], ascending[right], by_number=by_number):
            compared += 1
            if positions[left] < positions[right]:
                order = f"{left} ({name} {ascending[left][0]!r}) before {right} ({ascending[right][0]!r})"
                return f"got {order} ascending and descending, expected the reverse in one of them", evidence
    if not compared:
        raise SkipCheck(insufficient_data(f"the rows have fewer than two values of {name}"))
    return "", evidence


def _check_repeatability(case: Case) -> Iterator[CheckResult]:
    yield evaluate_requirement(
        case, case.build_requirement(), partial(_evaluate_repeatability, Listing(case.session, case.operation))
    )


def _evaluate_repeatability(listing: Listing) -> Evaluation:
    """Send one request twice, and a third time to detect a change by another client."""
    listing.ensure_records(2)
    pages = [listing.fetch_largest() for _ in range(2)]
    first, second = (listing.get_keys(page.rows) for page in pages)
    if first == second:
        return "", (pages[0].exchange,)
    third = listing.get_keys(listing.fetch_largest().rows)
    if sorted(map(str, first)) == sorted(map(str, second)) or third == first:
        return "got another order for the same request, expected the same", tuple(page.exchange for page in pages)
    raise ListChangedDuringCheck


def _iter_sort_requirements(case: Case) -> Iterator[tuple[Listing, Requirement, str]]:
    """Yield (list, requirement, value) for each value of the sort parameter."""
    listing = Listing(case.session, case.operation)
    for name in listing.require_parameter("sort").schema.get("enum", ()):
        if name:
            yield listing, _build_sort_requirement(case, listing, str(name)), str(name)


def _build_sort_requirement(case: Case, listing: Listing, name: str) -> Requirement:
    sort = listing.require_parameter("sort")
    return case.build_requirement(f"{sort.pointer}/schema", "enum", f"{sort.name}={name}")


def _fetch_sorted(listing: Listing, name: str, direction: str) -> ListPage:
    sort_name, direction_name = (listing.require_parameter(role).name for role in ("sort", "direction"))
    return listing.fetch_largest((sort_name, name), (direction_name, direction))


def _find_sortable_values(listing: Listing, rows: list[Row], name: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return (key, collation keys) of the rows with a value that has a defined order."""
    values = []
    for row in rows[:MAX_COMPARED_ROWS]:
        collation_keys = build_collation_keys(row.get(name))
        if collation_keys is not None:
            values.append((listing.session.key_of(listing.resource.name, row), collation_keys))
    return values


def _differ(left: tuple[Any, ...], right: tuple[Any, ...], *, by_number: bool) -> bool:
    return left[0] != right[0] if by_number else sorts_before(left, right) or sorts_before(right, left)


def _is_enum(listing: Listing, name: str) -> bool:
    attribute = listing.resource.attributes.get(name)
    return attribute is not None and "enum" in listing.session.payloads.resolve_schema(attribute.schema)


CHECKS: tuple[Check, ...] = (
    Check(
        "sort-order-respected",
        "A list is sorted by the requested property.",
        Category.LISTS,
        is_list_with("sort", "direction"),
        _check_sort_order,
    ),
    Check(
        "descending-reverses-ascending",
        "Descending order is the reverse of ascending order, except for ties.",
        Category.LISTS,
        is_list_with("sort", "direction"),
        _check_descending_order,
    ),
    Check(
        "list-is-repeatable",
        "Repeating a list request returns the same records in the same order.",
        Category.LISTS,
        is_list,
        _check_repeatability,
    ),
)
