"""Tests what the mock says at its start about parts of a contract without effect."""

import json
from typing import Any

import pytest

from mock_server.cli.contract_notes import (
    MAX_LISTED_PARAMETERS,
    MAX_LISTED_SCHEMAS,
    describe_resources_without_path,
    describe_static_reads,
    describe_unmarked_parameters,
    iter_unsatisfiable_schemas,
)
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract

NOTE = "query parameters without x-query have no effect on lists"


def build_contract(*parameters: dict[str, Any]) -> Contract:
    """Build a contract with two stored lists with the same parameters, and a static operation."""
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Star"}}
    response = {"description": "Stars", "content": {"application/json": {"schema": rows}}}
    operation = {"parameters": list(parameters), "responses": {"200": response}}
    actions = {"/stars": "list", "/stars/bright": "list", "/other": "static"}
    item = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "x-stamp": "number"}}}
    paths = {
        path: {
            "get": {
                **operation,
                "operationId": path[1:].replace("/", "-"),
                **({"x-action": action} if action == "list" else {}),
            }
        }
        for path, action in actions.items()
    }
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {"Star": {**item, "x-resource": {"collection": "stars", "key": "id"}}},
            "securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "api_key"}},
        },
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


def query_parameter(name: str, **extensions: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "integer"}, **extensions}


def test_unmarked_parameters_of_stored_lists_are_named() -> None:
    parameters = (query_parameter("page", **{"x-query": "page"}), query_parameter("limit"), query_parameter("after"))
    assert describe_unmarked_parameters(build_contract(*parameters)) == f"{NOTE}: limit (2), after (2)"


def test_no_note_without_unmarked_parameters() -> None:
    parameters = (query_parameter("page", **{"x-query": "page"}), query_parameter("api_key"))
    assert describe_unmarked_parameters(build_contract(*parameters)) == ""


def test_many_parameters_are_counted() -> None:
    names = [f"p{number}" for number in range(MAX_LISTED_PARAMETERS + 3)]
    note = describe_unmarked_parameters(build_contract(*map(query_parameter, names)))
    assert note.endswith(f"p{MAX_LISTED_PARAMETERS - 1} (2), and 3 more")


PARTS = ("id", "name")


def build_contract_of_pens(row: dict[str, Any], **operation: Any) -> Contract:
    """Build a contract in which Pen consists of Id and Name, and whose list of pens has these rows."""
    content = {"application/json": {"schema": {"type": "array", "items": row}}}
    responses = {"200": {"description": "Pens", "content": content}}
    schemas: dict[str, Any] = {
        name.title(): {"type": "object", "required": [name], "properties": {name: {"type": "integer", "default": 1}}}
        for name in (*PARTS, "size")
    }
    schemas["Pen"] = {"x-resource": {"collection": "pens", "key": "id"}, "allOf": refer("Id", "Name")}
    root = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {"/pens": {"get": {"operationId": "listPens", "responses": responses, **operation}}},
        "components": {"schemas": schemas},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


def refer(*names: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/components/schemas/{name}"} for name in names]


@pytest.mark.parametrize(
    "row",
    [
        {"allOf": refer("Id", "Name")},
        {"allOf": [*refer("Pen"), {"type": "object", "properties": {"colour": {"type": "string"}}}]},
        {"allOf": [*refer("Pen", "Name"), {"type": "object", "properties": {"colour": {"type": "string"}}}]},
    ],
)
def test_all_of_with_the_parts_of_a_resource_shows_it(row: dict[str, Any]) -> None:
    contract = build_contract_of_pens(row)
    assert contract.operations["listPens"].action == "list"
    assert describe_static_reads(contract) == ""


@pytest.mark.parametrize(
    "row", [{"allOf": refer("Id", "Size")}, {"allOf": refer("Pen", "Size")}, {"oneOf": refer("Id", "Name")}]
)
def test_read_of_another_schema_is_static_and_named(row: dict[str, Any]) -> None:
    contract = build_contract_of_pens(row)
    assert contract.operations["listPens"].action == "static"
    note = "not answered from the store, because the response does not have the schema with x-resource: listPens (Pen)"
    assert describe_static_reads(contract) == note


def test_read_with_the_action_static_is_not_named() -> None:
    assert describe_static_reads(build_contract_of_pens({"type": "object"}, **{"x-action": "static"})) == ""


SCHEMA = "#/paths/~1a/get/responses/200/content/application~1json/schema"


def build_static_contract(schema: dict[str, Any]) -> Contract:
    """Build a contract with a static operation that responds with a schema."""
    responses = {"200": {"description": "A", "content": {"application/json": {"schema": schema}}}}
    info = {"title": "x", "version": "1"}
    root = {"openapi": "3.1.0", "info": info, "paths": {"/a": {"get": {"operationId": "a", "responses": responses}}}}
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


@pytest.mark.parametrize(
    ("schema", "keywords"),
    [
        ({"type": "string", "minLength": 5, "maxLength": 4}, "type, minLength, maxLength"),
        ({"type": "string", "enum": [1, 2]}, "type, enum"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "type, properties, required"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum, maximum"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "allOf/0/type, allOf/1/type"),
    ],
)
def test_schema_without_a_valid_value_is_named_with_its_keywords(schema: dict[str, Any], keywords: str) -> None:
    text = f"no value is valid: {keywords} contradict each other (change one of them)"
    assert list(iter_unsatisfiable_schemas(build_static_contract(schema))) == [(SCHEMA, text)]


def test_only_the_innermost_schema_without_a_valid_value_is_named() -> None:
    impossible = {"type": "string", "minLength": 5, "maxLength": 4}
    contract = build_static_contract({"type": "object", "required": ["a"], "properties": {"a": impossible}})
    assert [pointer for pointer, _ in iter_unsatisfiable_schemas(contract)] == [f"{SCHEMA}/properties/a"]


@pytest.mark.parametrize("schema", [{"not": {}}, False, {"type": "object", "writeOnly": True}])
def test_optional_property_that_is_prohibited_on_purpose_is_not_named(schema: Any) -> None:
    contract = build_static_contract({"type": "object", "properties": {"a": schema}, "additionalProperties": False})
    assert list(iter_unsatisfiable_schemas(contract)) == []


def test_many_schemas_without_a_valid_value_are_counted() -> None:
    properties = {f"p{n:02}": {"type": "string", "enum": [n]} for n in range(MAX_LISTED_SCHEMAS + 3)}
    notes = list(iter_unsatisfiable_schemas(build_static_contract({"type": "object", "properties": properties})))
    assert (len(notes), notes[-1][1]) == (MAX_LISTED_SCHEMAS + 1, "and 3 more schemas without a valid value")


@pytest.mark.parametrize(
    ("path", "similar"),
    [
        ("/pens", ""),
        ("/pen", "/pen"),
        ("/shop/pens", "/shop/pens"),
        ("/shops/{id}/pens", "/shops/{id}/pens"),
        ("/x", ""),
    ],
)
def test_collection_that_no_path_starts_with_is_named(path: str, similar: str) -> None:
    root = json.loads(build_contract_of_pens({"allOf": refer("Id", "Name")}).document.content)
    root["paths"] = {path: root["paths"]["/pens"]}
    if "{" in path:
        root["paths"][path]["parameters"] = [
            {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
        ]
    contract = parse_contract(parse_document(json.dumps(root).encode(), "x.json"))
    note = f"no path starts with the collection, so no record is served: Pen (/pens; similar: {similar})"
    assert describe_resources_without_path(contract) == (note if similar else "")
