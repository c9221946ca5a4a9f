"""Mutants of what answers join: embedded records that are stale or others, counts and metrics that are wrong."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from conformance.mutants.answers import NOTHING, answering, changed
from conformance.mutants.listing import without
from conformance.mutants.mutant import Mutant, drawn
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import browsed, included, succeed
from spec.contract import BodyField, Contract, Operation, Parameter

EACH = 2
STRANGE = "00000000-0000-4000-8000-0000000dead0"


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation that shows records, and of those that count them."""
    for operation in contract.operations.values():
        view = contract.views.get(operation.envelope.view_name or "")
        if view is not None and operation.method == "get":
            yield from _includes(operation)
            yield from _embedded(contract, operation)
            yield from _counts(contract, operation)
        elif view is None and _filters(operation):
            yield from _metrics(operation)


def _path(operation: Operation, *below: str) -> tuple[str, ...]:
    """Where a property of a shown record stands in an answer."""
    return (*filter(None, (operation.envelope.data_property,)), *(("*",) if operation.envelope.is_list else ()), *below)


def _mutant(
    operation: Operation,
    family: str,
    detail: str,
    sentence: str,
    plant: Callable[[], Fault],
    pointer: str,
    parameter: Parameter | None = None,
    rests_on: tuple[tuple[str, str | None], ...] = (),
) -> Mutant:
    probe = (
        partial(browsed, parameter=parameter) if operation.action == "list" else partial(included, parameter=parameter)
    )
    return Mutant(family, operation.id, detail, sentence, pointer, plant, probe, rests_on=rests_on)


INCLUDES = {
    "include": "What is asked for is embedded, and nothing else.",
    "count": "A count that is asked for is there.",
}


def _includes(operation: Operation) -> Iterator[Mutant]:
    for parameter in operation.query_parameters:
        role = parameter.x_query.role if parameter.x_query is not None else ""
        if role in INCLUDES:
            for detail, fault in (("ignored", _deaf), ("left out", _blank)):
                plant = partial(partial, fault, operation, parameter.name)
                said = f"{parameter.name} {detail}"
                # What nobody asks for may be embedded by default: ignored, it shows in what else is embedded.
                more = ((f"{parameter.pointer}/schema", "enum"),) if detail == "ignored" else ()
                yield _mutant(operation, role, said, INCLUDES[role], plant, parameter.pointer, parameter, more)


async def _deaf(operation: Operation, name: str, asked: Asked, ask: Ask) -> Answered:
    """As if nothing was asked for."""
    return await ask(asked.querying(without(asked.query, name)))


async def _blank(operation: Operation, name: str, asked: Asked, ask: Ask) -> Answered:
    """Without what was asked for."""
    answered = await ask(asked)
    wanted = {part for n, v in asked.query if n.removesuffix("[]") == name for part in v.split(",")}
    if not answered.ok or not wanted:
        return answered
    body = answered.json
    for one in wanted:
        body = changed(body, _path(operation, one.partition(".")[0]), lambda value: NOTHING)
        body = changed(body, _path(operation, f"{one}_count"), lambda value: NOTHING)
    return answered.showing(body)


def _embedded(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    """An embedded record that shows what it was, and one that is another."""
    view = contract.views[operation.envelope.view_name or ""]
    resource = contract.resources[view.resource]
    single = [
        r
        for r in resource.relations.values()
        if not r.to_many and not r.write_only and len(r.targets) == 1 and r.is_embedded
    ]
    for relation in drawn(single, EACH, "embedded", operation.id):
        to = contract.resources[relation.targets[0]]
        key = _path(operation, relation.name, to.key_attribute)
        wrong: Any = 987_654_321 if to.has_integer_key else STRANGE
        plant = answering(lambda value, wrong=wrong: wrong, key)  # type: ignore[misc]
        sentence = "Every reference leads to a record that is there."
        yield _mutant(operation, "reference", f"{relation.name} leads nowhere", sentence, plant, relation.pointer)
        texts = [
            p.name
            for p in to.attributes.values()
            if p.type == "string" and not p.enum_values and p.format is None and not p.write_only
        ]
        for name in texts[:1]:
            plant = answering(
                lambda value: f"{value} of old" if isinstance(value, str) else value,
                _path(operation, relation.name, name),
            )
            sentence = "An embedded record is as it is retrieved."
            yield _mutant(operation, "embedding", f"{relation.name}.{name} is stale", sentence, plant, relation.pointer)


def _plus(value: Any) -> Any:
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _counts(contract: Contract, operation: Operation) -> Iterator[Mutant]:
    view = contract.views[operation.envelope.view_name or ""]
    for derived in view.derived_properties.values():
        if derived.kind not in ("count", "sum") or derived.name not in view.property_names:
            continue
        parameter = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "count"), None)
        if derived.required or parameter is not None:
            plant = answering(_plus, _path(operation, derived.name))
            sentence = f"A {derived.kind} is that of the records."
            yield _mutant(
                operation,
                "count",
                f"{derived.name} one too many",
                sentence,
                plant,
                derived.pointer,
                None if derived.required else parameter,
            )


def _filters(operation: Operation) -> list[Parameter | BodyField]:
    """What narrows what an operation counts or lists."""
    fields = operation.request_body.fields.values() if operation.request_body is not None else ()
    return [
        item
        for item in (*operation.query_parameters, *fields)
        if item.x_query is not None and item.x_query.role == "filter"
    ]


def _metrics(operation: Operation) -> Iterator[Mutant]:
    """Every whole number of an answer that shows no record, one too many."""

    def wrong(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: wrong(below) for name, below in value.items()}
        if isinstance(value, list):
            return [wrong(one) for one in value]
        return _plus(value)

    sentence = "A figure agrees with the records that it counts."
    rests_on = ((_filters(operation)[0].pointer, None),)  # by which alone a figure can be held against records
    yield Mutant(
        "metric",
        operation.id,
        "one too many",
        sentence,
        operation.pointer,
        answering(wrong),
        succeed,
        rests_on=rests_on,
    )
