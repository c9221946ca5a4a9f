"""Tests how requests of foreign contracts are encoded: read back by the mock's parsers and by the standard library."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.wire_format import WireFormat, list_wire_formats
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract

SCHEMES: Mapping[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "oauth": {"type": "oauth2", "flows": {}},
    "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
}


def build_contract(security: Any = (), media_type: str = "", servers: Any = ()) -> Contract:
    operation: dict[str, Any] = {"operationId": "x", "security": security, "responses": {"204": {"description": "x"}}}
    if media_type:
        operation["requestBody"] = {"content": {media_type: {"schema": {"type": "object"}}}}
    if servers:
        operation["servers"] = servers
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "servers": [{"url": "/v1"}],
        "paths": {"/x": {"post": operation}},
        "components": {"securitySchemes": SCHEMES},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


def send(contract: Contract, body: Any = None, headers: Mapping[str, str] | None = None) -> httpx.Request:
    """Return the request that a target receives for an operation of `contract`."""
    received: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(204, stream=httpx.ByteStream(b""))

    base, budget = f"http://localhost/mock{contract.base_path}", Budget(None, None)
    target = HttpTarget(base, {Actor.OWNER: "a:b"}, budget, transport=httpx.MockTransport(respond))
    wire_format = list_wire_formats(contract).get("x")
    target.send(Request("x", "post", "/x", body=body, headers=headers or {}, wire_format=wire_format))
    return received[0]


@pytest.mark.parametrize("security", [[], [{"bearer": []}], [{"oauth": []}], [{"header": []}, {"bearer": []}]])
def test_operation_with_bearer_token_and_json_needs_no_format(security: Any) -> None:
    contract = build_contract(security, "application/json")
    assert list_wire_formats(contract) == {}
    request = send(contract, {"a": "ä"})
    assert request.headers["authorization"] == "Bearer a:b"
    assert (request.headers["content-type"], json.loads(request.content)) == ("application/json", {"a": "ä"})
    assert str(request.url) == "http://localhost/mock/v1/x"


def test_token_is_sent_where_the_security_scheme_expects_it() -> None:
    assert send(build_contract([{"header": []}])).headers["x-key"] == "a:b"
    assert send(build_contract([{"cookie": []}])).headers["cookie"] == "session=a:b"
    assert parse_qs(send(build_contract([{"query": []}])).url.query.decode()) == {"key": ["a:b"]}
    basic = send(build_contract([{"basic": []}])).headers["authorization"]
    assert b64decode(basic.removeprefix("Basic ")) == b"a:b"
    combined = send(build_contract([{"header": [], "query": []}]))
    assert (combined.headers["x-key"], combined.url.params["key"]) == ("a:b", "a:b")
    assert "authorization" not in combined.headers


def test_credential_of_a_request_replaces_the_token() -> None:
    assert send(build_contract([{"header": []}]), headers={"x-key": "other"}).headers["x-key"] == "other"


def test_vendor_media_type_is_sent() -> None:
    request = send(build_contract(media_type="application/vnd.x+json"), {"a": 1})
    assert (request.headers["content-type"], json.loads(request.content)) == ("application/vnd.x+json", {"a": 1})


BODY = {"a": "x&y", "n": 5, "b": True, "list": ["p", "q"], "o": {"c": "d"}, "rows": [{"e": 1}], "none": None}
FIELDS = [("a", "x&y"), ("n", "5"), ("b", "true"), ("list", "p"), ("list", "q"), ("o[c]", "d"), ("rows[0][e]", "1")]


def test_form_is_sent() -> None:
    request = send(build_contract(media_type="application/x-www-form-urlencoded"), BODY)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(request.content.decode()) == FIELDS


def test_multipart_form_is_sent() -> None:
    from werkzeug.formparser import parse_form_data
    from werkzeug.test import EnvironBuilder

    request = send(build_contract(media_type="multipart/form-data"), BODY)
    builder = EnvironBuilder(method="POST", data=request.content, content_type=request.headers["content-type"])
    _, fields, _ = parse_form_data(builder.get_environ())
    assert list(fields.items(multi=True)) == FIELDS


@pytest.mark.parametrize(
    ("declared", "body", "content_type", "content"),
    [
        ("text/plain", "ä", "text/plain", "ä".encode()),
        ("text/*", "x", "text/plain", b"x"),
        ("*/*", {"a": 1}, "application/json", b'{"a":1}'),
        ("image/*", "x", "application/octet-stream", b"x"),
    ],
)
def test_other_body_is_sent(declared: str, body: Any, content_type: str, content: bytes) -> None:
    request = send(build_contract(media_type=declared), body)
    assert (request.headers["content-type"], request.content) == (content_type, content)


def test_operation_with_its_own_server_has_another_base_path() -> None:
    assert str(send(build_contract(servers=[{"url": "https://x/files"}])).url) == "http://localhost/mock/files/x"


@pytest.mark.parametrize(
    ("scheme", "option"),
    [
        ("basic", '-u "$TOKEN"'),
        ("header", '-H "X-Key: $TOKEN"'),
        ("cookie", '-b "session=$TOKEN"'),
        ("query", '--url-query "key=$TOKEN"'),
    ],
)
def test_curl_command_sends_the_token_from_the_environment(scheme: str, option: str) -> None:
    wire_format: WireFormat = list_wire_formats(build_contract([{scheme: []}]))["x"]
    request = Request("x", "post", "/x", wire_format=wire_format)
    assert option in Exchange(request, Response(204, {}, b"", 0.0)).curl("http://localhost/v1", "TOKEN", "OTHER")
