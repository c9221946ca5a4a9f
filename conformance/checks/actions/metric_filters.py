"""Checks that a filter has the same effect on each part of a metric, its values add up, and it agrees with the list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from conformance.checks.actions.figures import (
    SELECTIVE_FILTERS,
    Figures,
    MetricFilter,
    SelectiveFilters,
    fetch_figures,
    find_same_filter,
    has_filtered_metrics,
)
from conformance.checks.actions.metrics import Metric, find_metrics, format_arguments, get_enum_values
from conformance.checks.actions.presentation import GROUP_WORD, find_presentation
from conformance.checks.actions.time_series import SERIES_WORD
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck, Listing
from conformance.checks.support.values import contains
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.model.queries import iter_pairs
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

MAX_FULL_COMPARISONS = 2  # filters that are compared for all calculations, and with the counterpart

Problem = tuple[str, bool, Exchange | None]  # message ("" if passed), whether it is a contradiction, and the exchange


def _build_result(case: Case, metric: Metric, items: Sequence[MetricFilter], problem: Problem) -> CheckResult:
    message, is_contradiction, exchange = problem
    label = " ".join(filter(None, (metric.name, " + ".join(item.argument.name for item in items))))
    requirement = case.build_requirement(items[-1].argument.pointer, None, label)
    result = case.build_result(requirement, message, *([exchange] if exchange is not None else []))
    return replace(result, is_contradiction=bool(message) and is_contradiction)


def _wait(case: Case, evaluate: Callable[[], Problem]) -> Problem:
    """Evaluate until there is no problem or the consistency timeout has elapsed; return the last result."""
    problems: list[Problem] = []

    def find_problem() -> str:
        problems.append(evaluate())
        return problems[-1][0]

    case.session.client.wait_until(find_problem, is_delay_of_write=False)
    return problems[-1]


# Parts


@dataclass(frozen=True, slots=True)
class Calculation:
    """Arguments with which a metric has parts, and its figures without a filter.

    `counterpart`: the arguments of the same calculation without a time series, if both have the same total.
    """

    arguments: Mapping[str, Any]
    figures: Figures
    counterpart: Mapping[str, Any] | None


@check(
    "metric-filter-affects-all-parts",
    "If the parts of a metric, such as the days of a time series, add up to its total, they also do with a filter.",
    Category.METRICS,
    has_filtered_metrics,
    affected_by_other_clients=True,
)
def check_parts(case: Case) -> Iterator[CheckResult]:
    """Send each filter alone and in pairs, for the calculations and grouping whose parts add up without a filter."""
    for selective in case.use(SELECTIVE_FILTERS):
        metric = selective.metric
        all_calculations = list(_find_calculations(case, metric))
        # A single part equals the total even if the target ignores the filter.
        calculations = [c for c in all_calculations if len(c.figures.parts or ()) > 1] or all_calculations
        if not selective.values or not calculations:
            reason = "no total of the metric other than 0 is the sum of its parts"
            if not selective.values:
                reason = "no filter of the metric excludes any of the counted records"
            yield case.skip(case.build_requirement(parameter=metric.name), insufficient_data(reason))
            continue
        pairs = [(a, b) for a, b in pairwise(selective.values) if not a[0].is_overridden_by(b[0])]
        queries: list[tuple[tuple[MetricFilter, ...], dict[str, Any]]]
        queries = [((item,), item.build_arguments(value)) for item, value in selective.values]
        queries += [((a[0], b[0]), {**a[0].build_arguments(a[1]), **b[0].build_arguments(b[1])}) for a, b in pairs]
        for position, (items, filters) in enumerate(queries):
            selected = calculations if position < MAX_FULL_COMPARISONS else calculations[:1]
            if len(items) > 1:
                selected = [replace(calculation, counterpart=None) for calculation in selected]
            try:
                problem = _find_part_problem(case, metric, selected, filters)
            except SkipCheck as skip:
                label = " ".join(filter(None, (metric.name, " + ".join(item.argument.name for item in items))))
                yield case.skip(case.build_requirement(items[-1].argument.pointer, None, label), skip.reason)
            else:
                result = _build_result(case, metric, items, problem)
                # No part of a contract states that a response has parts.
                yield replace(result, requirement=replace(result.requirement, provenance="inferred"))


def _find_calculations(case: Case, metric: Metric) -> Iterator[Calculation]:
    """Yield each calculation and grouping whose parts add up to the total; time series first."""
    choices = [(name, _list_choices(case.session.contract, metric, name)) for name in metric.arguments]
    names = [(name, values) for name, values in choices if len(values) > 1]
    variants: list[dict[str, Any]] = [{name: value} for name, values in names for value in values] or [{}]
    groupings = [p for p in find_presentation(case.operation) if GROUP_WORD in p.name.split("_")]
    groups = [{p.name: value} for p in groupings for value in get_enum_values(case.session.contract, p)]
    variants = [{**variant, **group} for variant in variants for group in (groups or [{}])]
    for variant in sorted(variants, key=lambda variant: not _is_series(variant)):
        with suppress(SkipCheck):
            figures = fetch_figures(case.session, metric, variant)
            if figures.has_sum and figures.total:
                yield Calculation(variant, figures, _find_counterpart(case, metric, variants, variant, figures))


def _list_choices(contract: Contract, metric: Metric, name: str) -> list[str]:
    """Return the values of a calculation; none for an argument that selects the counted resource."""
    items = (item for item in metric.get_arguments() if item.name == name)
    values = [value for item in items for value in get_enum_values(contract, item)]
    collections = {resource.collection for resource in contract.resources.values()}
    return [] if set(values) <= collections else values


def _is_series(variant: Mapping[str, Any]) -> bool:
    return any(SERIES_WORD in str(value) for value in variant.values())


def _find_counterpart(
    case: Case, metric: Metric, variants: Sequence[Mapping[str, Any]], variant: Mapping[str, Any], figures: Figures
) -> Mapping[str, Any] | None:
    """Return the variant that calculates the same without a series: its values have the same last word."""
    if not _is_series(variant):
        return None
    words = {name: str(value).rpartition("_")[2] for name, value in variant.items()}
    others = (v for v in variants if not _is_series(v))
    same = (v for v in others if {name: str(value).rpartition("_")[2] for name, value in v.items()} == words)
    other = next(same, None)
    has_same_total = other is not None and contains(
        float(figures.total), fetch_figures(case.session, metric, other).total
    )
    return other if has_same_total else None


def _find_part_problem(
    case: Case, metric: Metric, calculations: Sequence[Calculation], filters: Mapping[str, Any]
) -> Problem:
    """Compare the total with its parts for each calculation. Raises SkipCheck if a response has no total."""
    evidence: Exchange | None = None
    for calculation in calculations:

        def evaluate(calculation: Calculation = calculation) -> Problem:
            arguments = {**calculation.arguments, **filters}
            label = format_arguments(arguments)
            figures = fetch_figures(case.session, metric, arguments)
            if figures.parts is None and figures.total:
                message = f"{label}: got total {figures.total} without parts, expected parts"
                return message, False, figures.exchange
            expected = float(sum(figures.parts or ()))
            if not contains(expected, figures.total):
                message = f"{label}: got total {figures.total}, expected {expected:g} (sum of its parts)"
                return message, True, figures.exchange
            if calculation.counterpart is None:
                return "", False, figures.exchange
            other = fetch_figures(case.session, metric, {**calculation.counterpart, **filters})
            if contains(float(other.total), figures.total):
                return "", False, figures.exchange
            message = f"{label}: got total {figures.total}, expected {other.total} as with "
            return message + format_arguments({**calculation.counterpart, **filters}), True, figures.exchange

        problem = _wait(case, evaluate)
        if problem[0]:
            return problem
        evidence = problem[2]
    return "", False, evidence


# Values


@check(
    "metric-filter-values-add-up",
    "The totals of a metric for all values of a filter, such as each status, add up to its total without that filter, "
    "also together with a second filter.",
    Category.METRICS,
    has_filtered_metrics,
    affected_by_other_clients=True,
)
def check_values(case: Case) -> Iterator[CheckResult]:
    """Add up the values of each enum and boolean, alone and combined with other filters."""
    for selective in case.use(SELECTIVE_FILTERS):
        partitions = [item for item in selective.filters if item.is_partition]
        if not partitions:
            reason = not_testable("the contract lists all values of no filter of the metric")
            yield case.skip(case.build_requirement(parameter=selective.metric.name), reason)
        for position, item in enumerate(partitions):
            others = [(f, v) for f, v in selective.values if f is not item and not f.is_overridden_by(item)]
            others.sort(key=lambda other: other[0].target is None)  # stable
            yield from _add_up(case, selective, item, others[position % len(others) :][:1] if others else [])


def _add_up(
    case: Case, selective: SelectiveFilters, item: MetricFilter, others: Sequence[tuple[MetricFilter, Any]]
) -> Iterator[CheckResult]:
    """Add up the values of one filter, then those with each of the other filters."""
    metric = selective.metric
    problem = _wait(case, lambda: _find_sum_problem(case, metric, item, {}, adds_up_unfiltered=False))
    adds_up = not problem[0] and problem[2] is not None
    if problem[0]:
        problem = (problem[0], _does_list_add_up(case, metric, item), problem[2])
    result = _build_result(case, metric, (item,), problem)
    # The enum of a filter may not list all stored values.
    yield replace(result, requirement=replace(result.requirement, provenance="inferred"))
    for other, value in others if adds_up else ():
        filters = other.build_arguments(value)

        def evaluate(filters: Mapping[str, Any] = filters) -> Problem:
            return _find_sum_problem(case, metric, item, filters, adds_up_unfiltered=True)

        with suppress(SkipCheck):
            yield _build_result(case, metric, (other, item), _wait(case, evaluate))


def _find_sum_problem(
    case: Case, metric: Metric, item: MetricFilter, filters: Mapping[str, Any], *, adds_up_unfiltered: bool
) -> Problem:
    """Compare the sum of the totals for all values with the total without the filter. Raises ListChangedDuringCheck.

    `adds_up_unfiltered`: the values add up without `filters`.
    """
    session = case.session
    before = fetch_figures(session, metric, filters)
    numbers = [
        fetch_figures(session, metric, {**filters, **item.build_arguments(value)}).total for value in item.values
    ]
    larger = [v for v, number in zip(item.values, numbers, strict=True) if number > before.total]
    total, is_complete = sum(numbers), item.is_exhaustive or adds_up_unfiltered
    if not larger and (total == before.total or (total < before.total and not is_complete)):
        return "", False, before.exchange
    if fetch_figures(session, metric, filters).total != before.total:
        raise ListChangedDuringCheck
    prefix = f"{format_arguments(filters)}: " if filters else ""
    expected = f"{'' if is_complete else 'at most '}{before.total}"
    message = f"{prefix}sum of the totals for all values of {item.argument.name}: got {total}, expected {expected}"
    return message, adds_up_unfiltered, before.exchange


def _does_list_add_up(case: Case, metric: Metric, item: MetricFilter) -> bool:
    """Whether the list of the counted records has the same filter, and its totals for all values add up."""
    with suppress(SkipCheck):
        total = _count_listed(case, metric, [])
        numbers = [_count_listed(case, metric, [(item, value)]) for value in item.values]
        return (
            None not in numbers and sum(filter(None, numbers)) == total == fetch_figures(case.session, metric, {}).total
        )
    return False


# Lists


def _count_listed(case: Case, metric: Metric, filters: Sequence[tuple[MetricFilter, Any]]) -> int | None:
    """Return the total of the list with the same filters; None if it lacks one. Raises SkipCheck."""
    listing = Listing(case.session, case.session.operations.require(metric.resource.name, "list"))
    query: dict[str, Any] = {}
    for item, value in filters:
        parameter = find_same_filter(listing.operation, item.argument)
        if parameter is None:
            return None
        query[parameter.name] = [value] if parameter.schema.get("type") == "array" else value
    return listing.fetch(*iter_pairs(listing.operation, query)).total


@check(
    "metric-filter-matches-list",
    "For existing records, and with every filter that both share, also two at once, a metric equals the total of the "
    "list if both agree without filters.",
    Category.METRICS,
    lambda contract, operation: has_filtered_metrics(contract, operation) and _has_list(contract, operation),
    affected_by_other_clients=True,
)
def check_lists(case: Case) -> Iterator[CheckResult]:
    """Compare each filter that metric and list share, and pairs of them, for records of all clients."""
    for selective in case.use(SELECTIVE_FILTERS):
        metric = selective.metric
        listing = case.session.operations.require(metric.resource.name, "list")
        chosen = [item for item, _ in selective.values]
        # Each value of the others selects all records, or the target ignores the filter.
        others = [(item, item.values[0]) for item in selective.filters if item not in chosen]
        values = (*selective.values, *others)
        shared = [(item, value) for item, value in values if find_same_filter(listing, item.argument) is not None]
        queries = [[pair] for pair in shared]
        queries += [
            [a, b] for a, b in pairwise(shared) if a[0] in chosen and b[0] in chosen and not a[0].is_overridden_by(b[0])
        ]
        try:
            has_same_total = _count_listed(case, metric, []) == fetch_figures(case.session, metric, {}).total
        except SkipCheck as skip:
            yield case.skip(case.build_requirement(parameter=metric.name), skip.reason)
            continue
        if not has_same_total or not queries:
            different = "metric and list have different totals without a filter"
            reason = insufficient_data("metric and list share no filter" if has_same_total else different)
            yield case.skip(case.build_requirement(parameter=metric.name), reason)
            continue
        for query in queries:
            yield _compare_with_list(case, metric, query)


def _has_list(contract: Contract, operation: Operation) -> bool:
    return any(
        contract.find_operation(metric.resource.name, "list") is not None
        for metric in find_metrics(contract, operation)
    )


def _compare_with_list(case: Case, metric: Metric, query: Sequence[tuple[MetricFilter, Any]]) -> CheckResult:
    arguments: dict[str, Any] = {}
    for item, value in query:
        arguments |= item.build_arguments(value)

    def evaluate() -> Problem:
        expected = _count_listed(case, metric, query)
        figures = fetch_figures(case.session, metric, arguments)
        message = f"{format_arguments(arguments)}: got {figures.total}, expected {expected} as in the filtered list"
        return "" if figures.total == expected else message, False, figures.exchange

    try:
        problem = _wait(case, evaluate)
    except SkipCheck as skip:
        label = " ".join(filter(None, (metric.name, " + ".join(item.argument.name for item, _ in query))))
        return case.skip(case.build_requirement(parameter=label), skip.reason)
    return _build_result(case, metric, [item for item, _ in query], problem)
