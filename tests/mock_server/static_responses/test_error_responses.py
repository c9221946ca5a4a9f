"""Errors have the status and the format that the contract documents."""

from typing import Any

import pytest

from tests.asgi import Reply
from tests.mock_server.static_responses.small_contract import SmallContract, json_content

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
QUERY = [{"name": "n", "in": "query", "required": True, "schema": INTEGER}]


def make_object(properties: dict[str, Any], *, closed: bool = True) -> dict[str, Any]:
    """Return the schema of an object that requires all properties."""
    schema: dict[str, Any] = {"type": "object", "required": [*properties], "properties": properties}
    return {**schema, "additionalProperties": False} if closed else schema


def serve_errors(**responses: Any) -> SmallContract:
    """Serve ``/thing?n=1`` with these error responses, by ``status_400``, ``default`` and so on."""
    documented = {name.removeprefix("status_"): {"description": "Error", **node} for name, node in responses.items()}
    operation = {"parameters": QUERY, "responses": {"200": {"description": "A thing"}, **documented}}
    return SmallContract({"/thing": {"get": operation}})


def reject(**responses: Any) -> Reply:
    return serve_errors(**responses).client.get("/thing")


@pytest.mark.parametrize(
    ("documented", "status"),
    [
        (["status_422", "status_400"], 422),
        (["status_400"], 400),
        (["status_4XX"], 400),
        (["default"], 400),
        (["status_404"], 422),
        ([], 422),
    ],
)
def test_status_of_invalid_input_is_the_documented_one(documented: list[str], status: int) -> None:
    assert reject(**{name: json_content({"type": "object"}) for name in documented}).status == status


MESSAGE = "The n field is required."


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (make_object({"message": STRING}, closed=False), {"message": MESSAGE, "errors": {"n": [MESSAGE]}}),
        (make_object({"message": STRING}), {"message": MESSAGE}),
        (make_object({"error": STRING}), {"error": MESSAGE}),
        (
            make_object({"error": STRING, "error_description": STRING}),
            {"error": "bad_request", "error_description": MESSAGE},
        ),
        (
            make_object({"error": make_object({"code": INTEGER, "message": STRING, "status": STRING})}),
            {"error": {"code": 400, "message": MESSAGE, "status": "bad_request"}},
        ),
        (
            make_object({"type": STRING, "title": STRING, "status": INTEGER, "detail": STRING}),
            {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": MESSAGE},
        ),
        (
            make_object({"errors": {"type": "array", "items": make_object({"detail": STRING, "pointer": STRING})}}),
            {"errors": [{"detail": MESSAGE, "pointer": "#/n"}]},
        ),
        (
            make_object({"errors": {"type": "array", "items": make_object({"field": STRING, "message": STRING})}}),
            {"errors": [{"field": "n", "message": MESSAGE}]},
        ),
        (make_object({"errors": {"type": "array", "items": STRING}}), {"errors": [MESSAGE]}),
        (
            make_object(
                {
                    "detail": {
                        "type": "array",
                        "items": make_object(
                            {"loc": {"type": "array", "items": STRING}, "msg": STRING, "type": STRING}
                        ),
                    }
                }
            ),
            {"detail": [{"loc": ["n"], "msg": MESSAGE, "type": "about:blank"}]},
        ),
        (make_object({"success": {"type": "boolean"}, "msg": STRING}), {"success": False, "msg": MESSAGE}),
        (make_object({"message": {"type": "string", "maxLength": 5}}), {"message": "The n"}),
        ({"type": "string"}, MESSAGE),
        ({"type": "array", "items": make_object({"message": STRING})}, [{"message": MESSAGE}]),
        ({"oneOf": [make_object({"detail": STRING}), make_object({"code": INTEGER})]}, {"detail": MESSAGE}),
    ],
)
def test_error_schema_is_filled(schema: dict[str, Any], expected: Any) -> None:
    reply = reject(status_400=json_content(schema))
    assert (reply.status, reply.json) == (400, expected)


def test_json_api_errors() -> None:
    source = {"type": "object", "properties": {"pointer": STRING}}
    item = {"type": "object", "properties": {"status": STRING, "title": STRING, "detail": STRING, "source": source}}
    schema = {"type": "object", "properties": {"errors": {"type": "array", "items": item}}}
    reply = reject(status_400={"content": {"application/vnd.api+json": {"schema": schema}}})
    assert reply.headers["content-type"] == "application/vnd.api+json"
    entry = {"status": "400", "title": "Bad Request", "detail": MESSAGE, "source": {"pointer": "/n"}}
    assert reply.json == {"errors": [entry]}


def test_properties_that_are_not_recognized_are_generated() -> None:
    kind = {"type": "string", "enum": ["card_error", "request_error"]}
    reply = reject(status_400=json_content(make_object({"kind": kind, "message": STRING})))
    assert reply.json == {"kind": "card_error", "message": MESSAGE}


def test_error_without_a_documented_body_is_empty() -> None:
    reply = reject(status_400={})
    assert (reply.status, reply.body) == (400, b"")
    assert reply.headers["x-mock-reason"] == "validation"


def test_error_in_text() -> None:
    reply = reject(status_400={"content": {"text/plain": {"schema": STRING}}})
    assert (reply.headers["content-type"], reply.body.decode()) == ("text/plain", MESSAGE)


def test_undocumented_error_has_the_format_of_the_others() -> None:
    served = serve_errors(status_404=json_content(make_object({"reason": STRING})))
    assert served.client.get("/thing").json == {"reason": MESSAGE}
    reply = served.client.get("/nothing")
    assert (reply.status, reply.json) == (404, {"reason": "The route /nothing could not be found."})


def test_contract_without_errors_has_problem_details() -> None:
    reply = reject()
    assert reply.headers["content-type"] == "application/problem+json"
    expected = {"type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": MESSAGE}
    assert reply.json == {**expected, "errors": {"n": [MESSAGE]}}


def test_default_documents_every_error() -> None:
    served = serve_errors(default=json_content(make_object({"code": INTEGER, "message": STRING})))
    assert served.client.post("/thing", {}).json["code"] == 405
    assert served.client.get("/thing").json == {"code": 400, "message": MESSAGE}


def test_unknown_path_has_problem_details_if_the_operations_have_different_errors() -> None:
    operations = {
        name: {
            "get": {
                "responses": {
                    "200": {"description": "A thing"},
                    "404": {"description": "Error", **json_content(make_object({name: STRING}))},
                }
            }
        }
        for name in ("reason", "message")
    }
    reply = SmallContract({f"/{name}": item for name, item in operations.items()}).client.get("/nothing")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["detail"] == "The route /nothing could not be found."


def test_undocumented_error_has_the_format_of_the_operation_if_others_differ() -> None:
    paths: dict[str, Any] = {}
    for name in ("reason", "message"):
        error = {"description": "Error", **json_content(make_object({name: STRING}))}
        responses = {"200": {"description": "A thing"}, "404": error}
        paths[f"/{name}"] = {"get": {"parameters": QUERY, "responses": responses}}
    reply = SmallContract(paths).client.get("/reason")
    assert (reply.status, reply.json) == (422, {"reason": MESSAGE})


def test_default_of_an_operation_without_a_success_is_not_an_error() -> None:
    success = {"default": {"description": "A thing", **json_content(make_object({"name": STRING}))}}
    reply = SmallContract({"/thing": {"get": {"responses": success}}}).client.get("/nothing")
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ({"enum": ["rate_limited", "resource_not_found"]}, "resource_not_found"),
        ({"enum": ["BadRequest", "NotFound"]}, "NotFound"),
        ({"enum": ["E400", "E404"]}, "E404"),
        ({"enum": ["card_error", "api_error"]}, "card_error"),
        ({"anyOf": [{"type": "string", "enum": ["E_OTHER", "E_MISSING"]}, STRING]}, "E_MISSING"),
    ],
)
def test_code_of_an_error_is_the_member_of_the_enum_that_names_the_status(code: dict[str, Any], expected: str) -> None:
    schema = make_object({"code": {"type": "string", **code} if "enum" in code else code, "message": STRING})
    reply = serve_errors(status_404=json_content(schema)).client.get("/nothing")
    assert reply.json == {"code": expected, "message": "The route /nothing could not be found."}


def test_list_that_alone_has_the_message_is_not_empty() -> None:
    item = make_object({"detail": STRING})
    schema = make_object({"errors": {"type": "array", "items": item}})
    reply = serve_errors(default=json_content(schema)).client.get("/nothing")
    assert reply.json == {"errors": [{"detail": "The route /nothing could not be found."}]}
