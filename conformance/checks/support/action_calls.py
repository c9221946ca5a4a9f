"""Calls of actions on records that the run created; actions with external effects are called once per run."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.check import Case, Fixture, FixtureScope
from conformance.checks.support.values import retrieve_record
from conformance.errors import READ_ONLY, SkipCheck, effects_not_allowed, not_testable
from conformance.session.payloads import attribute_fields
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import Actor, Exchange
from spec.model import AccessGrant, BodyField, Contract, Operation, Relation

VARIABLE = "value"
PLACEHOLDER = "{{value}}"
VARIABLE_VALUE = "first $1 \\1 $& %s <b>{0} last"  # some of it has a meaning in patterns, formats and markup


@dataclass(frozen=True, slots=True)
class ObservedRecord:
    """A record of the run, and its attributes at the time (in seconds of a monotonic clock) when it was retrieved."""

    resource: str
    key: Any
    attributes: Mapping[str, Any]
    time: float


@dataclass(frozen=True, slots=True)
class PerformedAction:
    """A successful action: the record in its path, that record as retrieved before the call, and the exchange.

    `others`: records that the action does not concern, as retrieved before the call, if they were observed.
    """

    record: CreatedRecord | None
    body_before: Mapping[str, Any]
    exchange: Exchange
    others: tuple[ObservedRecord, ...] = ()


def is_action(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation is an action of a resource that changes data, not a generic operation."""
    is_candidate = operation.method == "post" and not operation.is_generic and operation.resource in contract.resources
    return is_candidate and contract.find_created_resource(operation) is None and not operation.has_query_body


def find_access_grant(contract: Contract, operation: Operation) -> AccessGrant | None:
    """Return the `grants` of the resource that a POST operation returns, if its records share other records."""
    view = contract.views.get(operation.envelope.view_name or "")
    resource = contract.resources[view.resource] if view and operation.method == "post" else None
    return resource.access_grant if resource else None


def perform_action(case: Case) -> PerformedAction:
    """Call the action with success; the result is reused if it has external effects. Raises SkipCheck."""
    if case.operation.effects:
        return case.use(EFFECTFUL_ACTION)
    return _perform(case)


def perform_observed_action(case: Case) -> PerformedAction:
    """Call the action as `perform_action`, with other records observed before it. Raises SkipCheck."""
    return case.use(EFFECTFUL_ACTION) if case.operation.effects else _perform_observed(case)


def _perform_observed(case: Case) -> PerformedAction:
    _require_permission(case)
    others = observe_others(case) if case.operation.path_parameter_names else ()
    return replace(_perform(case), others=others)


def _require_permission(case: Case) -> None:
    """Raise SkipCheck if an option forbids the action."""
    if case.session.options.read_only:
        raise SkipCheck(READ_ONLY)
    if case.operation.effects and not case.session.options.allow_effects:
        raise SkipCheck(effects_not_allowed(case.operation))


def observe_others(case: Case) -> tuple[ObservedRecord, ...]:
    """Retrieve a new record like that of the action, with the same parents, and the records that checks share."""
    session, resource = case.session, case.operation.resource or ""
    records: list[CreatedRecord] = []
    with suppress(SkipCheck):
        records.append(session.records.create(resource))
    records += session.records.shared.values()
    observed: list[ObservedRecord] = []
    for record in records:
        with suppress(SkipCheck):
            observed.append(observe_record(session, record))
    return tuple(observed)


def observe_record(session: Session, record: CreatedRecord) -> ObservedRecord:
    """Retrieve a record. Raises SkipCheck."""
    body = retrieve_record(session, record.resource, record.key)[0]
    return ObservedRecord(
        record.resource, record.key, select_attributes(session, record.resource, body), time.monotonic()
    )


def select_attributes(session: Session, resource: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a retrieved record, without computed properties."""
    view = session.contract.views[session.operations.require(resource, "retrieve").envelope.view_name or ""]
    attributes = session.contract.resources[resource].attributes
    names = (n for n in view.property_names if n in attributes and n not in view.derived_properties)
    return {name: body[name] for name in names if name in body}


def _perform(case: Case) -> PerformedAction:
    session, operation = case.session, case.operation
    _require_permission(case)
    if operation.path_parameter_names:
        # A new record may be in a state that forbids the action; then use one with every flag set.
        for flags in ({}, _build_flags(session, operation.resource or "")):
            changes = {**_build_templates(session, operation), **flags}
            record = session.records.create(operation.resource or "", changes)
            body_before = dict(retrieve_record(session, record.resource, record.key)[0])
            exchange = _send_action(session, operation, {operation.path_parameter_names[0]: record.key})
            if exchange.response.status != 409:
                break
        action = PerformedAction(record, body_before, exchange)
    else:
        action = PerformedAction(None, {}, _send_action(session, operation, {}))
    response = action.exchange.response
    if not response.ok:
        raise SkipCheck(f"{operation.id} returned {response.status}: {response.excerpt}")
    return action


def repeat_action(case: Case, action: PerformedAction) -> PerformedAction:
    """Call an action again on the record of a successful call. Raises SkipCheck."""
    session, operation = case.session, case.operation
    if action.record is None:
        raise SkipCheck(not_testable("the action has no record"))
    body_before = dict(retrieve_record(session, action.record.resource, action.record.key)[0])
    exchange = _send_action(session, operation, {operation.path_parameter_names[0]: action.record.key})
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    return PerformedAction(action.record, body_before, exchange)


EFFECTFUL_ACTION = Fixture("effectful action", FixtureScope.OPERATION, _perform_observed)


def _send_action(session: Session, operation: Operation, path_values: Mapping[str, Any]) -> Exchange:
    body = build_action_body(session, operation)
    session.client.charge_call(operation)
    exchange = session.client.send(operation, path=path_values, body=body)
    if exchange.response.status == 409:
        session.client.effects.refund(operation)
    return exchange


def find_variable_fields(session: Session, operation: Operation) -> list[BodyField]:
    """Return the fields of an action that may be values of placeholders: objects with texts of any name."""
    sample = {VARIABLE: VARIABLE_VALUE}
    fields = attribute_fields(operation) if operation.path_parameter_names else ()
    objects = [f for f in fields if session.payloads.resolve_schema(f.schema).get("additionalProperties")]
    return [field for field in objects if session.schemas.get_field(field, "write").is_valid(sample)]


def _build_templates(session: Session, operation: Operation) -> dict[str, Any]:
    """Return texts with a placeholder for the record of an action that may fill them in."""
    creator = session.operations.find(operation.resource or "", "create")
    if creator is None or not find_variable_fields(session, operation):
        return {}
    templates: dict[str, Any] = {}
    for field in attribute_fields(creator):
        schema = session.payloads.resolve_schema(field.schema)
        text = f"{session.payloads.marker} {PLACEHOLDER} and {PLACEHOLDER} end"
        is_free_text = schema.get("type") == "string" and not schema.keys() & {"format", "pattern", "enum"}
        if is_free_text and session.schemas.get_field(field, "write").is_valid(text):
            templates[field.name] = text
    return templates


def _build_flags(session: Session, resource: str) -> dict[str, Any]:
    operation = session.operations.find(resource, "create")
    fields = attribute_fields(operation) if operation else ()
    return {f.name: True for f in fields if session.payloads.resolve_schema(f.schema).get("type") == "boolean"}


def build_action_body(session: Session, operation: Operation) -> dict[str, Any] | None:
    """Build a valid body with all required fields and one value in each list that the action works on."""
    if operation.request_body is None:
        return None
    access_grant = find_access_grant(session.contract, operation)
    body: dict[str, Any] = session.payloads.optional_lists(operation)
    body |= {field.name: {VARIABLE: VARIABLE_VALUE} for field in find_variable_fields(session, operation)}
    for field in operation.request_body.fields.values():
        if field.required and field.name not in body:
            body |= session.payloads.build_field(operation, field, _select_parent(session, access_grant, field))
        elif access_grant is not None and field.name == access_grant.permission:
            body |= _build_permission(session, operation, field)
    return body


def _build_permission(session: Session, operation: Operation, field: BodyField) -> dict[str, Any]:
    """Return the field with the first permission; nothing if the target has to set that one by default."""
    first = session.payloads.resolve_schema(field.schema).get("enum", ["read"])[0]
    view = session.contract.views[operation.envelope.view_name or ""]
    attribute = session.contract.resources[view.resource].attributes[field.name]
    return {} if attribute.has_default and attribute.default == first else {field.name: first}


def _select_parent(session: Session, access_grant: AccessGrant | None, field: BodyField) -> Any:
    """Return the parent provider of a field: the recipient of an access grant is the account of the second token."""
    if access_grant is None or field.relation_setter is None or field.relation_setter.relation != access_grant.entity:
        return session.records.parent

    def other_account(relation: Relation) -> tuple[str, Any]:
        account = session.contract.account_resource
        if account is None or account.name not in relation.targets:
            raise SkipCheck(not_testable("the contract defines no sharing with accounts"))
        return account.name, session.operations.key_of(account.name, session.client.identity(Actor.OTHER_TENANT))

    return other_account
