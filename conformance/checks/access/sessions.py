"""Checks of accounts: the identity of a token, embedded records, login and logout."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from conformance.checks.support.bad_requests import evaluate_status
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import describe_change, parse_instant, parse_zoned_datetime
from conformance.checks.writes.changes import describe_changes
from conformance.checks.writes.timestamps import CLOCK_RESOLUTION, WITNESS_PAUSE
from conformance.errors import NO_CREDENTIALS, NO_SECOND_TOKEN, READ_ONLY, SkipCheck, SkipReason, not_testable
from conformance.model.specification import is_volatile
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.transport.credentials import CredentialFormat
from conformance.transport.messages import AUTHORIZATION, GONE_STATUSES, Actor, Exchange
from spec.model import Contract, Operation

TOKEN_PROPERTIES = ("token", "access_token")
LOGOUT_ACTION = "logout"  # the x-action of the operation that revokes the token of the request
WRONG_PASSWORD = "conformance-wrong-password"


# Identity


@check(
    "token-identifies-account",
    "A token identifies the same account in every response.",
    Category.AUTHENTICATION,
    Contract.is_whoami,
)
def check_token_identity(case: Case) -> Iterator[CheckResult]:
    """The operation returns the account of the token of the run, and another account for another token."""
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


@check(
    "embedded-matches-retrieved",
    "A record that the account embeds has the same values when it is retrieved.",
    Category.RELATIONS,
    Contract.is_whoami,
    compares_responses=True,
)
def check_embedded_records(case: Case) -> Iterator[CheckResult]:
    """Retrieve the records that the account embeds; the model compares all other records."""
    session, account = case.session, case.session.contract.account_resource
    exchange = session.client.send(case.operation)
    body = session.operations.data(case.operation, exchange)
    for relation in account.relations.values() if account is not None and isinstance(body, dict) else ():
        embedded, target = body.get(relation.name), session.contract.resources[relation.targets[0]]
        retrieve = session.operations.find(target.name, "retrieve")
        if len(relation.targets) > 1 or retrieve is None or not (isinstance(embedded, dict) and embedded):
            continue
        requirement = case.build_requirement(relation.pointer, "properties", relation.name)
        retrieved = session.client.retrieve(target.name, embedded.get(target.key_attribute))
        record, status = session.operations.data(retrieve, retrieved), retrieved.response.status
        if status in GONE_STATUSES:
            message = f"{relation.name} is a {target.name} that does not exist: retrieving it returned {status}"
            yield case.build_result(requirement, message, exchange, retrieved)
        elif isinstance(record, dict) and retrieved.response.ok:
            stable = {n: record[n] for n in target.attributes if n in record and not is_volatile(target, n)}
            changes = describe_changes(stable, embedded)
            yield case.build_result(requirement, f"{relation.name}: {changes}" if changes else "", exchange, retrieved)
        else:
            yield case.skip(requirement, f"retrieving the embedded {target.name} returned {status}")


def _has_update_stamp(contract: Contract, operation: Operation) -> bool:
    account = contract.account_resource
    return contract.is_whoami(operation) and account is not None and bool(account.attributes_with_stamp("updated"))


@check(
    "account-unchanged-by-reads",
    "A request that changes nothing leaves the time of the last change of its account as it was.",
    Category.AUTHENTICATION,
    _has_update_stamp,
)
def check_account_unchanged(case: Case) -> Iterator[CheckResult]:
    """Retrieve the account twice, with a pause if the time has whole seconds."""
    session, account = case.session, case.session.contract.account_resource
    first = session.client.send(case.operation)
    before = session.operations.data(case.operation, first)
    for name in account.attributes_with_stamp("updated") if account is not None else ():
        requirement = case.build_requirement(account.attributes[name].pointer if account else None, None, name)
        instant = parse_zoned_datetime(before.get(name)) if isinstance(before, dict) else None
        if instant is None:
            yield case.skip(requirement, f"the response does not contain {name}")
            continue
        session.client.sleep(CLOCK_RESOLUTION if instant.microsecond else WITNESS_PAUSE)
        second = session.client.send(case.operation)
        after = session.operations.data(case.operation, second)
        changed = [n for n in before if isinstance(after, dict) and n in after and before[n] != after[n]]
        is_touched = changed == [name] and parse_instant(before[name]) != parse_instant(after[name])
        message = f"{describe_change(name, before[name], after[name])} without a change" if is_touched else ""
        yield case.build_result(requirement, message, first, second)


# Login


def is_login(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation accepts the credentials of an account without authentication."""
    account = contract.account_resource.credentials if contract.account_resource else None
    fields = operation.body_fields
    accepts_credentials = account is not None and account.login in fields and account.secret in fields
    return accepts_credentials and operation.method == "post" and not operation.requires_auth


@check(
    "wrong-credentials-are-401",
    "A login with wrong credentials returns 401.",
    Category.AUTHENTICATION,
    is_login,
    writes=True,
)
def check_wrong_credentials(case: Case) -> Iterator[CheckResult]:
    """Log in with an unknown login and with a wrong password. Each is sent once, so that no account is locked."""
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


def log_in(session: Session) -> tuple[Exchange, Mapping[str, str]]:
    """Log in. Returns the exchange, and a header with the new token. Raises SkipCheck."""
    operation = _find_operation(session.contract, lambda operation: is_login(session.contract, operation))
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


def _find_operation(contract: Contract, condition: Callable[[Operation], bool]) -> Operation | None:
    return next((operation for operation in contract.operations.values() if condition(operation)), None)


@check(
    "login-token-works",
    "A login returns a valid token of the account that logged in.",
    Category.AUTHENTICATION,
    is_login,
    writes=True,
)
def check_login_token(case: Case) -> Iterator[CheckResult]:
    """The new token identifies the account whose login was sent."""
    session = case.session
    exchange, token = log_in(session)
    identity_exchange = request_identity(session, token)
    account = session.contract.account_resource
    login = account.credentials.login if account and account.credentials else ""
    operation = session.contract.operations[identity_exchange.request.operation]
    identity = session.operations.data(operation, identity_exchange)
    message = ""
    if not identity_exchange.response.ok:
        message = f"request with the new token: got {identity_exchange.response.status}, expected 2xx"
    elif isinstance(identity, dict) and login in identity:
        expected, actual = str(session.options.credentials.get(login)), str(identity.get(login))
        if expected.casefold() != actual.casefold():
            message = f"the new token identifies another {account.name if account else 'account'} than the login"
    yield case.build_result(case.build_requirement(parameter="works"), message, exchange, identity_exchange)
    log_out(session, token)


def request_identity(session: Session, token: Mapping[str, str]) -> Exchange:
    """Send a request that returns the account of a token. `token`: its headers. Raises SkipCheck."""
    operation = _find_operation(session.contract, session.contract.is_whoami)
    if operation is None:
        raise SkipCheck(not_testable("the contract defines no operation that returns the account of a token"))
    return session.client.send(operation, actor=Actor.ANONYMOUS, headers=token)


def log_out(session: Session, token: Mapping[str, str]) -> Exchange | None:
    """Revoke a token or session. `token`: its headers. Returns None if the contract defines no logout."""
    operation = _find_operation(session.contract, lambda operation: operation.action == LOGOUT_ACTION)
    return session.client.send(operation, actor=Actor.ANONYMOUS, headers=token) if operation else None


def _obtain_logged_out_token(case: Case) -> Mapping[str, str]:
    """Return a header with a revoked token. Raises SkipCheck."""
    _, token = log_in(case.session)
    exchange = log_out(case.session, token)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(not_testable("the target accepts no logout"))
    return token


LOGGED_OUT_TOKEN = Fixture("logged-out token", FixtureScope.RUN, _obtain_logged_out_token)


def start_session(session: Session) -> Mapping[str, str]:
    """Log in and return the headers with the session cookie and the CSRF token. Raises SkipCheck."""
    cookie = session.contract.session_cookie
    header = log_in(session)[0].response.headers.get("set-cookie", "")
    names = [cookie.name, cookie.csrf_cookie] if cookie else []
    values = {n: m[1] for n in names if n and (m := re.search(rf"(?:^|,\s*){re.escape(n)}=([^;,\s]+)", header))}
    if cookie is None or cookie.name not in values:
        raise SkipCheck(not_testable("the login sets no session cookie"))
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in values.items())}
    if cookie.csrf_cookie in values:
        headers[cookie.csrf_header] = unquote(values[cookie.csrf_cookie])
    return headers


@check(
    "csrf-cookie-is-readable",
    "Scripts can read the cookie with the CSRF token, which they must send in a header.",
    Category.AUTHENTICATION,
    lambda c, o: is_login(c, o) and c.session_cookie is not None and bool(c.session_cookie.csrf_cookie),
    writes=True,
)
def check_csrf_cookie(case: Case) -> Iterator[CheckResult]:
    """Log in; the cookie must not have the attribute HttpOnly."""
    cookie = case.session.contract.session_cookie
    assert cookie is not None
    exchange, token = log_in(case.session)
    attributes = find_cookie_attributes(exchange.response.headers.get("set-cookie", ""), cookie.csrf_cookie)
    requirement = case.build_requirement(parameter=cookie.csrf_cookie)
    if attributes is None:
        yield case.skip(requirement, not_testable(f"the login sets no cookie {cookie.csrf_cookie}"))
    else:
        message = f"{cookie.csrf_cookie} has HttpOnly, but clients must send its value in {cookie.csrf_header}"
        result = case.build_result(requirement, message if "httponly" in attributes else "", exchange)
        yield replace(result, requirement=replace(requirement, provenance="inferred"))
    log_out(case.session, token)


def find_cookie_attributes(header: str, name: str) -> list[str] | None:
    """Return the attributes of a cookie in lower case; None if it is not set.

    `header`: all Set-Cookie headers, separated by commas.
    """
    start = re.search(rf"(?:^|,\s*){re.escape(name)}=", header)
    if start is None:
        return None
    # Another cookie begins after a comma, unlike the rest of a date in Expires.
    text = re.split(r",\s*(?=[^;,=\s]+=)", header[start.end() :])[0]
    return [part.partition("=")[0].strip().lower() for part in text.split(";")[1:]]


def _find_alternative_credentials(case: Case) -> Mapping[str, Mapping[str, str] | SkipReason]:
    """Return the headers for each API key scheme, or the reason why it cannot be tested."""
    schemes = {name: scheme for name, scheme in case.session.contract.security_schemes.items() if "in" in scheme}
    return {name: _find_accepted_headers(case.session, name, scheme) for name, scheme in schemes.items()}


def _find_accepted_headers(session: Session, name: str, scheme: Mapping[str, Any]) -> Mapping[str, str] | SkipReason:
    """Return the headers of a scheme that the target accepts. A target may not support all schemes of the contract.

    A header contains the token of the run, a cookie the session of a login.
    """
    if scheme["in"] == "query":
        return not_testable("a key in the query is only tested as the credential of the run")
    operations = session.contract.operations.values()
    whoami = [o for o in operations if session.contract.is_whoami(o) and (name,) in o.security]
    if not whoami:
        return not_testable(f"no operation identifies the account of a credential in {name}")
    try:
        headers = _build_key_header(session, scheme) if scheme["in"] == "header" else start_session(session)
        accepting = any(_is_accepted(session, operation, headers) for operation in whoami)
    except SkipCheck as skip:
        return skip.reason
    return headers if accepting else not_testable(f"the target accepts no {name}")


def _build_key_header(session: Session, scheme: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the header of an API key with the credential that the run has for it, else with its token."""
    place = CredentialFormat.from_scheme(scheme)
    parts = (part for operation in session.contract.operations for part in session.client.credentials.find(operation))
    values = [part.credential.value for part in parts if part.credential is not None and part.format == place]
    return {scheme["name"]: values[0] if values else session.client.target.tokens.get(Actor.OWNER, "")}


def _is_accepted(session: Session, operation: Operation, headers: Mapping[str, str]) -> bool:
    return session.client.send(operation, actor=Actor.ANONYMOUS, headers=headers).response.ok


ALTERNATIVE_CREDENTIALS = Fixture("alternative credentials", FixtureScope.RUN, _find_alternative_credentials)


# Logout


@check(
    "logout-revokes-token",
    "A logout revokes its token and no other token of the account.",
    Category.AUTHENTICATION,
    lambda c, o: o.action == LOGOUT_ACTION and o.method == "post" and o.requires_auth,
    provenance_independent=True,
    writes=True,
)
def check_logout(case: Case) -> Iterator[CheckResult]:
    """After a login and a logout the new token or session is rejected, and the token of the run is still valid."""
    session, cookie = case.session, case.session.contract.session_cookie
    result = _evaluate_logout(case, log_in(session)[1], "ended")
    yield result
    own_exchange = session.client.send(session.contract.operations[result.evidence[-1].request.operation])
    status = own_exchange.response.status
    is_valid = own_exchange.response.ok
    message = "" if is_valid else f"request with another token after the logout: got {status}, expected 2xx"
    yield case.build_result(case.build_requirement(parameter="others"), message, result.evidence[0], own_exchange)
    yield _evaluate_other_sign_in(case)
    if cookie is not None and not isinstance(case.use(ALTERNATIVE_CREDENTIALS)[cookie.scheme], SkipReason):
        yield _evaluate_logout(case, start_session(session), "session ended")


def _evaluate_other_sign_in(case: Case) -> CheckResult:
    """Sign in twice and log out once: the other sign-in is still valid, if it was so before."""
    session, requirement = case.session, case.build_requirement(parameter="other sign-in")
    other, token = log_in(session)[1], log_in(session)[1]
    before = request_identity(session, other)
    if not before.response.ok or other == token:
        return case.skip(requirement, "a sign-in ends the sign-ins before")
    logout_exchange = log_out(session, token)
    if logout_exchange is None or not logout_exchange.response.ok:
        return case.skip(requirement, "the target did not accept the logout")
    after = request_identity(session, other)
    message = f"request of another sign-in after the logout: got {after.response.status}, expected 2xx"
    if after.response.ok:
        log_out(session, other)
    return case.build_result(requirement, "" if after.response.ok else message, before, logout_exchange, after)


def _evaluate_logout(case: Case, credential: Mapping[str, str], parameter: str) -> CheckResult:
    """Log out, and evaluate whether the token or session is rejected then. Raises SkipCheck."""
    session = case.session
    logout_exchange = log_out(session, credential)
    if logout_exchange is None or not logout_exchange.response.ok:
        status = logout_exchange.response.status if logout_exchange else "no response"
        raise SkipCheck(f"{case.operation.id} returned {status}")
    exchanges = [logout_exchange]

    def find_problem() -> str:
        exchanges.append(request_identity(session, credential))
        status = exchanges[-1].response.status
        return "" if status == 401 else f"request with the credential after its logout: got {status}, expected 401"

    message = session.client.wait_until(find_problem)
    return case.build_result(case.build_requirement(parameter=parameter), message, logout_exchange, exchanges[-1])
