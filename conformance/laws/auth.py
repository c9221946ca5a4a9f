"""Laws on who may ask: without a token, with one that is none, and as somebody of another tenant."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.errors import CannotMake
from conformance.exchange import BEARER, Exchange
from conformance.laws.asking import READS, answered, empty, secured, unknown
from conformance.laws.law import Case, Law
from conformance.laws.own import differences, own, retrieved, told
from conformance.outcome import Outcome
from conformance.session import Mine
from spec.contract import Contract, Operation, Resource

# What goes as a token and is none: the kind of it -> headers.
STRANGERS: Mapping[str, Mapping[str, str]] = {
    "no token": {},
    "another scheme": {BEARER: "Basic ZGVtbzpkZW1v"},
    "a scheme and no token": {BEARER: "Bearer"},
    "a token that nobody has": {BEARER: "Bearer conformance-unknown-token"},
}
TOLD_SO = ("no token", "a token that nobody has")


def _secured(contract: Contract, operation: Operation) -> bool:
    return secured(operation)


def _strangers(case: Case, kinds: Iterable[str]) -> Iterator[tuple[str, Exchange | None]]:
    """The answer to each who is nobody; None where the run may not ask. Paths name no record, bodies are empty."""
    session, operation = case.session, case.operation
    for kind in kinds:
        if session.read_only and operation.method not in READS:
            yield kind, None
        else:
            path, body = unknown(case), empty(operation)
            yield kind, session.send(operation, path=path, body=body, as_="nobody", headers=STRANGERS[kind])


def _nothing(case: Case) -> Iterator[Outcome]:
    for kind, exchange in _strangers(case, STRANGERS):
        promise = case.promise(parameter=kind)
        if exchange is None:
            yield case.not_judged(promise, "the run is read-only")
        else:
            said = f"answered {exchange.response.status} to {kind}, due: 401" if exchange.response.ok else ""
            yield case.judged(promise, said, exchange)


def _refused(case: Case) -> Iterator[Outcome]:
    for kind, exchange in _strangers(case, TOLD_SO):
        if exchange is not None:
            yield answered(case, 401, exchange, kind)


def _of_a_tenant(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return resource is not None and bool(resource.tenant) and operation.action in _ASKED


def _other(case: Case) -> Iterator[Outcome]:
    """The run's own record, asked for with the other token."""
    if "other" not in getattr(case.session.target, "tokens", {"other": ""}):
        yield case.not_judged(case.promise(), "there is no token of another tenant: --other-token-env")
        return
    resource = case.session.resource(case.operation)
    reads = case.operation.action in ("retrieve", "list")
    mine = case.session.kept(resource.name) if reads else case.session.make(resource.name)
    if _public(resource, mine):
        yield case.not_judged(case.promise(), "the record is public")
        return
    yield _ASKED[case.operation.action](case, mine)


def _public(resource: Resource, mine: Mine) -> bool:
    """Whether everybody may see a record."""
    return bool(resource.public) and all(mine.shown.get(name) == value for name, value in resource.public.items())


def _hidden(case: Case, mine: Mine) -> Outcome:
    exchange = case.session.retrieve(mine.resource, mine.key, as_="other")
    return case.judged(case.promise(), _unless_refused(exchange), exchange)


def _untouched(case: Case, mine: Mine) -> Outcome:
    """Neither updated nor deleted by another tenant: refused, and the same as before."""
    session, operation = case.session, case.operation
    seen = session.needed(mine.resource, "retrieve")
    before = own(session.contract, seen, retrieved(session, mine.resource, mine.key)[0])
    body: Any = empty(operation)
    for field in operation.body.fields.values() if operation.body else ():
        if field.sets is None and field.word is None and isinstance(before.get(field.name), str):
            body = {field.name: session.bodies.value(field.schema, field.name)}
            break
    exchange = session.send(operation, path={operation.path_parameters[0]: mine.key}, body=body, as_="other")
    said = _unless_refused(exchange)
    if not said:
        after = session.retrieve(mine.resource, mine.key)
        shown = own(session.contract, seen, session.data(seen, after))
        changed = [told(name, before[name], shown[name]) for name in differences(before, shown)]
        said = "; ".join(changed) if after.response.ok else "the record is gone although the request was refused"
    return case.judged(case.promise(), said, exchange)


def _unlisted(case: Case, mine: Mine) -> Outcome:
    session, operation = case.session, case.operation
    words = {p.word.role: p.name for p in operation.query if p.word and p.word.op == "eq"}
    query = {words["size"]: 100} if "size" in words else {}
    exchange = session.send(operation, query=query, as_="other")
    rows = session.data(operation, exchange)
    if not exchange.response.ok or not isinstance(rows, list):
        raise CannotMake(f"{operation.id} answered {exchange.response.status} to the other token")
    key = session.resource(operation).key
    listed = any(row.get(key) == mine.key for row in rows if isinstance(row, dict))
    return case.judged(case.promise(), f"the other token lists {key} {mine.key}" if listed else "", exchange)


def _unless_refused(exchange: Exchange) -> str:
    status = exchange.response.status
    return "" if status in (403, 404) else f"answered {status} to another tenant, due: 404 or 403"


_ASKED = {"retrieve": _hidden, "update": _untouched, "delete": _untouched, "list": _unlisted}

LAWS = (
    Law("strangers-get-nothing", "Who has no valid token gets nothing.", _secured, _nothing, always=True),
    Law("strangers-are-told-so", "Who has no valid token is answered 401.", _secured, _refused),
    Law(
        "another-tenant-sees-nothing",
        "A record is neither shown to, listed for, nor changed by somebody of another tenant.",
        _of_a_tenant,
        _other,
        always=True,
        writes=True,
    ),
)
