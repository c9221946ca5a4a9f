"""Mutants that accept invalid credentials, ignore valid ones, or accept requests of another tenant."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from conformance.checks.access.derived_tokens import MAIN_KINDS
from conformance.checks.access.sessions import LOGOUT_ACTION
from conformance.mutation.fault_injection import BEARER, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, accept, change_request, respond_if
from conformance.mutation.mutant import Mutant, Operator
from conformance.mutation.triggers import (
    trigger_alternatives,
    trigger_derived_tokens,
    trigger_other_tenant,
    trigger_unauthorized,
)
from conformance.transport.credentials import CredentialFormat, OperationCredentials, derive_invalid_tokens
from spec.model import Contract, Operation

AcceptCondition = Callable[[InterceptedRequest, InterceptedResponse], bool]
ValueCondition = Callable[[CredentialFormat, str], bool]  # of the value at the place of the token
T = TypeVar("T")


def _operator(family: str, requirement: str, condition: T) -> Operator[T]:
    return Operator(family, "let in", requirement, condition, provenance_independent=True)


def _has_prefix(place: CredentialFormat, value: str) -> bool:
    return bool(value) and value.lower().startswith(place.prefix.lower())


# Which rejected requests are accepted as requests of the token's user.
AUTHENTICATION_OPERATORS: tuple[Operator[ValueCondition], ...] = (
    _operator("auth-none", "A request without a token is rejected.", lambda place, value: not value),
    _operator("auth-any-token", "An unknown token is rejected.", _has_prefix),
)
OTHER_SCHEME: Operator[ValueCondition] = _operator(
    "auth-other-scheme",
    "Another scheme than bearer is rejected.",
    lambda place, value: value.lower().startswith("basic "),
)
DERIVED_TOKEN = Operator(
    "auth-derived-token",
    "{name}",
    "A token that differs from the valid one is rejected.",
    None,
    provenance_independent=True,
)
CSRF_MISMATCH = 419  # Laravel's status
ANY_SESSION = _operator(
    "auth-any-session", "An unknown session is rejected.", lambda q, r: r.status == 401 and "cookie" in q.headers
)
WITHOUT_CSRF = _operator(
    "auth-csrf", "A session without its CSRF token is rejected.", lambda q, r: r.status == CSRF_MISMATCH
)
HEADER_IGNORED = Operator("auth-header", "{name} ignored", "Each security scheme authenticates a request.", None)
SESSION_KEPT = Operator(
    "auth-session", "survives the logout", "A session is rejected after its logout.", None, provenance_independent=True
)
TENANT_OPERATOR = _operator(
    "auth-other-tenant", "A record is accessible to its tenant only.", lambda q, r: r.status in (403, 404)
)


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive the mutants of every operation that requires authentication. `token`: of a user with full access."""
    credentials = OperationCredentials.from_contract(contract)
    for position, operation in enumerate(contract.operations.values()):
        places = [part.format for part in credentials.find(operation.id)]
        if not operation.requires_auth or len(places) != 1:
            continue
        yield from _derive_authentication_mutants(operation, position, token, places[0])
        resource = contract.resources.get(operation.resource or "")
        if resource is not None and resource.tenant_path and len(operation.path_parameter_names) == 1:
            make_fault = _accept_as(token, TENANT_OPERATOR.fault, places[0])
            yield TENANT_OPERATOR.mutant(operation, make_fault, trigger_other_tenant)
        yield from _derive_alternatives(contract, operation, token)


def _derive_authentication_mutants(
    operation: Operation, position: int, token: str, place: CredentialFormat
) -> Iterator[Mutant]:
    """Derive the mutants that accept requests without the token. `place`: where the operation expects it."""
    for row in (*AUTHENTICATION_OPERATORS, *([OTHER_SCHEME] if place == BEARER else [])):
        yield row.mutant(operation, _accept_value(token, row.fault, place), trigger_unauthorized)
    # An accepted logout revokes the token. The suite derives no tokens for queries, which logs may contain.
    if operation.action != LOGOUT_ACTION and place.location != "query":
        yield _derive_token_mutant(operation, position, token, place)


def _derive_token_mutant(operation: Operation, position: int, token: str, place: CredentialFormat) -> Mutant:
    """Derive a mutant that compares only a part of the token; which one depends on the position of the operation."""
    is_collection = operation.method == "get" and not operation.path_parameter_names
    kinds = [kind for kind in derive_invalid_tokens(token) if is_collection or kind in MAIN_KINDS]
    kind = kinds[position % len(kinds)]
    derived = derive_invalid_tokens(token)[kind]

    def is_derived(request: InterceptedRequest, response: InterceptedResponse) -> bool:
        accepted = request.with_token(derived, place).find_credential(place)
        return response.status == 401 and request.find_credential(place) == accepted

    make_fault = _accept_as(token, is_derived, place)
    return DERIVED_TOKEN.named(name=f"accepts {kind}").mutant(operation, make_fault, trigger_derived_tokens)


def _derive_alternatives(contract: Contract, operation: Operation, token: str) -> Iterator[Mutant]:
    """Derive the mutants of the API keys of an operation: headers of reads, and the session cookie."""
    for name in (alternative[0] for alternative in operation.security if len(alternative) == 1):
        scheme = contract.security_schemes[name]
        if scheme.get("in") == "header" and operation.method == "get":
            ignored = {scheme["name"].lower(): None}
            make_fault = change_request(lambda q, ignored=ignored: q.with_headers(ignored))  # type: ignore[misc]
            yield HEADER_IGNORED.named(name=name).mutant(operation, make_fault, trigger_alternatives)
    cookie = contract.session_cookie
    if cookie is None or (cookie.scheme,) not in operation.security:
        return
    yield ANY_SESSION.mutant(operation, _accept_as(token, ANY_SESSION.fault), trigger_alternatives)
    if CSRF_MISMATCH in operation.responses:
        yield WITHOUT_CSRF.mutant(operation, _accept_as(token, WITHOUT_CSRF.fault), trigger_alternatives)
    if operation.action == LOGOUT_ACTION:
        keep_session = respond_if(lambda q: "cookie" in q.headers, InterceptedResponse(204, {}, b""))
        yield SESSION_KEPT.mutant(operation, keep_session, trigger_alternatives)


def _accept_as(token: str, condition: AcceptCondition, place: CredentialFormat = BEARER) -> MakeFault:
    return accept(lambda q, r: q.with_token(token, place) if condition(q, r) else None)


def _accept_value(token: str, condition: ValueCondition, place: CredentialFormat) -> MakeFault:
    return _accept_as(token, lambda q, r: r.status == 401 and condition(place, q.find_credential(place)), place)
