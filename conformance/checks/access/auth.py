"""Laws on who may ask: without a token, with one that is none, and as somebody of another tenant."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.checks.access.sessions import obtain_logged_out_token
from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.bad_requests import (
    SAFE_METHODS,
    build_empty_body,
    build_readable_path,
    build_unknown_path,
    evaluate_status,
    find_blocking_reason,
)
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import (
    describe_change,
    get_stored_attributes,
    is_create,
    iter_changed_names,
    retrieve_record,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.skip_reasons import READ_ONLY
from conformance.transport.messages import AUTHORIZATION, Exchange
from spec.loader import Contract, Operation, Resource

NO_TOKEN = "no token"
# What goes as a token and is none: the kind of it -> headers.
INVALID_CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    NO_TOKEN: {},
    "another scheme": {AUTHORIZATION: "Basic ZGVtbzpkZW1v"},
    "a scheme and no token": {AUTHORIZATION: "Bearer"},
    "a token that nobody has": {AUTHORIZATION: "Bearer conformance-unknown-token"},
    "a malformed token": {AUTHORIZATION: "Bearer , ;=?"},
}
LOGGED_OUT_TOKEN = "a logged-out token"
UNAUTHORIZED_KINDS = (NO_TOKEN, "another scheme", "a token that nobody has", "a malformed token")


def _requires_auth(contract: Contract, operation: Operation) -> bool:
    return operation.requires_auth


def _send_unauthenticated(case: Case, kinds: Iterable[str]) -> Iterator[tuple[str, Exchange | None]]:
    """The answer to each who is nobody; None where the run may not ask. Paths name records of the run that nothing
    else needs, queries and bodies are valid: what is taken after all is a success. What has effects outside is asked
    validly until it is taken, and no further."""
    session, operation = case.session, case.operation
    path_values: Mapping[str, Any] | None = None
    was_accepted = False
    for kind in kinds:
        if session.read_only and operation.method not in SAFE_METHODS:
            yield kind, None
            continue
        headers = INVALID_CREDENTIALS[kind] if kind in INVALID_CREDENTIALS else obtain_logged_out_token(session)
        path_values = _build_expendable_path(case) if path_values is None else path_values
        body = build_empty_body(operation) if was_accepted and operation.effects else _build_valid_body(case)
        query = session.required_query(operation)
        exchange = session.send(operation, path=path_values, query=query, body=body, actor="nobody", headers=headers)
        was_accepted = was_accepted or exchange.response.ok
        yield kind, exchange


def _build_expendable_path(case: Case) -> Mapping[str, Any]:
    """The path of a record of the run: a fresh one where it may be lost; of none where none can be had."""
    session, operation = case.session, case.operation
    if not operation.path_parameter_names or find_blocking_reason(case):
        return build_unknown_path(case)
    try:
        if operation.method in SAFE_METHODS:
            return build_readable_path(case)
        if operation.action == "delete":  # a record that was lent to the run is not to be lost
            session.creator(operation.resource or "")
        return {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    except SkipCheck:
        return build_unknown_path(case)


def _build_valid_body(case: Case) -> Any:
    if case.operation.request_body is None or find_blocking_reason(case):
        return build_empty_body(case.operation)
    try:
        return case.session.payloads.build(case.operation, case.session.parent)
    except SkipCheck:
        return {}


def _check_access_denied(case: Case) -> Iterator[CheckResult]:
    kinds = [*INVALID_CREDENTIALS, *([LOGGED_OUT_TOKEN] if case.session.credentials else [])]
    for kind, exchange in _send_unauthenticated(case, kinds):
        requirement = case.build_requirement(parameter=kind)
        if exchange is None:
            yield case.skip(requirement, READ_ONLY)
        else:
            case.session.store_result((case.operation.id, kind), exchange)
            message = f"answered {exchange.response.status} to {kind}, due: 401" if exchange.response.ok else ""
            yield case.build_result(requirement, message, exchange)


def _check_unauthorized_status(case: Case) -> Iterator[CheckResult]:
    """What the law before has seen is judged first; judged again, it is asked again."""
    for kind in UNAUTHORIZED_KINDS:
        exchange: Exchange | None = case.session.pop_result((case.operation.id, kind))
        if exchange is None:
            exchange = next(_send_unauthenticated(case, [kind]))[1]
        if exchange is not None:
            yield evaluate_status(case, 401, exchange, kind)


def _is_tenant_scoped(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path:
        return False
    if operation.action in _EVALUATORS or _creates_tenant_child(contract, operation):
        return True
    return is_action(contract, operation) and len(operation.path_parameter_names) == 1


def _creates_tenant_child(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record that belongs to one of a tenant."""
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not is_create(contract, operation):
        return False
    fields = operation.request_body.fields.values() if operation.request_body else ()
    relations = [resource.relations.get(f.relation_setter.relation) for f in fields if f.relation_setter and f.required]
    return any(r is not None and all(contract.resources[n].tenant_path for n in r.targets) for r in relations)


def _check_tenant_isolation(case: Case) -> Iterator[CheckResult]:
    """The run's own record, asked for with the other token."""
    session, operation = case.session, case.operation
    reason = find_blocking_reason(case) or find_shared_tenant_reason(session)
    if reason:
        yield case.skip(case.build_requirement(), reason)
        return
    resource = session.resource(operation)
    if _creates_tenant_child(session.contract, operation):
        yield _evaluate_foreign_create(case)
        return
    is_read = operation.action in ("retrieve", "list")
    record = session.shared_record(resource.name) if is_read else session.create(resource.name)
    if is_public(resource, record):
        yield case.skip(case.build_requirement(), "the record is public")
        return
    yield _EVALUATORS.get(operation.action, _evaluate_write)(case, record)


def _evaluate_foreign_create(case: Case) -> CheckResult:
    """A record created by another tenant for a record of the run."""
    session, operation = case.session, case.operation
    body = session.payloads.build(operation, session.parent)
    for field in operation.request_body.fields.values() if operation.request_body else ():
        relation = (
            session.payloads.find_relation(operation, field.relation_setter.relation)
            if field.relation_setter and field.required
            else None
        )
        if relation is not None and is_public(
            session.contract.resources[relation.targets[0]], session.shared_record(relation.targets[0])
        ):
            return case.skip(case.build_requirement(), "the record is public")
    exchange = session.send(operation, body=body, actor="other")
    # A record named in a body that is not there may be called invalid, so one of another tenant too.
    return case.build_result(case.build_requirement(), _describe_missing_denial(exchange, 422), exchange)


def is_public(resource: Resource, record: CreatedRecord) -> bool:
    """Whether everybody may see a record."""
    return bool(resource.public_when) and all(
        record.body.get(name) == value for name, value in resource.public_when.items()
    )


def _evaluate_retrieve(case: Case, record: CreatedRecord) -> CheckResult:
    exchange = case.session.retrieve(record.resource, record.key, actor="other")
    return case.build_result(case.build_requirement(), _describe_missing_denial(exchange), exchange)


def _evaluate_write(case: Case, record: CreatedRecord) -> CheckResult:
    """Neither updated nor deleted by another tenant: refused, and the same as before."""
    session, operation = case.session, case.operation
    retrieve_operation = session.operation(record.resource, "retrieve")
    attributes_before = (
        get_stored_attributes(
            session.contract, retrieve_operation, retrieve_record(session, record.resource, record.key)[0]
        )
        if retrieve_operation
        else {}
    )
    is_custom = operation.action not in _EVALUATORS
    body: Any = build_action_body(session, operation) if is_custom else build_empty_body(operation)
    for field in operation.request_body.fields.values() if operation.request_body and not is_custom else ():
        if (
            field.relation_setter is None
            and field.x_query is None
            and isinstance(attributes_before.get(field.name), str)
        ):
            body = {field.name: session.payloads.generate_value(field.schema, field.name)}
            break
    exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body, actor="other")
    message = _describe_missing_denial(exchange)
    if not message and retrieve_operation is not None:
        exchange_after = session.retrieve(record.resource, record.key)
        attributes_after = get_stored_attributes(
            session.contract, retrieve_operation, session.data(retrieve_operation, exchange_after)
        )
        changes = [
            describe_change(name, attributes_before[name], attributes_after[name])
            for name in iter_changed_names(attributes_before, attributes_after)
        ]
        message = (
            "; ".join(changes) if exchange_after.response.ok else "the record is gone although the request was refused"
        )
    return case.build_result(case.build_requirement(), message, exchange)


def _evaluate_list(case: Case, record: CreatedRecord) -> CheckResult:
    """On no page of what is listed for another tenant."""
    session, operation = case.session, case.operation
    required_query = session.required_query(operation)
    key = session.resource(operation).key_attribute
    is_listed = any(row.get(key) == record.key for row in session.rows(operation, required_query, actor="other"))
    exchange = session.send(operation, query=required_query, actor="other")
    return case.build_result(
        case.build_requirement(), f"the other token lists {key} {record.key}" if is_listed else "", exchange
    )


def _describe_missing_denial(exchange: Exchange, *other_statuses: int) -> str:
    status = exchange.response.status
    return "" if status in (403, 404, *other_statuses) else f"answered {status} to another tenant, due: 404 or 403"


_EVALUATORS = {
    "retrieve": _evaluate_retrieve,
    "update": _evaluate_write,
    "delete": _evaluate_write,
    "list": _evaluate_list,
}

CHECKS = (
    Check(
        "unauthenticated-access-denied",
        "A request without a valid token does not succeed.",
        Category.AUTHENTICATION,
        _requires_auth,
        _check_access_denied,
        provenance_independent=True,
    ),
    Check(
        "unauthenticated-is-401",
        "A request without a valid token returns 401.",
        Category.AUTHENTICATION,
        _requires_auth,
        _check_unauthorized_status,
    ),
    Check(
        "tenant-isolation",
        "Another tenant cannot retrieve, list, change or reference a record.",
        Category.TENANCY,
        _is_tenant_scoped,
        _check_tenant_isolation,
        provenance_independent=True,
        writes=True,
        needs_second_token=True,
    ),
)
