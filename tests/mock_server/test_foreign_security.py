"""Tests the security schemes of contracts without accounts, where any well-formed credential is accepted."""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mock_server.app import create_app
from mock_server.sandbox.clock import Clock
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.credentials.accepted import TokenFileError, read_tokens
from mock_server.web.request_log import RequestLog
from spec.document import parse_document
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.asgi import Client
from tests.mock_server.library_contract import NOW, LogCapture

SCHEMES: Mapping[str, Any] = {
    "bearer": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "digest": {"type": "http", "scheme": "digest"},
    "oauth": {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://x", "scopes": {"a": "b"}}}},
    "oidc": {"$ref": "#/components/securitySchemes/linked"},
    "linked": {"type": "openIdConnect", "openIdConnectUrl": "https://x"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
    "cookie2": {"type": "apiKey", "in": "cookie", "name": "device"},
    "certificate": {"type": "mutualTLS"},
    "prefixed": {"type": "apiKey", "in": "header", "name": "X-Other", "x-authentication-scheme": "Bearer"},
}
LOGIN = f"Basic {b64encode(b'ada:secret').decode()}"


def build_client(security: Any, tokens: frozenset[str] | None = None, log: LogCapture | None = None) -> Client:
    operation = {"operationId": "x", "security": security, "responses": {"204": {"description": "x"}}}
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {"/x": {"get": operation, "post": {**operation, "operationId": "y"}}},
        "components": {"securitySchemes": SCHEMES},
    }
    contract = parse_contract(parse_document(json.dumps(root).encode(), "x.json"))
    sandbox = Sandbox(
        contract, SchemaValidators.from_document(contract.document), Store.create(contract), Clock(lambda: NOW), 0
    )
    request_log = RequestLog(contract.document, log or LogCapture(), quiet=log is None)
    return Client(create_app(contract, sandbox, request_log=request_log, accepted_tokens=tokens), {})


# Security requirement, target, headers.
VALID = [
    ([{"bearer": []}], "/x", {"authorization": "Bearer anything"}),
    ([{"bearer": []}], "/x", {"authorization": "bearer anything"}),
    ([{"basic": []}], "/x", {"authorization": LOGIN}),
    ([{"digest": []}], "/x", {"authorization": 'Digest username="ada", realm="x"'}),
    ([{"oauth": ["a"]}], "/x", {"authorization": "Bearer anything"}),
    ([{"oidc": ["openid"]}], "/x", {"authorization": "Bearer anything"}),
    ([{"header": []}], "/x", {"x-key": "anything"}),
    ([{"prefixed": []}], "/x", {"x-other": "anything"}),
    ([{"query": []}], "/x?api_key=anything", {}),
    ([{"cookie": []}], "/x", {"cookie": "a=b; session=anything; c"}),
    ([{"cookie2": []}], "/x", {"cookie": "device=anything"}),
    ([{"cookie": [], "cookie2": []}], "/x", {"cookie": "device=1; session=2"}),
    ([{"certificate": []}], "/x", {}),
    ([{"certificate": [], "header": []}], "/x", {"x-key": "1"}),
    ([{"header": [], "query": []}], "/x?api_key=1", {"x-key": "1"}),
    ([{"bearer": []}, {"header": []}], "/x", {"x-key": "1"}),
    ([{"header": []}, {"bearer": []}], "/x", {"authorization": "Bearer 1"}),
    ([{"basic": []}, {"bearer": []}], "/x", {"authorization": "Bearer 1"}),
    ([{"bearer": []}, {}], "/x", {}),
    ([{}], "/x", {}),
    ([], "/x", {}),
]
INVALID = [
    ([{"bearer": []}], "/x", {}),
    ([{"bearer": []}], "/x", {"authorization": "Bearer "}),
    ([{"bearer": []}], "/x", {"authorization": "anything"}),
    ([{"bearer": []}], "/x", {"authorization": LOGIN}),
    ([{"bearer": []}], "/x", {"authorization": "Bearer , ;=?"}),
    ([{"bearer": []}], "/x", {"authorization": "Bearer invalid-token"}),
    ([{"bearer": []}], "/x", {"authorization": "Bearer expired-token"}),
    ([{"basic": []}], "/x", {"authorization": f"Basic {b64encode(b'invalid:secret').decode()}"}),
    ([{"digest": []}], "/x", {"authorization": "Digest , ;=?"}),
    ([{"header": []}], "/x", {"x-key": "Invalid-key"}),
    ([{"query": []}], "/x?api_key=invalid", {}),
    ([{"cookie": []}], "/x", {"cookie": "session=expired"}),
    ([{"basic": []}], "/x", {"authorization": "Basic anything"}),
    ([{"basic": []}], "/x", {"authorization": "Basic " + b64encode(b"no colon").decode()}),
    ([{"digest": []}], "/x", {"authorization": "Bearer anything"}),
    ([{"oauth": ["a"]}], "/x", {"authorization": LOGIN}),
    ([{"oidc": []}], "/x", {}),
    ([{"header": []}], "/x?X-Key=1", {}),
    ([{"header": []}], "/x", {"x-key": " "}),
    ([{"query": []}], "/x", {"api_key": "1"}),
    ([{"query": []}], "/x?api_key=", {}),
    ([{"cookie": []}], "/x", {"cookie": "other=1"}),
    ([{"certificate": [], "header": []}], "/x", {}),
    ([{"header": [], "query": []}], "/x?api_key=1", {}),
    ([{"header": [], "query": []}], "/x", {"x-key": "1"}),
    ([{"cookie": [], "cookie2": []}], "/x", {"cookie": "device=1"}),
]


@pytest.mark.parametrize(("security", "target", "headers"), VALID)
def test_well_formed_credential_is_accepted(security: Any, target: str, headers: dict[str, str]) -> None:
    caller = build_client(security)
    for method in ("GET", "POST"):
        reply = caller.request(method, target, headers=headers)
        assert reply.status == 204
        assert "ignored" not in reply.headers.get("x-mock-note", "")


@pytest.mark.parametrize(("security", "target", "headers"), INVALID)
def test_missing_or_malformed_credential_is_a_401(security: Any, target: str, headers: dict[str, str]) -> None:
    reply = build_client(security).request("GET", target, headers=headers)
    assert (reply.status, reply.headers["x-mock-reason"]) == (401, "auth")


@pytest.mark.parametrize(
    ("security", "challenge", "expected"),
    [
        ([{"bearer": []}], "Bearer", "Authorization: Bearer TOKEN"),
        ([{"oauth": []}, {"oidc": []}], "Bearer", "Authorization: Bearer TOKEN"),
        ([{"basic": []}, {"header": []}], "Basic", "Authorization: Basic ... or X-Key: KEY"),
        ([{"digest": []}], "Digest", "Authorization: Digest ..."),
        ([{"header": [], "query": []}], 'ApiKey name="X-Key", ApiKey name="api_key"', "X-Key: KEY and ?api_key=KEY"),
        ([{"cookie": []}], 'ApiKey name="session"', "Cookie: session=KEY"),
    ],
)
def test_challenge_and_log_say_what_is_expected(security: Any, challenge: str, expected: str) -> None:
    log = LogCapture()
    reply = build_client(security, log=log).get("/x")
    assert reply.headers["www-authenticate"] == challenge
    assert f"no credential (expected {expected})" in log.getvalue()


TOKENS = frozenset({"first", "ada:secret"})


@pytest.mark.parametrize(
    ("security", "headers", "status"),
    [
        ([{"bearer": []}], {"authorization": "Bearer first"}, 204),
        ([{"bearer": []}], {"authorization": "Bearer other"}, 401),
        ([{"basic": []}], {"authorization": LOGIN}, 204),
        ([{"basic": []}], {"authorization": f"Basic {b64encode(b'ada:other').decode()}"}, 401),
        ([{"header": []}], {"x-key": "first"}, 204),
        ([{"header": []}], {"x-key": "other"}, 401),
        ([{"header": []}, {"bearer": []}], {"x-key": "other", "authorization": "Bearer first"}, 204),
        ([{"bearer": []}, {}], {}, 204),
    ],
)
def test_only_listed_tokens_are_accepted(security: Any, headers: dict[str, str], status: int) -> None:
    assert build_client(security, TOKENS).request("GET", "/x", headers=headers).status == status


def test_rejected_token_is_not_logged() -> None:
    log = LogCapture()
    build_client([{"bearer": []}], TOKENS, log).get("/x", authorization="Bearer other-secret")
    assert "the credential is not accepted" in log.getvalue()
    assert "other-secret" not in log.getvalue()


def test_token_file_has_one_token_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("\ufeff# comment\n\n  first  \r\nada:secret\n", encoding="utf-8")
    assert read_tokens(file) == TOKENS


@pytest.mark.parametrize(
    ("content", "problem"), [(b"# none\n", "no token"), (b"a\xff", "byte 2 is not UTF-8"), (b"a" * 2_000_000, "bytes")]
)
def test_unusable_token_file_is_an_error(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(TokenFileError, match=problem):
        read_tokens(file)
    with pytest.raises(TokenFileError, match="No such file"):
        read_tokens(tmp_path / "missing")
