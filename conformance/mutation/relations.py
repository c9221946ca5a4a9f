"""Mutants of what answers join: embedded records that are stale or others, counts and metrics that are wrong."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from conformance.mutation.answers import REMOVED, change_at_path, change_response_json
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.lists import remove_parameters
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.triggers import trigger_list, trigger_retrieve, trigger_success
from spec.loader import BodyField, Contract, Operation, Parameter

MAX_RELATIONS = 2
UNKNOWN_ID = "00000000-0000-4000-8000-0000000dead0"


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation that shows records, and of those that count them."""
    for operation in contract.operations.values():
        view = contract.views.get(operation.envelope.view_name or "")
        if view is not None and operation.method == "get":
            yield from _derive_include_mutants(operation)
            yield from _derive_embedding_mutants(contract, operation)
            yield from _derive_count_mutants(contract, operation)
        elif view is None and _filter_inputs(operation):
            yield from _derive_metric_mutants(operation)


def _property_path(operation: Operation, *names: str) -> tuple[str, ...]:
    """Where a property of a shown record stands in an answer."""
    return (*filter(None, (operation.envelope.data_property,)), *(("*",) if operation.envelope.is_list else ()), *names)


def _build_mutant(
    operation: Operation,
    family: str,
    detail: str,
    requirement: str,
    make_fault: Callable[[], Fault],
    pointer: str,
    parameter: Parameter | None = None,
    supporting_locations: tuple[tuple[str, str | None], ...] = (),
) -> Mutant:
    trigger = (
        partial(trigger_list, parameter=parameter)
        if operation.action == "list"
        else partial(trigger_retrieve, parameter=parameter)
    )
    return Mutant(
        family,
        operation.id,
        detail,
        requirement,
        pointer,
        make_fault,
        trigger,
        supporting_locations=supporting_locations,
    )


REQUIREMENTS_BY_ROLE = {
    "include": "What is asked for is embedded, and nothing else.",
    "count": "A count that is asked for is there.",
}


def _derive_include_mutants(operation: Operation) -> Iterator[Mutant]:
    for parameter in operation.query_parameters:
        role = parameter.x_query.role if parameter.x_query is not None else ""
        if role in REQUIREMENTS_BY_ROLE:
            for detail, fault in (("ignored", _ignore_parameter), ("left out", _omit_requested)):
                make_fault = partial(partial, fault, operation, parameter.name)
                full_detail = f"{parameter.name} {detail}"
                # What nobody asks for may be embedded by default: ignored, it shows in what else is embedded.
                supporting_locations = ((f"{parameter.pointer}/schema", "enum"),) if detail == "ignored" else ()
                yield _build_mutant(
                    operation,
                    role,
                    full_detail,
                    REQUIREMENTS_BY_ROLE[role],
                    make_fault,
                    parameter.pointer,
                    parameter,
                    supporting_locations,
                )


async def _ignore_parameter(
    operation: Operation, name: str, request: InterceptedRequest, call_next: CallNext
) -> InterceptedResponse:
    """As if nothing was asked for."""
    return await call_next(request.with_query(remove_parameters(request.query, name)))


async def _omit_requested(
    operation: Operation, name: str, request: InterceptedRequest, call_next: CallNext
) -> InterceptedResponse:
    """Without what was asked for."""
    response = await call_next(request)
    requested = {part for n, v in request.query if n.removesuffix("[]") == name for part in v.split(",")}
    if not response.is_success or not requested:
        return response
    body = response.json
    for requested_name in requested:
        body = change_at_path(body, _property_path(operation, requested_name.partition(".")[0]), lambda value: REMOVED)
        body = change_at_path(body, _property_path(operation, f"{requested_name}_count"), lambda value: REMOVED)
    return response.with_json(body)


def _derive_embedding_mutants(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    """An embedded record that shows what it was, and one that is another."""
    view = contract.views[operation.envelope.view_name or ""]
    resource = contract.resources[view.resource]
    to_one_relations = [
        candidate
        for candidate in resource.relations.values()
        if not candidate.to_many and not candidate.write_only and len(candidate.targets) == 1 and candidate.is_embedded
    ]
    for relation in sample(to_one_relations, MAX_RELATIONS, "embedded", operation.id):
        target_resource = contract.resources[relation.targets[0]]
        key = _property_path(operation, relation.name, target_resource.key_attribute)
        wrong_key: Any = 987_654_321 if target_resource.has_integer_key else UNKNOWN_ID
        make_fault = change_response_json(lambda value, wrong_key=wrong_key: wrong_key, key)  # type: ignore[misc]
        requirement = "Every reference leads to a record that is there."
        yield _build_mutant(
            operation, "reference", f"{relation.name} leads nowhere", requirement, make_fault, relation.pointer
        )
        text_fields = [
            p.name
            for p in target_resource.attributes.values()
            if p.type == "string" and not p.enum_values and p.format is None and not p.write_only
        ]
        for name in text_fields[:1]:
            make_fault = change_response_json(
                lambda value: f"{value} of old" if isinstance(value, str) else value,
                _property_path(operation, relation.name, name),
            )
            requirement = "An embedded record is as it is retrieved."
            yield _build_mutant(
                operation, "embedding", f"{relation.name}.{name} is stale", requirement, make_fault, relation.pointer
            )


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
            requirement = f"A {derived.kind} is that of the records."
            yield _build_mutant(
                operation,
                "count",
                f"{derived.name} one too many",
                requirement,
                make_fault,
                derived.pointer,
                None if derived.required else parameter,
            )


def _filter_inputs(operation: Operation) -> list[Parameter | BodyField]:
    """What narrows what an operation counts or lists."""
    fields = operation.request_body.fields.values() if operation.request_body is not None else ()
    return [
        item
        for item in (*operation.query_parameters, *fields)
        if item.x_query is not None and item.x_query.role == "filter"
    ]


def _derive_metric_mutants(operation: Operation) -> Iterator[Mutant]:
    """Every whole number of an answer that shows no record, one too many."""

    def increment_all(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: increment_all(nested) for name, nested in value.items()}
        if isinstance(value, list):
            return [increment_all(item) for item in value]
        return _increment(value)

    requirement = "A figure agrees with the records that it counts."
    supporting_locations = (
        (_filter_inputs(operation)[0].pointer, None),
    )  # by which alone a figure can be held against records
    yield Mutant(
        "metric",
        operation.id,
        "one too many",
        requirement,
        operation.pointer,
        change_response_json(increment_all),
        trigger_success,
        supporting_locations=supporting_locations,
    )
