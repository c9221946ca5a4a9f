"""Mutants of writes: lost, applied to another record, incomplete, or with side effects.

After EvoMaster's experimental faults 900 to 908 (a delete that deletes nothing, side effects of a rejected change, a
PUT that is partial or not idempotent) and RESTler's rules (use after free, resource leak).
"""

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, stateless
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.triggers import trigger_crud_cycle, trigger_partial_update, trigger_text_roundtrip
from conformance.session.session import Session
from spec.model import GENERIC_ACTIONS, Attribute, BodyField, Contract, Operation, Resource

EVOMASTER, RESTLER = "EvoMaster httpOracles 900-908", "RESTler, checkers of resource lifecycle"
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
        for operation in by_action.values():
            if contract.find_created_resource(operation) == resource.name:
                by_action = {**by_action, "create": operation}
        return cls(contract, resource, {a: o for a, o in by_action.items() if a in GENERIC_ACTIONS})

    def mutant(
        self, action: str, family: str, detail: str, requirement: str, make_fault: MakeFault, **options: Any
    ) -> Mutant:
        """Build a mutant of the operation with an action. `options`: further fields of the mutant."""
        operation = self.by_action[action]
        options.setdefault("pointer", operation.pointer)
        options.setdefault("trigger", partial(_run_crud_cycle, create_operation=self.by_action["create"]))
        return Mutant(family, operation.id, detail, requirement, make_fault=make_fault, **options)

    def get_record(self, response: InterceptedResponse, action: str) -> dict[str, Any]:
        """The record in a response; empty when the response is not successful or has none."""
        data, body = self.by_action[action].envelope.data_property, response.json if response.is_success else None
        record = body.get(data) if data and isinstance(body, dict) else body
        return dict(record) if isinstance(record, dict) else {}

    def with_changes(
        self, response: InterceptedResponse, action: str, changes: Mapping[str, Any]
    ) -> InterceptedResponse:
        """A successful response with changes to its record; another response is returned unchanged."""
        if not response.is_success:
            return response
        data = self.by_action[action].envelope.data_property
        record = {**self.get_record(response, action), **changes}
        return response.with_json({**response.json, data: record} if data else record)

    def writable_fields(self, action: str) -> list[tuple[BodyField, Attribute]]:
        """The request body fields that are attributes of the returned record."""
        operation = self.by_action.get(action)
        view = self.contract.views.get(operation.envelope.view_name or "") if operation else None
        if operation is None or operation.request_body is None or view is None:
            return []
        return [
            (body_field, self.resource.attributes[name])
            for name, body_field in operation.request_body.fields.items()
            if name in self.resource.attributes
            and name in view.property_names
            and body_field.relation_setter is None
            and body_field.x_query is None
        ]

    def text_fields(self, action: str) -> list[BodyField]:
        """The writable fields for free text."""
        fields = self.writable_fields(action)
        return [f for f, p in fields if p.type == "string" and not p.enum_values and not p.format]

    async def retrieve(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Retrieve the record that a request names."""
        return await call_next(request.follow_up(self.by_action["retrieve"], *request.path_values.values()))

    async def find_other_key(self, request: InterceptedRequest, call_next: CallNext) -> str | None:
        """The key of the first listed record that a request does not name."""
        list_operation = self.by_action.get("list")
        if list_operation is None:
            return None
        response = await call_next(request.follow_up(list_operation))
        data = list_operation.envelope.data_property
        rows = response.json.get(data) if response.is_success and data else []
        keys = (str(row[self.resource.key_attribute]) for row in rows if self.resource.key_attribute in row)
        return next((key for key in keys if key not in request.path_values.values()), None)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every resource whose records can be created and retrieved."""
    for resource in contract.resources.values():
        crud = CrudOperations.from_contract(contract, resource)
        if {"create", "retrieve"} <= crud.by_action.keys():
            yield from _derive_create_mutants(crud)
            if "update" in crud.by_action:
                yield from _derive_update_mutants(crud)
                yield from _derive_field_mutants(crud)
                yield from _derive_timestamp_mutants(crud)
            if "delete" in crud.by_action:
                yield from _derive_delete_mutants(crud)
            yield from _derive_read_mutants(crud)
            yield from _derive_text_mutants(crud)


def _run_crud_cycle(session: Session, operation: Operation, create_operation: Operation) -> None:
    trigger_crud_cycle(session, create_operation)


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


# Create


@dataclass(frozen=True, slots=True)
class CreateFaults:
    """Wrong ways to create a record. `field_name`, `prop`: the field that is stored wrong."""

    crud: CrudOperations
    field_name: str = ""
    prop: Attribute | None = None

    async def delete_after_create(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Delete the record right after its creation."""
        response = await call_next(request)
        key = self.crud.get_record(response, "create").get(self.crud.resource.key_attribute)
        if key is not None:
            await call_next(request.follow_up(self.crud.by_action["delete"], key))
        return response

    async def create_twice(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Create two records."""
        await call_next(request)
        return await call_next(request)

    async def store_different_value(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Store another value than the one that was sent and is returned."""
        body = request.json
        if not isinstance(body, dict) or self.field_name not in body or self.prop is None:
            return await call_next(request)
        value = body[self.field_name]
        stored = request.with_json({**body, self.field_name: different_value(value, self.prop)})
        return self.crud.with_changes(await call_next(stored), "create", {self.field_name: value})


def _derive_create_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    mutant, faults = partial(crud.mutant, "create", "create"), CreateFaults(crud)
    if "delete" in crud.by_action:
        available = "A created record can be retrieved."
        yield mutant("lost", available, stateless(faults.delete_after_create), source=EVOMASTER)
    yield mutant("twice", "A create stores one record.", stateless(faults.create_twice))
    required = [(body_field, prop) for body_field, prop in crud.writable_fields("create") if body_field.required]
    for body_field, prop in sample(required, MAX_FIELDS, "create", crud.resource.name):
        make_fault = stateless(CreateFaults(crud, body_field.name, prop).store_different_value)
        stored = "A create stores the values that were sent."
        yield mutant(f"{body_field.name} not stored", stored, make_fault, pointer=body_field.pointer)


# Update


@dataclass(frozen=True, slots=True)
class UpdateFaults:
    """Wrong ways to update a record. `field_name`: the field that is stored wrong."""

    crud: CrudOperations
    field_name: str = ""

    def _redirect(self, request: InterceptedRequest, key: object) -> InterceptedRequest:
        follow_up = request.follow_up(request.operation, key, query=request.query)
        return replace(follow_up, body=request.body, headers=request.headers)

    async def discard_update(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Return the updated record without storing it."""
        current, body = await self.crud.retrieve(request, call_next), request.json
        if not current.is_success or not isinstance(body, dict):
            return await call_next(request)
        changes = {n: v for n, v in body.items() if n in self.crud.get_record(current, "retrieve")}
        return self.crud.with_changes(current, "update", changes)

    async def update_other_too(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Update a second record too."""
        other_key = await self.crud.find_other_key(request, call_next)
        response = await call_next(request)
        if response.is_success and other_key is not None:
            await call_next(self._redirect(request, other_key))
        return response

    async def update_other_instead(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Update another record instead."""
        other_key = await self.crud.find_other_key(request, call_next)
        if other_key is None:
            return await call_next(request)
        response = await call_next(self._redirect(request, other_key))
        changes = {self.crud.resource.key_attribute: next(iter(request.path_values.values()))}
        return self.crud.with_changes(response, "update", changes)

    async def store_valid_part(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Reject the update, but store its valid fields."""
        response, body = await call_next(request), request.json
        if response.status == 422 and isinstance(body, dict):
            invalid_names = {name.partition(".")[0] for name in (response.json or {}).get("errors", {})}
            valid_part = {n: v for n, v in body.items() if n not in invalid_names}
            if valid_part:
                await call_next(request.with_json(valid_part))
        return response

    async def drop_field(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Return a field as it was sent without storing it."""
        body = request.json
        if not isinstance(body, dict) or self.field_name not in body:
            return await call_next(request)
        response = await call_next(request.with_json({n: v for n, v in body.items() if n != self.field_name}))
        return self.crud.with_changes(response, "update", {self.field_name: body[self.field_name]})

    async def reset_omitted_field(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Set a field to null when it is omitted."""
        body = request.json
        if not isinstance(body, dict) or self.field_name in body:
            return await call_next(request)
        return await call_next(request.with_json({**body, self.field_name: None}))

    async def change_on_retrieve(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Change a record when it is retrieved."""
        response = await call_next(request)
        text = self.crud.get_record(response, "retrieve").get(self.field_name)
        if isinstance(text, str):
            update = request.follow_up(self.crud.by_action["update"], *request.path_values.values())
            await call_next(update.with_json({self.field_name: f"{text}."}))
        return response

    async def return_other_record(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Retrieve another record instead."""
        other_key = await self.crud.find_other_key(request, call_next)
        response = await call_next(request)
        if not response.is_success or other_key is None:
            return response
        other_response = await call_next(request.follow_up(request.operation, other_key, query=request.query))
        return other_response if other_response.is_success else response


def _derive_update_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    mutant, faults, stored = partial(crud.mutant, "update"), UpdateFaults(crud), "An update is stored."
    yield mutant("update", "lost", stored, stateless(faults.discard_update), source=EVOMASTER)
    yield mutant("update", "applied to another record", stored, stateless(faults.update_other_instead))
    requirement, make_fault = "A write changes no other record.", stateless(faults.update_other_too)
    yield mutant("frame", "update changes another too", requirement, make_fault, provenance_independent=True)
    detail, requirement = "applied but for the wrong field", "A rejected write changes nothing."
    options: dict[str, Any] = {"trigger": trigger_partial_update, "provenance_independent": True, "source": EVOMASTER}
    yield mutant("refused-write", detail, requirement, stateless(faults.store_valid_part), **options)


def _derive_field_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    mutant, stored = partial(crud.mutant, "update", "update", source=EVOMASTER), "An update is stored."
    fields = [f for f in crud.writable_fields("update") if f[1].type in ("string", "integer", "boolean")]
    for body_field, _ in sample(fields, MAX_FIELDS, "update", crud.resource.name):
        make_fault = stateless(UpdateFaults(crud, body_field.name).drop_field)
        yield mutant(f"{body_field.name} not stored", stored, make_fault, pointer=body_field.pointer)
    for body_field, _ in sample([f for f in fields if f[1].nullable], MAX_FIELDS, "reset", crud.resource.name):
        make_fault = stateless(UpdateFaults(crud, body_field.name).reset_omitted_field)
        yield mutant(f"{body_field.name} reset", "An update leaves omitted fields unchanged.", make_fault)


@dataclass(frozen=True, slots=True)
class ShowOtherTimestamp:
    """Returns the timestamp `source_field` as the timestamp `field_name`."""

    crud: CrudOperations
    field_name: str
    source_field: str

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response, action = await call_next(request), request.operation.action
        record = self.crud.get_record(response, action)
        if self.field_name not in record or self.source_field not in record:
            return response
        return self.crud.with_changes(response, action, {self.field_name: record[self.source_field]})


def _derive_timestamp_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    resource = crud.resource
    operation_ids = frozenset(o.id for a, o in crud.by_action.items() if a in ("retrieve", "update"))
    mutant = partial(crud.mutant, "update", operations=operation_ids, keyword="x-stamp")
    swaps = (
        ("created", "updated", "The creation timestamp never changes."),
        ("updated", "created", "An update changes the update timestamp."),
    )
    for kind, other_kind, requirement in swaps:
        names, other_names = resource.attributes_with_stamp(kind), resource.attributes_with_stamp(other_kind)
        for name, other_name in zip(names, other_names, strict=False):
            make_fault = stateless(ShowOtherTimestamp(crud, name, other_name))
            pointer = resource.attributes[name].pointer
            yield mutant(f"{kind}-stamp", f"{name} is {other_name}", requirement, make_fault, pointer=pointer)


# Delete


@dataclass(frozen=True, slots=True)
class DeleteFaults:
    """Wrong ways to delete a record."""

    crud: CrudOperations

    async def delete_nothing(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Report success without deleting the record."""
        current = await self.crud.retrieve(request, call_next)
        return self._success(request) if current.is_success else await call_next(request)

    async def delete_other_too(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Delete a second record too."""
        other_key = await self.crud.find_other_key(request, call_next)
        response = await call_next(request)
        if response.is_success and other_key is not None:
            await call_next(request.follow_up(request.operation, other_key))
        return response

    async def accept_repeated_delete(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Report success for a missing record."""
        response = await call_next(request)
        return self._success(request) if response.status == 404 else response

    @staticmethod
    def _success(request: InterceptedRequest) -> InterceptedResponse:
        return InterceptedResponse(request.operation.envelope.status, {}, b"")


@dataclass(slots=True)
class ShowDeletedRecord:
    """Keeps returning deleted records. `action`: where, retrieve or list."""

    crud: CrudOperations
    action: str
    deleted_responses: dict[str, InterceptedResponse] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        key = next(iter(request.path_values.values()), "")
        if request.operation.action == "delete":
            return await self._handle_delete(request, call_next, key)
        response = await call_next(request)
        if request.operation.action != self.action:
            return response
        if self.action == "retrieve":
            return self.deleted_responses.get(key, response)
        data = request.operation.envelope.data_property
        if not response.is_success or data is None:
            return response
        deleted_records = [self.crud.get_record(deleted, "retrieve") for deleted in self.deleted_responses.values()]
        return response.with_json({**response.json, data: [*deleted_records, *response.json[data]]})

    async def _handle_delete(self, request: InterceptedRequest, call_next: CallNext, key: str) -> InterceptedResponse:
        current = await self.crud.retrieve(request, call_next)
        response = await call_next(request)
        if response.is_success and current.is_success:
            self.deleted_responses[key] = current
        return response


def _derive_delete_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    mutant, faults = partial(crud.mutant, "delete"), DeleteFaults(crud)
    deleted, frame = "A deleted record is gone.", "A write changes no other record."
    missing = "Deleting a missing record returns 404."
    yield mutant("delete", "deletes nothing", deleted, stateless(faults.delete_nothing), source=EVOMASTER)
    make_fault = stateless(faults.delete_other_too)
    yield mutant("frame", "deletes another too", frame, make_fault, provenance_independent=True)
    yield mutant("delete", "again and again", missing, stateless(faults.accept_repeated_delete), source=RESTLER)
    for action in ("retrieve", "list"):
        if action in crud.by_action:
            operation_ids = frozenset({crud.by_action["delete"].id, crud.by_action[action].id})
            stale = partial(ShowDeletedRecord, crud, action)
            detail = f"still there to {action}"
            yield mutant("delete", detail, deleted, stale, operations=operation_ids, source=RESTLER)


# Read


@dataclass(slots=True)
class StaleRead:
    """Repeats the first successful response to each request."""

    first_responses: dict[str, InterceptedResponse] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success:
            return response
        return self.first_responses.setdefault(request.path + str(request.query), response)


def _derive_read_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    for action in ("retrieve", "list"):
        if action in crud.by_action:
            detail = f"{action} answers what it did first"
            yield crud.mutant(action, "stale-read", detail, "The next request returns what was written.", StaleRead)
    for body_field in crud.text_fields("update")[:1]:
        mutant, faults = partial(crud.mutant, "retrieve", "reading"), UpdateFaults(crud, body_field.name)
        detail, make_fault = f"changes {body_field.name}", stateless(faults.change_on_retrieve)
        yield mutant(detail, "A read changes nothing.", make_fault, provenance_independent=True)
        yield mutant("another record", "The requested record is returned.", stateless(faults.return_other_record))


# Text

TEXT_CHANGES: Mapping[str, Callable[[str], str]] = {
    "escaped as HTML": lambda text: html.escape(text + " <b>&"),
    "without what is not ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "cut at 30 signs": lambda text: text[:30],
    "in lower case": str.lower,
    "without line ends": lambda text: " ".join(text.split()),
}


def _derive_text_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    for detail, change in TEXT_CHANGES.items():
        for body_field in sample(crud.text_fields("create"), 1, "text", crud.resource.name):
            name, requirement = body_field.name, "A text is returned as it was sent."
            mutant = partial(
                crud.mutant, pointer=body_field.pointer, trigger=partial(trigger_text_roundtrip, name=name)
            )
            yield mutant("create", "text", f"{name} {detail}", requirement, stateless(_change_text(name, change)))


def _change_text(name: str, change: Callable[[str], str]) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        if not isinstance(body, dict) or not isinstance(body.get(name), str):
            return await call_next(request)
        return await call_next(request.with_json({**body, name: change(body[name])}))

    return fault
