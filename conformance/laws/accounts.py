"""Laws on accounts: who a token is, whose the records are that it makes, signing in, and signing out."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.cause import NO_CREDENTIALS, NO_SECOND_TOKEN, READ_ONLY, not_testable
from conformance.errors import SkipCheck
from conformance.exchange import AUTHORIZATION, Exchange
from conformance.laws.asking import answered
from conformance.laws.includes import everything, identifies
from conformance.laws.law import Case, Law
from conformance.laws.neighbours import neighbours
from conformance.laws.own import creates, weakest
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from spec.contract import Contract, Operation

TOKENS = ("token", "access_token")
LOGOUT = "logout"  # a word of x-action: ends the token that asks
WRONG = "conformance-wrong-password"


# Who a token is -------------------------------------------------------------------------------------------------


def _is_whose(case: Case) -> Iterator[CheckResult]:
    """The same account wherever it is asked for, and another for another token."""
    session, operation = case.session, case.operation
    account = session.contract.account_resource
    mine = session.identity()
    if account is None or account.key_attribute not in mine:
        raise SkipCheck(not_testable("the contract has no account that shows its key"))
    exchange = session.send(operation)
    found = session.data(operation, exchange)
    key = found.get(account.key_attribute) if isinstance(found, dict) else None
    said = (
        ""
        if key == mine[account.key_attribute]
        else f"it shows {account.name} {key}, elsewhere {mine[account.key_attribute]}"
    )
    yield case.judged(case.promise(parameter="self"), said, exchange)
    if not session.has_token("other"):
        yield case.not_judged(case.promise(parameter="other"), NO_SECOND_TOKEN)
        return
    other = session.send(operation, actor="other")
    found = session.data(operation, other)
    same = isinstance(found, dict) and found.get(account.key_attribute) == mine[account.key_attribute]
    said = f"it shows {account.name} {mine[account.key_attribute]} to another token" if same else ""
    if same and (why := neighbours(session)):
        yield case.not_judged(case.promise(parameter="other"), why)
    else:
        yield case.judged(case.promise(parameter="other"), said, other)


def _is_owned(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return creates(contract, operation) and resource is not None and len(resource.owner_path) == 1


def _is_its_makers(case: Case) -> Iterator[CheckResult]:
    """A record that names its owner names the account that made it."""
    session, resource = case.session, case.session.resource(case.operation)
    account, name = session.contract.account_resource, resource.owner_path[0]
    relation = resource.relations.get(name)
    mine = session.shared_record(resource.name)
    shown = mine.body.get(name)
    if account is None or relation is None or not isinstance(shown, dict) or account.key_attribute not in shown:
        raise SkipCheck(not_testable(f"the contract has no {name} that a new {resource.name} shows"))
    due = session.identity().get(account.key_attribute)
    for operation, record, exchange in [(case.operation, mine.body, mine.exchange), *_seen(session, mine)]:
        found = record.get(name)
        if not isinstance(found, dict) or account.key_attribute not in found:
            continue
        place = weakest(case, (relation.pointer, None), (operation.pointer, None))
        said = (
            f"its {name} is {found[account.key_attribute]}, made by {due}"
            if found[account.key_attribute] != due
            else ""
        )
        where = name if operation is case.operation else f"{name} by {operation.id}"
        yield case.judged(case.promise(*place, parameter=where), said, exchange)


def _seen(session: Session, mine: CreatedRecord) -> Iterator[tuple[Operation, Mapping[str, Any], Exchange]]:
    """The record as it is retrieved, and as it is listed where it stands on the first page."""
    key = session.contract.resources[mine.resource].key_attribute
    retrieve, listing = session.operation(mine.resource, "retrieve"), session.operation(mine.resource, "list")
    if retrieve is not None:
        path = {retrieve.path_parameter_names[0]: mine.key}
        exchange = session.send(retrieve, path=path, query=everything(session, retrieve))
        shown = session.data(retrieve, exchange)
        yield from [(retrieve, shown, exchange)] if isinstance(shown, dict) else []
    if listing is not None:
        exchange = session.send(
            listing, query=(*session.required_query(listing).items(), *everything(session, listing))
        )
        rows = session.data(listing, exchange)
        row = next((row for row in rows if row.get(key) == mine.key), None) if isinstance(rows, list) else None
        yield from [(listing, row, exchange)] if row is not None else []


# Signing in -----------------------------------------------------------------------------------------------------


def _signs_in(contract: Contract, operation: Operation) -> bool:
    """Whether an operation takes an account's login and secret from anybody."""
    account = contract.account_resource.credentials if contract.account_resource else None
    fields = operation.request_body.fields if operation.request_body else {}
    takes = account is not None and account.login in fields and account.secret in fields
    return takes and operation.method == "post" and not operation.requires_auth


def _wrong(case: Case) -> Iterator[CheckResult]:
    """Somebody who is not there, and the run's own account with a wrong secret: once each, so that nobody is locked
    out."""
    session = case.session
    account = session.contract.account_resource.credentials if session.contract.account_resource else None
    if account is None or case.operation.request_body is None:
        return
    unknown = {**session.payloads.build(case.operation, session.parent), account.secret: WRONG}
    yield answered(case, 401, _tried(case, unknown), "nobody's")
    if session.credentials:
        known = {**unknown, account.login: session.credentials[account.login]}
        yield answered(case, 401, _tried(case, known), "wrong")


def _tried(case: Case, body: Mapping[str, Any]) -> Exchange:
    exchange: Exchange = case.session.run_once(
        f"{case.operation.id} {sorted(body.items())[0]}",
        lambda: case.session.send(case.operation, body=dict(body), actor="nobody"),
    )
    return exchange


def _signed_in(session: Session) -> tuple[Exchange, Mapping[str, str]]:
    """A fresh token as a header, and how it was had. Raises CannotMake."""
    operation = next((o for o in session.contract.operations.values() if _signs_in(session.contract, o)), None)
    if operation is None:
        raise SkipCheck(not_testable("the contract has no operation to sign in"))
    if not session.credentials:
        raise SkipCheck(NO_CREDENTIALS)
    if session.read_only:
        raise SkipCheck(READ_ONLY)
    body = {**session.payloads.build(operation, session.parent), **session.credentials}
    exchange = session.send(operation, body=body, actor="nobody")
    data = session.data(operation, exchange)
    token = next((data[name] for name in TOKENS if isinstance(data, dict) and isinstance(data.get(name), str)), None)
    if not exchange.response.ok or token is None:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status} and no token")
    return exchange, {AUTHORIZATION: f"Bearer {token}"}


def _works(case: Case) -> Iterator[CheckResult]:
    """The fresh token is the account's whose login was sent."""
    session = case.session
    exchange, token = _signed_in(session)
    who = _who(session, token)
    account = session.contract.account_resource
    login = account.credentials.login if account and account.credentials else ""
    found = session.data(session.contract.operations[who.request.operation], who)
    said = f"the fresh token is answered {who.response.status}" if not who.response.ok else ""
    due, shown = str(session.credentials.get(login)), str(found.get(login)) if isinstance(found, dict) else ""
    if not said and isinstance(found, dict) and login in found and due.casefold() != shown.casefold():
        said = f"the fresh token is another {account.name if account else 'account'}'s than that which signed in"
    yield case.judged(case.promise(parameter="works"), said, exchange, who)
    _log_out(session, token)


def _who(session: Session, token: Mapping[str, str]) -> Exchange:
    asking = next((o for o in session.contract.operations.values() if session.contract.is_whoami(o)), None)
    if asking is None:
        raise SkipCheck(not_testable("the contract has no operation that says whose token it is"))
    return session.send(asking, actor="nobody", headers=token)


def _log_out(session: Session, token: Mapping[str, str]) -> Exchange | None:
    found = next((o for o in session.contract.operations.values() if o.action == LOGOUT), None)
    return session.send(found, actor="nobody", headers=token) if found else None


def logged_out(session: Session) -> Mapping[str, str]:
    """The header of a token that was logged out. Raises CannotMake."""

    def ended() -> Mapping[str, str]:
        _, token = _signed_in(session)
        left = _log_out(session, token)
        if left is None or not left.response.ok:
            raise SkipCheck(not_testable("the contract has no way to log out that the target takes"))
        return token

    found: Mapping[str, str] = session.run_once(LOGOUT, ended)
    return found


# Signing out ----------------------------------------------------------------------------------------------------


def _signs_out(contract: Contract, operation: Operation) -> bool:
    return operation.action == LOGOUT and operation.method == "post" and operation.requires_auth


def _ends_it(case: Case) -> Iterator[CheckResult]:
    """A token that was signed in for this: none after it, while the run's own goes on."""
    session = case.session
    _, token = _signed_in(session)
    left = _log_out(session, token)
    if left is None or not left.response.ok:
        raise SkipCheck(f"{case.operation.id} answered {left.response.status if left else 'nothing'}")
    answers = [left]

    def look() -> str:
        answers.append(_who(session, token))
        status = answers[-1].response.status
        return "" if status == 401 else f"the token is answered {status} after it was logged out, due: 401"

    said = session.wait_until(look)
    yield case.judged(case.promise(parameter="ended"), said, left, answers[-1])
    own = session.send(session.contract.operations[answers[-1].request.operation])
    said = "" if own.response.ok else f"another token of the account is answered {own.response.status} after it"
    yield case.judged(case.promise(parameter="others"), said, left, own)


LAWS: tuple[Law, ...] = (
    Law("a-token-is-one-accounts", "A token is one account's wherever it is asked for.", identifies, _is_whose),
    Law(
        "a-record-is-its-makers",
        "A new record belongs to the account that made it.",
        _is_owned,
        _is_its_makers,
        writes=True,
    ),
    Law(
        "wrong-credentials-are-refused",
        "Who signs in with a wrong login or password is answered 401.",
        _signs_in,
        _wrong,
        writes=True,
    ),
    Law(
        "a-fresh-token-works",
        "Signing in gives a token of the account that signed in.",
        _signs_in,
        _works,
        writes=True,
    ),
    Law(
        "a-token-ends-with-its-logout",
        "A token that was logged out is nobody's, and others of its account go on.",
        _signs_out,
        _ends_it,
        always=True,
        writes=True,
    ),
)
