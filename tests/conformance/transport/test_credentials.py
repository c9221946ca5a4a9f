"""Where the suite sends the token of operations that require several credentials."""

from pathlib import Path

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget
from conformance.transport.credentials import CredentialFormat, OperationCredentials
from conformance.transport.messages import Actor, Request
from spec.loader import load_contract
from spec.model import Contract

COMBINATIONS = Path(__file__).parents[2] / "contracts" / "security" / "alternatives-and-combinations.yaml"


@pytest.fixture
def contract() -> Contract:
    return load_contract(COMBINATIONS)


def test_operation_whose_credentials_cannot_all_be_sent_has_one_problem(contract: Contract) -> None:
    credentials = OperationCredentials.from_contract(contract, {})
    assert credentials.formats == {}
    assert credentials.problems == {
        "getBoth": "the operation requires credentials in header X-Key and query parameter app: the token is only one, "
        "add the others with --header"
    }


def test_token_is_the_credential_that_no_header_contains(contract: Contract) -> None:
    headers = {"x-key": "k"}
    credentials = OperationCredentials.from_contract(contract, headers)
    assert credentials == OperationCredentials({"getBoth": CredentialFormat("query", "app", "")}, {})
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    target = HttpTarget(
        "http://localhost",
        {Actor.OWNER: "t"},
        Budget(None, None),
        headers,
        transport=httpx.MockTransport(respond),
        credential_format=CredentialFormat.from_contract(contract),
        operation_formats=credentials.formats,
    )
    for operation in ("getBoth", "getEither"):
        target.send(Request(operation, "get", contract.operations[operation].path))
    assert [(str(r.url), r.headers.get("Authorization"), r.headers["x-key"]) for r in sent] == [
        ("http://localhost/both?app=t", None, "k"),
        ("http://localhost/either", "Bearer t", "k"),
    ]
