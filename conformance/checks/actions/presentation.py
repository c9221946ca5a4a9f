"""Check that parameters which only group, order or limit the values of a metric leave its total unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from conformance.checks.actions.figures import Figures, fetch_figures
from conformance.checks.actions.metrics import Metric, find_metrics, format_arguments, get_enum_values
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.values import contains
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from spec.model import Contract, Operation, Parameter

GROUP_WORD = "group"
# Words in the name of a parameter that changes how the values are shown, not which records are counted.
PRESENTATION_WORDS = frozenset((GROUP_WORD, "granularity", "interval", "order", "sort", "direction"))
MAX_CALCULATIONS = 4  # of one metric, with a total that is not 0
FEW_ROWS = 1
MAX_ROWS = 100  # if the contract gives no maximum


def find_presentation(operation: Operation) -> list[Parameter]:
    """Return the optional parameters that group or order the values, or limit their number; the groups first."""
    optional = [p for p in operation.query_parameters if not p.required and p.x_query is None]
    parameters = [p for p in optional if _is_limit(p) or PRESENTATION_WORDS & set(p.name.split("_"))]
    return sorted(parameters, key=lambda p: GROUP_WORD not in p.name.split("_"))


def _is_group(parameter: Parameter) -> bool:
    return GROUP_WORD in parameter.name.split("_")


def _is_limit(parameter: Parameter) -> bool:
    return parameter.schema.get("type") == "integer"


def _applies(contract: Contract, operation: Operation) -> bool:
    has_metrics = any(True for _ in find_metrics(contract, operation))
    return has_metrics and operation.request_body is None and bool(find_presentation(operation))


@check(
    "metric-total-unchanged-by-grouping",
    "Parameters that group, order or limit the values of a metric leave its total unchanged.",
    Category.METRICS,
    _applies,
    affected_by_other_clients=True,
)
def check_presentation(case: Case) -> Iterator[CheckResult]:
    """Send each such parameter alone, and with each grouping; compare the totals, and the groups with the total."""
    parameters = find_presentation(case.operation)
    messages: dict[str, tuple[str, bool]] = {}
    last_figures: dict[str, Figures] = {}
    for metric in find_metrics(case.session.contract, case.operation):
        for arguments, figures in _find_calculations(case, metric):
            for parameter, other, message, is_contradiction in _compare_all(case, metric, arguments, figures):
                last_figures[parameter.name] = other
                if message and not messages.get(parameter.name, ("", False))[1]:
                    messages[parameter.name] = message, is_contradiction
    for parameter in parameters:
        requirement = case.build_requirement(parameter.pointer, None, parameter.name)
        requirement = replace(requirement, provenance="inferred")  # no part of a contract states it
        if parameter.name not in last_figures:
            yield case.skip(requirement, insufficient_data("no metric has a total other than 0"))
            continue
        message, is_contradiction = messages.get(parameter.name, ("", False))
        result = case.build_result(requirement, message, last_figures[parameter.name].exchange)
        yield replace(result, is_contradiction=is_contradiction)


def _compare_all(
    case: Case, metric: Metric, arguments: Mapping[str, Any], expected: Figures
) -> Iterator[tuple[Parameter, Figures, str, bool]]:
    """Yield (parameter, figures, problem or "", whether it is a contradiction) of each query of one calculation."""
    parameters = find_presentation(case.operation)
    grouped: list[tuple[Parameter, str, Figures]] = []
    for parameter, query in _list_queries(case, parameters):
        with suppress(SkipCheck):
            figures, message, is_contradiction = _compare(case, metric, {**arguments, **query}, expected)
            yield parameter, figures, message, is_contradiction
            if not message and _is_group(parameter):
                grouped.append((parameter, format_arguments({**arguments, **query}), figures))
    for parameter, figures, message in _find_missing_groups(grouped, _get_max_rows(parameters)):
        yield parameter, figures, message, True


def _find_missing_groups(
    grouped: Sequence[tuple[Parameter, str, Figures]], max_rows: int
) -> Iterator[tuple[Parameter, Figures, str]]:
    """Yield the groupings whose values are less than the total, if those of another grouping add up to it."""
    if not any(figures.has_sum for _, _, figures in grouped):
        return  # the metric is not a sum, for example an average
    for parameter, label, figures in grouped:
        values = figures.parts or ()
        if values and len(values) < max_rows and not figures.has_sum and sum(values) < figures.total:
            yield parameter, figures, f"{label}: got total {figures.total}, expected {sum(values)} (sum of the groups)"


def _get_max_rows(parameters: Sequence[Parameter]) -> int:
    """Return the largest number of rows that a parameter permits."""
    return max((int(p.schema.get("maximum", MAX_ROWS)) for p in parameters if _is_limit(p)), default=MAX_ROWS)


def _find_calculations(case: Case, metric: Metric) -> Iterator[tuple[dict[str, Any], Figures]]:
    """Yield the choices of the required arguments for which the total is not 0, at most `MAX_CALCULATIONS`."""
    collections = {resource.collection for resource in case.session.contract.resources.values()}
    required = [p for p in case.operation.query_parameters if p.required and p.name in metric.arguments]
    choices = {p.name: get_enum_values(case.session.contract, p) for p in required}
    names = [name for name, values in choices.items() if not set(values) <= collections]
    variants = [{name: value} for name in names for value in choices[name]] or [dict[str, Any]()]
    number = 0
    for variant in variants:
        with suppress(SkipCheck):
            figures = fetch_figures(case.session, metric, variant)
            if figures.total and number < MAX_CALCULATIONS:
                number += 1
                yield variant, figures


def _list_queries(case: Case, parameters: list[Parameter]) -> Iterator[tuple[Parameter, dict[str, Any]]]:
    """Yield each value of each parameter, those of other parameters with each grouping."""
    groups: list[dict[str, Any]] = []
    for parameter in parameters:
        values: list[Any] = list(get_enum_values(case.session.contract, parameter))
        if _is_limit(parameter):
            values = [max(FEW_ROWS, int(parameter.schema.get("minimum", FEW_ROWS)))]
        if _is_group(parameter):
            groups += [{parameter.name: value} for value in values]
            all_rows = {p.name: _get_max_rows([p]) for p in parameters if _is_limit(p)}
            yield from ((parameter, {parameter.name: value, **all_rows}) for value in values)
        else:
            bases = groups or [dict[str, Any]()]
            yield from ((parameter, {**base, parameter.name: value}) for base in bases for value in values[-1:])


def _compare(case: Case, metric: Metric, arguments: Mapping[str, Any], expected: Figures) -> tuple[Figures, str, bool]:
    """Return the figures, the problem or "", and whether it is a contradiction. Raises SkipCheck."""
    figures = fetch_figures(case.session, metric, arguments)
    if contains(float(expected.total), figures.total):
        return figures, "", False
    names = {p.name for p in find_presentation(case.operation)}
    plain = {name: value for name, value in arguments.items() if name not in names}
    if fetch_figures(case.session, metric, plain).total != expected.total:
        raise ListChangedDuringCheck
    removed = " and ".join(name for name in arguments if name in names)
    grouping = {name: value for name, value in arguments.items() if name not in names or GROUP_WORD in name.split("_")}
    # The same groups without the further parameter have the total of the ungrouped metric.
    is_contradiction = grouping != dict(arguments) and contains(
        float(expected.total), fetch_figures(case.session, metric, grouping).total
    )
    return (
        figures,
        f"{format_arguments(arguments)}: got total {figures.total}, expected {expected.total} as without {removed}",
        is_contradiction,
    )
