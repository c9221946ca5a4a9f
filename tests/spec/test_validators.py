"""The translation of OpenAPI 3.0 schemas to Draft 2020-12, compared with another implementation of 3.0."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator

from spec.component_schemas import ComponentSchemas
from spec.document import parse_document
from spec.model import Contract
from spec.validators import Direction, SchemaValidators, build_standalone_schema, translate_schema
from tests.spec.contract_edits import load_edited_contract, read_foreign_document

NAMES = ("a", "b", "c")

# Floats are never integral: that 1.0 is an integer is an intended difference (JSON has one number type).
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from((0.5, -1.5, 2.5))
    | st.sampled_from(("", "a", "ab", "abc", "é", "😀"))
)
INSTANCES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda schemas: st.lists(schemas, max_size=3) | st.dictionaries(st.sampled_from(NAMES), schemas, max_size=3),
    max_leaves=5,
)
COUNTS = st.integers(0, 3)
BOUNDS = st.integers(-2, 2) | st.sampled_from((0.5, -0.5))

TYPED: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "string": {"minLength": COUNTS, "maxLength": COUNTS, "pattern": st.sampled_from(("^a", "b$", "."))},
    "integer": {
        "minimum": BOUNDS,
        "maximum": BOUNDS,
        "exclusiveMinimum": st.booleans(),
        "exclusiveMaximum": st.booleans(),
        "multipleOf": st.integers(1, 3),
    },
    "number": {
        "minimum": BOUNDS,
        "maximum": BOUNDS,
        "exclusiveMinimum": st.booleans(),
        "exclusiveMaximum": st.booleans(),
        "multipleOf": st.sampled_from((1, 0.5)),
    },
    "boolean": {},
    "array": {"minItems": COUNTS, "maxItems": COUNTS, "uniqueItems": st.booleans()},
    "object": {"minProperties": COUNTS, "maxProperties": COUNTS},
}


@st.composite
def scalar_schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A schema of a scalar."""
    kind = draw(st.sampled_from(("string", "integer", "number", "boolean")))
    schema: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=dict(TYPED[kind])))
    for keyword in ("Minimum", "Maximum"):  # the boolean is ignored without its bound
        if keyword.lower() not in schema:
            schema.pop(f"exclusive{keyword}", None)
    schema["type"] = kind
    if draw(st.integers(0, 3)) == 0:
        schema["enum"] = draw(st.lists(SCALARS, min_size=1, max_size=4, unique_by=repr))
    return {**schema, **draw(annotations())}


@st.composite
def annotations(draw: st.DrawFn) -> dict[str, Any]:
    """Keywords that any schema may have."""
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "nullable": st.booleans(),
                "description": st.just("text"),
                "example": INSTANCES,
                "default": SCALARS,
                "x-faker": st.just("faker:name"),
                "deprecated": st.booleans(),
                "title": st.just("type"),
            },
        )
    )


def nested_schemas(schemas: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas that contain schemas."""

    @st.composite
    def schemas_with_children(draw: st.DrawFn) -> dict[str, Any]:
        kind = draw(st.sampled_from(("array", "object", "object", "allOf", "anyOf", "oneOf", "not")))
        schema: dict[str, Any] = draw(annotations())
        if kind == "not":
            return {**schema, "not": draw(schemas)}
        if kind in ("allOf", "anyOf", "oneOf"):
            return {**schema, kind: draw(st.lists(schemas, min_size=1, max_size=2))}
        schema |= {"type": kind, **draw(st.fixed_dictionaries({}, optional=dict(TYPED[kind])))}
        if kind == "array":
            return {**schema, "items": draw(schemas)}
        schema["properties"] = {
            name: draw(schemas) | draw(st.sampled_from(({}, {}, {"readOnly": True}, {"writeOnly": True})))
            for name in draw(st.sets(st.sampled_from(NAMES)))
        }
        if required := draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True)):
            schema["required"] = required
        schema["additionalProperties"] = draw(st.booleans() | schemas)
        return schema

    return schemas_with_children()


SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(scalar_schemas(), nested_schemas, max_leaves=5)
EMPTY = parse_document(b"a: 1", "empty")


def is_accepted(schema: dict[str, Any], instance: Any, direction: Direction) -> bool:
    """Whether the translated schema accepts a value."""
    return jsonschema_rs.Draft202012Validator(build_standalone_schema(EMPTY, schema, direction)).is_valid(instance)


def remove_keyword(schema: Any, keyword: str) -> Any:
    """Return the schema without a keyword."""
    if isinstance(schema, dict):
        return {name: remove_keyword(schemas, keyword) for name, schemas in schema.items() if name != keyword}
    return [remove_keyword(schemas, keyword) for schemas in schema] if isinstance(schema, list) else schema


@given(SCHEMAS, st.lists(INSTANCES, min_size=1, max_size=6))
def test_response_validation_agrees_with_openapi_30(schema: dict[str, Any], instances: list[Any]) -> None:
    for instance in instances:
        assert is_accepted(schema, instance, "read") == OAS30ReadValidator(schema).is_valid(instance), instance


@given(SCHEMAS, st.lists(INSTANCES, min_size=1, max_size=6))
def test_request_validation_agrees_with_openapi_30(schema: dict[str, Any], instances: list[Any]) -> None:
    schema = remove_keyword(schema, "readOnly")  # this validator ignores them in a request, the other one rejects them
    for instance in instances:
        assert is_accepted(schema, instance, "write") == OAS30WriteValidator(schema).is_valid(instance), instance


@pytest.mark.parametrize(
    "schema",
    [
        {"required": ["id"], "allOf": [{"properties": {"id": {"readOnly": True}}}]},
        {"allOf": [{"required": ["id"]}, {"properties": {"id": {"readOnly": True}}}]},
        {"required": ["id"], "properties": {"id": {"allOf": [{"type": "integer"}, {"readOnly": True}]}}},
    ],
)
def test_request_need_not_contain_read_only_property_of_another_part(schema: dict[str, Any]) -> None:
    assert is_accepted(schema, {}, "write")
    assert not is_accepted(schema, {}, "read")


READ_ONLY_ID = {"properties": {"id": {"type": "integer", "readOnly": True}}}
COMPOSITIONS = {
    "Base": {**READ_ONLY_ID, "required": ["id"]},
    "Plain": {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
    "Required": {"required": ["id"]},
    "Nested": {"allOf": [{"allOf": [{"$ref": "#/components/schemas/Base"}]}, {"properties": {"name": {}}}]},
    "Cat": {"allOf": [{"$ref": "#/components/schemas/Base"}], "properties": {"purrs": {}}, "required": ["purrs"]},
    "Dog": {"allOf": [{"$ref": "#/components/schemas/Base"}], "properties": {"barks": {}}, "required": ["barks"]},
}
COMPOSITION_DOCUMENT = parse_document(json.dumps({"components": {"schemas": COMPOSITIONS}}).encode(), "compositions")


def refer(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    "schema",
    [
        {"required": ["id"], "allOf": [refer("Nested")]},
        {"required": ["id"], "allOf": [{"allOf": [{"allOf": [READ_ONLY_ID]}]}]},
        {"allOf": [refer("Required"), refer("Base")]},
        {"allOf": [{"allOf": [refer("Required")]}, {"allOf": [refer("Nested")]}]},
        {"allOf": [refer("Plain")], **READ_ONLY_ID},
        {"required": ["id"], "oneOf": [refer("Cat"), refer("Dog")]},
        {"required": ["id"], "allOf": [{"anyOf": [refer("Cat"), refer("Dog")]}]},
        {**READ_ONLY_ID, "oneOf": [{"required": ["id", "purrs"]}, {"required": ["id", "barks"]}]},
        {**READ_ONLY_ID, "if": {"required": ["purrs"]}, "then": {"required": ["id"]}, "else": False},
    ],
)
def test_request_need_not_contain_read_only_property_of_a_composition(schema: dict[str, Any]) -> None:
    def is_valid(instance: Any, direction: Direction) -> bool:
        standalone = build_standalone_schema(COMPOSITION_DOCUMENT, schema, direction)
        return jsonschema_rs.Draft202012Validator(standalone).is_valid(instance)

    assert is_valid({"purrs": True}, "write")
    assert not is_valid({"purrs": True}, "read")
    assert is_valid({"purrs": True, "id": 1}, "read")


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"required": ["id"], "anyOf": [refer("Base"), {"properties": {"id": {}, "name": {}}}]}, {"id": 1}, {}),
        ({**READ_ONLY_ID, "oneOf": [{"required": ["id"]}, {"required": ["name"]}]}, {"name": 1}, {}),
        ({"properties": {"child": {"allOf": [refer("Plain")]}}}, {"child": {"id": 1}}, {"child": {}}),
    ],
)
def test_request_must_contain_other_properties_of_a_composition(
    schema: dict[str, Any], valid: dict[str, Any], invalid: dict[str, Any]
) -> None:
    standalone = build_standalone_schema(COMPOSITION_DOCUMENT, schema, "write")
    validator = jsonschema_rs.Draft202012Validator(standalone)
    assert (validator.is_valid(valid), validator.is_valid(invalid)) == (True, False)


def test_part_that_is_referred_to_often_is_read_once() -> None:
    schemas: dict[str, Any] = {f"A{i}": {"allOf": [refer(f"A{i + 1}")] * 3} for i in range(15)}
    schemas["A15"] = READ_ONLY_ID
    document = parse_document(json.dumps({"components": {"schemas": schemas}}).encode(), "diamonds")
    components = ComponentSchemas.from_document(document)
    assert len(components.list_parts(refer("A0"), "")) == 16
    assert [prop.name for prop in components.list_properties(refer("A0"), "")] == ["id"]


@given(SCHEMAS, st.sampled_from(("read", "write")))
def test_every_translated_schema_compiles(schema: dict[str, Any], direction: Direction) -> None:
    jsonschema_rs.Draft202012Validator(build_standalone_schema(EMPTY, schema, direction))


@given(SCHEMAS)
def test_translation_does_not_modify_schema(schema: dict[str, Any]) -> None:
    before = repr(schema)
    translate_schema(schema, "write", lambda _: None, ComponentSchemas.from_document(EMPTY))
    assert repr(schema) == before


# Intended differences


def create_person_schema(**more: Any) -> dict[str, Any]:
    """An object with a readOnly and a writeOnly property."""
    return {
        "type": "object",
        "required": ["id", "name", "secret"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string"},
            "secret": {"type": "string", "writeOnly": True},
        },
        **more,
    }


SENT = {"name": "a", "secret": "b"}
RECEIVED = {"name": "a", "id": 1}


@pytest.mark.parametrize("closed", [{}, {"additionalProperties": False}, {"additionalProperties": {"type": "string"}}])
@pytest.mark.parametrize(
    ("direction", "instance", "valid"),
    [
        ("write", SENT, True),
        ("write", {**SENT, "id": 7}, True),
        ("write", {**SENT, "id": "seven"}, True),
        ("write", RECEIVED, False),
        ("read", RECEIVED, True),
        ("read", {**RECEIVED, "secret": "b"}, False),
        ("read", SENT, False),
    ],
)
def test_read_only_and_write_only_depend_on_the_direction(
    closed: dict[str, Any], direction: Direction, instance: Any, valid: bool
) -> None:
    assert is_accepted(create_person_schema(**closed), instance, direction) is valid


@pytest.mark.parametrize(
    ("schema", "instance", "valid"),
    [
        ({"type": "integer"}, 1.0, True),
        ({"type": "string", "nullable": True}, None, True),
        ({"type": "string", "nullable": True, "enum": ["a"]}, None, False),
        ({"type": "string", "nullable": True, "enum": ["a", None]}, None, True),
        ({"type": "string"}, None, False),
        ({"minimum": 1, "exclusiveMinimum": True}, 1, False),
        ({"exclusiveMinimum": True}, -5, True),
        ({"exclusiveMaximum": True, "type": "integer"}, 5, True),
        ({"minimum": 1, "exclusiveMinimum": False}, 1, True),
        ({}, None, True),
    ],
)
def test_openapi_30_keywords_keep_their_meaning(schema: dict[str, Any], instance: Any, valid: bool) -> None:
    assert is_accepted(schema, instance, "read") is valid


@pytest.mark.parametrize(
    ("format_", "text", "valid"),
    [
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", True),
        ("uuid", "AAA", False),
        ("date-time", "2024-01-15T10:30:00Z", True),
        ("date-time", "2024-01-15 10:30", False),
        ("date", "2024-02-30", False),
        ("email", "a@example.org", True),
        ("email", "a", False),
        ("password", "anything", True),
    ],
)
def test_formats_are_validated(format_: str, text: str, valid: bool) -> None:
    document = parse_document(b'{"a": {"type": "string", "format": "%s"}}' % format_.encode(), "x")
    assert SchemaValidators.from_document(document).get("#/a", "write").is_valid(text) is valid


# References


def create_validators_with_references(*pointers: str) -> SchemaValidators:
    """A document with a tree, a list, and a schema that refers to each of `pointers`."""
    parts = ", ".join(f'{{$ref: "{pointer}"}}' for pointer in pointers)
    text = f"""
a: {{anyOf: [{parts}]}}
tree:
  type: object
  required: [v]
  properties: {{v: {{type: integer}}, next: {{$ref: "#/tree"}}, odd/~name: {{type: boolean}}}}
all: {{allOf: [{{type: object}}, {{type: string}}]}}
paths: {{/x: {{get: {{responses: {{200: {{schema: {{type: number}}}}}}}}}}}}
"""
    return SchemaValidators.from_document(parse_document(text.encode(), "x"))


@pytest.mark.parametrize(
    ("pointers", "instance", "valid"),
    [
        (["#/tree"], {"v": 1, "next": {"v": 2}}, True),
        (["#/tree"], {"v": 1, "next": {"v": "2"}}, False),
        (["#/tree/properties/v"], 5, True),
        (["#/tree", "#/tree/properties/v"], 5, True),
        (["#/tree/properties/v", "#/tree"], {"v": 5}, True),
        (["#/tree/properties/odd~1~0name"], True, True),
        (["#/all/allOf/1"], "text", True),
        (["#/all", "#/all/allOf/1"], "text", True),
        (["#/all/allOf/1", "#/all"], "text", True),
        (["#/all/allOf/1"], 5, False),
        (["#/paths/~1x/get/responses/200/schema"], 1.5, True),
    ],
)
def test_references_are_resolved(pointers: list[str], instance: Any, valid: bool) -> None:
    assert create_validators_with_references(*pointers).get("#/a", "read").is_valid(instance) is valid


def test_validator_is_cached() -> None:
    schemas = SchemaValidators.from_document(read_foreign_document("library"))
    pointer = "#/components/schemas/Book"
    assert schemas.get(pointer, "read") is schemas.get(pointer, "read")


@pytest.mark.parametrize("name", ["library", "museum"])
@pytest.mark.parametrize("direction", ["read", "write"])
def test_every_component_compiles(name: str, direction: Direction) -> None:
    contract: Contract = load_edited_contract(name)
    schemas = SchemaValidators.from_document(contract.document)
    for component in contract.document.root["components"]["schemas"]:
        schemas.get(f"#/components/schemas/{component}", direction)


@pytest.mark.parametrize(
    ("value", "valid"),
    [({}, True), ({"title": "x"}, True), ({"title": 1}, False), ({"chapters": [{}]}, False), (1, False)],
)
def test_validator_without_required_checks_everything_else(value: Any, valid: bool) -> None:
    contract = load_edited_contract("library")
    body = contract.operations["createBook"].request_body
    assert body is not None
    validator = SchemaValidators.from_document(contract.document).build_without_required(body.pointer, "write")
    assert validator.is_valid(value) is valid
