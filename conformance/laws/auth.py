"""Laws on who may ask: without a token, with one that is none, and as somebody of another tenant."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.cause import READ_ONLY
from conformance.errors import SkipCheck
from conformance.exchange import AUTHORIZATION, Exchange
from conformance.laws.accounts import logged_out
from conformance.laws.acting import acts, body_of
from conformance.laws.asking import READS, answered, empty, harmless, readable, unknown
from conformance.laws.law import Case, Law
from conformance.laws.neighbours import neighbours
from conformance.laws.own import creates, differences, own, retrieved, told
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord
from spec.contract import Contract, Operation, Resource

NO_TOKEN = "no token"
# What goes as a token and is none: the kind of it -> headers.
STRANGERS: Mapping[str, Mapping[str, str]] = {
    NO_TOKEN: {},
    "another scheme": {AUTHORIZATION: "Basic ZGVtbzpkZW1v"},
    "a scheme and no token": {AUTHORIZATION: "Bearer"},
    "a token that nobody has": {AUTHORIZATION: "Bearer conformance-unknown-token"},
    "a malformed token": {AUTHORIZATION: "Bearer , ;=?"},
}
LOGGED_OUT = "a logged-out token"
TOLD_SO = (NO_TOKEN, "another scheme", "a token that nobody has", "a malformed token")


def _secured(contract: Contract, operation: Operation) -> bool:
    return operation.requires_auth


def _strangers(case: Case, kinds: Iterable[str]) -> Iterator[tuple[str, Exchange | None]]:
    """The answer to each who is nobody; None where the run may not ask. Paths name records of the run that nothing
    else needs, queries and bodies are valid: what is taken after all is a success. What has effects outside is asked
    validly until it is taken, and no further."""
    session, operation = case.session, case.operation
    path: Mapping[str, Any] | None = None
    taken = False
    for kind in kinds:
        if session.read_only and operation.method not in READS:
            yield kind, None
            continue
        headers = STRANGERS[kind] if kind in STRANGERS else logged_out(session)
        path = _ours(case) if path is None else path
        body = empty(operation) if taken and operation.effects else _valid(case)
        query = session.required_query(operation)
        exchange = session.send(operation, path=path, query=query, body=body, actor="nobody", headers=headers)
        taken = taken or exchange.response.ok
        yield kind, exchange


def _ours(case: Case) -> Mapping[str, Any]:
    """The path of a record of the run: a fresh one where it may be lost; of none where none can be had."""
    session, operation = case.session, case.operation
    if not operation.path_parameter_names or harmless(case):
        return unknown(case)
    try:
        if operation.method in READS:
            return readable(case)
        if operation.action == "delete":  # a record that was lent to the run is not to be lost
            session.creator(operation.resource or "")
        return {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    except SkipCheck:
        return unknown(case)


def _valid(case: Case) -> Any:
    if case.operation.request_body is None or harmless(case):
        return empty(case.operation)
    try:
        return case.session.payloads.build(case.operation, case.session.parent)
    except SkipCheck:
        return {}


def _nothing(case: Case) -> Iterator[CheckResult]:
    kinds = [*STRANGERS, *([LOGGED_OUT] if case.session.credentials else [])]
    for kind, exchange in _strangers(case, kinds):
        promise = case.promise(parameter=kind)
        if exchange is None:
            yield case.not_judged(promise, READ_ONLY)
        else:
            case.session.store_result((case.operation.id, kind), exchange)
            said = f"answered {exchange.response.status} to {kind}, due: 401" if exchange.response.ok else ""
            yield case.judged(promise, said, exchange)


def _refused(case: Case) -> Iterator[CheckResult]:
    """What the law before has seen is judged first; judged again, it is asked again."""
    for kind in TOLD_SO:
        exchange: Exchange | None = case.session.pop_result((case.operation.id, kind))
        if exchange is None:
            exchange = next(_strangers(case, [kind]))[1]
        if exchange is not None:
            yield answered(case, 401, exchange, kind)


def _of_a_tenant(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path:
        return False
    if operation.action in _ASKED or _adopts(contract, operation):
        return True
    return acts(contract, operation) and len(operation.path_parameter_names) == 1


def _adopts(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record that belongs to one of a tenant."""
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not creates(contract, operation):
        return False
    fields = operation.request_body.fields.values() if operation.request_body else ()
    named = [resource.relations.get(f.relation_setter.relation) for f in fields if f.relation_setter and f.required]
    return any(r is not None and all(contract.resources[n].tenant_path for n in r.targets) for r in named)


def _other(case: Case) -> Iterator[CheckResult]:
    """The run's own record, asked for with the other token."""
    session, operation = case.session, case.operation
    why = harmless(case) or neighbours(session)
    if why:
        yield case.not_judged(case.promise(), why)
        return
    resource = session.resource(operation)
    if _adopts(session.contract, operation):
        yield _unadopted(case)
        return
    reads = operation.action in ("retrieve", "list")
    mine = session.shared_record(resource.name) if reads else session.create(resource.name)
    if is_public(resource, mine):
        yield case.not_judged(case.promise(), "the record is public")
        return
    yield _ASKED.get(operation.action, _untouched)(case, mine)


def _unadopted(case: Case) -> CheckResult:
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
            return case.not_judged(case.promise(), "the record is public")
    exchange = session.send(operation, body=body, actor="other")
    # A record named in a body that is not there may be called invalid, so one of another tenant too.
    return case.judged(case.promise(), _unless_refused(exchange, 422), exchange)


def is_public(resource: Resource, mine: CreatedRecord) -> bool:
    """Whether everybody may see a record."""
    return bool(resource.public_when) and all(
        mine.body.get(name) == value for name, value in resource.public_when.items()
    )


def _hidden(case: Case, mine: CreatedRecord) -> CheckResult:
    exchange = case.session.retrieve(mine.resource, mine.key, actor="other")
    return case.judged(case.promise(), _unless_refused(exchange), exchange)


def _untouched(case: Case, mine: CreatedRecord) -> CheckResult:
    """Neither updated nor deleted by another tenant: refused, and the same as before."""
    session, operation = case.session, case.operation
    seen = session.operation(mine.resource, "retrieve")
    before = own(session.contract, seen, retrieved(session, mine.resource, mine.key)[0]) if seen else {}
    acting = operation.action not in _ASKED
    body: Any = body_of(session, operation) if acting else empty(operation)
    for field in operation.request_body.fields.values() if operation.request_body and not acting else ():
        if field.relation_setter is None and field.x_query is None and isinstance(before.get(field.name), str):
            body = {field.name: session.payloads.generate_value(field.schema, field.name)}
            break
    exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body=body, actor="other")
    said = _unless_refused(exchange)
    if not said and seen is not None:
        after = session.retrieve(mine.resource, mine.key)
        shown = own(session.contract, seen, session.data(seen, after))
        changed = [told(name, before[name], shown[name]) for name in differences(before, shown)]
        said = "; ".join(changed) if after.response.ok else "the record is gone although the request was refused"
    return case.judged(case.promise(), said, exchange)


def _unlisted(case: Case, mine: CreatedRecord) -> CheckResult:
    """On no page of what is listed for another tenant."""
    session, operation = case.session, case.operation
    required = session.required_query(operation)
    key = session.resource(operation).key_attribute
    listed = any(row.get(key) == mine.key for row in session.rows(operation, required, actor="other"))
    shown = session.send(operation, query=required, actor="other")
    return case.judged(case.promise(), f"the other token lists {key} {mine.key}" if listed else "", shown)


def _unless_refused(exchange: Exchange, *also: int) -> str:
    status = exchange.response.status
    return "" if status in (403, 404, *also) else f"answered {status} to another tenant, due: 404 or 403"


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
        needs_second_token=True,
    ),
)
