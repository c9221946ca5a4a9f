"""Check that a rejected request changes nothing, for each reason to reject it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from conformance.checks.access.invalid_credentials import UNKNOWN_CREDENTIAL, build_invalid_credentials
from conformance.checks.access.sessions import ALTERNATIVE_CREDENTIALS
from conformance.checks.support.bad_requests import build_unknown_path, require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.invalid_values import iter_invalid_nested_values, iter_invalid_values
from conformance.checks.support.references import get_unknown_key, iter_references
from conformance.checks.support.values import (
    accepts_any_text,
    equal,
    has_action,
    is_create,
    iter_round_trip_fields,
    new_record,
)
from conformance.checks.writes.changes import describe_effect, fetch_attributes, path_of
from conformance.errors import SkipCheck, SkipReason, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import GONE_STATUSES, Actor, Exchange
from conformance.transport.wire_format import JSON_MEDIA_TYPE
from spec.model import BodyField, Contract, Operation

LARGE_BODY_BYTES = 16 * 1024 * 1024  # sent where the contract documents 413
OTHER_MEDIA_TYPE = "text/plain"
UNKNOWN_KEY = "an unknown key"
ITEM_METHODS = ("post", "patch", "put", "delete")
COLLECTION_METHODS = ("patch", "put")  # DELETE of a collection deletes all records if the target accepts it
MAX_LIST_PAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequest:
    """A modification of a valid request for which the target must reject it.

    `parameter`: identifies it in results. `method`: replaces that of the operation. `encode`: returns the bytes to send
    for those of the JSON body; None sends the body unchanged.
    """

    parameter: str
    actor: Actor = Actor.OWNER
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str | None = None
    encode: Callable[[bytes], bytes] | None = None

    def send(self, case: Case, path: Mapping[str, Any], body: Any) -> Exchange:
        """Send the modified request. Raises SkipCheck."""
        raw = None if self.encode is None else self.encode(json.dumps(body).encode())
        return case.session.client.send(
            case.operation, path=path, body=body, raw=raw, actor=self.actor, headers=self.headers, method=self.method
        )


def _applies(contract: Contract, operation: Operation) -> bool:
    return has_action("update", "delete")(contract, operation) or is_create(contract, operation)


@check(
    "refused-request-has-no-effect",
    "A request that is rejected for its credentials, keys, method, media type, size, syntax or values changes nothing.",
    Category.SIDE_EFFECTS,
    _applies,
    provenance_independent=True,
    writes=True,
)
def check_refused_requests(case: Case) -> Iterator[CheckResult]:
    """Send valid writes that must be rejected; read the record, or the list for creates, to detect changes."""
    require_allowed(case)
    if case.operation.action == "delete":
        yield from _check_deletes(case)
    elif case.operation.action == "update":
        yield from _check_updates(case)
    else:
        yield from _check_creates(case)


# Reasons to reject a request


def _iter_refusals(case: Case) -> Iterator[RefusedRequest]:
    """Yield the modifications that apply to the operation."""
    yield from _iter_credential_refusals(case)
    body = case.operation.request_body
    if body is None or JSON_MEDIA_TYPE not in body.media_types:
        return
    json_header = {"Content-Type": JSON_MEDIA_TYPE}
    yield RefusedRequest(parameter="malformed JSON", headers=json_header, encode=lambda content: content[:-1])
    if not {OTHER_MEDIA_TYPE, "text/*", "*/*"} & set(body.media_types):
        other_header = {"Content-Type": OTHER_MEDIA_TYPE}
        yield RefusedRequest(parameter="another media type", headers=other_header, encode=lambda content: content)
    if 413 in case.operation.responses:
        yield RefusedRequest(parameter="a large body", headers=json_header, encode=lambda c: c.rjust(LARGE_BODY_BYTES))
    method = _find_undefined_method(case.session.contract, case.operation)
    if method is not None:
        yield RefusedRequest(parameter="an undefined method", method=method)


def _iter_credential_refusals(case: Case) -> Iterator[RefusedRequest]:
    """Yield requests with missing or invalid credentials, and with a session without its CSRF token."""
    contract, operation = case.session.contract, case.operation
    if not operation.requires_auth:
        return
    yield RefusedRequest(parameter="no token", actor=Actor.ANONYMOUS)
    for kind, credential in build_invalid_credentials(contract, operation).items():
        if UNKNOWN_CREDENTIAL in " ".join(credential.headers.values()) and not credential.query:
            yield RefusedRequest(parameter=kind, actor=Actor.ANONYMOUS, headers=credential.headers)
            break
    cookie = contract.session_cookie
    if cookie is None or 419 not in operation.responses or (cookie.scheme,) not in operation.security:
        return
    session_headers = case.use(ALTERNATIVE_CREDENTIALS)[cookie.scheme]
    if not isinstance(session_headers, SkipReason):
        cookie_header = {"Cookie": session_headers["Cookie"]}
        yield RefusedRequest(parameter="a session without CSRF token", actor=Actor.ANONYMOUS, headers=cookie_header)


def _iter_invalid_fields(case: Case, text_field: BodyField) -> Iterator[tuple[RefusedRequest, str, Any]]:
    """Yield (request, field, value): an invalid value of each field except `text_field`, and of a nested property."""
    for body_field in case.operation.body_fields.values():
        if body_field is text_field:
            continue
        for _, value in islice(iter_invalid_values(case, body_field), 1):
            yield RefusedRequest(parameter=f"an invalid {body_field.name}"), body_field.name, value
        for path, _, _, value in islice(iter_invalid_nested_values(case, body_field), 1):
            yield RefusedRequest(parameter=f"an invalid {path}"), body_field.name, value


def _iter_unknown_references(case: Case) -> Iterator[tuple[RefusedRequest, str, Any]]:
    """Yield (request, field, value): the key of no record for each relation that the body sets."""
    for body_field, relation in iter_references(case.session.contract, case.operation):
        setter = body_field.relation_setter
        if setter is not None and setter.discriminator is None:
            key = get_unknown_key(case.session.contract, relation.targets[0])
            refusal = RefusedRequest(parameter=f"an unknown {body_field.name}")
            yield refusal, body_field.name, [key] if relation.to_many else key


def _find_undefined_method(contract: Contract, operation: Operation) -> str | None:
    methods = ITEM_METHODS if operation.path_parameter_names else COLLECTION_METHODS
    defined = {other.method for other in contract.operations.values() if other.path == operation.path}
    return next((method for method in methods if method not in defined), None)


def _evaluate(
    case: Case, refusal: RefusedRequest, exchange: Exchange, problem: str, *evidence: Exchange
) -> CheckResult:
    requirement, status = case.build_requirement(parameter=refusal.parameter), exchange.response.status
    message = f"request with {refusal.parameter}: got {status}, but {problem}" if problem else ""
    return case.build_result(requirement, message, exchange, *evidence)


def _is_refused(exchange: Exchange) -> bool:
    """Whether the target rejected the request. After a server error the write may have happened, so that is False."""
    return 400 <= exchange.response.status < 500


def _skip_accepted(case: Case, refusal: RefusedRequest, exchange: Exchange) -> CheckResult:
    requirement = case.build_requirement(parameter=refusal.parameter)
    return case.skip(requirement, f"the request was not rejected: got {exchange.response.status}, expected 4XX")


# Updates


def _find_text_field(case: Case) -> BodyField:
    """Return a body field that accepts any text and is returned. Raises SkipCheck."""
    candidates = iter_round_trip_fields(case, case.session.operations.resource(case.operation))
    fields = [f for f, attribute in candidates if accepts_any_text(case.session, f, attribute)]
    if not fields:
        raise SkipCheck(not_testable("the contract defines no free text field that is returned"))
    return fields[0]


def _build_text(case: Case, text_field: BodyField) -> Any:
    return case.session.payloads.generate_value(text_field.schema, text_field.name)


def _check_updates(case: Case) -> Iterator[CheckResult]:
    session, operation, text_field = case.session, case.operation, _find_text_field(case)
    created = new_record(case)
    path = path_of(operation, created.key)

    def build_body(references: Mapping[str, Any]) -> dict[str, Any]:
        changes = {text_field.name: _build_text(case, text_field), **references}
        return session.records.build_update(operation, created.resource, created.key, changes)

    refusals: list[tuple[RefusedRequest, dict[str, Any]]] = [(refusal, {}) for refusal in _iter_refusals(case)]
    refusals += [(refusal, {name: value}) for refusal, name, value in _iter_unknown_references(case)]
    for refusal, references in refusals:
        before = fetch_attributes(session, created.resource, created.key)
        exchange = refusal.send(case, path, build_body(references))
        if not _is_refused(exchange):
            yield _skip_accepted(case, refusal, exchange)
            continue
        yield _evaluate(case, refusal, exchange, _find_change(case, created.key, before))
    yield from _check_unknown_key(case, build_body({}))


def _find_change(case: Case, key: Any, before: Mapping[str, Any]) -> str:
    """Describe how a record differs from its attributes before; "" if it does not."""
    resource = case.operation.resource or ""
    exchange = case.session.client.retrieve(resource, key)
    if exchange.response.status in GONE_STATUSES:
        return f"a retrieve of the record then returned {exchange.response.status}"
    return describe_effect(case.session, resource, key, before) if before else ""


def _check_unknown_key(case: Case, body: Any) -> Iterator[CheckResult]:
    """Update a record that does not exist; the update must not create it."""
    session, refusal = case.session, RefusedRequest(parameter=UNKNOWN_KEY)
    path = build_unknown_path(case)
    exchange = refusal.send(case, path, body)
    if not _is_refused(exchange):
        yield _skip_accepted(case, refusal, exchange)
        return
    retrieved = session.client.retrieve(case.operation.resource or "", next(iter(path.values())))
    problem = "the record exists afterwards" if retrieved.response.ok else ""
    yield _evaluate(case, refusal, exchange, problem, retrieved)


# Deletes


def _check_deletes(case: Case) -> Iterator[CheckResult]:
    created = new_record(case)
    case.session.operations.require(created.resource, "retrieve")
    for refusal in _iter_refusals(case):
        exchange = refusal.send(case, path_of(case.operation, created.key), None)
        if not _is_refused(exchange):
            yield _skip_accepted(case, refusal, exchange)
            return
        yield _evaluate(case, refusal, exchange, _find_change(case, created.key, {}))


# Creates


def _check_creates(case: Case) -> Iterator[CheckResult]:
    """Send each request with a different text, so that one list shows which of them created a record."""
    session, operation, text_field = case.session, case.operation, _find_text_field(case)
    listing = session.operations.require(operation.resource or "", "list")
    body = session.payloads.build(operation, session.records.parent)
    sent: list[tuple[RefusedRequest, Any, Exchange]] = []
    for refusal in _iter_refusals(case):
        text = _build_text(case, text_field)
        sent.append((refusal, text, refusal.send(case, {}, {**body, text_field.name: text})))
    for refusal, name, value in (*_iter_invalid_fields(case, text_field), *_iter_unknown_references(case)):
        text = _build_text(case, text_field)
        sent.append((refusal, text, refusal.send(case, {}, {**body, text_field.name: text, name: value})))
    control = new_record(case, {text_field.name: _build_text(case, text_field)})
    texts = [row.get(text_field.name) for row in session.records.rows(listing, {}, pages=MAX_LIST_PAGES)]
    if not any(equal(control.request_body[text_field.name], text) for text in texts):
        raise SkipCheck(f"the first pages of {listing.id} do not contain a new record")
    for refusal, text, exchange in sent:
        if not _is_refused(exchange):
            yield _skip_accepted(case, refusal, exchange)
            continue
        is_listed = any(equal(text, listed) for listed in texts)
        yield _evaluate(case, refusal, exchange, f"{listing.id} contains the record" if is_listed else "")
