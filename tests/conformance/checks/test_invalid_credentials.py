"""Invalid credentials by the security schemes of an operation, and the checks that send them to the mock."""

import json
from functools import cache
from typing import Any

import pytest

from conformance.checks.access.invalid_credentials import build_invalid_credentials
from conformance.checks.registry import CHECKS
from conformance.results import Status
from conformance.runner.runner import run
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api

BEARER = {"type": "http", "scheme": "bearer"}
HTTP_KINDS = {"no token", "another scheme", "a scheme and no token", "an unknown token", "a malformed token"}
CHECK_IDS = ("unauthenticated-access-denied", "unauthenticated-is-401", "alternative-credential-accepted")


def build_key(name: str = "Authorization", location: str = "header") -> dict[str, str]:
    return {"type": "apiKey", "in": location, "name": name}


@cache
def parse(schemes: str) -> Contract:
    """Parse a contract with one operation that accepts each of the schemes."""
    declared: dict[str, Any] = json.loads(schemes)
    responses = {
        "200": {"description": "x", "content": {"application/json": {"schema": {}}}},
        "401": {"description": "x"},
    }
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "servers": [{"url": "http://localhost:8000"}],
        "security": [{name: []} for name in declared],
        "paths": {"/items": {"get": {"operationId": "listItems", "responses": responses}}},
        "components": {"securitySchemes": declared},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


@pytest.mark.parametrize(
    ("schemes", "kinds"),
    [
        ({"bearer": BEARER}, HTTP_KINDS),
        ({"key": build_key()}, {"no token", "an unknown token"}),
        ({"key": build_key("authorization")}, {"no token", "an unknown token"}),
        ({"bearer": BEARER, "key": build_key()}, {"no token", "an unknown token"}),
        ({"key": build_key("X-Key")}, {"no token", "an unknown key credential"}),
        ({"key": build_key(location="query")}, {"no token", "an unknown key credential"}),
    ],
)
def test_other_schemes_are_sent_only_if_no_api_key_is_in_the_header(schemes: dict[str, Any], kinds: set[str]) -> None:
    contract = parse(json.dumps(schemes))
    credentials = build_invalid_credentials(contract, contract.operations["listItems"])
    assert set(credentials) == kinds
    for credential in credentials.values():
        assert all(value == value.strip() for value in credential.headers.values())


def test_mock_that_accepts_any_key_in_authorization_passes() -> None:
    contract = parse(json.dumps({"key": build_key()}))
    api = Api.create(contract, SchemaValidators.from_document(contract.document), "plain")
    checks = [check for check in CHECKS if check.id in CHECK_IDS]
    run_result = run(session(api.app, contract), checks, contract.operations.values(), lambda result: None)
    assert {(r.requirement.check, r.requirement.parameter, r.status) for r in run_result.results} == {
        ("unauthenticated-access-denied", "no token", Status.PASSED),
        ("unauthenticated-access-denied", "an unknown token", Status.PASSED),
        ("unauthenticated-is-401", "no token", Status.PASSED),
        ("unauthenticated-is-401", "an unknown token", Status.PASSED),
        ("unauthenticated-is-401", "no token, any media type", Status.PASSED),
        ("alternative-credential-accepted", "key", Status.SKIPPED),
    }
    assert [r.message for r in run_result.with_status(Status.SKIPPED)] == [
        "no operation identifies the account of a credential in key"
    ]
    assert not run_result.flaky
