"""Responses of operations without an action: example, generated value, status, media type and headers."""

from typing import Any

import pytest

from mock_server.static_responses.media_types import encode_json
from tests.mock_server.static_responses.small_contract import SmallContract, json_content, serve_response

OBJECT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


@pytest.mark.parametrize(
    "content",
    [
        json_content(OBJECT, example={"id": 7}),
        json_content(OBJECT, examples={"first": {"value": {"id": 7}}, "second": {"value": {"id": 8}}}),
        json_content({**OBJECT, "example": {"id": 7}}),
        json_content({"type": "object", "properties": {"id": {"type": "integer", "example": 7}}}),
        json_content(OBJECT, example='{"id": 7}'),
    ],
)
def test_example_is_sent(content: dict[str, Any]) -> None:
    reply = serve_response(content).client.get("/thing")
    assert (reply.status, reply.json, reply.headers["x-mock-note"]) == (200, {"id": 7}, "example")


def test_generated_value_is_sent_for_an_invalid_example_and_reported_once() -> None:
    served = serve_response(json_content(OBJECT, example={"id": "seven"}))
    assert isinstance(served.client.get("/thing").json["id"], int)
    served.client.get("/thing")
    assert served.log.getvalue().count(" of the example does not match its schema: ") == 1
    assert "#/paths/~1thing/get/responses/200/content/application~1json/example" in served.log.getvalue()


def test_generated_value_is_always_the_same() -> None:
    first, second = (serve_response(json_content(OBJECT)).client.get("/thing") for _ in range(2))
    assert first.body == second.body


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["202", "201", "404"], 201),
        (["404", "2XX"], 200),
        (["404", "default"], 200),
        (["404", "302"], 302),
        (["4XX"], 400),
        (["410"], 410),
    ],
)
def test_status_of_the_success(statuses: list[str], expected: int) -> None:
    responses = {status: {"description": status} for status in statuses}
    assert SmallContract({"/thing": {"get": {"responses": responses}}}).client.get("/thing").status == expected


def test_redirect_has_a_location() -> None:
    header = {"schema": {"type": "string"}, "example": "https://example.com/x"}
    served = serve_response({"headers": {"location": header}}, "301")
    assert served.client.get("/thing").headers["location"] == "https://example.com/x"
    assert serve_response({}, "303").client.get("/thing").headers["location"] == "/"


def test_required_headers_are_sent() -> None:
    headers = {
        "X-Total": {"required": True, "schema": {"type": "integer", "minimum": 3, "maximum": 3}},
        "X-Tags": {"required": True, "schema": {"type": "array"}, "example": ["a", "b"]},
        "X-Optional": {"schema": {"type": "string"}},
        "Content-Length": {"required": True, "schema": {"type": "integer"}},
    }
    reply = serve_response({"headers": headers, **json_content(OBJECT)}).client.get("/thing")
    assert (reply.headers["x-total"], reply.headers["x-tags"]) == ("3", "a,b")
    assert "x-optional" not in reply.headers
    assert int(reply.headers["content-length"]) == len(reply.body)


@pytest.mark.parametrize("status", ["204", "304"])
def test_status_without_a_body(status: str) -> None:
    reply = serve_response(json_content(OBJECT), status).client.get("/thing")
    assert (reply.status, reply.body) == (int(status), b"")
    assert "content-type" not in reply.headers


@pytest.mark.parametrize(
    ("media_type", "node", "content_type", "body"),
    [
        ("text/plain", {"example": "Hello"}, "text/plain", b"Hello"),
        (
            "text/csv; charset=utf-8",
            {"schema": {"type": "string"}, "example": "a,b\n"},
            "text/csv; charset=utf-8",
            b"a,b\n",
        ),
        ("application/xml", {"example": "<a/>"}, "application/xml", b"<a/>"),
        ("application/x-ndjson", {"example": [{"a": 1}, {"a": 2}]}, "application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("text/event-stream", {"example": {"a": 1}}, "text/event-stream", b'data: {"a":1}\n\n'),
        ("application/x-www-form-urlencoded", {"example": {"a": 1, "b": ["x", "y"]}}, None, b"a=1&b=x&b=y"),
        ("application/hal+json", {"example": {"a": 2**63}}, "application/hal+json", b'{"a":9223372036854775808}'),
        ("*/*", {"example": {"a": 1}}, "application/json", b'{"a":1}'),
        ("image/*", {"schema": {"type": "string", "format": "binary"}, "example": "x"}, "image/png", b"x"),
        ("application/pdf", {}, "application/pdf", b"text"),
    ],
)
def test_declared_media_type_is_sent(
    media_type: str, node: dict[str, Any], content_type: str | None, body: bytes
) -> None:
    reply = serve_response({"content": {media_type: node}}).client.get("/thing")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, content_type or media_type, body)


def test_xml_without_an_example_is_well_formed_and_says_so() -> None:
    reply = serve_response({"content": {"application/xml": {"schema": OBJECT}}}).client.get("/thing")
    assert b"no example" in reply.body
    assert reply.body.startswith(b"<?xml")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*, application/json;q=0.5", "text/csv"),
        ("application/xml, text/csv;q=0.1", "text/csv"),
        ("application/json, text/csv", "application/json"),
    ],
)
def test_accept_selects_the_media_type(accept: str | None, expected: str) -> None:
    content = {"text/csv": {"example": "a"}, "application/json": {"example": {}}}
    headers = {} if accept is None else {"accept": accept}
    reply = serve_response({"content": content}).client.get("/thing", **headers)
    assert (reply.status, reply.headers["content-type"]) == (200, expected)


def test_other_media_types_are_not_acceptable() -> None:
    client = serve_response({"content": {"text/csv": {"example": "a"}}}).client
    assert client.get("/thing", accept="application/json").status == 406
    assert serve_response({}).client.get("/thing", accept="image/png").status == 200


def test_ignored_parts_of_the_request_are_noted() -> None:
    reply = serve_response(json_content(OBJECT)).client.get("/thing?x=1")
    assert reply.headers["x-mock-note"] == "example; ignored: query.x"


def test_head_has_no_body() -> None:
    reply = serve_response(json_content(OBJECT, example={"id": 7})).client.request("HEAD", "/thing")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "8")


def test_request_is_validated() -> None:
    body = {"required": True, **json_content(OBJECT)}
    responses = {"201": {"description": "Created", **json_content(OBJECT)}, "422": {"description": "Invalid"}}
    client = SmallContract({"/thing": {"post": {"requestBody": body, "responses": responses}}}).client
    assert client.post("/thing", {"id": 1}).status == 201
    assert client.post("/thing", {"id": "x"}).status == 422
    assert client.post("/thing", client.post("/thing", {"id": 1}).json).status == 201


def test_integers_beyond_64_bits_are_encoded() -> None:
    assert encode_json({"a": 2**70}) == b'{"a":1180591620717411303424}'


def test_relative_uris_of_an_example_are_completed_and_logged() -> None:
    uri = {"type": "string", "format": "uri"}
    schema = {"type": "object", "properties": {"self": uri, "links": {"type": "array", "items": uri}}}
    example = {"self": "/things/1", "links": ["../a?b=c", "http://other.example/"]}
    served = serve_response(json_content(schema, example=example))
    links = ["https://example.com/a?b=c", "http://other.example/"]
    assert served.client.get("/thing").json == {"self": "https://example.com/things/1", "links": links}
    reason = 'links.0 of the example does not match its schema: "../a?b=c" is not a "uri"'
    assert f"{reason}; relative URIs of the example are sent with https://example.com/" in served.log.getvalue()


def test_example_with_a_text_that_is_no_uri_is_replaced() -> None:
    schema = {"type": "object", "required": ["self"], "properties": {"self": {"type": "string", "format": "uri"}}}
    served = serve_response(json_content(schema, example={"self": "http://[a b"}))
    assert served.client.get("/thing").json["self"].startswith("https://example.com/")
    assert "a generated value is sent instead of the example" in served.log.getvalue()
