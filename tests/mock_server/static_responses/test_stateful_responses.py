"""Responses of stored resources that differ from the record, forced responses, and contracts without resources."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from mock_server.cli import dataset_image
from tests.asgi import Client, Reply
from tests.mock_server.static_responses.small_contract import SmallContract, json_content

TASK = {
    "type": "object",
    "x-resource": {"collection": "tasks", "key": "id"},
    "required": ["id", "title"],
    "properties": {"id": {"type": "integer", "readOnly": True}, "title": {"type": "string", "minLength": 1}},
}
REFERENCE = {"$ref": "#/components/schemas/Task"}
KEY = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]


def serve_tasks(
    create: dict[str, Any] | None = None,
    retrieve: dict[str, Any] | None = None,
    delete: dict[str, Any] | None = None,
    listing: dict[str, Any] | None = None,
) -> SmallContract:
    """Serve a resource with these success responses; default: the record in JSON."""
    record = json_content(REFERENCE)
    rows = json_content({"type": "array", "items": REFERENCE})
    body = {"required": True, **record}

    def respond(response: dict[str, Any] | None, default: dict[str, Any]) -> dict[str, Any]:
        return {"200": {"description": "Success", **(default if response is None else response)}}

    collection = {
        "get": {"operationId": "list", "responses": respond(listing, rows)},
        "post": {"operationId": "create", "requestBody": body, "responses": respond(create, record)},
    }
    item = {
        "get": {"operationId": "retrieve", "responses": respond(retrieve, record)},
        "delete": {"operationId": "delete", "responses": respond(delete, record)},
        "parameters": KEY,
    }
    return SmallContract({"/tasks": collection, "/tasks/{id}": item}, {"Task": TASK})


def create_task(client: Client, title: str = "Write") -> Any:
    reply = client.post("/tasks", {"title": title})
    assert reply.status == 200
    return reply.json


def test_delete_returns_the_documented_record() -> None:
    client = serve_tasks().client
    task = create_task(client)
    assert client.request("DELETE", f"/tasks/{task['id']}").json == task
    assert client.get(f"/tasks/{task['id']}").status == 404


def test_delete_returns_another_documented_body() -> None:
    schema = {"type": "object", "required": ["deleted"], "properties": {"deleted": {"type": "boolean", "enum": [True]}}}
    client = serve_tasks(delete=json_content(schema)).client
    reply = client.request("DELETE", f"/tasks/{create_task(client)['id']}")
    assert (reply.json, reply.headers["x-mock-note"]) == ({"deleted": True}, "example")


def test_create_returns_only_the_documented_properties() -> None:
    schema = {"type": "object", "required": ["id", "ok"], "properties": {"id": {"type": "integer"}, "ok": {"const": 1}}}
    served = serve_tasks(create=json_content(schema))
    first, second = create_task(served.client), create_task(served.client)
    assert (first, second) == ({"id": 1, "ok": 1}, {"id": 2, "ok": 1})
    assert served.client.get("/tasks/2").json == {"id": 2, "title": "Write"}


def test_create_without_a_documented_body_stores_the_record() -> None:
    served = serve_tasks(create={})
    assert served.client.post("/tasks", {"title": "Write"}).body == b""
    assert served.client.get("/tasks").json == [{"id": 1, "title": "Write"}]


def test_envelope_has_its_other_required_properties() -> None:
    properties = {"success": {"type": "boolean", "enum": [True]}, "data": REFERENCE}
    envelope = {"type": "object", "required": ["success", "data"], "properties": properties}
    served = serve_tasks(create=json_content(envelope))
    assert create_task(served.client) == {"success": True, "data": {"id": 1, "title": "Write"}}


def test_vendor_media_type_and_required_headers_are_sent_each_time() -> None:
    header = {"X-Version": {"required": True, "schema": {"type": "integer", "enum": [2]}}}
    content = {"application/vnd.acme+json": {"schema": REFERENCE}}
    client = serve_tasks(retrieve={"content": content, "headers": header}).client
    create_task(client)
    for _ in range(3):
        reply = client.get("/tasks/1")
        assert reply.headers["content-type"] == "application/vnd.acme+json"
        assert reply.headers["x-version"] == "2"
    assert client.get("/tasks/1", accept="application/json").status == 406


ENVELOPE = {"type": "object", "required": ["data"], "properties": {"data": REFERENCE}}


@pytest.mark.parametrize("content", [json_content(REFERENCE), json_content(ENVELOPE), json_content({"const": 1}), {}])
@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Location", {"required": True, "schema": {"type": "string", "format": "uri-reference"}}),
        ("location", {"schema": {"type": "string", "format": "uri"}}),
    ],
)
def test_documented_location_is_the_url_of_the_created_record(
    content: dict[str, Any], name: str, header: dict[str, Any]
) -> None:
    client = serve_tasks(create={**content, "headers": {name: header}}).client
    client.post("/tasks", {"title": "Read"})
    reply = client.post("/tasks", {"title": "Write"})
    url = urlsplit(reply.headers["location"])
    assert (url.scheme, url.path) == ("http", "/tasks/2")
    assert client.get(url.path).json == {"id": 2, "title": "Write"}


def test_read_whose_response_does_not_show_the_resource_is_static() -> None:
    other = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}
    served = serve_tasks(listing=json_content(other), retrieve=json_content({"type": "array", "items": REFERENCE}))
    assert isinstance(served.client.get("/tasks").json["count"], int)
    assert isinstance(served.client.get("/tasks/1").json, list)
    assert {o.action for o in served.contract.operations.values()} == {"static", "create", "delete"}


def test_rejected_write_stores_nothing() -> None:
    served = serve_tasks()
    assert served.client.post("/tasks", {"title": ""}).status == 422
    assert served.client.request("DELETE", "/tasks/1").status == 404
    assert served.client.get("/tasks").json == []


def serve_thing(responses: dict[str, Any]) -> SmallContract:
    return SmallContract({"/thing": {"get": {"operationId": "getThing", "responses": responses}}})


def force(responses: dict[str, Any], preference: str) -> Reply:
    return serve_thing(responses).client.get("/thing", prefer=preference)


RESPONSES = {
    "200": {"description": "A thing", **json_content({"type": "object"}, examples={"small": {"value": {"size": 1}}})},
    "202": {"description": "Accepted", **json_content({"type": "object", "example": {"job": 5}})},
    "4XX": {
        "description": "Rejected",
        **json_content({"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}),
    },
}


@pytest.mark.parametrize(
    ("preference", "status", "body"),
    [
        ("example=small", 200, {"size": 1}),
        ("code=202", 202, {"job": 5}),
        ("code=404", 404, {"error": "Not Found"}),
        ("code=503", 503, {"error": "Service Unavailable"}),
        ("code=200", 200, {"size": 1}),
    ],
)
def test_response_is_forced(preference: str, status: int, body: Any) -> None:
    reply = force(RESPONSES, preference)
    assert (reply.status, reply.json) == (status, body)


def test_undocumented_status_is_not_forced() -> None:
    reply = force(RESPONSES, "code=301")
    assert reply.status == 400
    assert "expected 200, 202, 500, 502, 503, 504, 4XX" in reply.json["error"]


def test_default_documents_every_status() -> None:
    assert force({"default": RESPONSES["4XX"]}, "code=418").status == 418


def test_image_of_a_contract_without_resources_is_empty() -> None:
    served = serve_thing({"200": {"description": "A thing"}})
    assert served.sandbox.store.count_by_resource() == {}
    assert dataset_image.choose_default_dataset(served.contract, "demo") == "plain"


def test_rule_sends_documented_responses() -> None:
    client = serve_thing(RESPONSES).client
    for status, body in ((404, {"error": "Not Found"}), (202, {"job": 5})):
        rule = {"name": "rule", "match": {"operation": "getThing"}, "respond": {"status": status}, "times": 1}
        assert client.post("/__mock/api/sandboxes/default/rules", rule).status == 201
        reply = client.get("/thing")
        assert (reply.status, reply.json) == (status, body)


def test_sandboxes_and_the_journal_have_static_responses() -> None:
    client = serve_thing(RESPONSES).client
    assert client.request("PUT", "/__mock/api/sandboxes/own", data={}).status == 201
    assert client.get("/thing?x=1", x_mock_sandbox="own").json == {"size": 1}
    (request,) = client.get("/__mock/api/sandboxes/own/requests").json["requests"]
    assert (request["operation"], request["response"]["is_documented"]) == ("getThing", True)
    assert [finding["kind"] for finding in request["findings"]] == ["unknown-parameter"]


def test_rejected_control_request_has_the_format_of_the_control_api() -> None:
    reply = serve_thing(RESPONSES).client.get("/__mock/api/sandboxes/nothing")
    assert (reply.status, list(reply.json)) == (404, ["message"])
