"""Mutants of related data: stale or wrong embedded records, wrong counts and metrics."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, ignore_parameters
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.response_schemas import REMOVED, change_at_path, change_response_json
from conformance.mutation.triggers import trigger_list, trigger_retrieve, trigger_success
from spec.model import BodyField, Contract, Operation, Parameter

MAX_RELATIONS = 2
UNKNOWN_ID = "00000000-0000-4000-8000-0000000dead0"


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation that returns records or aggregates of records."""
    for operation in contract.operations.values():
        view = contract.views.get(operation.envelope.view_name or "")
        if view is not None and operation.method == "get":
            yield from _derive_include_mutants(operation)
            yield from _derive_embedding_mutants(contract, operation)
            yield from _derive_count_mutants(contract, operation)
        elif view is None and _filter_inputs(operation):
            yield from _derive_metric_mutants(operation)


def _property_path(operation: Operation, *names: str) -> tuple[str, ...]:
    """The path of a record's property in a response."""
    return (*filter(None, (operation.envelope.data_property,)), *(("*",) if operation.envelope.is_list else ()), *names)


def _build_mutant(
    operation: Operation,
    family: str,
    detail: str,
    requirement: str,
    make_fault: MakeFault,
    pointer: str,
    parameter: Parameter | None = None,
    supporting_locations: tuple[tuple[str, str | None], ...] = (),
) -> Mutant:
    trigger = partial(trigger_list if operation.action == "list" else trigger_retrieve, parameter=parameter)
    support = supporting_locations
    return Mutant(family, operation.id, detail, requirement, pointer, make_fault, trigger, supporting_locations=support)


REQUIREMENTS_BY_ROLE = {
    "include": "Requested relations are embedded, and no others.",
    "count": "A requested count is returned.",
}


def _derive_include_mutants(operation: Operation) -> Iterator[Mutant]:
    for parameter in operation.query_parameters:
        role = parameter.x_query.role if parameter.x_query is not None else ""
        if role in REQUIREMENTS_BY_ROLE:
            mutant, name = partial(_build_mutant, operation, role), parameter.name
            requirement, pointer = REQUIREMENTS_BY_ROLE[role], parameter.pointer
            # An operation may embed some relations by default: a mutant that ignores the parameter shows in the others.
            names = ((f"{pointer}/schema", "enum"),)
            yield mutant(f"{name} ignored", requirement, ignore_parameters(name), pointer, parameter, names)
            omit = partial(partial, _omit_requested, operation, name)
            yield mutant(f"{name} left out", requirement, omit, pointer, parameter)


async def _omit_requested(
    operation: Operation, name: str, request: InterceptedRequest, call_next: CallNext
) -> InterceptedResponse:
    """Remove what was requested from the response."""
    response = await call_next(request)
    requested = {part for n, v in request.query if n.removesuffix("[]") == name for part in v.split(",")}
    if not response.is_success or not requested:
        return response
    body = response.json
    for requested_name in requested:
        for property_name in (requested_name.partition(".")[0], f"{requested_name}_count"):
            body = change_at_path(body, _property_path(operation, property_name), lambda value: REMOVED)
    return response.with_json(body)


def _derive_embedding_mutants(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    """Embed a record with another key, and one with another text."""
    resource = contract.resources[contract.views[operation.envelope.view_name or ""].resource]
    to_one_relations = [
        relation
        for relation in resource.relations.values()
        if not relation.to_many and not relation.write_only and len(relation.targets) == 1 and relation.is_embedded
    ]
    for relation in sample(to_one_relations, MAX_RELATIONS, "embedded", operation.id):
        target, pointer = contract.resources[relation.targets[0]], relation.pointer
        unknown_key: Any = 987_654_321 if target.has_integer_key else UNKNOWN_ID
        path = _property_path(operation, relation.name, target.key_attribute)
        make_fault = change_response_json(lambda value, key=unknown_key: key, path)  # type: ignore[misc]
        detail, exists = f"{relation.name} leads nowhere", "Every reference resolves to a record."
        yield _build_mutant(operation, "reference", detail, exists, make_fault, pointer)
        text_names = [
            p.name
            for p in target.attributes.values()
            if p.type == "string" and not p.enum_values and p.format is None and not p.write_only
        ]
        for name in text_names[:1]:
            make_fault = change_response_json(_change_text, _property_path(operation, relation.name, name))
            detail, equal = f"{relation.name}.{name} is stale", "An embedded record equals the retrieved record."
            yield _build_mutant(operation, "embedding", detail, equal, make_fault, pointer)


def _change_text(value: Any) -> Any:
    return f"{value} of old" if isinstance(value, str) else value


def _increment(value: Any) -> Any:
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _derive_count_mutants(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    view = contract.views[operation.envelope.view_name or ""]
    for derived in view.derived_properties.values():
        if derived.kind not in ("count", "sum") or derived.name not in view.property_names:
            continue
        parameter = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "count"), None)
        if derived.required or parameter is not None:
            make_fault = change_response_json(_increment, _property_path(operation, derived.name))
            detail, requirement = f"{derived.name} one too many", f"A {derived.kind} agrees with the records."
            requested = None if derived.required else parameter
            yield _build_mutant(operation, "count", detail, requirement, make_fault, derived.pointer, requested)


def _filter_inputs(operation: Operation) -> list[Parameter | BodyField]:
    """The parameters and body fields that select the records of an operation."""
    fields = operation.request_body.fields.values() if operation.request_body is not None else ()
    inputs = (*operation.query_parameters, *fields)
    return [item for item in inputs if item.x_query is not None and item.x_query.role == "filter"]


def _increment_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _increment_all(nested) for name, nested in value.items()}
    return [_increment_all(item) for item in value] if isinstance(value, list) else _increment(value)


def _derive_metric_mutants(operation: Operation) -> Iterator[Mutant]:
    """Increment every integer of a response that contains no record."""
    requirement, fault = "A metric agrees with the records that it counts.", change_response_json(_increment_all)
    support = ((_filter_inputs(operation)[0].pointer, None),)  # what relates the metric to records
    pointer, trigger = operation.pointer, trigger_success
    yield Mutant(
        "metric", operation.id, "one too many", requirement, pointer, fault, trigger, supporting_locations=support
    )
