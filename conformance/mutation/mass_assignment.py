"""Mutants that store what only the server sets, if a request body contains it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from conformance.checks.support.values import find_sendable_names
from conformance.mutation.crud import CrudOperations
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import build_response
from conformance.mutation.mutant import Mutant, Operator, sample
from conformance.mutation.triggers import build_body, read_back
from conformance.session.session import Session
from spec.model import Contract, Operation, Relation

MAX_PROPERTIES = 2  # of one resource
ASSIGNED_NUMBER = 4711
SET_BY_SERVER = "A property that only the server sets is ignored in a request body."
OWNED = Operator("mass-assignment", "stores {name}", SET_BY_SERVER, None)
OWNER = Operator(
    "mass-assignment", "stores the owner {name}", "A record keeps its owner.", None, provenance_independent=True
)
Change = Callable[[InterceptedResponse, Any], InterceptedResponse]


@dataclass(slots=True)
class StoreField:
    """Stores a field of successful writes, and changes later retrievals of the record. `change`: (response, value)."""

    crud: CrudOperations
    name: str
    change: Change
    values: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.operation.action == "retrieve" and request.has_documented_method:
            is_changed = response.is_success and request.key in self.values
            return self.change(response, self.values[request.key]) if is_changed else response
        if response.is_success and self.name in request.json_object:
            record = response.data(request.operation)
            key = record.get(self.crud.resource.key_attribute) if isinstance(record, dict) else None
            self.values[request.key or str(key)] = request.json_object[self.name]
        return response


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every resource whose records can be created, updated and retrieved."""
    for resource in contract.resources.values():
        crud = CrudOperations.from_contract(contract, resource)
        if not {"create", "update", "retrieve"} <= crud.by_action.keys():
            continue
        for name, pointer in sample(_iter_owned(crud), MAX_PROPERTIES, "owned", resource.name):
            yield _build_mutant(crud, OWNED, name, partial(_replace, crud, name), pointer)
        for relation in resource.relations.values():
            if (relation.name,) == resource.owner_path and relation.is_stored and not _is_sent(crud, relation):
                key = contract.resources[relation.targets[0]].key_attribute
                yield _build_mutant(crud, OWNER, f"{relation.name}_{key}", _hide, relation.pointer)


def _iter_owned(crud: CrudOperations) -> Iterator[tuple[str, str]]:
    """Yield (name, pointer) of the properties with a number that no operation sets."""
    sendable = find_sendable_names(crud.contract, crud.resource.name)
    view = crud.contract.views[crud.by_action["retrieve"].envelope.view_name or ""]
    numbers = {a.name: a.pointer for a in crud.resource.attributes.values() if a.read_only and a.type == "integer"}
    numbers |= {d.name: d.pointer for d in view.derived_properties.values() if d.kind in ("count", "sum", "number")}
    for name, pointer in numbers.items():
        is_key = name == crud.resource.key_attribute
        if name not in sendable and not is_key and name in view.property_names:
            yield name, pointer


def _is_sent(crud: CrudOperations, relation: Relation) -> bool:
    """Whether a request body of the resource sets a relation."""
    fields = (f for o in crud.by_action.values() for f in o.body_fields.values() if f.relation_setter)
    return any(f.relation_setter is not None and f.relation_setter.relation == relation.name for f in fields)


def _replace(crud: CrudOperations, name: str, response: InterceptedResponse, value: Any) -> InterceptedResponse:
    operation = crud.by_action["retrieve"]
    record = response.data(operation)
    return response.with_data(operation, {**record, name: value}) if name in record else response


def _hide(response: InterceptedResponse, value: Any) -> InterceptedResponse:
    """Respond as to the former owner."""
    return build_response(404, {"message": "Not found."})


def _build_mutant(crud: CrudOperations, row: Operator[None], name: str, change: Change, pointer: str) -> Mutant:
    operations = frozenset(crud.by_action[action].id for action in ("create", "update", "retrieve"))
    make_fault, trigger = partial(StoreField, crud, name, change), partial(_trigger, name=name)
    named = row.named(name=name)
    return named.mutant(crud.by_action["update"], make_fault, trigger, pointer, operations=operations)


def _trigger(session: Session, operation: Operation, name: str) -> None:
    """Create and update a record with the field, and retrieve it after each."""
    record = session.records.create(operation.resource or "", {name: ASSIGNED_NUMBER})
    read_back(session, record)
    body = {**(build_body(session, operation) or {}), name: ASSIGNED_NUMBER}
    session.client.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
    read_back(session, record)
