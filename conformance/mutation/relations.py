"""Mutants of related data: stale or wrong embedded records, wrong counts and metrics."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import (
    ANY_ITEM,
    REMOVED,
    MakeFault,
    change_at_path,
    change_json,
    change_value,
    ignore_parameters,
    increment,
)
from conformance.mutation.mutant import Mutant, Operator, Trigger, sample
from conformance.mutation.triggers import trigger_list, trigger_retrieve, trigger_success
from conformance.transport.messages import map_leaves
from spec.model import BodyField, Contract, Operation, Parameter, Resource

MAX_RELATIONS = 2
UNKNOWN_KEYS = (987_654_321, "00000000-0000-4000-8000-0000000dead0")


def _property_path(operation: Operation, *names: str) -> tuple[str, ...]:
    """The path of a record's property in a response."""
    data, items = operation.envelope.data_property, (ANY_ITEM,) if operation.envelope.is_list else ()
    return (*((data,) if data else ()), *items, *names)


def omit_requested(name: str) -> MakeFault:
    """Remove what the parameter `name` requests from the response."""

    def change(request: InterceptedRequest, body: Any) -> Any:
        for requested in {part for value in request.parameter_values(name) for part in value.split(",")}:
            for property_name in (requested.partition(".")[0], f"{requested}_count"):
                path = _property_path(request.operation, property_name)
                body = change_at_path(body, path, lambda value: REMOVED)
        return body

    return change_json(change)


def _unknown_key(value: Any) -> Any:
    return UNKNOWN_KEYS[0 if isinstance(value, int) else 1]


def _change_text(value: Any) -> Any:
    return f"{value} of old" if isinstance(value, str) else value


# Role -> operators of its parameter; the fault is made of the parameter's name.
PARAMETER_OPERATORS: Mapping[str, tuple[Operator[Callable[[str], MakeFault]], ...]] = {
    role: (
        Operator(role, "{name} ignored", requirement, ignore_parameters),
        Operator(role, "{name} left out", requirement, omit_requested),
    )
    for role, requirement in (
        ("include", "Requested relations are embedded, and no others."),
        ("count", "A requested count is returned."),
    )
}
REFERENCE = Operator("reference", "{name} leads nowhere", "Every reference resolves to a record.", _unknown_key)
EMBEDDING = Operator("embedding", "{name} is stale", "An embedded record equals the retrieved record.", _change_text)
COUNT = Operator("count", "{name} one too many", "A {kind} agrees with the records.", increment)
METRIC = Operator("metric", "one too many", "A metric agrees with the records that it counts.", increment)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation that returns records or aggregates of records."""
    for operation in contract.operations.values():
        view = contract.views.get(operation.envelope.view_name or "")
        if view is not None and operation.method == "get":
            yield from _derive_parameter_mutants(operation)
            yield from _derive_embedding_mutants(contract, operation)
            yield from _derive_count_mutants(contract, operation)
        elif view is None and _filter_inputs(operation):
            support = ((_filter_inputs(operation)[0].pointer, None),)  # what relates the metric to records
            make_fault = change_value(lambda body: map_leaves(body, METRIC.fault))
            yield METRIC.mutant(operation, make_fault, trigger_success, supporting_locations=support)


def _filter_inputs(operation: Operation) -> list[Parameter | BodyField]:
    """The parameters and body fields that select the records of an operation."""
    inputs: tuple[Parameter | BodyField, ...] = (*operation.query_parameters, *operation.body_fields.values())
    return [item for item in inputs if item.x_query is not None and item.x_query.role == "filter"]


def _trigger_read(operation: Operation, parameter: Parameter | None = None) -> Trigger:
    return partial(trigger_list if operation.action == "list" else trigger_retrieve, parameter=parameter)


def _derive_parameter_mutants(operation: Operation) -> Iterator[Mutant]:
    for parameter in operation.query_parameters:
        role, name, pointer = parameter.x_query.role if parameter.x_query else "", parameter.name, parameter.pointer
        for row in PARAMETER_OPERATORS.get(role, ()):
            # Ignoring the parameter shows only in relations that are not embedded by default; the enum lists them.
            support = ((f"{pointer}/schema", "enum"),) if row.fault is ignore_parameters else ()
            trigger = _trigger_read(operation, parameter)
            named_row = row.named(name=name)
            yield named_row.mutant(operation, row.fault(name), trigger, pointer, supporting_locations=support)


def _derive_embedding_mutants(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    """Embed a record with another key, and one with another text."""
    resource = contract.resources[contract.views[operation.envelope.view_name or ""].resource]
    embedded = [r for r in resource.relations.values() if r.is_embedded and not r.write_only]
    to_one_relations = [r for r in embedded if not r.to_many and len(r.targets) == 1]
    for relation in sample(to_one_relations, MAX_RELATIONS, "embedded", operation.id):
        target = contract.resources[relation.targets[0]]
        rows = [(REFERENCE, relation.name, target.key_attribute)]
        rows += [(EMBEDDING, f"{relation.name}.{name}", name) for name in _text_names(target)[:1]]
        for row, detail, name in rows:
            make_fault = change_value(row.fault, _property_path(operation, relation.name, name))
            yield row.named(name=detail).mutant(operation, make_fault, _trigger_read(operation), relation.pointer)


def _text_names(resource: Resource) -> list[str]:
    texts = [p for p in resource.attributes.values() if p.type == "string" and p.format is None]
    return [p.name for p in texts if not p.enum_values and not p.write_only]


def _derive_count_mutants(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    view = contract.views[operation.envelope.view_name or ""]
    parameter = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "count"), None)
    for derived in view.derived_properties.values():
        is_count = derived.kind in ("count", "sum") and derived.name in view.property_names
        if is_count and (derived.required or parameter is not None):
            make_fault = change_value(COUNT.fault, _property_path(operation, derived.name))
            trigger = _trigger_read(operation, None if derived.required else parameter)
            row = COUNT.named(name=derived.name, kind=derived.kind)
            yield row.mutant(operation, make_fault, trigger, derived.pointer)
