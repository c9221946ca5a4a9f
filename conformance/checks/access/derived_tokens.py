"""Check that tokens which resemble the valid one are rejected: a comparison of prefixes, or without case, is none."""

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

# A token that nobody issued. It has no word by which a mock recognizes a wrong token.
UNISSUED_TOKEN = "3c6ee4f2b1d94a578f0e7a25d6c1b390"
OTHER_SCHEME = "the token with another scheme"
REFUSAL_STATUSES = (400, 401, 403)  # RFC 6750, section 3.1: 400 for a malformed Authorization
CONTROL_STATUSES = (401, 403)
# Of operations that have a path parameter or write: an accepted token is rarely a matter of one operation.
MAIN_KINDS = ("a character after the token", "the token without its last character")


def _accepts_run_token(contract: Contract, operation: Operation) -> bool:
    """Whether the token of the run, in a header or cookie, alone authorizes the operation, and stays valid after it."""
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
    """Send tokens derived from that of the run. Requests to records name an unknown key.

    Skipped on a target that accepts any token, such as the mock of a contract without accounts.
    """
    session, operation = case.session, case.operation
    reason, token = find_blocking_reason(case), session.client.target.tokens.get(Actor.OWNER)
    if reason or token is None:
        raise SkipCheck(reason or not_testable("the run has no token"))
    credential_format = CredentialFormat.from_contract(session.contract)
    control = _send_token(case, _build_headers(credential_format, UNISSUED_TOKEN))
    if _is_accepted(control):
        raise SkipCheck(not_testable("the target accepts tokens that nobody issued, as a mock does"))
    if control.response.status not in CONTROL_STATUSES:
        raise SkipCheck(f"a request with a token that nobody issued returned {control.response.status}")
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
    # A target that accepts the token must not cause more external effects than the run may.
    body = build_empty_body(case.operation) if case.operation.effects else build_valid_body(case)
    return case.session.client.send(
        case.operation, path=path, query=query, body=body, actor=Actor.ANONYMOUS, headers=headers
    )


def _is_accepted(exchange: Exchange) -> bool:
    """Whether the target accepted the token: any status but a refusal or a server error shows that."""
    status = exchange.response.status
    return status not in REFUSAL_STATUSES and status < 500


def _evaluate(case: Case, kind: str, exchange: Exchange, *, is_independent: bool) -> CheckResult:
    status = exchange.response.status
    message = f"request with {kind}: got {status}, expected 401" if _is_accepted(exchange) else ""
    requirement = case.build_requirement(parameter=kind, provenance_independent=is_independent)
    return case.build_result(requirement, message, exchange)
