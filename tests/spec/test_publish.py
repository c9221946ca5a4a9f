"""The published form of a contract: no extensions of ours, visible provenance, no defaults that bind clients."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from scripts import publish_contract
from scripts.publish_contract import CONTRACT, FOLDER, build_files
from spec.document import Document, iter_keyword_objects, parse_document, parse_yaml
from spec.extensions import KNOWN_EXTENSIONS
from spec.loader import load_contract, parse_contract
from spec.publishing.openapi30 import NULL_NAME, build_openapi, build_openapi_31, render_yaml
from spec.publishing.openapi31 import convert_to_31

SMALL = """
openapi: 3.0.3
info: {title: Small, version: '1'}
paths:
  /items:
    get:
      operationId: listItems
      summary: List
      description: Lists items.
      x-source: published
      parameters:
        - {name: page, in: query, description: Page., x-query: page, schema: {type: integer, default: 1}}
        - {name: name, in: query, x-source: inferred, x-query: {filter: name}, schema: {type: string}}
      responses:
        '200':
          description: Items.
          content:
            application/json:
              schema:
                type: object
                properties:
                  data: {type: array, items: {$ref: '#/components/schemas/Item'}}
                  meta:
                    type: object
                    properties: {last_page: {type: integer, x-page: last-page}}
              examples:
                one: {x-source: documented, value: {data: [], x-source: value}}
          links:
            body: {$ref: '#/components/links/WithBody'}
            key: {$ref: '#/components/links/WithKey'}
components:
  links:
    WithBody: {operationId: listItems, requestBody: {name: $response.body#/name}}
    WithKey: {operationId: listItems, parameters: {name: $response.body#/name}}
  schemas:
    Item:
      x-source: documented
      type: object
      required: [name]
      x-resource: {collection: items, key: name}
      properties:
        name: {type: string, default: a, description: Its name., x-faker: 'faker:word'}
        note: {type: string, nullable: true, default: null, x-source: inferred}
        label: {type: string}
"""


def build_small(*edits: tuple[str, str]) -> dict[str, Any]:
    """Publish the small contract, changed by edits of its text."""
    text = SMALL
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return build_openapi(parse_contract(parse_document(text.encode(), "small.yaml")))


def list_operation(root: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = root["paths"]["/items"]["get"]
    return operation


# The files of the repository


@pytest.mark.parametrize("name", build_files())
def test_published_file_is_current(name: str) -> None:
    assert (FOLDER / name).read_bytes() == build_files()[name], f"spec/dist/{name} is outdated: run `make contract`"


def test_folder_has_no_other_files() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*build_files(), "postman-collection.json"}


def test_missing_generator_of_the_collection_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "dist"
    for name, path in (("ROOT", tmp_path), ("FOLDER", folder), ("COLLECTION", folder / "c.json"), ("CLIENTS", folder)):
        monkeypatch.setattr(publish_contract, name, path)
    assert publish_contract.main() == 1
    assert "make test-clients" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == sorted(build_files())


@pytest.mark.parametrize("name", ["openapi.json", "openapi-3.1.json"])
def test_published_file_is_valid(name: str) -> None:
    validate(json.loads((FOLDER / name).read_bytes()))


def test_yaml_file_equals_json_file() -> None:
    assert yaml.safe_load((FOLDER / "openapi.yaml").read_bytes()) == json.loads((FOLDER / "openapi.json").read_bytes())


@pytest.mark.parametrize("name", build_files())
def test_published_file_has_no_extension_of_ours(name: str) -> None:
    root = yaml.safe_load((FOLDER / name).read_bytes())
    nodes = (*iter_keyword_objects(root), *_list_examples(root))
    assert [(pointer, key) for node, pointer in nodes for key in node if key in KNOWN_EXTENSIONS] == []


def _list_examples(root: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    return [(value, f"#/components/examples/{name}") for name, value in root["components"]["examples"].items()]


def test_every_operation_and_schema_is_published() -> None:
    contract, root = load_contract(CONTRACT), json.loads((FOLDER / "openapi.json").read_bytes())
    published = {operation["operationId"] for item in root["paths"].values() for operation in _list_operations(item)}
    assert published == set(contract.operations)
    stored_only = {resource.name for resource in contract.resources.values() if resource.is_stored_only}
    assert stored_only
    schemas = set(contract.document.root["components"]["schemas"]) - stored_only
    variants = {
        reference["$ref"].rpartition("/")[2]
        for schema in root["components"]["schemas"].values()
        if "discriminator" in schema
        for reference in schema["oneOf"]
    }
    assert set(root["components"]["schemas"]) - {NULL_NAME} - variants == schemas
    schemas_31 = json.loads((FOLDER / "openapi-3.1.json").read_bytes())["components"]["schemas"]
    assert set(schemas_31) - variants == schemas


def _list_operations(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in item.values() if isinstance(value, dict) and "operationId" in value]


def test_every_reference_is_resolved() -> None:
    for name in ("openapi.json", "openapi-3.1.json"):
        content = (FOLDER / name).read_bytes()
        document = Document(name, content, json.loads(content))
        references = [node["$ref"] for node, _ in iter_keyword_objects(document.root) if "$ref" in node]
        assert references
        for reference in references:
            document.resolve(reference)


def test_every_operation_shows_its_provenance() -> None:
    root = json.loads((FOLDER / "openapi.json").read_bytes())
    for operation in (each for item in root["paths"].values() for each in _list_operations(item)):
        (badge,) = operation["x-badges"]
        assert operation["description"].startswith(f"{badge['name']}. ")


# OpenAPI 3.0


def test_extensions_of_other_tools_are_published() -> None:
    contract = parse_contract(parse_document(SMALL.encode(), "small.yaml"))
    document = parse_document(SMALL.replace("summary: List\n", "x-other-tool: {x-source: a}\n").encode(), "small.yaml")
    assert list_operation(build_openapi(replace(contract, document=document)))["x-other-tool"] == {"x-source": "a"}


def test_operation_has_a_badge_and_a_description_with_its_provenance() -> None:
    operation = list_operation(build_small())
    assert operation["description"] == "Published. Lists items."
    assert operation["x-badges"] == [{"name": "Published", "color": "#0969da"}]


def test_parameters_show_their_provenance_and_default() -> None:
    page, name = list_operation(build_small())["parameters"]
    assert (page["description"], name["description"]) == ("Published. Page. Default: `1`.", "Inferred.")


def test_default_that_the_text_of_a_parameter_states_is_not_repeated() -> None:
    root = build_small(("description: Page.", "description: 'Page. Default: the first.'"))
    page, _ = list_operation(root)["parameters"]
    assert page["description"] == "Published. Page. Default: the first."


def test_properties_show_a_provenance_that_differs() -> None:
    root = build_small()
    item = root["components"]["schemas"]["Item"]
    assert item["description"] == "Documented."
    assert item["properties"]["note"]["description"].startswith("Inferred.")
    assert "description" not in item["properties"]["label"]


STATUS = """status:
          x-source: {"*": documented, enum: {open: documented, held: published}}
          type: string
          description: State.
          nullable: true
          enum: [open, held, closed, gone, null]
          default: open"""


def test_enum_values_of_another_provenance_are_in_the_description() -> None:
    properties = build_small(("label: {type: string}", STATUS))["components"]["schemas"]["Item"]["properties"]
    expected = 'State. Published values: `held`. Inferred values: `closed`, `gone`. Default: `"open"`.'
    assert properties["status"]["description"] == expected


@pytest.mark.parametrize("source", ["inferred", "{'*': documented, enum: documented}"])
def test_enum_values_of_the_same_provenance_are_not_listed(source: str) -> None:
    enum = f"status: {{x-source: {source}, type: string, enum: [open, 1]}}"
    item = build_small(("label: {type: string}", enum))["components"]["schemas"]["Item"]
    assert "values" not in item["properties"]["status"].get("description", "")


def test_values_of_an_enum_that_only_an_example_shows_are_inferred() -> None:
    enum = "label: {type: string, enum: [open]}"
    item = build_small(("label: {type: string}", enum))["components"]["schemas"]["Item"]
    assert item["properties"]["label"]["description"] == "Inferred values: `open`."


def test_inferred_enum_lists_its_published_values() -> None:
    root = build_openapi(load_contract(CONTRACT))
    description = root["components"]["schemas"]["SortOrder"]["description"]
    assert description == "Inferred. Ascending or descending. Published values: `desc`."


def test_security_schemes_show_their_provenance() -> None:
    schemes = build_openapi(load_contract(CONTRACT))["components"]["securitySchemes"]
    levels = {name: scheme["description"].partition(" ")[0] for name, scheme in schemes.items()}
    assert levels == {"session": "Published.", "multiplai": "Published.", "bearer": "Documented."}


def test_published_files_list_the_bearer_token_before_headers_and_cookies() -> None:
    contract = load_contract(CONTRACT)
    assert contract.document.root["security"] == [{"session": []}, {"multiplai": []}, {"bearer": []}]
    assert build_openapi(contract)["security"] == [{"bearer": []}, {"multiplai": []}, {"session": []}]


def test_default_of_a_property_is_in_its_description() -> None:
    properties = build_small()["components"]["schemas"]["Item"]["properties"]
    assert properties["name"] == {"type": "string", "description": 'Its name. Default: `"a"`.'}
    assert properties["note"]["description"] == "Inferred. Default: `null`."


def test_default_of_a_parameter_is_kept() -> None:
    assert list_operation(build_small())["parameters"][0]["schema"] == {"type": "integer", "default": 1}


def test_property_named_like_a_keyword_is_published() -> None:
    root = build_small(
        ("label: {type: string}", "default: {type: string}\n        example: {type: string, x-source: inferred}")
    )
    properties = root["components"]["schemas"]["Item"]["properties"]
    assert properties["default"] == {"type": "string"}
    assert properties["example"] == {"description": "Inferred.", "type": "string"}


def test_example_keeps_its_value_and_loses_its_extensions() -> None:
    content = list_operation(build_small())["responses"]["200"]["content"]["application/json"]
    assert content["examples"] == {"one": {"value": {"data": [], "x-source": "value"}}}


def test_links_with_an_object_as_body_are_not_published() -> None:
    root = build_small()
    assert set(root["components"]["links"]) == {"WithKey"}
    assert set(list_operation(root)["responses"]["200"]["links"]) == {"key"}
    bodies_only = build_small(("parameters: {name: $response.body#/name}", "requestBody: {}"))
    assert "links" not in list_operation(bodies_only)["responses"]["200"]


def test_list_with_numbered_pages_has_pagination() -> None:
    assert list_operation(build_small())["x-speakeasy-pagination"] == {
        "type": "offsetLimit",
        "inputs": [{"name": "page", "in": "parameters", "type": "page"}],
        "outputs": {"numPages": "$.meta.last_page", "results": "$.data"},
    }


@pytest.mark.parametrize("removed", [", x-query: page", ", x-page: last-page"])
def test_list_without_page_numbers_has_no_pagination(removed: str) -> None:
    assert "x-speakeasy-pagination" not in list_operation(build_small((removed, "")))


def test_contract_is_not_changed() -> None:
    contract = parse_contract(parse_document(SMALL.encode(), "small.yaml"))
    before = json.dumps(contract.document.root)
    build_openapi_31(contract)
    build_openapi(contract)
    assert json.dumps(contract.document.root) == before


def test_yaml_has_no_anchors_and_literal_blocks() -> None:
    shared = {"type": "string"}
    text = render_yaml({"a": shared, "b": shared, "c": "one\ntwo\n"}).decode()
    assert text == "a:\n  type: string\nb:\n  type: string\nc: |\n  one\n  two\n"


NULL = "label: {anyOf: [{$ref: '#/components/schemas/Item'}, {type: object, nullable: true, enum: [null]}]}"


def test_schema_of_null_has_a_name_in_30_and_a_type_in_31() -> None:
    text = SMALL.replace("label: {type: string}", NULL)
    contract = parse_contract(parse_document(text.encode(), "small.yaml"))
    item = {"$ref": "#/components/schemas/Item"}
    schemas = build_openapi(contract)["components"]["schemas"]
    assert schemas["Item"]["properties"]["label"] == {"anyOf": [item, {"$ref": "#/components/schemas/NullValue"}]}
    assert (schemas["NullValue"]["nullable"], schemas["NullValue"]["enum"]) == (True, [None])
    schemas = build_openapi_31(contract)["components"]["schemas"]
    assert schemas["Item"]["properties"]["label"] == {"anyOf": [item, {"type": "null"}]}
    assert "NullValue" not in schemas
    assert "NullValue" not in build_small()["components"]["schemas"]


# OpenAPI 3.1


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"type": "string", "nullable": True, "enum": ["a"], "maxLength": 1},
            {"type": ["string", "null"], "enum": ["a", None], "maxLength": 1},
        ),
        ({"allOf": [{"$ref": "#/x"}], "description": "D."}, {"$ref": "#/x", "description": "D."}),
        (
            {"allOf": [{"$ref": "#/x"}], "nullable": True, "description": "D."},
            {"description": "D.", "anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
        ),
        (
            {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}], "nullable": True},
            {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}, {"type": "null"}]},
        ),
        (
            {"anyOf": [{"$ref": "#/x"}, {"type": "object", "nullable": True, "enum": [None]}]},
            {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]},
        ),
        ({"type": "string", "example": {"nullable": True}}, {"type": "string", "examples": [{"nullable": True}]}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
        ({"type": "string", "format": "byte"}, {"type": "string", "contentEncoding": "base64"}),
        (
            {"type": "array", "items": {"type": "string", "nullable": True}},
            {"type": "array", "items": {"type": ["string", "null"]}},
        ),
        (
            {"type": "object", "properties": {"nullable": {"type": "string", "nullable": True}}},
            {"type": "object", "properties": {"nullable": {"type": ["string", "null"]}}},
        ),
        (
            {"discriminator": {"propertyName": "t", "mapping": {"a": "#/x"}}},
            {"discriminator": {"propertyName": "t", "mapping": {"a": "#/x"}}},
        ),
    ],
)
def test_schema_is_converted_to_31(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    root = convert_to_31({"openapi": "3.0.3", "components": {"schemas": {"S": schema}}})
    assert root == {"openapi": "3.1.0", "components": {"schemas": {"S": expected}}}


def test_objects_that_are_not_schemas_are_not_converted() -> None:
    parameter = {"name": "a", "in": "query", "example": "b", "schema": {"type": "string"}}
    media_type = {"example": {"nullable": True}, "schema": {"$ref": "#/x"}}
    root = {"openapi": "3.0.3", "components": {"parameters": {"P": parameter}, "x": {"content": {"a/b": media_type}}}}
    assert convert_to_31(root)["components"] == root["components"]


@pytest.mark.parametrize("text", ["1e5", "0o17", "+1", ".5", "NO", "null", "10:30"])
def test_strings_that_look_like_scalars_are_published_as_strings(text: str) -> None:
    assert parse_yaml(render_yaml({"a": text}), "openapi.yaml") == {"a": text}


def test_large_document_is_yaml_with_its_parts_in_json() -> None:
    schemas = {f"No{index}": {"description": "é\x7f\u2028\n\"'" + "a" * 1_000} for index in range(1_000)}
    schemas |= {"No": {"type": "string"}, "123": {"description": "10:30"}}
    root = {"openapi": "3.0.3", "info": {"title": "On"}, "paths": {}, "components": {"schemas": schemas}}
    text = render_yaml(root)
    assert len(text) > 1_000_000
    assert text.startswith(b'openapi: "3.0.3"\ninfo:\n  "title": "On"\npaths: {}\n')
    assert yaml.load(text, Loader=yaml.CSafeLoader) == root
