"""Which operations of the contract the recorded requests called, and which inferred facts they depend on."""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.journal_entries import EntryView
from mock_server.control.requests import get_journal
from spec.model import Contract, Operation
from spec.provenance import INFERRED, get_provenance


class UsedFact(NamedTuple):
    """A part of the contract that a request used. `kind`: operation, parameter, field or status."""

    operation: str
    kind: str
    name: str
    pointer: str


async def read_coverage(request: ControlRequest) -> ControlResult:
    """Return all operations with the number of their recorded requests, and the inferred facts that these used."""
    entry, contract = await request.find_entry(), request.journal_reader.contract
    views = [request.journal_reader.create_view(item, entry.sandbox.name) for item in get_journal(entry).entries]
    statuses: dict[str, Counter[int]] = {name: Counter() for name in contract.operations}
    facts: Counter[UsedFact] = Counter()
    for view in views:
        if view.operation is not None:
            statuses[view.operation.id][view.entry.status] += 1
            facts.update(set(_iter_used_facts(view, view.operation)))
    body = {
        "operations": [_describe_operation(contract, o, statuses[o.id]) for o in contract.operations.values()],
        "inferred": [
            {**fact._asdict(), "requests": count}
            for fact, count in sorted(facts.items(), key=lambda item: (-item[1], item[0]))
            if get_provenance(contract.document, fact.pointer) == INFERRED
        ],
    }
    return ControlResult(HTTPStatus.OK, body)


def _describe_operation(contract: Contract, operation: Operation, statuses: Counter[int]) -> dict[str, Any]:
    return {
        "operation": operation.id,
        "method": operation.method.upper(),
        "path": operation.path,
        "tag": operation.tag,
        "summary": operation.summary,
        "provenance": get_provenance(contract.document, operation.pointer),
        "requests": statuses.total(),
        "statuses": {str(status): statuses[status] for status in sorted(statuses)},
    }


def _iter_used_facts(view: EntryView, operation: Operation) -> Iterator[UsedFact]:
    """Yield the parts of the contract that a request and its response used."""
    yield UsedFact(operation.id, "operation", f"{operation.method.upper()} {operation.path}", operation.pointer)
    names = {name.partition("[")[0] for name in view.query}
    for parameter in operation.query_parameters:
        if parameter.name.removesuffix("[]") in names:
            yield UsedFact(operation.id, "parameter", parameter.name, parameter.pointer)
    for name in _list_body_fields(view):
        if field := operation.body_fields.get(name):
            yield UsedFact(operation.id, "field", name, field.pointer)
    if view.entry.status in operation.responses:
        status = str(view.entry.status)
        yield UsedFact(operation.id, "status", status, f"{operation.pointer}/responses/{status}")


def _list_body_fields(view: EntryView) -> list[str]:
    """Return the names of the fields of a complete JSON body."""
    entry = view.entry
    if not entry.body or len(entry.body) != entry.body_size:
        return []
    try:
        value = orjson.loads(entry.body)
    except orjson.JSONDecodeError:
        return []
    return list(value) if isinstance(value, dict) else []
