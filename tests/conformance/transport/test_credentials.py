"""Which credentials the suite sends with an operation, and how commands print them."""

from pathlib import Path

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget
from conformance.transport.credentials import (
    CredentialFormat,
    CredentialPart,
    OperationCredentials,
    PrintedCredentials,
    SchemeCredential,
    split_headers,
)
from conformance.transport.messages import Actor, Exchange, Request, Response
from spec.loader import load_contract
from spec.model import Contract

SECURITY = Path(__file__).parents[2] / "contracts" / "security"
KEY = SchemeCredential("k", "X_KEY")
QUERY_APP = CredentialFormat("query", "app", "")
HEADER_KEY = CredentialFormat("header", "X-Key", "")


@pytest.fixture
def contract() -> Contract:
    return load_contract(SECURITY / "alternatives-and-combinations.yaml")


def send(contract: Contract, credentials: OperationCredentials, actor: Actor = Actor.OWNER) -> dict[str, httpx.Request]:
    """Send one request to each operation; operation id -> request."""
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    transport = httpx.MockTransport(respond)
    tokens: dict[str, str] = {Actor.OWNER: "t", Actor.OTHER_TENANT: "o"}
    target = HttpTarget("http://localhost", tokens, Budget(None, None), transport=transport, credentials=credentials)
    for operation in contract.operations.values():
        target.send(Request(operation.id, "get", operation.path, actor=actor))
    return dict(zip(contract.operations, sent, strict=True))


def test_operation_whose_credentials_cannot_all_be_sent_has_a_problem(contract: Contract) -> None:
    credentials = OperationCredentials.from_contract(contract, token_env="TOKEN")
    assert credentials.problems == {
        "getBoth": "no credential for app (query parameter app): add --credential app=VARIABLE; $TOKEN is sent as key"
    }


def test_token_is_the_credential_that_has_no_variable(contract: Contract) -> None:
    credentials = OperationCredentials.from_contract(contract, {"key": KEY})
    assert credentials.problems == {}
    assert credentials.find("getBoth") == (CredentialPart(HEADER_KEY, KEY), CredentialPart(QUERY_APP))
    sent = send(contract, credentials)
    assert {o: (str(r.url), r.headers.get("Authorization"), r.headers.get("x-key")) for o, r in sent.items()} == {
        "getEither": ("http://localhost/either", "Bearer t", None),
        "getOptional": ("http://localhost/optional", "Bearer t", None),
        "getOpen": ("http://localhost/open", None, None),
        "getBoth": ("http://localhost/both?app=t", None, "k"),
    }


def test_anonymous_request_has_no_credential(contract: Contract) -> None:
    credentials = OperationCredentials.from_contract(contract, {"key": KEY})
    for request in send(contract, credentials, Actor.ANONYMOUS).values():
        assert (request.url.query, request.headers.keys() & {"authorization", "x-key", "cookie"}) == (b"", set())


def test_operation_gets_only_schemes_that_it_declares() -> None:
    contract = load_contract(SECURITY / "key-for-some-operations.yaml")
    sent = send(contract, OperationCredentials.from_contract(contract))
    assert {o: (r.headers.get("Authorization"), r.headers.get("X-Key")) for o, r in sent.items()} == {
        "listPets": ("Bearer t", None),
        "getInventory": (None, "t"),
        "getStatus": (None, None),
    }


def test_contract_without_security_requirements_gets_the_token() -> None:
    contract = load_contract(SECURITY / "unused-schemes.yaml")
    assert OperationCredentials.from_contract(contract).find("anything") == (CredentialPart(),)


def test_headers_of_api_keys_are_credentials(contract: Contract) -> None:
    headers = [("x-key", "k"), ("X-Trace", "1"), ("Cookie", "a=1")]
    others, credentials = split_headers(contract, headers)
    assert others == (("X-Trace", "1"), ("Cookie", "a=1"))
    assert credentials == {"key": SchemeCredential("k", "HEADER_X_KEY")}


def test_cookie_of_a_scheme_is_a_credential() -> None:
    contract = load_contract(SECURITY / "api-key-in-cookie.yaml")
    scheme, definition = next(iter(contract.security_schemes.items()))
    others, credentials = split_headers(contract, [("Cookie", f"a=1; {definition['name']}=k")])
    assert others == (("Cookie", "a=1"),)
    assert credentials[scheme].value == "k"


def print_curl(credentials: OperationCredentials, operation: str, *, is_login: bool = False) -> str:
    request = Request(operation, "get", "/x")
    printed = PrintedCredentials(credentials, {Actor.OWNER: "TOKEN"}, is_login)
    exchange = Exchange(request, Response(200, {}, b"", 0.0))
    return exchange.curl("http://h", printed.list_options(request), printed.build_query(request))


def test_curl_command_sends_the_credentials_of_the_operation(contract: Contract) -> None:
    credentials = OperationCredentials.from_contract(contract, {"key": KEY})
    assert print_curl(credentials, "getBoth") == (
        """curl -i -X GET -H "X-Key: $X_KEY" -H 'Accept: application/json' http://h/x'?app='"$TOKEN\""""
    )
    assert "TOKEN" not in print_curl(credentials, "getOpen")
    assert '-H "Authorization: Bearer $TOKEN"' in print_curl(credentials, "getEither")


@pytest.mark.parametrize(("is_login", "option"), [(True, '-u "$TOKEN"'), (False, '-u "${TOKEN}:"')])
def test_curl_command_sends_a_login(is_login: bool, option: str) -> None:
    contract = load_contract(SECURITY / "basic.yaml")
    credentials = OperationCredentials.from_contract(contract)
    assert option in print_curl(credentials, next(iter(contract.operations)), is_login=is_login)


def test_curl_command_sends_a_cookie() -> None:
    contract = load_contract(SECURITY / "api-key-in-cookie.yaml")
    name = next(iter(contract.security_schemes.values()))["name"]
    command = print_curl(OperationCredentials.from_contract(contract), next(iter(contract.operations)))
    assert f'-H "Cookie: {name}=${{TOKEN}}"' in command


def test_generated_credentials_are_removed_from_a_request() -> None:
    headers, query = {"x-key": "k", "Cookie": "session=1; theme=dark", "Accept": "*/*"}, (("app", "a"), ("page", "1"))
    assert HEADER_KEY.remove(headers, query) == ({"Cookie": "session=1; theme=dark", "Accept": "*/*"}, query)
    assert QUERY_APP.remove(headers, query) == (headers, (("page", "1"),))
    cookie = CredentialFormat("cookie", "session", "")
    assert cookie.remove(headers, query) == ({"x-key": "k", "Accept": "*/*", "Cookie": "theme=dark"}, query)
    assert cookie.remove({"Cookie": "session=1"}, ()) == ({}, ())
