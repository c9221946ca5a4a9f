"""How a run uses an action that the contract names: on a record of its own, as rarely as it may; what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.bodies import attribute_fields
from conformance.cause import READ_ONLY, effects_not_allowed, not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case
from conformance.laws.own import retrieved
from conformance.session import CreatedRecord, Session
from spec.contract import AccessGrant, BodyField, Contract, Operation, Relation


@dataclass(frozen=True, slots=True)
class Done:
    """A use of an action that succeeded: the run's record in its path, how that was retrieved before, the answer."""

    on: CreatedRecord | None
    before: Mapping[str, Any]
    exchange: Exchange


def acts(contract: Contract, operation: Operation) -> bool:
    """Whether an operation is an action on or for a resource that changes something: none of the generic ones."""
    named = operation.method == "post" and not operation.is_generic and operation.resource in contract.resources
    return named and contract.find_created_resource(operation) is None and not operation.has_query_body


def grants_of(contract: Contract, operation: Operation) -> AccessGrant | None:
    """What an action gives sight by: it answers a record that grants."""
    view = contract.views.get(operation.envelope.view_name or "")
    resource = contract.resources[view.resource] if view and operation.method == "post" else None
    return resource.access_grant if resource else None


def performed(case: Case) -> Done:
    """A success of the action; one with effects outside is used once in a run. Raises CannotMake."""
    if case.operation.effects:
        found: Done | SkipCheck = case.session.run_once(case.operation.id, lambda: _or_why(case))
        if isinstance(found, SkipCheck):
            raise SkipCheck(found.reason)
        return found
    return _perform(case.session, case.operation)


def _or_why(case: Case) -> Done | SkipCheck:
    try:
        return _perform(case.session, case.operation)
    except SkipCheck as why:
        return why


def _perform(session: Session, operation: Operation) -> Done:
    if session.read_only:
        raise SkipCheck(READ_ONLY)
    if operation.effects and not session.allow_effects:
        raise SkipCheck(effects_not_allowed(operation))
    if operation.path_parameter_names:
        # A fresh record may be in a state that refuses the action: then one with every flag set.
        for flags in ({}, _flags(session, operation.resource or "")):
            on = session.create(operation.resource or "", flags)
            before = dict(retrieved(session, on.resource, on.key)[0])
            exchange = _sent(session, operation, {operation.path_parameter_names[0]: on.key})
            if exchange.response.status != 409:
                break
        done = Done(on, before, exchange)
    else:
        done = Done(None, {}, _sent(session, operation, {}))
    response = done.exchange.response
    if not response.ok:
        raise SkipCheck(f"{operation.id} answered {response.status}: {response.excerpt}")
    return done


def _sent(session: Session, operation: Operation, path: Mapping[str, Any]) -> Exchange:
    body = body_of(session, operation)
    session.charge_call(operation)
    exchange = session.send(operation, path=path, body=body)
    if exchange.response.status == 409:
        session.refund_call(operation)
    return exchange


def _flags(session: Session, resource: str) -> dict[str, Any]:
    creating = session.operation(resource, "create")
    fields = attribute_fields(creating) if creating else ()
    return {f.name: True for f in fields if session.payloads.resolve_schema(f.schema).get("type") == "boolean"}


def body_of(session: Session, operation: Operation) -> dict[str, Any] | None:
    """A body that the action should take: what it requires, and a value in each list that it works on."""
    if operation.request_body is None:
        return None
    grants = grants_of(session.contract, operation)
    body: dict[str, Any] = session.payloads.optional_lists(operation)
    for field in operation.request_body.fields.values():
        if field.required and field.name not in body:
            body |= session.payloads.build_field(operation, field, _receiver(session, grants, field))
        elif grants is not None and field.name == grants.permission:
            body[field.name] = session.payloads.resolve_schema(field.schema).get("enum", ["read"])[0]
    return body


def _receiver(session: Session, grants: AccessGrant | None, field: BodyField) -> Any:
    """Who is named as a record's parent; whoever is given sight is the other token's account."""
    if grants is None or field.relation_setter is None or field.relation_setter.relation != grants.entity:
        return session.parent

    def other(relation: Relation) -> tuple[str, Any]:
        account = session.contract.account_resource
        if account is None or account.name not in relation.targets:
            raise SkipCheck(not_testable("the contract has no account to share with"))
        return account.name, session.key_of(account.name, session.identity("other"))

    return other
