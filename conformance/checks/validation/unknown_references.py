"""Check that a reference to a record that does not exist is refused."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.references import get_unknown_key, iter_references
from conformance.checks.support.values import has_action, is_create, new_record
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Relation


def _applies(contract: Contract, operation: Operation) -> bool:
    is_write = has_action("update")(contract, operation) or is_create(contract, operation)
    return is_write and not operation.effects and any(True for _ in iter_references(contract, operation))


@check(
    "unknown-reference-is-refused",
    "A request that refers to a record that does not exist is refused.",
    Category.INPUT_VALIDATION,
    _applies,
    writes=True,
)
def check_unknown_references(case: Case) -> Iterator[CheckResult]:
    """Send each reference with a key that no record has; in a list alone, and after an existing one."""
    bad_requests.require_allowed(case)
    for field, relation in iter_references(case.session.contract, case.operation):
        for value, label in _iter_values(case, relation):
            requirement = case.build_requirement(field.pointer, "x-relation", f"{field.name}{label}")
            try:
                exchange, key = _send(case, field, relation, value)
            except SkipCheck as skip:
                yield case.skip(requirement, skip.reason)
                continue
            message = _find_problem(case, field, value, exchange)
            result = case.build_result(requirement, message, exchange)
            yield _mark_contradiction(case, result, relation, key) if message else result


def _iter_values(case: Case, relation: Relation) -> Iterator[tuple[Any, str]]:
    """Yield (value, label) with an unknown key."""
    unknown = get_unknown_key(case.session.contract, relation.targets[0])
    if not relation.to_many:
        yield unknown, ""
        return
    yield [unknown], ""
    try:
        _, existing = case.session.records.parent(relation)
    except SkipCheck:
        return
    yield [existing, unknown], " after an existing one"


def _send(case: Case, field: BodyField, relation: Relation, value: Any) -> tuple[Exchange, Any]:
    """Send a valid request with a reference; return the exchange and the key of the record. Raises SkipCheck."""
    session, operation, setter = case.session, case.operation, field.relation_setter
    changes = {field.name: value}
    if setter is not None and setter.discriminator is not None:
        changes[setter.discriminator] = snake_case(relation.targets[0])
    if operation.action == "update":
        record = new_record(case)
        body = session.records.build_update(operation, record.resource, record.key, changes)
        return session.client.send(operation, path=path_of(operation, record.key), body=body), record.key
    body = {**session.payloads.build(operation, session.records.parent), **changes}
    exchange = session.client.send(operation, path=bad_requests.build_own_path(case), body=body)
    data = session.operations.data(operation, exchange)
    key_attribute = session.operations.resource(operation).key_attribute
    return exchange, data.get(key_attribute) if isinstance(data, Mapping) else None


def _find_problem(case: Case, field: BodyField, value: Any, exchange: Exchange) -> str:
    status = exchange.response.status
    expected = next((str(s) for s in (404, 422) if s in case.operation.responses), "a client error")
    is_accepted = exchange.response.ok
    return f"{field.name}={value}, which does not exist: got {status}, expected {expected}" if is_accepted else ""


def _mark_contradiction(case: Case, result: CheckResult, relation: Relation, key: Any) -> CheckResult:
    """Mark an accepted reference to one record, if a read shows that it was not stored.

    Of a list, a server may store the records that exist.
    """
    retrieve = case.session.operations.find(case.operation.resource or "", "retrieve")
    if relation.to_many or retrieve is None or key is None:
        return result
    body, exchange = retrieve_with_relations(case.session, retrieve, key)
    if not isinstance(body, Mapping) or relation.name not in body:
        return result
    message = f"{result.message}; {relation.name} is then {_describe(body[relation.name])}"
    evidence = (*result.evidence, exchange.as_evidence())
    return replace(result, message=message, evidence=evidence, is_contradiction=True)


def _describe(value: Any) -> str:
    return "another record" if value else "empty"
