"""The canonical form of OpenAPI 3.0 and 3.1 documents."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.document import Document, iter_keyword_objects, parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.normalization.canonical_form import normalize_document
from spec.normalization.path_items import derive_operation_id
from spec.reading.files import read_document
from spec.validators import SchemaValidators
from spec.version import CONTRACT
from tests.spec.contract_edits import FOREIGN

OK = {"200": {"description": "OK"}}
TEXT, INTEGER = {"type": "string"}, {"type": "integer"}
ENCODED = {"type": "string", "contentEncoding": "base64"}
NULL = {"type": "string", "nullable": True, "enum": [None]}


def build_document(version: str = "3.1.0", **parts: Any) -> Document:
    return Document("api.yaml", b"", {"openapi": version, "info": {"title": "A", "version": "1"}, "paths": {}} | parts)


def normalize(document: Document) -> Document:
    return normalize_document(document, list(iter_keyword_objects(document.root)))


def load(version: str = "3.1.0", **parts: Any) -> Contract:
    return parse_contract(build_document(version, **parts))


def normalize_schema(schema: Any) -> Any:
    """Return the canonical form of a schema of OpenAPI 3.1."""
    contract = load(components={"schemas": {"A": schema}})
    return contract.document.root["components"]["schemas"]["A"]


@pytest.mark.parametrize("path", [CONTRACT, *sorted(FOREIGN.glob("*.yaml"))], ids=lambda path: path.stem)
def test_canonical_document_is_unchanged(path: Path) -> None:
    document = read_document(path)
    assert normalize(document) is document


@pytest.mark.parametrize(
    ("schema", "canonical"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string"]}, {"type": "string"}),
        ({"type": "null", "title": "None"}, {"title": "None", **NULL}),
        ({"type": ["null"]}, NULL),
        ({"type": ["string", "integer"], "minLength": 2}, {"minLength": 2, "anyOf": [TEXT, INTEGER]}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": "a", "enum": ["a", "b"]}, {"const": "a", "enum": ["a", "b"]}),
        ({"examples": [1, 2]}, {"examples": [1, 2], "example": 1}),
        ({"$ref": "#/x", "description": "B"}, {"description": "B", "allOf": [{"$ref": "#/x"}]}),
        ({"$ref": "#/x"}, {"$ref": "#/x"}),
        ({"minimum": 1, "exclusiveMinimum": 3}, {"minimum": 3, "exclusiveMinimum": True}),
        ({"maximum": 1, "exclusiveMaximum": 3}, {"maximum": 1}),
        (ENCODED, {**ENCODED, "format": "byte"}),
        ({"anyOf": [TEXT, {"type": "null"}], "title": "T"}, {"type": "string", "nullable": True, "title": "T"}),
        ({"oneOf": [{**TEXT, "enum": ["a"]}, {"type": "null"}]}, {**TEXT, "nullable": True, "enum": ["a", None]}),
        ({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}, {"anyOf": [{"$ref": "#/x"}, NULL]}),
        ({"anyOf": [TEXT, {"type": "null"}], "minLength": 2}, {"anyOf": [TEXT, NULL], "minLength": 2}),
        (True, {}),
        ({"properties": {"a": True}}, {"properties": {"a": {}}}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"items": False}, {"items": {"not": {}}}),
        ({"prefixItems": [{"const": 1}], "$id": "x", "$comment": "y"}, {"prefixItems": [{"enum": [1]}]}),
        ({"properties": {"const": {"type": "string"}}}, {"properties": {"const": {"type": "string"}}}),
        ({"default": {"const": 1}}, {"default": {"const": 1}}),
        ({"enum": [{"type": ["null"]}]}, {"enum": [{"type": ["null"]}]}),
    ],
)  # fmt: skip
def test_schema_of_31_has_canonical_form(schema: Any, canonical: Any) -> None:
    document = build_document(components={"schemas": {"A": schema}})
    assert normalize(document).root["components"]["schemas"]["A"] == canonical


def test_alternatives_that_a_reference_enters_are_not_merged() -> None:
    schemas = {
        "A": {"anyOf": [TEXT, {"type": "null"}]},
        "B": {"properties": {"a": {"$ref": "#/components/schemas/A/anyOf/0"}}},
    }
    document = load(components={"schemas": schemas}).document
    assert document.resolve("#/components/schemas/A/anyOf/0") == {"type": "string"}


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "bb", "ccc"])
TYPES = st.sampled_from(["string", "integer", "boolean", "null", "number"])
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "const": SCALARS,
            "minimum": st.integers(-2, 2),
            "exclusiveMinimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "minLength": st.integers(0, 3),
            "title": st.just("T"),
        },
    ),
    lambda schemas: st.fixed_dictionaries(
        {},
        optional={
            "anyOf": st.lists(schemas, min_size=1, max_size=2),
            "oneOf": st.lists(schemas, min_size=1, max_size=2),
            "allOf": st.lists(schemas, min_size=1, max_size=2),
            "not": schemas,
            "type": TYPES,
            "title": st.just("T"),
        },
    ),
    max_leaves=5,
)


@given(SCHEMAS, SCALARS | st.floats(-3, 3))
def test_canonical_form_accepts_the_same_values(schema: Any, value: Any) -> None:
    canonical = normalize(build_document(components={"schemas": {"A": schema}}))
    validator = SchemaValidators.from_document(canonical).get("#/components/schemas/A", "read")
    assert validator.is_valid(value) == jsonschema_rs.Draft202012Validator(schema).is_valid(value)


# Documents


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_references_may_be_percent_encoded(version: str) -> None:
    schema = {"$ref": "#/components/schemas/With%20space"}
    response = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    paths = {
        "/a/{b}": {"get": {"responses": {"200": response}}},
        "/c": {"get": {"responses": {"200": {"$ref": "#/paths/~1a~1%7Bb%7D/get/responses/200"}}}},
        "/d": {"$ref": "#/paths/~1a~1%7Bb%7D"},
    }
    contract = load(version, paths=paths, components={"schemas": {"With space": {"type": "string"}}})
    pointers = {operation.path: operation.envelope.schema_pointer for operation in contract.operations.values()}
    assert pointers["/c"] == "#/paths/~1a~1{b}/get/responses/200/content/application~1json/schema"
    assert contract.document.resolve(str(pointers["/d"])) == {"$ref": "#/components/schemas/With space"}


def test_webhooks_are_ignored() -> None:
    contract = load(webhooks={"created": {"post": {"x-resorce": 1, "responses": OK}}})
    assert not contract.operations
    assert set(contract.document.root) == {"openapi", "info", "paths"}


def test_document_of_31_needs_no_paths() -> None:
    document = Document("api.yaml", b"", {"openapi": "3.1.0", "info": {"title": "A"}})
    assert parse_contract(document).operations == {}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_path_item_of_a_reference_is_inline(version: str) -> None:
    shared = {"get": {"operationId": "read", "responses": OK}}
    paths = {"/a": {"$ref": "#/paths/~1b", "summary": "A"}, "/b": shared, "/c": {"$ref": "#/paths/~1b"}}
    contract = load(version, paths=paths)
    assert {o.path: o.id for o in contract.operations.values()} == {"/a": "getA", "/b": "read", "/c": "getC"}
    assert contract.document.root["paths"]["/a"]["summary"] == "A"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("get", "/items/{id}", "getItemsById"),
        ("post", "/items/{item_id}:archive", "postItemsByItemIdArchive"),
        ("get", "/", "getRoot"),
        ("get", "/v1/{name}.json", "getV1ByNameJson"),
        ("delete", "/user-groups/", "deleteUserGroups"),
    ],
)
def test_operation_id_is_derived_from_method_and_path(method: str, path: str, name: str) -> None:
    assert derive_operation_id(method, path) == name


def test_derived_operation_ids_are_unique() -> None:
    paths = {
        "/a-b": {"get": {"responses": OK}},
        "/a/b": {"get": {"responses": OK}},
        "/a_b": {"get": {"operationId": "getAB", "responses": OK}},
    }
    assert {o.path: o.id for o in load("3.0.3", paths=paths).operations.values()} == {
        "/a-b": "getAB_2",
        "/a/b": "getAB_3",
        "/a_b": "getAB",
    }


def test_media_type_without_schema_gets_one() -> None:
    content = {"application/json": {"example": 1}}
    paths = {"/a": {"get": {"responses": {"200": {"description": "OK", "content": content}}}}}
    operation = load("3.0.3", paths=paths).operations["getA"]
    assert operation.envelope.schema_pointer == "#/paths/~1a/get/responses/200/content/application~1json/schema"


def test_extensions_of_other_tools_are_ignored_and_counted() -> None:
    text = b"""
openapi: 3.0.0
info: {title: A, version: 1, x-logo: {x-source: 1}}
security: [{x-page: []}]
paths:
  x-generator: {get: 1}
  /a:
    x-tags: [a]
    get:
      x-stage: beta
      x-resourceId: a
      responses:
        x-default: 1
        200: {description: OK, x-tags: b}
components:
  securitySchemes:
    x-page: {type: http, scheme: bearer}
"""
    contract = parse_contract(parse_document(text, "api.yaml"))
    assert contract.ignored_extensions == {"x-tags": 2, "x-logo": 1, "x-stage": 1, "x-resourceId": 1}
    assert list(contract.ignored_extensions) == ["x-tags", "x-logo", "x-stage", "x-resourceId"]
