"""Tests how requests of foreign contracts are encoded: read back by the standard library and by Werkzeug."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Actor, Request
from conformance.transport.wire_format import WireFormat, list_wire_formats
from spec.document import parse_document
from spec.loader import load_contract, parse_contract
from spec.model import Contract


def build_contract(media_type: str = "", servers: Any = (), encoding: Any = None) -> Contract:
    operation: dict[str, Any] = {"operationId": "x", "responses": {"204": {"description": "x"}}}
    if media_type:
        content = {"schema": {"type": "object"}, **({"encoding": encoding} if encoding else {})}
        operation["requestBody"] = {"content": {media_type: content}}
    if servers:
        operation["servers"] = servers
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "servers": [{"url": "/v1"}],
        "paths": {"/x": {"post": operation}},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


def send(contract: Contract, body: Any = None) -> httpx.Request:
    """Return the request that a target receives for an operation of `contract`."""
    received: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(204, stream=httpx.ByteStream(b""))

    base, budget = f"http://localhost/mock{contract.base_path}", Budget(None, None)
    target = HttpTarget(base, {Actor.OWNER: "a:b"}, budget, transport=httpx.MockTransport(respond))
    wire_format = list_wire_formats(contract).get("x")
    target.send(Request("x", "post", "/x", body=body, wire_format=wire_format))
    return received[0]


def test_operation_with_json_below_the_base_path_needs_no_format() -> None:
    contract = build_contract("application/json")
    assert list_wire_formats(contract) == {}
    request = send(contract, {"a": "ä"})
    assert request.headers["authorization"] == "Bearer a:b"
    assert (request.headers["content-type"], json.loads(request.content)) == ("application/json", {"a": "ä"})
    assert str(request.url) == "http://localhost/mock/v1/x"


def test_vendor_media_type_is_sent() -> None:
    request = send(build_contract(media_type="application/vnd.x+json"), {"a": 1})
    assert (request.headers["content-type"], json.loads(request.content)) == ("application/vnd.x+json", {"a": 1})


BODY = {"a": "x&y", "n": 5, "b": True, "list": ["p", "q"], "o": {"c": "d"}, "rows": [{"e": 1}], "none": None}
FIELDS = [("a", "x&y"), ("n", "5"), ("b", "true"), ("list", "p"), ("list", "q"), ("o[c]", "d"), ("rows[0][e]", "1")]


def test_form_is_sent() -> None:
    request = send(build_contract(media_type="application/x-www-form-urlencoded"), BODY)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(request.content.decode()) == FIELDS


@pytest.mark.parametrize(
    ("encoding", "texts"),
    [
        ({"style": "spaceDelimited"}, ["p q"]),
        ({"style": "pipeDelimited"}, ["p|q"]),
        ({"style": "form", "explode": False}, ["p,q"]),
        ({"explode": False}, ["p,q"]),
        ({"style": "spaceDelimited", "explode": True}, ["p", "q"]),
        ({"contentType": "text/plain"}, ["p", "q"]),
    ],
)
def test_arrays_of_a_form_are_sent_as_its_encoding_says(encoding: Any, texts: list[str]) -> None:
    contract = build_contract("application/x-www-form-urlencoded", encoding={"list": encoding})
    fields = parse_qsl(send(contract, {"list": ["p", "q"], "a": 1}).content.decode())
    assert fields == [*(("list", text) for text in texts), ("a", "1")]


def test_rows_of_json_lines_are_sent_in_lines() -> None:
    request = send(build_contract("application/x-ndjson"), [{"a": 1}, {"a": "ä\n"}])
    assert request.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in request.content.splitlines()] == [{"a": 1}, {"a": "ä\n"}]


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
    ("style", "value", "path"),
    [
        ("simple", ";a", "/x/%3Ba"),
        ("label", 5, "/x/.5"),
        ("label", ".5", "/x/.5"),
        ("matrix", "a/b", "/x/;id=a%2Fb"),
        ("matrix", ";id=1;id=2", "/x/;id=1;id=2"),
    ],
)
def test_path_parameter_has_the_prefix_of_its_style(style: str, value: Any, path: str) -> None:
    prefixes = {"label": {"id": "."}, "matrix": {"id": ";id="}}.get(style, {})
    request = Request("get", "get", "/x/{id}", {"id": value}, wire_format=WireFormat(path_prefixes=prefixes))
    assert request.target == path


def test_path_prefixes_are_those_of_the_contract() -> None:
    path = Path(__file__).parents[2] / "contracts" / "parameters" / "path-styles.yaml"
    formats = list_wire_formats(load_contract(path))
    assert {name: dict(created.path_prefixes) for name, created in formats.items()} == {
        "label": {"ids": "."},
        "matrix": {"ids": ";ids="},
    }


def test_fragment_of_a_path_is_not_sent() -> None:
    values, query = {"id": "a#b", "other": "c"}, (("page", "2"),)
    assert Request("x", "get", "/items/{id}#by{other}", values, query).target == "/items/a%23b?page=2"
    assert Request("x", "get", "/items#archived").target == "/items"
