"""Checks of access control: requests without a valid token and requests of another tenant."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.access.invalid_credentials import (
    NO_TOKEN,
    InvalidCredential,
    build_invalid_credentials,
    list_formats,
)
from conformance.checks.access.sessions import ALTERNATIVE_CREDENTIALS, LOGGED_OUT_TOKEN
from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.bad_requests import (
    SAFE_METHODS,
    build_empty_body,
    build_readable_path,
    build_unknown_path,
    evaluate_status,
    find_blocking_reason,
)
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import is_create
from conformance.checks.writes.changes import describe_effect, fetch_attributes, path_of
from conformance.errors import READ_ONLY, SkipCheck, SkipReason
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.credentials import CredentialFormat
from conformance.transport.messages import Actor, Exchange
from spec.document import escape
from spec.model import Contract, Operation, Resource

LOGGED_OUT = "a logged-out token"
UNAUTHORIZED_KINDS = (NO_TOKEN, "another scheme", "an unknown token", "a malformed token")


def _send_unauthenticated(case: Case) -> Mapping[str, Exchange | SkipReason]:
    """Send the request with each kind of invalid credentials; return the exchanges, or why they were not sent.

    Writes use a new record, reads a shared or listed one, or else an unknown key; queries and bodies are valid where
    the run may build them, so that an accepted request succeeds.
    Once an operation with external effects was accepted, its body is empty.
    """
    session, operation = case.session, case.operation
    credentials = build_invalid_credentials(session.contract, operation)
    has_scheme = any(CredentialFormat() in list_formats(session.contract, names) for names in operation.security)
    kinds = [*credentials, *([LOGGED_OUT] if session.options.credentials and has_scheme else [])]
    if session.options.read_only and operation.method not in SAFE_METHODS:
        return dict.fromkeys(kinds, READ_ONLY)
    path, query = _build_path(case), session.records.required_query(operation)
    exchanges: dict[str, Exchange | SkipReason] = {}
    was_accepted = False
    for kind in kinds:
        body = build_empty_body(operation) if was_accepted and operation.effects else build_valid_body(case)
        try:
            invalid = InvalidCredential(case.use(LOGGED_OUT_TOKEN)) if kind == LOGGED_OUT else credentials[kind]
            exchange = session.client.send(
                operation,
                path=path,
                query={**query, **invalid.query},
                body=body,
                actor=Actor.ANONYMOUS,
                headers=invalid.headers,
            )
        except SkipCheck as skip:
            exchanges[kind] = skip.reason
            continue
        was_accepted = was_accepted or exchange.response.ok
        exchanges[kind] = exchange
    return exchanges


UNAUTHENTICATED_EXCHANGES = Fixture("unauthenticated exchanges", FixtureScope.OPERATION, _send_unauthenticated)


def _build_path(case: Case) -> Mapping[str, Any]:
    """Return the path of a record of the run, a new one for writes; of an unknown record if none can be created."""
    session, operation = case.session, case.operation
    if not operation.path_parameter_names or find_blocking_reason(case):
        return build_unknown_path(case)
    try:
        if operation.method in SAFE_METHODS:
            return build_readable_path(case)
        if operation.action == "delete":  # raises SkipCheck for mutable records, which must not be deleted
            session.operations.creator(operation.resource or "")
        return path_of(operation, session.records.create(operation.resource or "").key)
    except SkipCheck:
        return build_unknown_path(case)


def build_valid_body(case: Case) -> Any:
    """Return a valid body if the run may create what it requires, else an empty one; None without a body."""
    if case.operation.request_body is None or find_blocking_reason(case):
        return build_empty_body(case.operation)
    try:
        return case.session.payloads.build_any(case.operation, case.session.records.parent)
    except SkipCheck:
        return {}


def _requires_token(contract: Contract, operation: Operation) -> bool:
    """Whether each alternative has a credential in the request. A mutualTLS scheme has it in the connection."""
    return operation.requires_auth and all(
        any(CredentialFormat.from_scheme(contract.security_schemes[name]) for name in alternative)
        for alternative in operation.security
    )


@check(
    "unauthenticated-access-denied",
    "A request without a valid token does not succeed.",
    Category.AUTHENTICATION,
    _requires_token,
    provenance_independent=True,
)
def check_access_denied(case: Case) -> Iterator[CheckResult]:
    for kind, exchange in case.use(UNAUTHENTICATED_EXCHANGES).items():
        requirement = case.build_requirement(parameter=kind)
        if isinstance(exchange, SkipReason):
            yield case.skip(requirement, exchange)
            continue
        status = exchange.response.status
        message = f"request with {kind}: got {status}, expected 401" if exchange.response.ok else ""
        yield case.build_result(requirement, message, exchange)


@check(
    "unauthenticated-is-401",
    "A request without a valid token returns 401.",
    Category.AUTHENTICATION,
    _requires_token,
)
def check_unauthorized_status(case: Case) -> Iterator[CheckResult]:
    exchanges = case.use(UNAUTHENTICATED_EXCHANGES)
    kinds = UNAUTHORIZED_KINDS if UNAUTHORIZED_KINDS[1] in exchanges else [k for k in exchanges if k != LOGGED_OUT]
    for kind in kinds:
        exchange = exchanges[kind]
        if not isinstance(exchange, SkipReason):
            yield evaluate_status(case, 401, exchange, kind)
    if case.operation.method in SAFE_METHODS:  # some frameworks redirect clients that do not ask for JSON
        query = case.session.records.required_query(case.operation)
        headers = {"Accept": "*/*"}
        exchange = case.session.client.send(
            case.operation, path=_build_path(case), query=query, actor=Actor.ANONYMOUS, headers=headers
        )
        yield evaluate_status(case, 401, exchange, "no token, any media type")


def _has_alternatives(contract: Contract, operation: Operation) -> bool:
    return operation.method in SAFE_METHODS and bool(_list_single_keys(contract, operation))


@check(
    "alternative-credential-accepted",
    "Each security scheme authenticates a request; an invalid credential leaves it to the next one.",
    Category.AUTHENTICATION,
    _has_alternatives,
)
def check_alternative_credentials(case: Case) -> Iterator[CheckResult]:
    """Send each credential that the target accepts alone, and an unknown one together with the token of the run."""
    session, operation = case.session, case.operation
    path, query = build_readable_path(case), session.records.required_query(operation)
    for name in _list_single_keys(session.contract, operation):
        pointer = f"#/components/securitySchemes/{escape(name)}"
        requirement, headers = case.build_requirement(pointer, None, name), case.use(ALTERNATIVE_CREDENTIALS)[name]
        if isinstance(headers, SkipReason):
            yield case.skip(requirement, headers)
        else:
            exchange = session.client.send(operation, path=path, query=query, actor=Actor.ANONYMOUS, headers=headers)
            message = f"request with {name}: got 401" if exchange.response.status == 401 else ""
            yield case.build_result(requirement, message, exchange)
        formats = list_formats(session.contract, [name])
        if {part.format for part in session.client.credentials.find(operation.id)}.isdisjoint(formats):
            unknown = InvalidCredential.from_formats(formats)
            all_query = {**query, **unknown.query}
            exchange = session.client.send(operation, path=path, query=all_query, headers=unknown.headers)
            message = f"request with an unknown {name} credential and a valid token: got 401"
            requirement = case.build_requirement(pointer, None, f"{name} unknown")
            yield case.build_result(requirement, message if exchange.response.status == 401 else "", exchange)


def _list_single_keys(contract: Contract, operation: Operation) -> list[str]:
    """Return the API key schemes that alone authorize an operation."""
    names = [alternative[0] for alternative in operation.security if len(alternative) == 1]
    return [name for name in names if "in" in contract.security_schemes[name]]


def _needs_csrf_token(contract: Contract, operation: Operation) -> bool:
    cookie = contract.session_cookie
    return cookie is not None and 419 in operation.responses and (cookie.scheme,) in operation.security


@check(
    "session-needs-csrf-token",
    "A write of a session without its CSRF token does not succeed.",
    Category.AUTHENTICATION,
    _needs_csrf_token,
    provenance_independent=True,
    writes=True,
)
def check_csrf_token(case: Case) -> Iterator[CheckResult]:
    """Send the request as a form of another site would: with the session cookie only."""
    session, cookie = case.session, case.session.contract.session_cookie
    headers = case.use(ALTERNATIVE_CREDENTIALS)[cookie.scheme if cookie else ""]
    if isinstance(headers, SkipReason):
        raise SkipCheck(headers)
    exchange = session.client.send(
        case.operation,
        path=_build_path(case),
        query=session.records.required_query(case.operation),
        body=build_valid_body(case),
        actor=Actor.ANONYMOUS,
        headers={"Cookie": headers["Cookie"]},
    )
    status = exchange.response.status
    message = f"request with the session cookie only: got {status}, expected 419" if exchange.response.ok else ""
    yield case.build_result(case.build_requirement(), message, exchange)


def _is_tenant_scoped(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path:
        return False
    if operation.action in _EVALUATORS or _creates_tenant_child(contract, operation):
        return True
    return is_action(contract, operation) and len(operation.path_parameter_names) == 1


def _creates_tenant_child(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record whose required parent belongs to a tenant."""
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not is_create(contract, operation):
        return False
    setters = [field.relation_setter for field in operation.body_fields.values() if field.required]
    relations = [resource.relations.get(setter.relation) for setter in setters if setter]
    return any(r is not None and all(contract.resources[n].tenant_path for n in r.targets) for r in relations)


@check(
    "tenant-isolation",
    "Another tenant cannot retrieve, list, change, delete or reference a record.",
    Category.TENANCY,
    _is_tenant_scoped,
    provenance_independent=True,
    writes=True,
    needs_second_token=True,
)
def check_tenant_isolation(case: Case) -> Iterator[CheckResult]:
    """Send the request for a record of the run with the token of the other tenant."""
    session, operation = case.session, case.operation
    reason = find_blocking_reason(case) or find_shared_tenant_reason(session)
    if reason:
        yield case.skip(case.build_requirement(), reason)
        return
    resource = session.operations.resource(operation)
    if _creates_tenant_child(session.contract, operation):
        yield _evaluate_foreign_create(case)
        return
    is_read = operation.action in ("retrieve", "list")
    record = session.records.shared_record(resource.name) if is_read else session.records.create(resource.name)
    if is_public(resource, record):
        yield case.skip(case.build_requirement(), "the record is public")
        return
    yield _EVALUATORS.get(operation.action, _evaluate_write)(case, record)


def _evaluate_foreign_create(case: Case) -> CheckResult:
    """Create a record of the other tenant that references a parent of the run."""
    session, operation = case.session, case.operation
    body = session.payloads.build(operation, session.records.parent)
    for field in operation.body_fields.values():
        if not (field.relation_setter and field.required):
            continue
        parent = session.payloads.find_relation(operation, field.relation_setter.relation).targets[0]
        if is_public(session.contract.resources[parent], session.records.shared_record(parent)):
            return case.skip(case.build_requirement(), "the parent record is public")
    exchange = session.client.send(operation, body=body, actor=Actor.OTHER_TENANT)
    # A reference to an unknown record may be a validation error, so one to another tenant's record may be, too.
    return case.build_result(case.build_requirement(), describe_missing_denial(exchange, 422), exchange)


def is_public(resource: Resource, record: CreatedRecord) -> bool:
    """Whether other tenants may read a record."""
    conditions = resource.public_when
    return bool(conditions) and all(record.body.get(name) == value for name, value in conditions.items())


def _evaluate_retrieve(case: Case, record: CreatedRecord) -> CheckResult:
    exchange = case.session.client.retrieve(record.resource, record.key, actor=Actor.OTHER_TENANT)
    return case.build_result(case.build_requirement(), describe_missing_denial(exchange), exchange)


def _evaluate_write(case: Case, record: CreatedRecord) -> CheckResult:
    """Update, delete or act on the record as the other tenant: rejected, and the record is unchanged."""
    session, operation = case.session, case.operation
    retrieve = session.operations.find(record.resource, "retrieve")
    before = fetch_attributes(session, record.resource, record.key) if retrieve else {}
    is_custom = operation.action not in _EVALUATORS
    body: Any = build_action_body(session, operation) if is_custom else build_empty_body(operation)
    for field in () if is_custom else operation.body_fields.values():
        if field.relation_setter is None and field.x_query is None and isinstance(before.get(field.name), str):
            body = {field.name: session.payloads.generate_value(field.schema, field.name)}
            break
    if operation.action == "update":
        body = session.records.build_update(operation, record.resource, record.key, body or {})
    exchange = session.client.send(operation, path=path_of(operation, record.key), body=body, actor=Actor.OTHER_TENANT)
    message = describe_missing_denial(exchange)
    if not message and retrieve is not None:
        current = session.client.retrieve(record.resource, record.key)
        if current.response.ok:
            message = describe_effect(session, record.resource, record.key, before)
        else:
            message = f"the request was rejected, but retrieve then got {current.response.status}, expected 2xx"
    return case.build_result(case.build_requirement(), message, exchange)


def _evaluate_list(case: Case, record: CreatedRecord) -> CheckResult:
    """Read all pages of the list as the other tenant."""
    session, operation = case.session, case.operation
    query = session.records.required_query(operation)
    key = session.operations.resource(operation).key_attribute
    rows = session.records.rows(operation, query, actor=Actor.OTHER_TENANT)
    is_listed = any(row.get(key) == record.key for row in rows)
    exchange = session.client.send(operation, query=query, actor=Actor.OTHER_TENANT)
    message = f"the list of another tenant contains {key} {record.key}" if is_listed else ""
    return case.build_result(case.build_requirement(), message, exchange)


def describe_missing_denial(exchange: Exchange, *other_statuses: int) -> str:
    """Describe a status of another tenant's request other than 403, 404 and `other_statuses`; "" for these."""
    status = exchange.response.status
    is_denied = status in (403, 404, *other_statuses)
    method, path = exchange.request.method.upper(), exchange.request.path_template
    return "" if is_denied else f"{method} {path} by a user of another tenant: got {status}, expected 404 or 403"


_EVALUATORS = {
    "retrieve": _evaluate_retrieve,
    "update": _evaluate_write,
    "delete": _evaluate_write,
    "list": _evaluate_list,
}
