"""Check that tokens which resemble the valid one are rejected: a target must compare the complete token, with case."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.access.auth import build_valid_body
from conformance.checks.access.sessions import LOGOUT_ACTION
from conformance.checks.support.bad_requests import (
    SAFE_METHODS,
    build_empty_body,
    build_unknown_path,
    find_blocking_reason,
)
from conformance.checks.support.check import Case, Category, check
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.transport.credentials import CredentialFormat, derive_invalid_tokens
from conformance.transport.messages import AUTHORIZATION, Actor, Exchange
from spec.model import Contract, Operation

# Contains no word such as "invalid", by which a mock recognizes an invalid token.
UNISSUED_TOKEN = "3c6ee4f2b1d94a578f0e7a25d6c1b390"
OTHER_SCHEME = "the token with another scheme"
# RFC 6750, section 3.1: 400 for a malformed Authorization.
REJECTION_STATUSES = (400, 401, 403)
UNISSUED_STATUSES = (401, 403)  # of a request with UNISSUED_TOKEN
# Sent to operations that write or have a path parameter: few targets verify tokens differently in each operation.
MAIN_KINDS = ("a character after the token", "the token without its last character")


def _accepts_run_token(contract: Contract, operation: Operation) -> bool:
    """Whether the token of the run is the only credential, sent in a header or cookie, and remains valid afterwards."""
    run_format = CredentialFormat.from_contract(contract)
    schemes = [contract.security_schemes[names[0]] for names in operation.security if len(names) == 1]
    formats = [CredentialFormat.from_scheme(scheme) for scheme in schemes]
    is_suitable = operation.requires_auth and operation.action != LOGOUT_ACTION
    return is_suitable and run_format.location != "query" and run_format in formats


@check(
    "derived-token-denied",
    "A token that differs from the valid one is rejected.",
    Category.AUTHENTICATION,
    _accepts_run_token,
)
def check_derived_tokens(case: Case) -> Iterator[CheckResult]:
    """Send tokens derived from that of the run, with an unknown key in the path.

    Skipped on a target that accepts any token, such as a mock of a contract without accounts.
    """
    session, operation = case.session, case.operation
    reason, token = find_blocking_reason(case), session.client.target.tokens.get(Actor.OWNER)
    if reason or token is None:
        raise SkipCheck(reason or not_testable("the run has no token"))
    credential_format = CredentialFormat.from_contract(session.contract)
    control = _send_token(case, _build_headers(credential_format, UNISSUED_TOKEN))
    if _is_accepted(control):
        raise SkipCheck(not_testable("the target accepts a token that was never issued"))
    if control.response.status not in UNISSUED_STATUSES:
        raise SkipCheck(
            f"request with a token that was never issued: got {control.response.status}, expected 401 or 403"
        )
    tokens = derive_invalid_tokens(token)
    is_collection = operation.method in SAFE_METHODS and not operation.path_parameter_names
    for kind in tokens if is_collection else MAIN_KINDS:
        exchange = _send_token(case, _build_headers(credential_format, tokens[kind]))
        yield _evaluate(case, kind, exchange, is_independent=True)
    if is_collection and credential_format == CredentialFormat():
        exchange = _send_token(case, {AUTHORIZATION: f"Basic {token}"})
        yield _evaluate(case, OTHER_SCHEME, exchange, is_independent=False)


def _build_headers(credential_format: CredentialFormat, token: str) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    credential_format.add(token, "", headers)
    return headers


def _send_token(case: Case, headers: Mapping[str, str]) -> Exchange:
    path: Mapping[str, Any] = build_unknown_path(case)
    query = case.session.records.required_query(case.operation)
    # If the target accepts the token, an empty body must prevent external effects.
    body = build_empty_body(case.operation) if case.operation.effects else build_valid_body(case)
    return case.session.client.send(
        case.operation, path=path, query=query, body=body, actor=Actor.ANONYMOUS, headers=headers
    )


def _is_accepted(exchange: Exchange) -> bool:
    """Whether the target accepted the token: it returned neither a rejection nor a server error."""
    status = exchange.response.status
    return status not in REJECTION_STATUSES and status < 500


def _evaluate(case: Case, kind: str, exchange: Exchange, *, is_independent: bool) -> CheckResult:
    status = exchange.response.status
    message = f"request with {kind}: got {status}, expected 401" if _is_accepted(exchange) else ""
    requirement = case.build_requirement(parameter=kind, provenance_independent=is_independent)
    return case.build_result(requirement, message, exchange)
