"""Checks that metrics reflect updates of filtered properties, and actions on records of their own resource."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.actions.metrics import Argument, Metric, extract_total, find_metrics, get_enum_values
from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, effects_not_allowed, insufficient_data
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation, Resource

# Updates


@dataclass(frozen=True, slots=True)
class UpdatedFilter:
    """A filter of a metric by a property that an update sets. `values`: two values of the property."""

    metric: Metric
    item: Argument
    update: Operation
    field: BodyField
    values: tuple[Any, Any]


def _find_updated_filters(contract: Contract, operation: Operation) -> list[UpdatedFilter]:
    """Return the filters of an operation by a boolean or an enum, with each update that sets the property."""
    found: list[UpdatedFilter] = []
    for metric in find_metrics(contract, operation):
        updates = [
            o for o in contract.operations.values() if (o.resource, o.action) == (metric.resource.name, "update")
        ]
        creator = contract.find_create_operation(metric.resource.name)
        if creator is None or creator.effects:
            continue
        for item, path in metric.iter_equality_filters():
            for update in updates if len(path) == 1 else ():
                field = update.body_fields.get(path[0])
                values = _list_values(contract, field) if field is not None and field.relation_setter is None else []
                if field is not None and len(values) > 1:
                    found.append(UpdatedFilter(metric, item, update, field, (values[0], values[1])))
    return found


def _list_values(contract: Contract, field: BodyField) -> list[Any]:
    schema, _ = contract.document.dereference(field.schema, field.pointer)
    return [False, True] if schema.get("type") == "boolean" else list(get_enum_values(contract, field))


@check(
    "metric-follows-updates",
    "After an update of a property, a metric filtered by it counts the record by its new value only.",
    Category.METRICS,
    lambda contract, operation: bool(_find_updated_filters(contract, operation)),
    writes=True,
)
def check_updates(case: Case) -> Iterator[CheckResult]:
    """Update a new record from one value to another; the metrics filtered by both values change by one."""
    for updated in _find_updated_filters(case.session.contract, case.operation):
        label = " ".join(filter(None, (updated.metric.name, updated.item.name, updated.update.id)))
        requirement = case.build_requirement(updated.item.pointer, None, label)
        try:
            message, is_contradiction, exchange = _evaluate_update(case, updated)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        result = case.build_result(requirement, message, exchange)
        yield replace(result, is_contradiction=is_contradiction)


def _evaluate_update(case: Case, updated: UpdatedFilter) -> tuple[str, bool, Exchange]:
    """Return the problem, or "", whether it is a contradiction, and the exchange of the update. Raises SkipCheck."""
    session, resource = case.session, updated.metric.resource
    old, new = updated.values
    record = session.records.create(resource.name)
    _update(case, updated, record, old)
    total, before = _fetch(case, updated, None), [_fetch(case, updated, value) for value in (old, new)]
    exchange = _update(case, updated, record, new)

    def find_problem() -> str:
        after = [_fetch(case, updated, value) for value in (old, new)]
        expected = [before[0] - 1, before[1] + 1]
        if after == expected:
            return ""
        if _fetch(case, updated, None) != total:
            raise ListChangedDuringCheck
        counts = " and ".join(f"{n} with {updated.item.name}={v}" for n, v in zip(after, updated.values, strict=True))
        return (
            f"{updated.update.id} sets {updated.field.name} from {old} to {new}: got {counts}, "
            f"expected {expected[0]} and {expected[1]}"
        )

    message = session.client.wait_until(find_problem)
    return message, bool(message) and _is_filter_implemented(case, updated), exchange


def _update(case: Case, updated: UpdatedFilter, record: CreatedRecord, value: Any) -> Exchange:
    session = case.session
    body = session.records.build_update(updated.update, record.resource, record.key, {updated.field.name: value})
    exchange = session.client.send(updated.update, path=path_of(updated.update, record.key), body=body)
    if not exchange.response.ok:
        raise SkipCheck(f"{updated.update.id} returned {exchange.response.status}")
    session.client.retrieve(record.resource, record.key)  # a GET waits until the write is visible
    return exchange


def _fetch(case: Case, updated: UpdatedFilter, value: Any) -> int:
    """Return the metric filtered by a value, or without the filter."""
    is_array = case.session.payloads.resolve_schema(updated.item.schema).get("type") == "array"
    filters = {} if value is None else {updated.item.name: [value] if is_array else value}
    return updated.metric.fetch(case.session, filters)[0]


def _is_filter_implemented(case: Case, updated: UpdatedFilter) -> bool:
    """Whether a record that is created with the new value is counted with this value, and not with the old one."""
    session, resource = case.session, updated.metric.resource.name
    old, new = updated.values
    creator = session.contract.find_create_operation(resource)
    if creator is None or updated.field.name not in creator.body_fields:
        return False
    before = [_fetch(case, updated, value) for value in (old, new)]
    session.records.create(resource, {updated.field.name: new})
    return [_fetch(case, updated, value) for value in (old, new)] == [before[0], before[1] + 1]


# Actions


@dataclass(frozen=True, slots=True)
class ActionMetric:
    """A metric that counts what an action creates, for one of several resources.

    `arguments`: with the name of the collection and of the metric. `action`: ``POST /COLLECTION/KEY/ACTION``.
    """

    operation: Operation
    resource: Resource
    arguments: Mapping[str, Any]
    action: Operation

    def fetch(self, session: Session) -> int:
        """Request the metric. Raises SkipCheck."""
        exchange = session.client.send(self.operation, query=self.arguments)
        total = extract_total(session, self.operation, exchange)
        if total is None:
            raise SkipCheck(f"{self.operation.id} returned {exchange.response.status} without a total")
        return total


def _find_action_metrics(contract: Contract, operation: Operation) -> list[ActionMetric]:
    """Return the metrics of an operation that are named after an action of the selected resource.

    The metric ``shares`` of ``agents`` counts what ``POST /agents/KEY/share`` creates.
    """
    if operation.is_generic or operation.path_parameter_names or operation.request_body is not None:
        return []
    choices = {p.name: get_enum_values(contract, p) for p in operation.query_parameters if p.required}
    collections = {resource.collection: resource for resource in contract.resources.values()}
    selector = next((name for name, values in choices.items() if values and set(values) <= collections.keys()), "")
    others = [(name, value) for name, values in choices.items() if name != selector for value in values]
    actions = {
        (o.resource, f"{o.path.rpartition('/')[2]}s"): o
        for o in contract.operations.values()
        if is_action(contract, o) and len(o.path_parameter_names) == 1
    }
    return [
        ActionMetric(operation, collections[value], {selector: value, name: choice}, actions[key])
        for value in choices.get(selector, ())
        for name, choice in others
        if len(choices) == 2 and (key := (collections[value].name, choice)) in actions
    ]


@check(
    "metric-counts-actions-of-its-resource",
    "A metric of one resource counts an action on its records, and no action on records of another resource.",
    Category.METRICS,
    lambda contract, operation: len(_find_action_metrics(contract, operation)) > 1,
    writes=True,
)
def check_action_metrics(case: Case) -> Iterator[CheckResult]:
    """Call the action of each resource on a new record; only the metric of that resource increases by one."""
    metrics = _find_action_metrics(case.session.contract, case.operation)
    for metric in metrics:
        label = " ".join(map(str, metric.arguments.values()))
        requirement = case.build_requirement(parameter=label)
        others = [other for other in metrics if other.arguments.keys() == metric.arguments.keys() and other != metric]
        try:
            message, exchange = _evaluate_action(case, metric, others)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, exchange)


def _evaluate_action(case: Case, metric: ActionMetric, others: list[ActionMetric]) -> tuple[str, Exchange]:
    """Return the problem, or "", and the exchange of the action. Raises SkipCheck."""
    session, action = case.session, metric.action
    if action.effects and not session.options.allow_effects:
        raise SkipCheck(effects_not_allowed(action))
    record = session.records.create(metric.resource.name)
    body = build_action_body(session, action)
    compared = [metric, *others]
    before = [item.fetch(session) for item in compared]
    session.client.charge_call(action)
    exchange = session.client.send(action, path=path_of(action, record.key), body=body)
    if not exchange.response.ok:
        raise SkipCheck(insufficient_data(f"{action.id} returned {exchange.response.status}"))
    message = session.client.wait_until(_build_comparison(session, compared, before, action))
    return message, exchange


def _build_comparison(
    session: Session, compared: list[ActionMetric], before: list[int], action: Operation
) -> Callable[[], str]:
    """Build a function that describes the first metric that did not change as expected, or returns ""."""

    def find_problem() -> str:
        for position, metric in enumerate(compared):
            expected, actual = before[position] + int(position == 0), metric.fetch(session)
            if actual != expected:
                label = " ".join(map(str, metric.arguments.values()))
                return f"{label} after {action.id}: got {actual}, expected {expected}"
        return ""

    return find_problem
