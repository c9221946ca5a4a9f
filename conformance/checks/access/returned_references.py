"""Check that the caller of a create or an action can retrieve the records that the response contains or refers to."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.access.sharing import is_share_action
from conformance.checks.support.action_calls import build_action_body, find_access_grant, is_action, perform_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.embedded_records import is_retrieve_implemented, iter_embedded_records
from conformance.checks.support.members import require_member
from conformance.checks.support.references import get_reference_name
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import is_create
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.write_log import RecordKey, is_key
from conformance.transport.messages import GONE_STATUSES, Actor, Exchange
from spec.model import Contract, Operation, Resource

CALLERS = (Actor.OWNER, Actor.MEMBER, Actor.OTHER_TENANT)


@dataclass(frozen=True, slots=True)
class ReturnedReference:
    """A record in a response, or one to which such a record refers. `name`: its location in the response.

    `is_result`: the response contains the record itself or only its key; False if a relation embeds the record.
    """

    resource: Resource
    key: Any
    name: str
    is_result: bool


def _applies(contract: Contract, operation: Operation) -> bool:
    has_body = operation.envelope.schema_pointer is not None
    return has_body and (is_create(contract, operation) or is_action(contract, operation))


@check(
    "returned-references-are-retrievable",
    "The caller of a create or an action can retrieve the records that the response contains or refers to.",
    Category.TENANCY,
    _applies,
    writes=True,
)
def check_references(case: Case) -> Iterator[CheckResult]:
    """Call the operation with each token, and retrieve the records in the response with the same token.

    The token of another tenant calls an action on a record that is shared with its user.
    """
    has_reference, reason = False, not_testable("the response refers to no record")
    for actor in CALLERS:
        try:
            exchange = _call(case, actor)
        except SkipCheck as skip:
            reason = skip.reason if actor is Actor.OWNER else reason
            continue
        for reference in _find_distinct_references(case, exchange):
            has_reference = True
            yield _evaluate(case, reference, actor, exchange)
        if actor is not Actor.OWNER:
            _delete_results(case, actor, exchange)
    if not has_reference:
        yield case.skip(case.build_requirement(), reason)


# Calls


def _call(case: Case, actor: Actor) -> Exchange:
    """Return a successful call. Raises SkipCheck."""
    if actor is Actor.OWNER:
        return _call_as_owner(case)
    if actor is Actor.MEMBER:
        require_member(case.session)
        return _call_as_member(case)
    return _call_as_recipient(case)


def _call_as_owner(case: Case) -> Exchange:
    if is_action(case.session.contract, case.operation):
        return perform_action(case).exchange
    exchange = case.session.records.shared_record(case.operation.resource or "").exchange
    if exchange.request.operation != case.operation.id:
        raise SkipCheck(not_testable("another operation creates the records of the run"))
    return exchange


def _call_as_member(case: Case) -> Exchange:
    """Create a record with the token of a member, or call an action on a record of the run."""
    session, operation = case.session, case.operation
    if operation.effects or session.client.tenant is not None:
        raise SkipCheck(not_testable("the call has effects, or may concern another tenant"))
    path: dict[str, Any] = {}
    if is_action(session.contract, operation):
        path = path_of(operation, session.records.create(operation.resource or "").key) if _has_key(operation) else {}
        body = build_action_body(session, operation)
    else:
        body = session.payloads.ensure_marker(operation, session.payloads.build(operation, session.records.parent))
    return _send(case, Actor.MEMBER, path, body)


def _call_as_recipient(case: Case) -> Exchange:
    """Call an action on a record of the run that is shared with the user of another tenant."""
    session, operation = case.session, case.operation
    reason = find_shared_tenant_reason(session)
    share = _find_share_operation(session.contract, operation)
    if reason or share is None or not session.client.has_token(Actor.OTHER_TENANT):
        raise SkipCheck(reason or not_testable("no operation shares the records of the action"))
    record = perform_action(replace(case, operation=share)).record
    if record is None:
        raise SkipCheck(not_testable("the path of the share operation contains no record"))
    session.client.charge_call(operation)
    return _send(case, Actor.OTHER_TENANT, path_of(operation, record.key), build_action_body(session, operation))


def _find_share_operation(contract: Contract, operation: Operation) -> Operation | None:
    """Return the operation that shares the record in the path of an action; None if the action shares it itself."""
    if not is_action(contract, operation) or not _has_key(operation) or find_access_grant(contract, operation):
        return None
    same = (o for o in contract.operations.values() if o.resource == operation.resource)
    return next((o for o in same if is_share_action(contract, o)), None)


def _has_key(operation: Operation) -> bool:
    return len(operation.path_parameter_names) == 1


def _send(case: Case, actor: Actor, path: dict[str, Any], body: Any) -> Exchange:
    exchange = case.session.client.send(case.operation, path=path, body=body, actor=actor)
    if not exchange.response.ok:
        case.session.client.effects.refund(case.operation)
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    return exchange


def _delete_results(case: Case, actor: Actor, exchange: Exchange) -> None:
    """Delete the records in a response with the token that created them: the run may not see them."""
    session = case.session
    for nested in session.client.created_records.find_records(case.operation, exchange):
        resource = session.contract.resources[nested.view.resource]
        record = RecordKey(resource.name, nested.record.get(resource.key_attribute))
        delete = session.operations.find(resource.name, "delete")
        if delete is None or record not in session.write_log.created_records or record.key in _get_path(exchange):
            continue
        with suppress(SkipCheck):
            if session.client.send(delete, path=path_of(delete, record.key), actor=actor).response.ok:
                session.write_log.log_deleted(*record)


def _get_path(exchange: Exchange) -> list[Any]:
    return list(exchange.request.path_values.values())


# References


def _find_distinct_references(case: Case, exchange: Exchange) -> list[ReturnedReference]:
    """Return the references in a response, one for each record and for each property."""
    by_record: dict[tuple[str, Any], ReturnedReference] = {}
    for reference in _find_references(case, exchange):
        by_record.setdefault((reference.resource.name, reference.key), reference)
    return list({reference.name: reference for reference in by_record.values()}.values())


def _find_references(case: Case, exchange: Exchange) -> Iterator[ReturnedReference]:
    """Yield the records in a response and those whose keys they have (`thread_uuid`), then those in their relations.

    The record in the path is left out: the action may have deleted it.
    """
    contract = case.session.contract
    by_name = {get_reference_name(resource): resource for resource in contract.resources.values()}
    embedded: list[ReturnedReference] = []
    results: list[ReturnedReference] = []
    for nested in case.session.client.created_records.find_records(case.operation, exchange):
        resource = contract.resources[nested.view.resource]
        results.append(ReturnedReference(resource, nested.record.get(resource.key_attribute), nested.location, True))
        for name in sorted(by_name.keys() & set(nested.view.property_names)):
            results.append(ReturnedReference(by_name[name], nested.record.get(name), f"{nested.location}.{name}", True))
        for item in iter_embedded_records(contract, nested.view, nested.record):
            if len(item.path) == 1:
                name = f"{nested.location}.{item.path[0]}"
                embedded.append(ReturnedReference(item.resource, item.key, name, False))
    for reference in (*results, *embedded):
        if is_key(reference.key) and reference.key not in _get_path(exchange) and _can_retrieve(case, reference):
            yield reference


def _can_retrieve(case: Case, reference: ReturnedReference) -> bool:
    """Whether an operation retrieves the record; accounts may be retrievable for administrators only."""
    is_account = reference.resource is case.session.contract.account_resource
    return not is_account and case.session.operations.find(reference.resource.name, "retrieve") is not None


def _evaluate(case: Case, reference: ReturnedReference, actor: Actor, exchange: Exchange) -> CheckResult:
    """Retrieve a record with the token that received it.

    A result that does not exist is a contradiction. An embedded record is an ordinary failure: the target may embed
    records that the caller has no access to.
    """
    session, resource = case.session, reference.resource
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        exchanges.append(session.client.retrieve(resource.name, reference.key, actor=actor))
        response = exchanges[-1].response
        problem = f"retrieve of {reference.name}, {resource.name} {reference.key}, by the same caller"
        return "" if response.ok else f"{problem}: got {response.status}, expected 2xx"

    requirement = case.build_requirement(parameter=f"{actor} {reference.name}")
    message = session.client.wait_until(find_problem)
    if message and not is_retrieve_implemented(case, resource):
        return case.skip(requirement, insufficient_data(f"no {resource.name} could be retrieved"))
    is_contradiction = reference.is_result and exchanges[-1].response.status in GONE_STATUSES
    result = case.build_result(requirement, message, exchange, exchanges[-1])
    return replace(result, is_contradiction=bool(message) and is_contradiction)
