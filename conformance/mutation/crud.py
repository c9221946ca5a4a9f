"""Mutants of writes: lost, misplaced, incomplete, or doing more than was asked.

After EvoMaster's experimental faults 900 to 908 (a delete that deletes nothing, effects of a refused change, a put that
is partial or not idempotent) and RESTler's rules (use after free, leak of a resource).
"""

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.triggers import trigger_crud_cycle, trigger_partial_update, trigger_text_roundtrip
from conformance.session.session import Session
from spec.loader import Attribute, BodyField, Contract, Operation, Resource
from spec.model import GENERIC_ACTIONS

EVOMASTER, RESTLER = "EvoMaster httpOracles 900-908", "RESTler, checkers of resource lifecycle"
MAX_FIELDS = 2  # fields of an operation that are broken one by one


@dataclass(frozen=True, slots=True)
class CrudOperations:
    """The operations on one resource that a record's life goes through."""

    contract: Contract
    resource: Resource
    by_action: Mapping[str, Operation]

    @classmethod
    def from_contract(cls, contract: Contract, resource: Resource) -> "CrudOperations":
        """Those that the contract has."""
        by_action = {o.action: o for o in contract.operations.values() if o.resource == resource.name}
        for operation in by_action.values():
            if contract.find_created_resource(operation) == resource.name:
                by_action = {**by_action, "create": operation}
        return cls(contract, resource, {a: o for a, o in by_action.items() if a in GENERIC_ACTIONS})

    def get_record(self, response: InterceptedResponse, action: str) -> dict[str, Any]:
        """The record that an answer shows; nothing when it shows none."""
        data, body = self.by_action[action].envelope.data_property, response.json
        record = body.get(data) if data and isinstance(body, dict) else body
        return dict(record) if isinstance(record, dict) else {}

    def with_record_changes(
        self, response: InterceptedResponse, action: str, changes: Mapping[str, Any]
    ) -> InterceptedResponse:
        """The answer with changes to the record that it shows."""
        data = self.by_action[action].envelope.data_property
        record = {**self.get_record(response, action), **changes}
        return response.with_json({**response.json, data: record} if data else record)

    def writable_fields(self, action: str) -> list[tuple[BodyField, Attribute]]:
        """The fields of a body that are shown properties of the record."""
        operation = self.by_action.get(action)
        view = self.contract.views.get(operation.envelope.view_name or "") if operation else None
        fields = []
        for body_field in (
            operation.request_body.fields.values() if operation and operation.request_body and view else ()
        ):
            prop = self.resource.attributes.get(body_field.name)
            if (
                prop is not None
                and body_field.relation_setter is None
                and body_field.x_query is None
                and view
                and prop.name in view.property_names
            ):
                fields.append((body_field, prop))
        return fields

    async def fetch_other_keys(self, request: InterceptedRequest, call_next: CallNext) -> list[str]:
        """The keys of the records of the list's first page but the asked one."""
        list_operation = self.by_action.get("list")
        if list_operation is None:
            return []
        response = await call_next(request.follow_up(list_operation))
        body = response.json
        rows = (
            body.get(list_operation.envelope.data_property)
            if response.is_success and list_operation.envelope.data_property
            else []
        )
        keys = [str(row[self.resource.key_attribute]) for row in rows if self.resource.key_attribute in row]
        return [key for key in keys if key not in request.path_values.values()]


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every resource that can be created and retrieved."""
    for resource in contract.resources.values():
        crud = CrudOperations.from_contract(contract, resource)
        if {"create", "retrieve"} <= crud.by_action.keys():
            yield from _derive_create_mutants(crud)
            yield from _derive_update_mutants(crud)
            yield from _derive_field_mutants(crud)
            yield from _derive_timestamp_mutants(crud)
            yield from _derive_delete_mutants(crud)
            yield from _derive_read_mutants(crud)
            yield from _derive_text_mutants(crud)


def _build_mutant(
    crud: CrudOperations,
    action: str,
    family: str,
    detail: str,
    requirement: str,
    make_fault: Callable[[], Fault],
    **overrides: Any,
) -> Mutant:
    """On the operation that does `action`; `overrides`: fields of Mutant that are not as usual."""
    operation = crud.by_action[action]
    defaults = {
        "pointer": operation.pointer,
        "trigger": partial(_run_crud_cycle, create_operation=crud.by_action["create"]),
    }
    return Mutant(family, operation.id, detail, requirement, make_fault=make_fault, **{**defaults, **overrides})


def _run_crud_cycle(session: Session, operation: Operation, create_operation: Operation) -> None:
    trigger_crud_cycle(session, create_operation)


def _make_stateless(fault: Fault) -> Callable[[], Fault]:
    return lambda: fault


def different_value(value: Any, prop: Attribute) -> Any:
    """Another value that the schema of a property admits, of the same kind."""
    if prop.enum_values:
        return next((c for c in prop.enum_values if c != value and c is not None), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str) and prop.format is None:
        return f"{value[: len(value) // 2]} conformance"[: max(1, len(value))]
    return value


# Create --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateFaults:
    """Wrong ways to create. `field_name`, `prop`: of the field that is stored wrong."""

    crud: CrudOperations
    field_name: str = ""
    prop: Attribute | None = None

    async def delete_after_create(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Gone as soon as it is answered."""
        response = await call_next(request)
        key = (
            self.crud.get_record(response, "create").get(self.crud.resource.key_attribute)
            if response.is_success
            else None
        )
        if key is not None:
            await call_next(request.follow_up(self.crud.by_action["delete"], key))
        return response

    async def create_twice(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Two records for one."""
        await call_next(request)
        return await call_next(request)

    async def store_different_value(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """One field answered as it was sent, and stored otherwise."""
        body = request.json
        if not isinstance(body, dict) or self.field_name not in body or self.prop is None:
            return await call_next(request)
        response = await call_next(
            request.with_json({**body, self.field_name: different_value(body[self.field_name], self.prop)})
        )
        return (
            self.crud.with_record_changes(response, "create", {self.field_name: body[self.field_name]})
            if response.is_success
            else response
        )


def _derive_create_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    faults = CreateFaults(crud)
    if "delete" in crud.by_action:
        requirement = "What create answers is there on the next request."
        yield _build_mutant(
            crud, "create", "create", "lost", requirement, _make_stateless(faults.delete_after_create), source=EVOMASTER
        )
    requirement = "A create makes one record."
    yield _build_mutant(crud, "create", "create", "twice", requirement, _make_stateless(faults.create_twice))
    required = [(body_field, prop) for body_field, prop in crud.writable_fields("create") if body_field.required]
    for body_field, prop in sample(required, MAX_FIELDS, "create", crud.resource.name):
        fault, requirement = (
            CreateFaults(crud, body_field.name, prop).store_different_value,
            "What create is sent is stored.",
        )
        yield _build_mutant(
            crud,
            "create",
            "create",
            f"{body_field.name} not stored",
            requirement,
            _make_stateless(fault),
            pointer=body_field.pointer,
        )


# Update --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpdateFaults:
    """Wrong ways to update. `field_name`: of the field that is stored wrong."""

    crud: CrudOperations
    field_name: str = ""

    def _redirect(self, request: InterceptedRequest, key: object) -> InterceptedRequest:
        """The same request to another record."""
        return replace(
            request.follow_up(request.operation, key, query=request.query), body=request.body, headers=request.headers
        )

    async def discard_update(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Answered as if it were stored."""
        current = await call_next(request.follow_up(self.crud.by_action["retrieve"], *request.path_values.values()))
        body = request.json
        if not current.is_success or not isinstance(body, dict):
            return await call_next(request)
        changes = {n: v for n, v in body.items() if n in self.crud.get_record(current, "retrieve")}
        return self.crud.with_record_changes(current, "update", changes)

    async def update_other_too(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Another record too."""
        other_keys = await self.crud.fetch_other_keys(request, call_next)
        response = await call_next(request)
        if response.is_success and other_keys:
            await call_next(self._redirect(request, other_keys[0]))
        return response

    async def update_other_instead(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Another record in its place."""
        other_keys = await self.crud.fetch_other_keys(request, call_next)
        if not other_keys:
            return await call_next(request)
        response = await call_next(self._redirect(request, other_keys[0]))
        changes = {self.crud.resource.key_attribute: next(iter(request.path_values.values()))}
        return self.crud.with_record_changes(response, "update", changes) if response.is_success else response

    async def store_valid_part(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Refused, and stored but for the field that is wrong."""
        response = await call_next(request)
        body = request.json
        if response.status == 422 and isinstance(body, dict):
            invalid_names = {name.partition(".")[0] for name in (response.json or {}).get("errors", {})}
            valid_part = {n: v for n, v in body.items() if n not in invalid_names}
            if valid_part:
                await call_next(request.with_json(valid_part))
        return response

    async def drop_field(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """One field answered as it was sent, and not stored."""
        body = request.json
        if not isinstance(body, dict) or self.field_name not in body:
            return await call_next(request)
        response = await call_next(request.with_json({n: v for n, v in body.items() if n != self.field_name}))
        return (
            self.crud.with_record_changes(response, "update", {self.field_name: body[self.field_name]})
            if response.is_success
            else response
        )

    async def reset_omitted_field(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """One field null when it is not sent."""
        body = request.json
        if not isinstance(body, dict) or self.field_name in body:
            return await call_next(request)
        return await call_next(request.with_json({**body, self.field_name: None}))

    async def change_on_retrieve(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """A record that is changed by being retrieved."""
        response = await call_next(request)
        record = self.crud.get_record(response, "retrieve") if response.is_success else {}
        if isinstance(record.get(self.field_name), str):
            update = request.follow_up(self.crud.by_action["update"], *request.path_values.values())
            await call_next(update.with_json({self.field_name: f"{record[self.field_name]}."}))
        return response

    async def return_other_record(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Another record retrieved in its place."""
        other_keys = await self.crud.fetch_other_keys(request, call_next)
        response = await call_next(request)
        if not response.is_success or not other_keys:
            return response
        other_response = await call_next(request.follow_up(request.operation, other_keys[0], query=request.query))
        return other_response if other_response.is_success else response


def _derive_update_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    if "update" not in crud.by_action:
        return
    faults, stored_requirement = UpdateFaults(crud), "An update is stored."
    yield _build_mutant(
        crud, "update", "update", "lost", stored_requirement, _make_stateless(faults.discard_update), source=EVOMASTER
    )
    yield _build_mutant(
        crud,
        "update",
        "update",
        "applied to another record",
        stored_requirement,
        _make_stateless(faults.update_other_instead),
    )
    requirement = "A write changes no other record."
    yield _build_mutant(
        crud,
        "update",
        "frame",
        "update changes another too",
        requirement,
        _make_stateless(faults.update_other_too),
        provenance_independent=True,
    )
    requirement = "A refused write changes nothing."
    overrides = {"trigger": trigger_partial_update, "provenance_independent": True, "source": EVOMASTER}
    detail = "applied but for the wrong field"
    yield _build_mutant(
        crud, "update", "refused-write", detail, requirement, _make_stateless(faults.store_valid_part), **overrides
    )


def _derive_field_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    """One field is not stored; one that was not sent is changed."""
    fields = [
        (body_field, prop)
        for body_field, prop in crud.writable_fields("update")
        if prop.type in ("string", "integer", "boolean")
    ]
    for body_field, _ in sample(fields, MAX_FIELDS, "update", crud.resource.name):
        fault, overrides = (
            UpdateFaults(crud, body_field.name).drop_field,
            {"pointer": body_field.pointer, "source": EVOMASTER},
        )
        requirement = "An update is stored."
        yield _build_mutant(
            crud, "update", "update", f"{body_field.name} not stored", requirement, _make_stateless(fault), **overrides
        )
    for body_field, _ in sample([f for f in fields if f[1].nullable], MAX_FIELDS, "reset", crud.resource.name):
        fault, requirement = (
            UpdateFaults(crud, body_field.name).reset_omitted_field,
            "What was not sent stays as it was.",
        )
        yield _build_mutant(
            crud, "update", "update", f"{body_field.name} reset", requirement, _make_stateless(fault), source=EVOMASTER
        )


@dataclass(frozen=True, slots=True)
class ShowOtherTimestamp:
    """Shows the stamp `field_name` as the stamp `source_field`."""

    crud: CrudOperations
    field_name: str
    source_field: str

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        action = request.operation.action
        record = self.crud.get_record(response, action) if response.is_success else {}
        is_applicable = self.field_name in record and self.source_field in record
        return (
            self.crud.with_record_changes(response, action, {self.field_name: record[self.source_field]})
            if is_applicable
            else response
        )


def _derive_timestamp_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    if "update" not in crud.by_action:
        return
    operation_ids = frozenset(o.id for a, o in crud.by_action.items() if a in ("retrieve", "update"))
    swaps = (
        ("created", "updated", "A created stamp never moves."),
        ("updated", "created", "An updated stamp moves with an update."),
    )
    for kind, other_kind, requirement in swaps:
        for name, other_name in zip(
            crud.resource.attributes_with_stamp(kind), crud.resource.attributes_with_stamp(other_kind), strict=False
        ):
            pointer = crud.resource.attributes[name].pointer
            overrides = {"pointer": pointer, "operations": operation_ids, "keyword": "x-stamp"}
            fault = ShowOtherTimestamp(crud, name, other_name)
            yield _build_mutant(
                crud,
                "update",
                f"{kind}-stamp",
                f"{name} is {other_name}",
                requirement,
                _make_stateless(fault),
                **overrides,
            )


# Delete --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeleteFaults:
    """Wrong ways to delete."""

    crud: CrudOperations

    async def delete_nothing(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Nothing at all."""
        current = await call_next(request.follow_up(self.crud.by_action["retrieve"], *request.path_values.values()))
        return (
            InterceptedResponse(request.operation.envelope.status, {}, b"")
            if current.is_success
            else await call_next(request)
        )

    async def delete_other_too(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Another record too."""
        other_keys = await self.crud.fetch_other_keys(request, call_next)
        response = await call_next(request)
        if response.is_success and other_keys:
            await call_next(request.follow_up(request.operation, other_keys[0]))
        return response

    async def accept_repeated_delete(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """A success where there is nothing to delete."""
        response = await call_next(request)
        return InterceptedResponse(request.operation.envelope.status, {}, b"") if response.status == 404 else response


@dataclass(slots=True)
class ShowDeletedRecord:
    """Goes on showing what was deleted, where it is retrieved or in the list: `action` says which."""

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
        deleted_records = [
            self.crud.get_record(retrieve_response, "retrieve") for retrieve_response in self.deleted_responses.values()
        ]
        return response.with_json({**response.json, data: [*deleted_records, *response.json[data]]})

    async def _handle_delete(self, request: InterceptedRequest, call_next: CallNext, key: str) -> InterceptedResponse:
        current = await call_next(request.follow_up(self.crud.by_action["retrieve"], key))
        response = await call_next(request)
        if response.is_success and current.is_success:
            self.deleted_responses[key] = current
        return response


def _derive_delete_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    if "delete" not in crud.by_action:
        return
    faults, gone_requirement = DeleteFaults(crud), "A deleted record is gone."
    yield _build_mutant(
        crud,
        "delete",
        "delete",
        "deletes nothing",
        gone_requirement,
        _make_stateless(faults.delete_nothing),
        source=EVOMASTER,
    )
    requirement = "A write changes no other record."
    yield _build_mutant(
        crud,
        "delete",
        "frame",
        "deletes another too",
        requirement,
        _make_stateless(faults.delete_other_too),
        provenance_independent=True,
    )
    requirement = "To delete what is not there answers 404."
    yield _build_mutant(
        crud,
        "delete",
        "delete",
        "again and again",
        requirement,
        _make_stateless(faults.accept_repeated_delete),
        source=RESTLER,
    )
    for action in ("retrieve", "list"):
        if action in crud.by_action:
            operation_ids = frozenset({crud.by_action["delete"].id, crud.by_action[action].id})
            make_fault = partial(ShowDeletedRecord, crud, action)
            overrides = {"operations": operation_ids, "source": RESTLER}
            yield _build_mutant(
                crud, "delete", "delete", f"still there to {action}", gone_requirement, make_fault, **overrides
            )


# Reading -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class StaleRead:
    """Answers what it answered first."""

    first_responses: dict[str, InterceptedResponse] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return (
            self.first_responses.setdefault(request.path + str(request.query), response)
            if response.is_success
            else response
        )


def _derive_read_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    for action in ("retrieve", "list"):
        if action in crud.by_action:
            requirement = "A write is there on the next request."
            yield _build_mutant(
                crud, action, "stale-read", f"{action} answers what it did first", requirement, StaleRead
            )
    text_fields = (
        f for f, p in crud.writable_fields("update") if p.type == "string" and not p.enum_values and not p.format
    )
    body_field = next(text_fields, None)
    if body_field is not None:
        faults, requirement = UpdateFaults(crud, body_field.name), "To read changes nothing."
        yield _build_mutant(
            crud,
            "retrieve",
            "reading",
            f"changes {body_field.name}",
            requirement,
            _make_stateless(faults.change_on_retrieve),
            provenance_independent=True,
        )
        requirement = "The record that was asked for is answered."
        yield _build_mutant(
            crud, "retrieve", "reading", "another record", requirement, _make_stateless(faults.return_other_record)
        )


# Texts ---------------------------------------------------------------------------------------------------------------

TEXT_CHANGES: Mapping[str, Callable[[str], str]] = {
    "escaped as HTML": lambda text: html.escape(text + " <b>&"),
    "without what is not ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "cut at 30 signs": lambda text: text[:30],
    "in lower case": str.lower,
    "without line ends": lambda text: " ".join(text.split()),
}


def _derive_text_mutants(crud: CrudOperations) -> Iterator[Mutant]:
    fields = [
        body_field
        for body_field, p in crud.writable_fields("create")
        if p.type == "string" and not p.enum_values and not p.format
    ]
    for detail, change in TEXT_CHANGES.items():
        for body_field in sample(fields, 1, "text", crud.resource.name):
            overrides = {
                "pointer": body_field.pointer,
                "trigger": partial(trigger_text_roundtrip, name=body_field.name),
            }
            fault, requirement = _change_text(body_field.name, change), "A text comes back as it was sent."
            yield _build_mutant(
                crud, "create", "text", f"{body_field.name} {detail}", requirement, _make_stateless(fault), **overrides
            )


def _change_text(name: str, change: Callable[[str], str]) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        if not isinstance(body, dict) or not isinstance(body.get(name), str):
            return await call_next(request)
        return await call_next(request.with_json({**body, name: change(body[name])}))

    return fault
