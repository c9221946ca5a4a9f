"""Checks of accounts: the identity of a token, ownership of records, login and logout."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.lists.read_operations import is_whoami
from conformance.checks.support.bad_requests import evaluate_status
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.parameters import build_full_include_query, retrieve_with_relations
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import is_create, select_least_certain
from conformance.errors import NO_CREDENTIALS, NO_SECOND_TOKEN, READ_ONLY, SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import AUTHORIZATION, Actor, Exchange
from spec.model import Contract, Operation

TOKEN_PROPERTIES = ("token", "access_token")
LOGOUT_ACTION = "logout"  # the x-action of the operation that revokes the token of the request
WRONG_PASSWORD = "conformance-wrong-password"


# Identity


@check(
    "token-identifies-account",
    "A token identifies the same account in every response.",
    Category.AUTHENTICATION,
    is_whoami,
)
def check_token_identity(case: Case) -> Iterator[CheckResult]:
    """Every operation returns the same account for a token, and another account for another token."""
    session, operation = case.session, case.operation
    account = session.contract.account_resource
    identity = session.client.identity()
    if account is None or account.key_attribute not in identity:
        raise SkipCheck(not_testable("the response does not contain the key of the account"))
    expected = identity[account.key_attribute]

    def read_key(exchange: Exchange) -> Any:
        body = session.operations.data(operation, exchange)
        return body.get(account.key_attribute) if isinstance(body, dict) else None

    exchange = session.client.send(operation)
    key = read_key(exchange)
    message = "" if key == expected else f"{account.name} of the token: got {key}, expected {expected}"
    yield case.build_result(case.build_requirement(parameter="self"), message, exchange)
    requirement = case.build_requirement(parameter="other")
    if not session.client.has_token(Actor.OTHER_TENANT):
        yield case.skip(requirement, NO_SECOND_TOKEN)
        return
    other_exchange = session.client.send(operation, actor=Actor.OTHER_TENANT)
    is_same_account = read_key(other_exchange) == expected
    if is_same_account and (reason := find_shared_tenant_reason(session)):
        yield case.skip(requirement, reason)
    else:
        message = f"another token returns the same {account.name} {expected}" if is_same_account else ""
        yield case.build_result(requirement, message, other_exchange)


def _creates_owned_record(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return is_create(contract, operation) and resource is not None and len(resource.owner_path) == 1


@check(
    "creator-owns-record",
    "A new record belongs to the account that created it.",
    Category.TENANCY,
    _creates_owned_record,
    writes=True,
)
def check_owner(case: Case) -> Iterator[CheckResult]:
    """The owner of a new record is the account that created it, in every response that has the owner."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    account, name = session.contract.account_resource, resource.owner_path[0]
    relation = resource.relations.get(name)
    created = session.records.shared_record(resource.name)
    owner = created.body.get(name)
    if account is None or relation is None or not isinstance(owner, dict) or account.key_attribute not in owner:
        raise SkipCheck(not_testable(f"the response does not contain the {name} of a new {resource.name}"))
    expected = session.client.identity().get(account.key_attribute)
    views = [(case.operation, created.body, created.exchange), *_read_back(session, created)]
    for operation, record, exchange in views:
        owner = record.get(name)
        if not isinstance(owner, dict) or account.key_attribute not in owner:
            continue
        location = select_least_certain(case, (relation.pointer, None), (operation.pointer, None))
        key = owner[account.key_attribute]
        message = f"{name}: got {account.name} {key}, expected {expected}" if key != expected else ""
        label = name if operation is case.operation else f"{name} by {operation.id}"
        yield case.build_result(case.build_requirement(*location, parameter=label), message, exchange)


def _read_back(session: Session, created: CreatedRecord) -> Iterator[tuple[Operation, Mapping[str, Any], Exchange]]:
    """Yield the record as retrieved, and as listed if it is on the first page."""
    key = session.contract.resources[created.resource].key_attribute
    retrieve, listing = (
        session.operations.find(created.resource, "retrieve"),
        session.operations.find(created.resource, "list"),
    )
    if retrieve is not None:
        record, exchange = retrieve_with_relations(session, retrieve, created.key)
        yield from [(retrieve, record, exchange)] if isinstance(record, dict) else []
    if listing is not None:
        query = (*session.records.required_query(listing).items(), *build_full_include_query(session, listing))
        exchange = session.client.send(listing, query=query)
        rows = session.operations.data(listing, exchange)
        rows = rows if isinstance(rows, list) else []
        row = next((row for row in rows if isinstance(row, dict) and row.get(key) == created.key), None)
        yield from [(listing, row, exchange)] if row is not None else []


# Login


def _is_login(contract: Contract, operation: Operation) -> bool:
    """Whether an operation accepts the credentials of an account without authentication."""
    account = contract.account_resource.credentials if contract.account_resource else None
    fields = operation.body_fields
    accepts_credentials = account is not None and account.login in fields and account.secret in fields
    return accepts_credentials and operation.method == "post" and not operation.requires_auth


@check(
    "wrong-credentials-are-401",
    "A login with wrong credentials returns 401.",
    Category.AUTHENTICATION,
    _is_login,
    writes=True,
)
def check_wrong_credentials(case: Case) -> Iterator[CheckResult]:
    """Log in with an unknown login and with a wrong password, once each to avoid a lockout."""
    session = case.session
    account = session.contract.account_resource.credentials if session.contract.account_resource else None
    if account is None or case.operation.request_body is None:
        return
    body = {**session.payloads.build(case.operation, session.records.parent), account.secret: WRONG_PASSWORD}
    bodies = {"unknown login": body}
    if session.options.credentials:
        bodies["wrong password"] = {**body, account.login: session.options.credentials[account.login]}
    for label, wrong_body in bodies.items():
        exchange = session.client.send(case.operation, body=wrong_body, actor=Actor.ANONYMOUS)
        yield evaluate_status(case, 401, exchange, label)


def _log_in(session: Session) -> tuple[Exchange, Mapping[str, str]]:
    """Log in and return the exchange and the header with the new token. Raises SkipCheck."""
    operation = next((o for o in session.contract.operations.values() if _is_login(session.contract, o)), None)
    if operation is None:
        raise SkipCheck(not_testable("the contract defines no login operation"))
    if not session.options.credentials:
        raise SkipCheck(NO_CREDENTIALS)
    if session.options.read_only:
        raise SkipCheck(READ_ONLY)
    body = {**session.payloads.build(operation, session.records.parent), **session.options.credentials}
    exchange = session.client.send(operation, body=body, actor=Actor.ANONYMOUS)
    data = session.operations.data(operation, exchange)
    values = [data.get(name) for name in TOKEN_PROPERTIES] if isinstance(data, dict) else []
    token = next((value for value in values if isinstance(value, str)), None)
    if not exchange.response.ok or token is None:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status} without a token")
    return exchange, {AUTHORIZATION: f"Bearer {token}"}


@check(
    "login-token-works",
    "A login returns a valid token of the account that logged in.",
    Category.AUTHENTICATION,
    _is_login,
    writes=True,
)
def check_login_token(case: Case) -> Iterator[CheckResult]:
    """The new token identifies the account whose login was sent."""
    session = case.session
    exchange, token = _log_in(session)
    identity_exchange = _request_identity(session, token)
    account = session.contract.account_resource
    login = account.credentials.login if account and account.credentials else ""
    identity = session.operations.data(
        session.contract.operations[identity_exchange.request.operation], identity_exchange
    )
    message = ""
    if not identity_exchange.response.ok:
        message = f"request with the new token: got {identity_exchange.response.status}, expected 2xx"
    elif isinstance(identity, dict) and login in identity:
        expected, actual = str(session.options.credentials.get(login)), str(identity.get(login))
        if expected.casefold() != actual.casefold():
            message = f"the new token identifies another {account.name if account else 'account'} than the login"
    yield case.build_result(case.build_requirement(parameter="works"), message, exchange, identity_exchange)
    _log_out(session, token)


def _request_identity(session: Session, token: Mapping[str, str]) -> Exchange:
    operation = next((o for o in session.contract.operations.values() if session.contract.is_whoami(o)), None)
    if operation is None:
        raise SkipCheck(not_testable("the contract defines no operation that returns the account of a token"))
    return session.client.send(operation, actor=Actor.ANONYMOUS, headers=token)


def _log_out(session: Session, token: Mapping[str, str]) -> Exchange | None:
    operation = next((o for o in session.contract.operations.values() if o.action == LOGOUT_ACTION), None)
    return session.client.send(operation, actor=Actor.ANONYMOUS, headers=token) if operation else None


def _obtain_logged_out_token(case: Case) -> Mapping[str, str]:
    """Return the header with a revoked token. Raises SkipCheck."""
    _, token = _log_in(case.session)
    exchange = _log_out(case.session, token)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(not_testable("the target accepts no logout"))
    return token


LOGGED_OUT_TOKEN = Fixture("logged-out token", FixtureScope.RUN, _obtain_logged_out_token)


# Logout


def _is_logout(contract: Contract, operation: Operation) -> bool:
    return operation.action == LOGOUT_ACTION and operation.method == "post" and operation.requires_auth


@check(
    "logout-revokes-token",
    "A logout revokes its token and no other token of the account.",
    Category.AUTHENTICATION,
    _is_logout,
    provenance_independent=True,
    writes=True,
)
def check_logout(case: Case) -> Iterator[CheckResult]:
    """Log in and out again: the new token is rejected, the token of the run still works."""
    session = case.session
    _, token = _log_in(session)
    logout_exchange = _log_out(session, token)
    if logout_exchange is None or not logout_exchange.response.ok:
        status = logout_exchange.response.status if logout_exchange else "no response"
        raise SkipCheck(f"{case.operation.id} returned {status}")
    exchanges = [logout_exchange]

    def find_problem() -> str:
        exchanges.append(_request_identity(session, token))
        status = exchanges[-1].response.status
        return "" if status == 401 else f"request with the token after its logout: got {status}, expected 401"

    message = session.client.wait_until(find_problem)
    yield case.build_result(case.build_requirement(parameter="ended"), message, logout_exchange, exchanges[-1])
    own_exchange = session.client.send(session.contract.operations[exchanges[-1].request.operation])
    status = own_exchange.response.status
    is_valid = own_exchange.response.ok
    message = "" if is_valid else f"request with another token after the logout: got {status}, expected 2xx"
    yield case.build_result(case.build_requirement(parameter="others"), message, logout_exchange, own_exchange)
