"""Check of averages: a metric that is an average agrees with the sum and the number of the averaged records.

If no value is negative, an average is at least the sum divided by the number of all records, because records without
a value may be left out, and at most the sum. A wrong unit, such as seconds for milliseconds, can violate these bounds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.actions.figures import find_scope
from conformance.checks.actions.metric_scopes import SumMetric, find_sum_metric
from conformance.checks.actions.metrics import Argument, Metric, extract_number, find_metrics, get_enum_values
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.values import dereference_schema, select_least_certain
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.extensions import AVERAGE_KEYWORD
from spec.model import Contract, Operation, Resource

MAX_SCOPES = 5  # tenants whose records are averaged
ROUNDING_TOLERANCE = 1.0  # an average may be returned as an integer


@dataclass(frozen=True, slots=True)
class Average:
    """An average of an attribute. `pointer`: of the schema that states it. `arguments`: those that select it."""

    pointer: str
    metric: Metric
    attribute: str
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The averaged property."""
        return f"{self.metric.resource.name}.{self.attribute}"


def find_averages(contract: Contract, operation: Operation) -> Iterator[Average]:
    """Yield the averages that the arguments of an operation select (`x-average-of`)."""
    items: list[Argument] = [*operation.query_parameters]
    if operation.has_query_body:
        items = [*operation.body_fields.values()]
    for item in items:
        schema, pointer = dereference_schema(contract.document, _schema_pointer(item))
        for value, text in schema.get(AVERAGE_KEYWORD, {}).items():
            name, _, attribute = text.partition(".")
            resource = contract.resources[name]
            arguments = {item.name: value, **_choose_others(contract, resource, items, item)}
            yield Average(pointer, Metric(operation, resource, arguments), attribute, arguments)


def _schema_pointer(item: Argument) -> str:
    return getattr(item, "schema_pointer", item.pointer)


def _choose_others(contract: Contract, resource: Resource, items: list[Argument], used: Argument) -> dict[str, Any]:
    """Return the other required arguments: the collection of the resource or of one that it refers to, else any."""
    related = {resource.name, *(t for r in resource.relations.values() if not r.to_many for t in r.targets)}
    collections = {contract.resources[name].collection for name in related}
    chosen: dict[str, Any] = {}
    for item in items:
        values = get_enum_values(contract, item) if item.required and item is not used else []
        if values:
            chosen[item.name] = next((value for value in values if value in collections), values[0])
    return chosen


@check(
    "average-agrees-with-sum",
    "An average is between the sum of the averaged values and that sum divided by the number of records.",
    Category.METRICS,
    lambda contract, operation: any(True for _ in find_averages(contract, operation)),
    affected_by_other_clients=True,
)
def check_averages(case: Case) -> Iterator[CheckResult]:
    """Compare each average with the metrics that add up and count the same records, those of one tenant."""
    contract = case.session.contract
    for average in find_averages(contract, case.operation):
        location = select_least_certain(case, (average.pointer, AVERAGE_KEYWORD), (average.pointer, None))
        requirement = case.build_requirement(*location, average.name)
        try:
            message, exchanges = _evaluate(case.session, average)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, *exchanges)


def _evaluate(session: Session, average: Average) -> tuple[str, tuple[Exchange, ...]]:
    """Compare an average in the first tenant whose records have values. Raises SkipCheck."""
    found = _find_sum(session.contract, average)
    if found is None:
        raise SkipCheck(not_testable(f"no metric adds up {average.name}"))
    sums, count = found
    for scope, other_scope in _iter_scopes(session, average.metric, sums.metric):
        compared = _compare(session, average, scope, sums, count, other_scope)
        if compared is not None:
            return compared
    raise SkipCheck(insufficient_data(f"no {average.name} has a value"))


def _find_sum(contract: Contract, average: Average) -> tuple[SumMetric, Metric] | None:
    """Return the metrics that add up the averaged property and that count the records."""
    for operation in contract.operations.values():
        sums, count = find_sum_metric(contract, operation), next(find_metrics(contract, operation), None)
        if sums is None or count is None or sums.metric.resource is not average.metric.resource:
            continue
        if (average.attribute,) in sums.list_properties(contract):
            return sums, count
    return None


def _iter_scopes(
    session: Session, average: Metric, sums: Metric
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield arguments that restrict both metrics to the same tenant."""
    contract, tenant = session.contract, session.contract.tenant_resource
    items = [_find_tenant_argument(contract, metric) for metric in (average, sums)]
    listing = session.operations.find(tenant.name, "list") if tenant is not None else None
    if tenant is None or listing is None or None in items:
        return
    keys = (row.get(tenant.key_attribute) for row in session.records.rows(listing, {}, pages=1))
    for _, key in zip(range(MAX_SCOPES), filter(is_key, keys), strict=False):
        first, second = (
            {item.name: [key] if item.schema.get("type") == "array" else key} for item in items if item is not None
        )
        yield first, second


def _find_tenant_argument(contract: Contract, metric: Metric) -> Argument | None:
    """Return the argument that restricts a metric to one tenant."""
    scopes = ((item, find_scope(contract, metric.resource, item)) for item in metric.get_arguments())
    return next((item for item, scope in scopes if scope is not None and scope is contract.tenant_resource), None)


def _compare(
    session: Session,
    average: Average,
    scope: Mapping[str, Any],
    sums: SumMetric,
    count: Metric,
    other_scope: Mapping[str, Any],
) -> tuple[str, tuple[Exchange, ...]] | None:
    """Compare an average with a sum and a number of records; None if the sum is 0. Raises SkipCheck."""
    selected = {sums.selector.name: average.attribute, **other_scope}
    total, sum_exchange = _fetch(session, sums.metric, selected)
    if total <= 0:
        return None
    number, count_exchange = _fetch(session, count, other_scope)
    value, exchange = _fetch(session, average.metric, scope)
    low, high = total / max(number, 1), total
    exchanges = (count_exchange, sum_exchange, exchange)
    if low - ROUNDING_TOLERANCE <= value <= high + ROUNDING_TOLERANCE:
        return "", exchanges
    if _fetch(session, sums.metric, selected)[0] != total:
        raise ListChangedDuringCheck
    details = f"{number:g} records with the sum {total:g}"
    return f"average of {average.name}: got {value:g}, expected {low:g} to {high:g} ({details})", exchanges


def _fetch(session: Session, metric: Metric, arguments: Mapping[str, Any]) -> tuple[float, Exchange]:
    exchange = metric.send(session, arguments)
    value = extract_number(session, metric.operation, exchange)
    if value is None:
        raise SkipCheck(f"{metric.operation.id} returned {exchange.response.status} without a number")
    return value, exchange
