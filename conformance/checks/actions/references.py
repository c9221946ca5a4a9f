"""Check that an action works with the record that its request body refers to."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from conformance.checks.support.action_calls import build_action_body, find_access_grant, is_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.references import get_reference_name, get_unknown_key
from conformance.checks.support.values import select_least_certain
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation


def _find_references(contract: Contract, operation: Operation) -> dict[str, str]:
    """Return body field -> resource of the optional references of an action.

    ``thread_uuid`` refers to a Thread whose key is ``uuid``. The fields of an access grant have checks of their own.
    """
    if not is_action(contract, operation) or find_access_grant(contract, operation) is not None:
        return {}
    names = {get_reference_name(r): r.name for r in contract.resources.values()}
    return {f.name: names[f.name] for f in operation.body_fields.values() if f.name in names and not f.required}


@check(
    "action-uses-referenced-record",
    "An action whose body contains the key of a record, such as `thread_uuid`, uses that record.",
    Category.ACTIONS,
    lambda contract, operation: bool(_find_references(contract, operation)),
    writes=True,
)
def check_references(case: Case) -> Iterator[CheckResult]:
    """Call the action with a reference to a new record; the response must have that record, not another one."""
    for name, resource in _find_references(case.session.contract, case.operation).items():
        field = case.operation.body_fields[name]
        requirement = case.build_requirement(
            *select_least_certain(case, (case.operation.pointer, None), (field.pointer, None)), parameter=name
        )
        try:
            message, exchange = _evaluate(case, field, resource)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        is_contradiction = bool(message) and _is_unknown_key_rejected(case, field, resource)
        yield replace(case.build_result(requirement, message, exchange), is_contradiction=is_contradiction)


def _evaluate(case: Case, field: BodyField, resource: str) -> tuple[str, Exchange]:
    """Return (problem, exchange). Raises SkipCheck if the response has no record of the resource."""
    session = case.session
    subject = session.records.create(case.operation.resource or "") if case.operation.path_parameter_names else None
    for key in _find_keys(case, resource, subject):
        session.client.charge_call(case.operation)
        exchange = _send(case, subject, {field.name: key})
        if not exchange.response.ok:
            raise SkipCheck(f"{case.operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
        keys = list(_iter_keys(case, exchange, resource))
        if not keys:
            raise SkipCheck(not_testable(f"the response has no {resource}"))
        if key not in keys:
            return (
                f"{resource} in the response: got {keys[0]}, expected {key} ({field.name} of the request)",
                exchange,
            )
    return "", exchange


def _find_keys(case: Case, resource: str, subject: CreatedRecord | None) -> list[Any]:
    """Return the key of a new record, or those of two listed records if the contract cannot create it.

    One of two may be the default. Raises SkipCheck.
    """
    session = case.session
    if session.contract.find_create_operation(resource) is not None:
        return [session.records.create(resource, _build_reference(case, resource, subject)).key]
    if session.client.tenant is not None and resource == session.client.tenant.resource.name:
        raise SkipCheck(not_testable(f"the run writes in one {resource} only"))
    listing = session.operations.find(resource, "list")
    rows = list(session.records.rows(listing, {})) if listing is not None else []
    if len(rows) < 2:
        raise SkipCheck(insufficient_data(f"the target lists {len(rows)} records of {resource}"))
    return [session.operations.key_of(resource, row) for row in (rows[0], rows[-1])]


def _iter_keys(case: Case, exchange: Exchange, resource: str) -> Iterator[Any]:
    """Yield the keys of the records of a resource in a response, and of those to which its records refer."""
    session = case.session
    key_attribute = session.contract.resources[resource].key_attribute
    for nested in session.client.created_records.find_records(case.operation, exchange):
        key = nested.record.get(session.contract.resources[nested.view.resource].key_attribute)
        if nested.view.resource == resource:
            yield key
            continue
        retrieve = session.operations.find(nested.view.resource, "retrieve")
        body = retrieve_with_relations(session, retrieve, key)[0] if retrieve is not None and key else nested.record
        for relation in session.contract.resources[nested.view.resource].relations.values():
            related = body.get(relation.name) if isinstance(body, Mapping) else None
            if relation.targets == (resource,) and not relation.to_many and isinstance(related, Mapping) and related:
                yield related.get(key_attribute)


def _build_reference(case: Case, resource: str, subject: CreatedRecord | None) -> dict[str, Any]:
    """Return the fields that make a new record belong to the record of the action, if its create has them."""
    if subject is None:
        return {}
    create = case.session.operations.creator(resource)
    relations = case.session.contract.resources[resource].relations
    return {
        field.name: subject.key
        for field in create.body_fields.values()
        if field.relation_setter is not None
        and (relation := relations.get(field.relation_setter.relation)) is not None
        and relation.targets == (subject.resource,)
        and not relation.to_many
    }


def _is_unknown_key_rejected(case: Case, field: BodyField, resource: str) -> bool:
    """Whether the target rejects the key of no record in the field, which shows that it reads the field."""
    with suppress(SkipCheck):
        session = case.session
        subject = session.records.create(case.operation.resource or "") if case.operation.path_parameter_names else None
        session.client.charge_call(case.operation)
        exchange = _send(case, subject, {field.name: get_unknown_key(session.contract, resource)})
        return 400 <= exchange.response.status < 500
    return False


def _send(case: Case, subject: CreatedRecord | None, fields: Mapping[str, Any]) -> Exchange:
    body = {**(build_action_body(case.session, case.operation) or {}), **fields}
    path = {case.operation.path_parameter_names[0]: subject.key} if subject is not None else {}
    return case.session.client.send(case.operation, path=path, body=body)
