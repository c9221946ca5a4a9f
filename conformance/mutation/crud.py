"""Mutants of writes: lost, applied to another record, incomplete, or with side effects.

After EvoMaster's experimental faults 900 to 908 (a delete that deletes nothing, side effects of a rejected change, a
PUT that is partial or not idempotent) and RESTler's rules (use after free, resource leak).
"""

import html
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, change_body, stateless
from conformance.mutation.mutant import Mutant, Operator, sample
from conformance.mutation.triggers import trigger_crud_cycle, trigger_partial_update, trigger_text_roundtrip
from spec.model import GENERIC_ACTIONS, Attribute, BodyField, Contract, Operation, Resource

MAX_FIELDS = 2  # mutated fields of an operation


@dataclass(frozen=True, slots=True)
class CrudOperations:
    """The operations that create, read, update and delete a resource's records."""

    contract: Contract
    resource: Resource
    by_action: Mapping[str, Operation]

    @classmethod
    def from_contract(cls, contract: Contract, resource: Resource) -> "CrudOperations":
        """Collect the operations that the contract defines."""
        by_action = {o.action: o for o in contract.operations.values() if o.resource == resource.name}
        creates = [o for o in by_action.values() if contract.find_created_resource(o) == resource.name]
        for operation in creates:
            by_action["create"] = operation
        return cls(contract, resource, {a: o for a, o in by_action.items() if a in GENERIC_ACTIONS})

    def writable_fields(self, action: str) -> list[tuple[BodyField, Attribute]]:
        """The request body fields that are attributes of the returned record."""
        operation = self.by_action.get(action)
        view = self.contract.views.get(operation.envelope.view_name or "") if operation else None
        if operation is None or view is None:
            return []
        names = self.resource.attributes.keys() & set(view.property_names)
        fields = (f for f in operation.body_fields.values() if f.relation_setter is None and f.x_query is None)
        return [(f, self.resource.attributes[f.name]) for f in fields if f.name in names]

    def text_fields(self, action: str) -> list[BodyField]:
        """The writable fields for free text."""
        fields = self.writable_fields(action)
        return [f for f, p in fields if p.type == "string" and not p.enum_values and not p.format]


@dataclass(frozen=True, slots=True)
class CrudCall:
    """A request to one of the operations of a resource.

    `send`: sends a request to the application. `names`: of the fields that the fault concerns.
    """

    crud: CrudOperations
    request: InterceptedRequest
    send: CallNext
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The first of the names."""
        return self.names[0]

    async def pass_on(self) -> InterceptedResponse:
        """Send the request unchanged."""
        return await self.send(self.request)

    async def call(self, action: str, *key: object, body: Any = None) -> InterceptedResponse:
        """Call another operation of the resource for the same client."""
        request = self.request.follow_up(self.crud.by_action[action], *key)
        return await self.send(request if body is None else request.with_json(body))

    async def repeat_with_key(self, key: object) -> InterceptedResponse:
        """Send the request for another record."""
        other_request = self.request.follow_up(self.request.operation, key)
        return await self.send(replace(self.request, path=other_request.path, path_values=other_request.path_values))

    async def retrieve(self) -> InterceptedResponse:
        """Retrieve the record that the request names."""
        return await self.call("retrieve", *self.request.path_values.values())

    async def find_other_key(self) -> Any:
        """The key of the first listed record that the request does not name; None if there is none."""
        list_operation, key_name = self.crud.by_action.get("list"), self.crud.resource.key_attribute
        rows = (await self.call("list")).data(list_operation) if list_operation is not None else None
        keys = [row[key_name] for row in rows or () if key_name in row]
        return next((key for key in keys if str(key) not in self.request.path_values.values()), None)

    def record(self, response: InterceptedResponse, action: str = "") -> dict[str, Any]:
        """The record in a response to the request, or of another action; empty if there is none."""
        data = response.data(self.crud.by_action[action] if action else self.request.operation)
        return dict(data) if isinstance(data, dict) else {}

    def with_changes(self, response: InterceptedResponse, changes: Mapping[str, Any]) -> InterceptedResponse:
        """A successful response with changes to its record; another response is returned unchanged."""
        if not response.is_success:
            return response
        return response.with_data(self.request.operation, {**self.record(response), **changes})


CrudFault = Callable[[CrudCall], Awaitable[InterceptedResponse]]
CrudOperator = Operator[Callable[[], CrudFault]]
BodyChange = Callable[[CrudCall, dict[str, Any]], dict[str, Any] | None]


# Combinators


def send_changed(change: BodyChange, *, return_sent: bool = False) -> Callable[[], CrudFault]:
    """Change the sent record; None leaves it unchanged. `return_sent`: the response has the sent value of the field."""

    async def fault(call: CrudCall) -> InterceptedResponse:
        body = call.request.json
        changed = change(call, body) if isinstance(body, dict) else None
        if changed is None:
            return await call.pass_on()
        response = await call.send(call.request.with_json(changed))
        return call.with_changes(response, {call.name: body[call.name]}) if return_sent else response

    return stateless(fault)


def without(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Copy without some fields."""
    return {name: value for name, value in record.items() if name not in names}


# Create


async def _delete_after_create(call: CrudCall) -> InterceptedResponse:
    response = await call.pass_on()
    key = call.record(response).get(call.crud.resource.key_attribute)
    if key is not None:
        await call.call("delete", key)
    return response


async def _create_twice(call: CrudCall) -> InterceptedResponse:
    await call.pass_on()
    return await call.pass_on()


def _with_different_value(call: CrudCall, body: dict[str, Any]) -> dict[str, Any] | None:
    name, attributes = call.name, call.crud.resource.attributes
    return {**body, name: different_value(body[name], attributes[name])} if name in body else None


def different_value(value: Any, prop: Attribute) -> Any:
    """Another value of the same type that the attribute's schema allows."""
    if prop.enum_values:
        return next((c for c in prop.enum_values if c != value and c is not None), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str) and prop.format is None:
        return f"{value[: len(value) // 2]} conformance"[: max(1, len(value))]
    return value


# Update


async def _discard_update(call: CrudCall) -> InterceptedResponse:
    """Return the updated record without storing it."""
    current, body = await call.retrieve(), call.request.json
    if not current.is_success or not isinstance(body, dict):
        return await call.pass_on()
    record = call.record(current, "retrieve")
    return call.with_changes(current, {n: v for n, v in body.items() if n in record})


async def _change_other_too(call: CrudCall) -> InterceptedResponse:
    other_key = await call.find_other_key()
    response = await call.pass_on()
    if response.is_success and other_key is not None:
        await call.repeat_with_key(other_key)
    return response


async def _update_other_instead(call: CrudCall) -> InterceptedResponse:
    other_key = await call.find_other_key()
    if other_key is None:
        return await call.pass_on()
    response = await call.repeat_with_key(other_key)
    return call.with_changes(response, {call.crud.resource.key_attribute: call.request.key})


async def _store_valid_part(call: CrudCall) -> InterceptedResponse:
    """Reject the update, but store its valid fields."""
    response, body = await call.pass_on(), call.request.json_object
    if response.status == 422:
        invalid_names = {name.partition(".")[0] for name in (response.json or {}).get("errors", {})}
        if valid_part := without(body, *invalid_names):
            await call.send(call.request.with_json(valid_part))
    return response


async def _return_other_timestamp(call: CrudCall) -> InterceptedResponse:
    """Return the second timestamp as the first."""
    name, source_name = call.names
    response = await call.pass_on()
    record = call.record(response)
    has_both = {name, source_name} <= record.keys()
    return call.with_changes(response, {name: record[source_name]}) if has_both else response


# Delete


def _success(request: InterceptedRequest) -> InterceptedResponse:
    return InterceptedResponse(request.operation.envelope.status, {}, b"")


async def _delete_nothing(call: CrudCall) -> InterceptedResponse:
    return _success(call.request) if (await call.retrieve()).is_success else await call.pass_on()


async def _accept_repeated_delete(call: CrudCall) -> InterceptedResponse:
    response = await call.pass_on()
    return _success(call.request) if response.status == 404 else response


@dataclass(slots=True)
class ShowDeletedRecord:
    """Keeps returning deleted records, in the operations with the fault."""

    deleted_responses: dict[str, InterceptedResponse] = field(default_factory=dict)

    async def __call__(self, call: CrudCall) -> InterceptedResponse:
        operation, key = call.request.operation, call.request.key
        current = await call.retrieve() if operation.action == "delete" else None
        response = await call.pass_on()
        if current is not None and current.is_success and response.is_success:
            self.deleted_responses[key] = current
        if operation.action == "retrieve":
            return self.deleted_responses.get(key, response)
        if operation.action != "list" or not response.is_success or operation.envelope.data_property is None:
            return response
        deleted_records = [call.record(deleted, "retrieve") for deleted in self.deleted_responses.values()]
        return response.with_data(operation, [*deleted_records, *response.data(operation)])


# Read


@dataclass(slots=True)
class StaleRead:
    """Repeats the first successful response to each request."""

    first_responses: dict[str, InterceptedResponse] = field(default_factory=dict)

    async def __call__(self, call: CrudCall) -> InterceptedResponse:
        response = await call.pass_on()
        if not response.is_success:
            return response
        return self.first_responses.setdefault(call.request.path + str(call.request.query), response)


async def _change_on_retrieve(call: CrudCall) -> InterceptedResponse:
    response = await call.pass_on()
    text = call.record(response).get(call.name)
    if isinstance(text, str):
        await call.call("update", *call.request.path_values.values(), body={call.name: f"{text}."})
    return response


async def _return_other_record(call: CrudCall) -> InterceptedResponse:
    other_key = await call.find_other_key()
    response = await call.pass_on()
    if not response.is_success or other_key is None:
        return response
    other_response = await call.repeat_with_key(other_key)
    return other_response if other_response.is_success else response


# Text

TEXT_CHANGES: Mapping[str, Callable[[str], str]] = {
    "escaped as HTML": lambda text: html.escape(text + " <b>&"),
    "without what is not ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "cut at 30 signs": lambda text: text[:30],
    "in lower case": str.lower,
    "without line ends": lambda text: " ".join(text.split()),
}


def _change_text(name: str, change: Callable[[str], str]) -> MakeFault:
    return change_body(lambda body: {**body, name: change(body[name])} if isinstance(body.get(name), str) else body)


# Operators

RETRIEVABLE, RETURNED = "A created record can be retrieved.", "The requested record is returned."
STORED, READ_BACK = "An update is stored.", "The next request returns what was written."
DELETED, MISSING = "A deleted record is gone.", "Deleting a missing record returns 404."
FRAME, REJECTED = "A write changes no other record.", "A rejected write changes nothing."

operator: Callable[..., CrudOperator] = Operator
independent = partial(operator, provenance_independent=True)

# Actions that the fault needs -> operators. The operation of the first action has the requirement.
OPERATORS: Mapping[tuple[str, ...], tuple[CrudOperator, ...]] = {
    ("create", "delete"): (operator("create", "lost", RETRIEVABLE, stateless(_delete_after_create)),),
    ("create",): (operator("create", "twice", "A create stores one record.", stateless(_create_twice)),),
    ("update",): (
        operator("update", "lost", STORED, stateless(_discard_update)),
        operator("update", "applied to another record", STORED, stateless(_update_other_instead)),
        independent("frame", "update changes another too", FRAME, stateless(_change_other_too)),
        independent(
            "refused-write",
            "applied but for the wrong field",
            REJECTED,
            stateless(_store_valid_part),
            trigger=trigger_partial_update,
        ),
    ),
    ("delete",): (
        operator("delete", "deletes nothing", DELETED, stateless(_delete_nothing)),
        independent("frame", "deletes another too", FRAME, stateless(_change_other_too)),
        operator("delete", "again and again", MISSING, stateless(_accept_repeated_delete)),
    ),
    ("delete", "retrieve"): (operator("delete", "still there to retrieve", DELETED, ShowDeletedRecord),),
    ("delete", "list"): (operator("delete", "still there to list", DELETED, ShowDeletedRecord),),
    ("retrieve",): (operator("stale-read", "retrieve answers what it did first", READ_BACK, StaleRead),),
    ("list",): (operator("stale-read", "list answers what it did first", READ_BACK, StaleRead),),
}
drop_field = send_changed(lambda call, body: without(body, call.name) if call.name in body else None, return_sent=True)
reset_omitted_field = send_changed(lambda call, body: {**body, call.name: None} if call.name not in body else None)
STORED_AS_SENT, OMITTED = "A create stores the values that were sent.", "An update leaves omitted fields unchanged."
store_other_value = send_changed(_with_different_value, return_sent=True)
STORE_OTHER = operator("create", "{name} not stored", STORED_AS_SENT, store_other_value)
DROP_FIELD = operator("update", "{name} not stored", STORED, drop_field)
RESET_FIELD = operator("update", "{name} reset", OMITTED, reset_omitted_field)
CHANGE_ON_READ = independent("reading", "changes {name}", "A read changes nothing.", stateless(_change_on_retrieve))
RETURN_OTHER = operator("reading", "another record", RETURNED, stateless(_return_other_record))
# (kind of timestamp, kind that is returned instead, requirement)
TIMESTAMP_SWAPS = (
    ("created", "updated", "The creation timestamp never changes."),
    ("updated", "created", "An update changes the update timestamp."),
)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every resource whose records can be created and retrieved."""
    for resource in contract.resources.values():
        crud = CrudOperations.from_contract(contract, resource)
        if {"create", "retrieve"} <= crud.by_action.keys():
            yield from _derive_from_table(crud, "create")
            required = [(f, p) for f, p in crud.writable_fields("create") if f.required]
            yield from _derive_field_mutants(crud, "create", STORE_OTHER, required, "create")
            yield from _derive_from_table(crud, "update")
            fields = [(f, p) for f, p in crud.writable_fields("update") if p.type in ("string", "integer", "boolean")]
            yield from _derive_field_mutants(crud, "update", DROP_FIELD, fields, "update")
            nullable = [(f, p) for f, p in fields if p.nullable]
            yield from _derive_field_mutants(crud, "update", RESET_FIELD, nullable, "reset")
            yield from _derive_timestamp_mutants(crud)
            for action in ("delete", "retrieve", "list"):
                yield from _derive_from_table(crud, action)
            for body_field in crud.text_fields("update")[:1]:
                yield _build_mutant(crud, ("retrieve",), CHANGE_ON_READ, body_field.name)
                yield _build_mutant(crud, ("retrieve",), RETURN_OTHER)
            yield from _derive_text_mutants(crud)


def _build_mutant(
    crud: CrudOperations, actions: tuple[str, ...], row: CrudOperator, *names: str, **options: Any
) -> Mutant:
    """Build a mutant of the operation with the first action. `names`: of the fields that the fault concerns."""
    operation, other_actions = crud.by_action[actions[0]], actions[1:]
    if other_actions:
        options["operations"] = frozenset(crud.by_action[action].id for action in actions)

    def make_fault() -> Fault:
        crud_fault = row.fault()
        return lambda request, call_next: crud_fault(CrudCall(crud, request, call_next, names))

    return row.named(name="".join(names[:1])).mutant(operation, make_fault, trigger_crud_cycle, **options)


def _derive_from_table(crud: CrudOperations, action: str) -> Iterator[Mutant]:
    for actions, rows in OPERATORS.items():
        if actions[0] == action and set(actions) <= crud.by_action.keys():
            yield from (_build_mutant(crud, actions, row) for row in rows)


def _derive_field_mutants(
    crud: CrudOperations, action: str, row: CrudOperator, fields: list[tuple[BodyField, Attribute]], seed: str
) -> Iterator[Mutant]:
    for body_field, _ in sample(fields, MAX_FIELDS, seed, crud.resource.name):
        pointer = "" if row is RESET_FIELD else body_field.pointer
        yield _build_mutant(crud, (action,), row, body_field.name, pointer=pointer)


def _derive_timestamp_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    """For each pair of a created and an updated timestamp, a mutant that returns one as the other."""
    resource = crud.resource
    for kind, other_kind, requirement in TIMESTAMP_SWAPS if "update" in crud.by_action else ():
        names, other_names = resource.attributes_with_stamp(kind), resource.attributes_with_stamp(other_kind)
        for name, other_name in zip(names, other_names, strict=False):
            row = operator(f"{kind}-stamp", f"{name} is {other_name}", requirement, stateless(_return_other_timestamp))
            pointer = resource.attributes[name].pointer
            yield _build_mutant(crud, ("update", "retrieve"), row, name, other_name, keyword="x-stamp", pointer=pointer)


def _derive_text_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    for body_field in sample(crud.text_fields("create"), 1, "text", crud.resource.name):
        name, trigger = body_field.name, partial(trigger_text_roundtrip, name=body_field.name)
        for detail, change in TEXT_CHANGES.items():
            row = Operator("text", f"{name} {detail}", "A text is returned as it was sent.", _change_text(name, change))
            yield row.mutant(crud.by_action["create"], row.fault, trigger, body_field.pointer)
