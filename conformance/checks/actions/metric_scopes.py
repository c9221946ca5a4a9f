"""Checks of what metrics are computed from: no records of other tenants, and the property that a request names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.access.auth import is_public
from conformance.checks.actions.metrics import (
    TOTAL_PROPERTY,
    Argument,
    Metric,
    extract_number,
    find_metrics,
    get_enum_values,
)
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import contains, format_query_value, get_values_at, is_number
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Parameter

SUM_WORD = "sum"  # part of the enum value that makes a metric add up a property
SERIES_WORD = "series"  # part of the enum value that selects a time series
MAX_PAGES = 4  # of listed records for one sum
MAX_PARENTS = 5  # existing records whose related records are added up


# Tenants


def _has_tenant_metrics(contract: Contract, operation: Operation) -> bool:
    return any(metric.resource.tenant_path for metric in find_metrics(contract, operation))


@check(
    "metric-hides-other-tenants",
    "A metric does not include records that only another tenant may see.",
    Category.TENANCY,
    _has_tenant_metrics,
    provenance_independent=True,
    writes=True,
    needs_second_token=True,
)
def check_metric_tenants(case: Case) -> Iterator[CheckResult]:
    """Request the metric of the other tenant before a create and after it, and with the keys of records of the run."""
    session = case.session
    reason = find_shared_tenant_reason(session)
    if reason:
        raise SkipCheck(reason)
    for metric in find_metrics(session.contract, case.operation):
        requirement = case.build_requirement(parameter=metric.name)
        try:
            message, exchange = _evaluate_foreign_write(session, metric)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, exchange)
        yield from _evaluate_foreign_filters(case, metric)


def _evaluate_foreign_write(session: Session, metric: Metric) -> tuple[str, Exchange]:
    """Compare the metric of the other tenant without a record of the run, with it, and without it again."""
    name = metric.resource.name
    session.records.shared_record(name)  # with its parents, so that the write adds one record only
    before, _ = metric.fetch(session, actor=Actor.OTHER_TENANT)
    record = session.records.create(name)
    if is_public(metric.resource, record):
        raise SkipCheck("the record is public")
    after, exchange = metric.fetch(session, actor=Actor.OTHER_TENANT)
    if after == before:
        return "", exchange
    if session.records.delete(record.resource, record.key) is None:
        again, _ = metric.fetch(session, actor=Actor.OTHER_TENANT)
        is_caused = again == after
    else:
        is_caused = metric.fetch(session, actor=Actor.OTHER_TENANT)[0] == before
    if not is_caused:
        raise ListChangedDuringCheck
    message = f"{TOTAL_PROPERTY} of another tenant: got {after} after the create of a {name}, expected {before}"
    return message, exchange


def _evaluate_foreign_filters(case: Case, metric: Metric) -> Iterator[CheckResult]:
    """Filtered by the key of a record of the run, the metric of the other tenant is 0, or the request is rejected."""
    session = case.session
    if session.options.read_only:
        return
    for item, key in _iter_parent_keys(session, metric):
        value = [key] if item.schema.get("type") == "array" else key
        requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name}".strip())
        try:
            total, exchange = metric.fetch(session, {item.name: value}, actor=Actor.OTHER_TENANT)
        except SkipCheck:
            continue  # rejected
        message = f"{TOTAL_PROPERTY} of another tenant with {item.name}={key}: got {total}, expected 0" if total else ""
        yield case.build_result(requirement, message, exchange)


def _iter_parent_keys(session: Session, metric: Metric) -> Iterator[tuple[Argument, Any]]:
    """Yield (argument, key) of each filter by a parent of which the run has a record that is not public."""
    for item, path in metric.iter_equality_filters():
        relation = metric.resource.relations.get(path[0])
        if relation is None or len(path) != 2 or len(relation.targets) != 1 or not relation.is_stored:
            continue
        target = session.contract.resources[relation.targets[0]]
        if path[1] != target.key_attribute or not target.tenant_path:
            continue
        try:
            record = session.records.shared_record(target.name)
        except SkipCheck:
            continue
        if not is_public(target, record):
            yield item, record.key


# Sums


@dataclass(frozen=True, slots=True)
class SumMetric:
    """A metric that adds up a property. `selector`: the argument that names the property."""

    metric: Metric
    selector: Argument

    def list_properties(self, contract: Contract) -> list[tuple[str, ...]]:
        """Return the paths of the properties that can be added up."""
        return [tuple(value.split(".")) for value in get_enum_values(contract, self.selector)]


def find_sum_metric(contract: Contract, operation: Operation) -> SumMetric | None:
    """Return how an operation adds up a property of the records of its resource; None if it does not."""
    resource = contract.resources.get(operation.resource or "")
    if resource is None or operation.is_generic or operation.path_parameter_names:
        return None
    is_body = operation.request_body is not None
    if is_body and not operation.has_query_body:
        return None
    items = operation.body_fields.values() if is_body else operation.query_parameters
    choices = {item.name: get_enum_values(contract, item) for item in items if item.x_query is None}
    paths = {*resource.attributes, *resource.derived_properties}
    selector = next((i for i in items if _names_properties(choices.get(i.name, []), paths)), None)
    for name, values in choices.items():
        sums = [value for value in values if SUM_WORD in value and SERIES_WORD not in value]
        if sums and selector is not None and name != selector.name:
            return SumMetric(Metric(operation, resource, {name: sums[0]}), selector)
    return None


def _names_properties(values: list[str], names: set[str]) -> bool:
    return bool(values) and all(value.split(".")[0] in names for value in values)


@check(
    "metric-sum-matches-list",
    "The sum of a property equals the sum of its values in the listed records.",
    Category.METRICS,
    lambda contract, operation: find_sum_metric(contract, operation) is not None,
    affected_by_other_clients=True,
)
def check_metric_sums(case: Case) -> Iterator[CheckResult]:
    """Add up each property in the rows of the list, which is read before and after the metric."""
    sum_metric = find_sum_metric(case.session.contract, case.operation)
    assert sum_metric is not None
    scopes = list(_iter_scopes(case.session, sum_metric.metric))
    for path in sum_metric.list_properties(case.session.contract):
        requirement = case.build_requirement(sum_metric.selector.pointer, None, ".".join(path))
        result: CheckResult | None = None
        for arguments, query in scopes:
            result = _compare_sum(case, sum_metric, path, arguments, query)
            if result is not None:
                break
        reason = not_testable(f"no listed {sum_metric.metric.resource.name} shows a value of {'.'.join(path)}")
        yield result or case.skip(requirement, reason)


def _iter_scopes(session: Session, metric: Metric) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (arguments of the metric, query of the list) that select the same records: all, or those of a parent."""
    listing = session.operations.require(metric.resource.name, "list")
    if not any(parameter.required for parameter in listing.query_parameters):
        yield {}, {}
    for item, path in metric.iter_equality_filters():
        parameter = _find_filter(listing, path)
        relation = metric.resource.relations.get(path[0])
        if parameter is None or relation is None or len(path) != 2 or len(relation.targets) != 1:
            continue
        for key in _list_parent_keys(session, relation.targets[0], path[1]):
            value = [key] if item.schema.get("type") == "array" else key
            yield {item.name: value}, {parameter.name: format_query_value(key)}


def _find_filter(listing: Operation, path: tuple[str, ...]) -> Parameter | None:
    for parameter in listing.query_parameters:
        query = parameter.x_query
        if query and (query.role, query.operator, query.paths) == ("filter", "eq", (path,)):
            return parameter
    return None


def _list_parent_keys(session: Session, name: str, attribute: str) -> list[Any]:
    """Return the values of an attribute of existing parents, and of one of the run if there is one."""
    created = session.records.shared.get(name)
    keys = [created.key] if created is not None else []
    listing = session.operations.find(name, "list")
    rows = session.records.rows(listing, {}, pages=1) if listing is not None else iter(())
    keys += [row[attribute] for _, row in zip(range(MAX_PARENTS), rows, strict=False) if attribute in row]
    return keys


def _compare_sum(
    case: Case, sum_metric: SumMetric, path: tuple[str, ...], arguments: Mapping[str, Any], query: Mapping[str, Any]
) -> CheckResult | None:
    """Compare the sum of a property with the rows of a list; None if no row has a value, or the list changes."""
    expected = _add_up(case.session, sum_metric.metric, path, query)
    if not expected:
        return None
    selected = {**arguments, sum_metric.selector.name: ".".join(path)}
    exchange = sum_metric.metric.send(case.session, selected)
    total = _extract_sum(case, exchange)
    is_equal = contains(float(expected), total)
    if not is_equal and _add_up(case.session, sum_metric.metric, path, query) != expected:
        raise ListChangedDuringCheck
    requirement = case.build_requirement(sum_metric.selector.pointer, None, ".".join(path))
    message = f"{TOTAL_PROPERTY} of {'.'.join(path)}: got {total}, expected {expected} (sum in the list)"
    return case.build_result(requirement, "" if is_equal else message, exchange)


def _extract_sum(case: Case, exchange: Exchange) -> float:
    """Return the total of a response, which may have a fraction. Raises SkipCheck."""
    total = extract_number(case.session, case.operation, exchange)
    if total is None:
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status} without a {TOTAL_PROPERTY}")
    return total


def _add_up(session: Session, metric: Metric, path: tuple[str, ...], query: Mapping[str, Any]) -> float | None:
    """Return the sum of a property in the rows of a list; None if no row has it, or the list is too long."""
    listing = session.operations.require(metric.resource.name, "list")
    rows = list(session.records.rows(listing, query, pages=MAX_PAGES))
    total = listing.envelope.read_page_values(session.client.send(listing, query=query).response.json).get("total")
    if isinstance(total, int) and total > len(rows):
        raise SkipCheck(not_testable("the list has too many records to add up"))
    values = [value for row in rows for value in get_values_at(row, path) or ()]
    numbers = [value for value in values if is_number(value)]
    return sum(numbers) if numbers else None
