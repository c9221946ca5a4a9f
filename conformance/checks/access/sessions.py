"""Laws on accounts: who a token is, whose the records are that it makes, signing in, and signing out."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.lists.includes import build_full_include_query, is_whoami
from conformance.checks.support.bad_requests import evaluate_status
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import is_create, select_least_certain
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from conformance.skip_reasons import NO_CREDENTIALS, NO_SECOND_TOKEN, READ_ONLY, not_testable
from conformance.transport.messages import AUTHORIZATION, Exchange
from spec.loader import Contract, Operation

TOKEN_PROPERTIES = ("token", "access_token")
LOGOUT_ACTION = "logout"  # a word of x-action: ends the token that asks
WRONG_PASSWORD = "conformance-wrong-password"


# Who a token is -------------------------------------------------------------------------------------------------


def _check_token_identity(case: Case) -> Iterator[CheckResult]:
    """The same account wherever it is asked for, and another for another token."""
    session, operation = case.session, case.operation
    account = session.contract.account_resource
    identity = session.identity()
    if account is None or account.key_attribute not in identity:
        raise SkipCheck(not_testable("the contract has no account that shows its key"))
    exchange = session.send(operation)
    body = session.data(operation, exchange)
    key = body.get(account.key_attribute) if isinstance(body, dict) else None
    message = (
        ""
        if key == identity[account.key_attribute]
        else f"it shows {account.name} {key}, elsewhere {identity[account.key_attribute]}"
    )
    yield case.build_result(case.build_requirement(parameter="self"), message, exchange)
    if not session.has_token("other"):
        yield case.skip(case.build_requirement(parameter="other"), NO_SECOND_TOKEN)
        return
    other_exchange = session.send(operation, actor="other")
    body = session.data(operation, other_exchange)
    is_same_account = isinstance(body, dict) and body.get(account.key_attribute) == identity[account.key_attribute]
    message = f"it shows {account.name} {identity[account.key_attribute]} to another token" if is_same_account else ""
    if is_same_account and (reason := find_shared_tenant_reason(session)):
        yield case.skip(case.build_requirement(parameter="other"), reason)
    else:
        yield case.build_result(case.build_requirement(parameter="other"), message, other_exchange)


def _creates_owned_record(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return is_create(contract, operation) and resource is not None and len(resource.owner_path) == 1


def _check_owner(case: Case) -> Iterator[CheckResult]:
    """A record that names its owner names the account that made it."""
    session, resource = case.session, case.session.resource(case.operation)
    account, name = session.contract.account_resource, resource.owner_path[0]
    relation = resource.relations.get(name)
    created = session.shared_record(resource.name)
    owner = created.body.get(name)
    if account is None or relation is None or not isinstance(owner, dict) or account.key_attribute not in owner:
        raise SkipCheck(not_testable(f"the contract has no {name} that a new {resource.name} shows"))
    expected = session.identity().get(account.key_attribute)
    for operation, record, exchange in [
        (case.operation, created.body, created.exchange),
        *_read_back(session, created),
    ]:
        record_owner = record.get(name)
        if not isinstance(record_owner, dict) or account.key_attribute not in record_owner:
            continue
        location = select_least_certain(case, (relation.pointer, None), (operation.pointer, None))
        message = (
            f"its {name} is {record_owner[account.key_attribute]}, made by {expected}"
            if record_owner[account.key_attribute] != expected
            else ""
        )
        label = name if operation is case.operation else f"{name} by {operation.id}"
        yield case.build_result(case.build_requirement(*location, parameter=label), message, exchange)


def _read_back(session: Session, created: CreatedRecord) -> Iterator[tuple[Operation, Mapping[str, Any], Exchange]]:
    """The record as it is retrieved, and as it is listed where it stands on the first page."""
    key = session.contract.resources[created.resource].key_attribute
    retrieve_operation, listing = (
        session.operation(created.resource, "retrieve"),
        session.operation(created.resource, "list"),
    )
    if retrieve_operation is not None:
        path = {retrieve_operation.path_parameter_names[0]: created.key}
        exchange = session.send(
            retrieve_operation, path=path, query=build_full_include_query(session, retrieve_operation)
        )
        record = session.data(retrieve_operation, exchange)
        yield from [(retrieve_operation, record, exchange)] if isinstance(record, dict) else []
    if listing is not None:
        exchange = session.send(
            listing, query=(*session.required_query(listing).items(), *build_full_include_query(session, listing))
        )
        rows = session.data(listing, exchange)
        row = next((row for row in rows if row.get(key) == created.key), None) if isinstance(rows, list) else None
        yield from [(listing, row, exchange)] if row is not None else []


# Signing in -----------------------------------------------------------------------------------------------------


def _is_login(contract: Contract, operation: Operation) -> bool:
    """Whether an operation takes an account's login and secret from anybody."""
    account = contract.account_resource.credentials if contract.account_resource else None
    fields = operation.request_body.fields if operation.request_body else {}
    accepts_credentials = account is not None and account.login in fields and account.secret in fields
    return accepts_credentials and operation.method == "post" and not operation.requires_auth


def _check_wrong_credentials(case: Case) -> Iterator[CheckResult]:
    """Somebody who is not there, and the run's own account with a wrong secret: once each, so that nobody is locked
    out."""
    session = case.session
    account = session.contract.account_resource.credentials if session.contract.account_resource else None
    if account is None or case.operation.request_body is None:
        return
    unknown_login = {**session.payloads.build(case.operation, session.parent), account.secret: WRONG_PASSWORD}
    yield evaluate_status(case, 401, _attempt_login(case, unknown_login), "nobody's")
    if session.credentials:
        wrong_password = {**unknown_login, account.login: session.credentials[account.login]}
        yield evaluate_status(case, 401, _attempt_login(case, wrong_password), "wrong")


def _attempt_login(case: Case, body: Mapping[str, Any]) -> Exchange:
    exchange: Exchange = case.session.run_once(
        f"{case.operation.id} {sorted(body.items())[0]}",
        lambda: case.session.send(case.operation, body=dict(body), actor="nobody"),
    )
    return exchange


def _log_in(session: Session) -> tuple[Exchange, Mapping[str, str]]:
    """A fresh token as a header, and how it was had. Raises CannotMake."""
    operation = next((o for o in session.contract.operations.values() if _is_login(session.contract, o)), None)
    if operation is None:
        raise SkipCheck(not_testable("the contract has no operation to sign in"))
    if not session.credentials:
        raise SkipCheck(NO_CREDENTIALS)
    if session.read_only:
        raise SkipCheck(READ_ONLY)
    body = {**session.payloads.build(operation, session.parent), **session.credentials}
    exchange = session.send(operation, body=body, actor="nobody")
    data = session.data(operation, exchange)
    token = next(
        (data[name] for name in TOKEN_PROPERTIES if isinstance(data, dict) and isinstance(data.get(name), str)), None
    )
    if not exchange.response.ok or token is None:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status} and no token")
    return exchange, {AUTHORIZATION: f"Bearer {token}"}


def _check_login_token(case: Case) -> Iterator[CheckResult]:
    """The fresh token is the account's whose login was sent."""
    session = case.session
    exchange, token = _log_in(session)
    identity_exchange = _request_identity(session, token)
    account = session.contract.account_resource
    login = account.credentials.login if account and account.credentials else ""
    identity = session.data(session.contract.operations[identity_exchange.request.operation], identity_exchange)
    message = (
        f"the fresh token is answered {identity_exchange.response.status}" if not identity_exchange.response.ok else ""
    )
    expected, actual = (
        str(session.credentials.get(login)),
        str(identity.get(login)) if isinstance(identity, dict) else "",
    )
    if not message and isinstance(identity, dict) and login in identity and expected.casefold() != actual.casefold():
        message = f"the fresh token is another {account.name if account else 'account'}'s than that which signed in"
    yield case.build_result(case.build_requirement(parameter="works"), message, exchange, identity_exchange)
    _log_out(session, token)


def _request_identity(session: Session, token: Mapping[str, str]) -> Exchange:
    operation = next((o for o in session.contract.operations.values() if session.contract.is_whoami(o)), None)
    if operation is None:
        raise SkipCheck(not_testable("the contract has no operation that says whose token it is"))
    return session.send(operation, actor="nobody", headers=token)


def _log_out(session: Session, token: Mapping[str, str]) -> Exchange | None:
    operation = next((o for o in session.contract.operations.values() if o.action == LOGOUT_ACTION), None)
    return session.send(operation, actor="nobody", headers=token) if operation else None


def obtain_logged_out_token(session: Session) -> Mapping[str, str]:
    """The header of a token that was logged out. Raises CannotMake."""

    def end_session() -> Mapping[str, str]:
        _, token = _log_in(session)
        logout_exchange = _log_out(session, token)
        if logout_exchange is None or not logout_exchange.response.ok:
            raise SkipCheck(not_testable("the contract has no way to log out that the target takes"))
        return token

    headers: Mapping[str, str] = session.run_once(LOGOUT_ACTION, end_session)
    return headers


# Signing out ----------------------------------------------------------------------------------------------------


def _is_logout(contract: Contract, operation: Operation) -> bool:
    return operation.action == LOGOUT_ACTION and operation.method == "post" and operation.requires_auth


def _check_logout(case: Case) -> Iterator[CheckResult]:
    """A token that was signed in for this: none after it, while the run's own goes on."""
    session = case.session
    _, token = _log_in(session)
    logout_exchange = _log_out(session, token)
    if logout_exchange is None or not logout_exchange.response.ok:
        raise SkipCheck(
            f"{case.operation.id} answered {logout_exchange.response.status if logout_exchange else 'nothing'}"
        )
    exchanges = [logout_exchange]

    def find_problem() -> str:
        exchanges.append(_request_identity(session, token))
        status = exchanges[-1].response.status
        return "" if status == 401 else f"the token is answered {status} after it was logged out, due: 401"

    message = session.wait_until(find_problem)
    yield case.build_result(case.build_requirement(parameter="ended"), message, logout_exchange, exchanges[-1])
    own_exchange = session.send(session.contract.operations[exchanges[-1].request.operation])
    message = (
        ""
        if own_exchange.response.ok
        else f"another token of the account is answered {own_exchange.response.status} after it"
    )
    yield case.build_result(case.build_requirement(parameter="others"), message, logout_exchange, own_exchange)


CHECKS: tuple[Check, ...] = (
    Check(
        "token-identifies-account",
        "A token identifies the same account in every response.",
        Category.AUTHENTICATION,
        is_whoami,
        _check_token_identity,
    ),
    Check(
        "creator-owns-record",
        "A new record belongs to the account that created it.",
        Category.TENANCY,
        _creates_owned_record,
        _check_owner,
        writes=True,
    ),
    Check(
        "wrong-credentials-are-401",
        "A login with wrong credentials returns 401.",
        Category.AUTHENTICATION,
        _is_login,
        _check_wrong_credentials,
        writes=True,
    ),
    Check(
        "login-token-works",
        "A login returns a valid token of the account that logged in.",
        Category.AUTHENTICATION,
        _is_login,
        _check_login_token,
        writes=True,
    ),
    Check(
        "logout-revokes-token",
        "A logout revokes its token and no other token of the account.",
        Category.AUTHENTICATION,
        _is_logout,
        _check_logout,
        provenance_independent=True,
        writes=True,
    ),
)
