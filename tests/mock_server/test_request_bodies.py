"""Tests request bodies of all media types: what is parsed, what is rejected, and with which status."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from mock_server.errors import ApiError
from mock_server.web.body import BodyMemoryLimit
from mock_server.web.connexion_app import ignore_path_record
from mock_server.web.context import CONTEXT_KEY, RequestContext
from mock_server.web.request_values.bodies import MAX_FORM_FIELDS
from mock_server.web.validation import RequestValidator
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
VENDOR, BINARY = "application/vnd.b+json", "application/octet-stream"
PERSON = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer", "minimum": 0},
        "admin": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "number"}},
        "address": {"$ref": "#/components/schemas/Address"},
        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Address"}},
        "photo": {"type": "string", "format": "binary"},
    },
}
ADDRESS = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string"}, "zip": {"type": "integer"}},
}
ADDRESS_FIELDS = (("address[city]", "Rome"), ("address[zip]", "7"))
ARRAY, BYTES = {"type": "array"}, {"type": "string", "format": "binary"}


@dataclass(frozen=True)
class Result:
    """What the validation of a body leads to: its value, or the status and message of the error."""

    value: Any = None
    status: int = 200
    message: str = ""
    errors: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def build_contract(content: Mapping[str, Any], *, required: bool = True, method: str = "post") -> Contract:
    operation = {
        "operationId": "x",
        "requestBody": {"required": required, "content": content},
        "responses": {"204": {"description": "x"}},
    }
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {"/x": {method: operation}},
        "components": {"schemas": {"Address": ADDRESS, "Person": PERSON}},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


def send(contract: Contract, body: bytes, content_type: str | None, **headers: str) -> Result:
    operation = contract.operations["x"]
    schemas = SchemaValidators.from_document(contract.document)
    encoded = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if content_type is not None:
        encoded[b"content-type"] = content_type.encode()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    context = RequestContext("1", "POST", b"/x", b"", encoded, [], "", now, cast("Any", None), now)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def next_app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["reached"] = True

    async def ignore(message: Message) -> None:
        raise AssertionError(message)

    validator = RequestValidator(operation, contract, schemas, ignore_path_record, BodyMemoryLimit(10**7), next_app)
    scope: dict[str, Any] = {CONTEXT_KEY: context}
    try:
        asyncio.run(validator(scope, receive, ignore))
    except ApiError as error:
        body_json = json.loads(error.encode_body())
        return Result(None, error.status, body_json["message"], body_json.get("errors"))
    assert scope["reached"]
    return Result(context.body, notes=context.notes)


@cache
def person_contract() -> Contract:
    content = {media: {"schema": {"$ref": "#/components/schemas/Person"}} for media in (JSON, FORM, MULTIPART)}
    return build_contract(content)


def send_form(*pairs: tuple[str, str]) -> Result:
    return send(person_contract(), urlencode(pairs).encode(), FORM)


def encode_multipart(data: Mapping[str, Any], files: Any) -> tuple[bytes, str]:
    """Encode with httpx, an independent implementation."""
    request = httpx.Request("POST", "http://x", data=data, files=files)
    return request.read(), request.headers["content-type"]


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ([("name", "Ada")], {"name": "Ada"}),
        ([("name", "Ada"), ("age", "5"), ("admin", "true")], {"name": "Ada", "age": 5, "admin": True}),
        ([("name", "a b&=ä")], {"name": "a b&=ä"}),
        ([("name", "12")], {"name": "12"}),
        ([("name", "Ada"), ("tags", "a"), ("tags", "b")], {"name": "Ada", "tags": ["a", "b"]}),
        ([("name", "Ada"), ("tags", "a,b")], {"name": "Ada", "tags": ["a,b"]}),
        ([("name", "Ada"), ("sizes[]", "1"), ("sizes[]", "2.5")], {"name": "Ada", "sizes": [1, 2.5]}),
        ([("name", "Ada"), ("sizes[0]", "1"), ("sizes[1]", "2")], {"name": "Ada", "sizes": [1, 2]}),
        (
            [("name", "Ada"), ("address[city]", "Rome"), ("address[zip]", "7")],
            {"name": "Ada", "address": {"city": "Rome", "zip": 7}},
        ),
        ([("name", "Ada"), ("lines[0][city]", "Rome")], {"name": "Ada", "lines": [{"city": "Rome"}]}),
        ([("name", "Ada"), ("address", '{"city": "Rome"}')], {"name": "Ada", "address": {"city": "Rome"}}),
        ([("name", "Ada"), ("lines", '[{"city": "Rome"}]')], {"name": "Ada", "lines": [{"city": "Rome"}]}),
        ([("name", "Ada"), ("age", "")], {"name": "Ada"}),
        ([("name", "old"), ("name", "Ada")], {"name": "Ada"}),
    ],
)
def test_form_is_parsed_by_its_schema(pairs: list[tuple[str, str]], value: Any) -> None:
    assert send_form(*pairs) == Result(value)


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("age", "5")], "name"),
        ([("name", "A")], "name"),
        ([("name", "Ada"), ("age", "x")], "age"),
        ([("name", "Ada"), ("address[zip]", "5")], "address.city"),
        ([("name", "Ada"), ("address", "{")], "address"),
        ([("name[first]", "Ada")], "name"),
    ],
)
def test_invalid_form_is_rejected(pairs: list[tuple[str, str]], field: str) -> None:
    result = send_form(*pairs)
    assert (result.status, list(result.errors or ())) == (422, [field])


def test_unknown_field_of_a_form_is_noted() -> None:
    assert send_form(("name", "Ada"), ("colour", "red")).notes == ("body.colour",)


def test_encoding_determines_the_separator_of_an_array() -> None:
    schema = {"type": "object", "properties": {n: {"type": "array", "items": {"type": "integer"}} for n in "abc"}}
    encoding = {"a": {"explode": False}, "b": {"style": "pipeDelimited"}, "c": {"style": "form", "explode": True}}
    contract = build_contract({FORM: {"schema": schema, "encoding": encoding}})
    assert send(contract, b"a=1,2&b=3|4&c=5&c=6", FORM).value == {"a": [1, 2], "b": [3, 4], "c": [5, 6]}


def test_multipart_form_is_parsed_by_its_schema() -> None:
    photo = bytes(range(256))
    data = {"name": "Ada", "age": "5", "tags": ["a", "b"], "address[city]": "Rome"}
    body, content_type = encode_multipart(data, {"photo": ("p.png", photo, "image/png")})
    assert send(person_contract(), body, content_type).value == {
        "name": "Ada",
        "age": 5,
        "tags": ["a", "b"],
        "address": {"city": "Rome"},
        "photo": photo.decode("latin-1"),
    }


def test_json_part_of_a_multipart_form_is_parsed() -> None:
    files = [("address", (None, '{"city": "Zürich"}', "application/json")), ("name", (None, "Ada"))]
    body, content_type = encode_multipart({}, files)
    assert send(person_contract(), body, content_type).value == {"name": "Ada", "address": {"city": "Zürich"}}


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"x", "multipart/form-data", "the content type has no boundary"),
        (b"x", "multipart/form-data; boundary=b", "its parts do not end as its boundary requires"),
        (b"--b\r\n", "multipart/form-data; boundary=b", "its parts do not end as its boundary requires"),
        (b"name=\xff", FORM, "it is not UTF-8"),
        (b"name=%ff", FORM, "it is not UTF-8"),
        (b"&".join([b"a=1"] * (MAX_FORM_FIELDS + 1)), FORM, f"it has more than {MAX_FORM_FIELDS} fields"),
        (b"{", JSON, "unexpected end of data"),
    ],
)
def test_malformed_body_is_a_400(body: bytes, content_type: str, message: str) -> None:
    result = send(person_contract(), body, content_type)
    assert result.status == 400
    assert message in result.message


@given(st.binary(max_size=200), st.sampled_from([FORM, "multipart/form-data; boundary=b", JSON, "text/plain", "x"]))
def test_no_body_is_a_server_error(body: bytes, content_type: str) -> None:
    assert send(person_contract(), body, content_type).status in (200, 400, 415, 422)


parts = st.lists(
    st.sampled_from([b"--b", b"--b--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="name"', b";", b"x"])
)


@given(parts)
def test_no_multipart_body_is_a_server_error(fragments: list[bytes]) -> None:
    result = send(person_contract(), b"".join(fragments), "multipart/form-data; boundary=b")
    assert result.status in (200, 400, 422)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/vnd.example+json", 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/xml", 415),
        (None, 415),
    ],
)
def test_media_type_must_be_declared(content_type: str | None, status: int) -> None:
    result = send(person_contract(), b'{"name": "Ada"}', content_type)
    assert result.status == status
    if status == 415 and "charset" not in (content_type or ""):
        expected = "application/json or application/x-www-form-urlencoded or multipart/form-data"
        assert result.message == f"The content type must be {expected}."


def test_compressed_body_is_a_415() -> None:
    assert send(person_contract(), b"x", FORM, content_encoding="gzip").status == 415


@pytest.mark.parametrize(
    ("content", "content_type", "body", "expected"),
    [
        ({"application/vnd.x+json": {"schema": PERSON}}, "application/vnd.x+json", b'{"name": "Ada"}', {"name": "Ada"}),
        ({"application/vnd.x+json": {"schema": PERSON}}, "application/json", b'{"name": "Ada"}', {"name": "Ada"}),
        ({"application/merge-patch+json": {}}, "application/merge-patch+json", b'{"a": null}', {"a": None}),
        ({JSON: {"schema": {"type": "array", "items": {"type": "integer"}}}}, JSON, b"[1, 2]", [1, 2]),
        ({JSON: {"schema": {"type": "array", "items": {"type": "integer"}}}}, JSON, b'["x"]', 422),
        ({JSON: {"schema": {"type": "string"}}}, JSON, b'"x"', "x"),
        ({JSON: {"schema": {"type": "boolean"}}}, JSON, b"5", 422),
        ({JSON: {}}, JSON, b"[5]", [5]),
        ({"text/plain": {"schema": {"type": "string", "maxLength": 3}}}, "text/plain", "äöü".encode(), "äöü"),
        ({"text/plain": {"schema": {"type": "string", "maxLength": 3}}}, "text/plain", b"long", 422),
        ({"text/csv": {}}, "text/csv; charset=utf-8", b"a,b\n", "a,b\n"),
        ({BINARY: {"schema": BYTES}}, BINARY, b"\xff\x00", "\xff\x00"),
        ({BINARY: {}}, None, b"\xff\x00", "\xff\x00"),
        ({"image/*": {"schema": BYTES}}, "image/png", b"\x89PNG", "\x89PNG"),
        ({"image/*": {}}, "text/plain", b"x", 415),
        ({"application/xml": {"schema": PERSON}}, "application/xml", b"<x/>", None),
        ({"*/*": {"schema": PERSON}}, JSON, b'{"name": "Ada"}', {"name": "Ada"}),
        ({"*/*": {"schema": PERSON}}, JSON, b'{"name": "A"}', 422),
        ({"*/*": {"schema": PERSON}}, "application/x-www-form-urlencoded", b"name=Ada", {"name": "Ada"}),
        ({"*/*": {"schema": PERSON}}, "application/pdf", b"%PDF", None),
        ({JSON: {"schema": PERSON}, "text/plain": {}}, "text/plain", b"{", "{"),
        ({JSON: {"schema": PERSON}, VENDOR: {"schema": ARRAY}}, VENDOR, b"[]", []),
        ({JSON: {"schema": PERSON}, VENDOR: {"schema": ARRAY}}, JSON, b"[]", 422),
        ({JSON: {"schema": {"oneOf": [PERSON, {"type": "array"}]}}}, JSON, b'{"name": "Ada"}', {"name": "Ada"}),
        ({JSON: {"schema": {"allOf": [PERSON, {"required": ["age"]}]}}}, JSON, b'{"name": "Ada"}', 422),
    ],
)
def test_body_is_parsed_by_its_media_type(content: Any, content_type: str | None, body: bytes, expected: Any) -> None:
    result = send(build_contract(content), body, content_type)
    if isinstance(expected, int):
        assert result.status == expected
    else:
        assert result == Result(expected)


@pytest.mark.parametrize("content", [{JSON: {"schema": PERSON}}, {"text/plain": {}}, {FORM: {"schema": PERSON}}])
def test_absent_body_is_valid_unless_it_is_required(content: Any) -> None:
    assert send(build_contract(content, required=False), b"", None) == Result(None)
    result = send(build_contract(content), b"", None)
    assert (result.status, result.errors) == (422, {"body": ["The body field is required."]})


@pytest.mark.parametrize("method", ["get", "delete", "patch", "put", "options", "head", "trace"])
def test_any_method_may_have_a_body(method: str) -> None:
    contract = build_contract({JSON: {"schema": PERSON}}, method=method)
    assert send(contract, b'{"name": "Ada"}', JSON) == Result({"name": "Ada"})


def test_body_without_media_types_is_ignored() -> None:
    assert build_contract({}).operations["x"].request_body is None
