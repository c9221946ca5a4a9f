"""The differences of two contracts: which of them break clients, and how the command prints them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from spec.cli import main
from spec.comparison.changes import ChangeKind
from spec.comparison.contracts import compare_contracts
from spec.document import Document, parse_document
from spec.version import format_version

CONTRACT = Path(__file__).parents[2] / "spec" / "dist" / "openapi.yaml"
MAX_LINES = 10
SMALL = """
openapi: 3.0.3
info: {title: Small, version: '1'}
paths:
  /items:
    get:
      operationId: listItems
      parameters:
        - {name: page, in: query, schema: {type: integer, maximum: 10, default: 1}}
        - {name: sort, in: query, schema: {$ref: '#/components/schemas/Sort'}}
      responses:
        '200':
          description: Items.
          headers:
            X-Total: {schema: {type: integer}}
          content:
            application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Item'}}}
        '404': {description: None.}
    post:
      operationId: createItem
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/NewItem'}}
      responses:
        '201':
          description: The item.
          content:
            application/json: {schema: {$ref: '#/components/schemas/Item'}}
components:
  schemas:
    Sort: {type: string, enum: [asc, desc]}
    Item:
      type: object
      required: [name]
      properties:
        name: {type: string, maxLength: 10}
        parent: {$ref: '#/components/schemas/Item'}
        kind: {anyOf: [{type: string}, {type: integer}]}
        size: {type: integer, nullable: true}
    NewItem:
      type: object
      required: [name]
      properties:
        name: {type: string, maxLength: 10}
        note: {type: string}
"""


def edit(text: str, old: str, new: str) -> Document:
    assert old in text
    return parse_document(text.replace(old, new, 1).encode(), "new.yaml")


BREAKING, COMPATIBLE, DOCUMENTATION = ChangeKind.BREAKING, ChangeKind.COMPATIBLE, ChangeKind.DOCUMENTATION


@pytest.mark.parametrize(
    ("old", "new", "kind", "line"),
    [
        ("/items:", "/things:", BREAKING, "GET /items: operation removed"),
        ("name: page", "name: p", BREAKING, "GET /items query parameter page: parameter removed"),
        ("name: page", "name: p", COMPATIBLE, "GET /items query parameter p: optional parameter added"),
        ("in: query, schema: {type: i", "in: query, required: true, schema: {type: i", BREAKING, "now required"),
        ("maximum: 10", "maximum: 9", BREAKING, "maximum: 10 to 9"),
        ("maximum: 10", "maximum: 11", COMPATIBLE, "maximum: 10 to 11"),
        ("default: 1", "default: 2", BREAKING, "default: 1 to 2"),
        ("[asc, desc]", "[asc]", BREAKING, "schemas/Sort: enum value \"desc\" removed"),
        ("[asc, desc]", "[asc, desc, none]", COMPATIBLE, "schemas/Sort: enum value \"none\" added"),
        ("'200':", "'202':", BREAKING, "GET /items 200: status removed"),
        ("'404':", "'403':", COMPATIBLE, "GET /items 404: status removed"),
        ("application/json: {schema: {$ref: '#/components/schemas/New", "text/plain: {schema: {$ref: '#/components/schemas/New", BREAKING, "media type application/json removed"),  # noqa: E501
        ("requestBody:\n", "requestBody:\n        required: true\n", BREAKING, "request body: now required"),
        ("    post:\n", "    post:\n      security: [{bearer: []}, {a: [], b: [read]}]\n", BREAKING, "POST /items: security: none to bearer or a and b (read)"),  # noqa: E501
        ("operationId: listItems", "operationId: getItems", BREAKING, "GET /items: operationId: listItems to getItems"),
        ("      operationId: listItems\n", "", BREAKING, "GET /items: operationId listItems removed"),
        ("paths:\n", "servers: [{url: 'https://a.example/v1'}]\npaths:\n", BREAKING, "servers: none to https://a.example/v1"),
        ("paths:\n", "servers: [{url: 'https://a.example'}]\npaths:\n", COMPATIBLE, "servers: none to https://a"),
        ("            X-Total: {schema: {type: integer}}\n", "            x-count: {}\n", BREAKING, "GET /items 200: header X-Total removed"),  # noqa: E501
        ("            X-Total: {schema: {type: integer}}\n", "            x-total: {schema: {type: string}}\n", BREAKING, "GET /items 200 header x-total: type: integer to string"),  # noqa: E501

        ("maxLength: 10}\n        parent", "maxLength: 9}\n        parent", COMPATIBLE, "schemas/Item.name: maxLength"),
        ("maxLength: 10}\n        parent", "maxLength: 11}\n        parent", BREAKING, "schemas/Item.name: maxLength"),
        ("maxLength: 10}\n        note", "maxLength: 9}\n        note", BREAKING, "schemas/NewItem.name: maxLength"),
        ("[name]\n      properties:\n        name: {type: string, maxLength: 10}\n        p", "[]\n      properties:\n        name: {type: string, maxLength: 10}\n        p", BREAKING, "schemas/Item.name: now optional"),  # noqa: E501
        ("[name]\n      properties:\n        name: {type: string, maxLength: 10}\n        n", "[]\n      properties:\n        name: {type: string, maxLength: 10}\n        n", COMPATIBLE, "schemas/NewItem.name: now optional"),  # noqa: E501
        ("        size:", "        weight: {type: number}\n        size:", COMPATIBLE, "schemas/Item.weight: optional"),
        ("        size: {type: integer, nullable: true}\n", "", BREAKING, "schemas/Item.size: property removed"),
        ("integer, nullable: true", "integer", COMPATIBLE, "schemas/Item.size: type null removed"),
        ("name: {type: string, maxLength: 10}\n        p", "name: {type: string, maxLength: 10, nullable: true}\n        p", BREAKING, "schemas/Item.name: type null added"),  # noqa: E501
        ("{type: string}, {type: integer}", "{type: string}", COMPATIBLE, "schemas/Item.kind: anyOf removed: integer"),
        ("{type: integer}]", "{type: integer}, {type: boolean}]", BREAKING, "anyOf added: boolean"),
        ("note: {type: string}", "note: {type: string, format: uri}", BREAKING, "schemas/NewItem.note: format"),
        ("note: {type: string}", "note: {type: string, description: D.}", DOCUMENTATION, "changed: description"),
        ("maxLength: 10}\n        parent", "maxLength: 10, default: a}\n        parent", DOCUMENTATION, 'default "a" added'),  # noqa: E501
        ("title: Small", "title: Large", DOCUMENTATION, "info: changed: title"),
    ],
)  # fmt: skip
def test_change_is_classified(old: str, new: str, kind: ChangeKind, line: str) -> None:
    changes = compare_contracts(parse_document(SMALL.encode(), "old.yaml"), edit(SMALL, old, new))
    assert [change for change in changes if change.kind is kind and line in str(change)], changes


def test_change_of_a_component_is_reported_once() -> None:
    new = edit(SMALL, "size: {type: integer, nullable: true}", "size: {type: string, nullable: true}")
    changes = compare_contracts(parse_document(SMALL.encode(), "old.yaml"), new)
    assert [str(change) for change in changes] == [
        "schemas/Item.size: type: integer to string",
    ]


def test_component_of_requests_and_responses_may_not_change_in_either_direction() -> None:
    text = SMALL.replace("schemas/NewItem", "schemas/Item")
    for limit in ("9", "11"):
        new = edit(text, "maxLength: 10}\n        parent", f"maxLength: {limit}}}\n        parent")
        (change,) = compare_contracts(parse_document(text.encode(), "old.yaml"), new)
        assert change.kind is BREAKING


def test_reference_with_a_description_equals_the_reference_and_the_schema() -> None:
    reference = "schema: {$ref: '#/components/schemas/Sort'}"
    inline = edit(SMALL, reference, "schema: {type: string, enum: [asc, desc]}")
    wrapped = edit(SMALL, reference, "schema: {allOf: [{$ref: '#/components/schemas/Sort'}]}")
    for old, new in ((inline, wrapped), (wrapped, inline), (wrapped, parse_document(SMALL.encode(), "new.yaml"))):
        assert compare_contracts(old, new) == []


def compare_texts(old: str, new: str) -> list[tuple[ChangeKind, str]]:
    changes = compare_contracts(parse_document(old.encode(), "old.yaml"), parse_document(new.encode(), "new.yaml"))
    return [(change.kind, str(change)) for change in changes]


def test_renamed_path_parameter_is_compatible() -> None:
    old = SMALL.replace("/items:", "/items/{uuid}/parts/{id}:").replace("name: page, in: query", "name: uuid, in: path")
    new = old.replace("{uuid}", "{item_uuid}").replace("name: uuid", "name: item_uuid").replace("type: i", "type: n", 1)
    assert compare_texts(old, old.replace("{uuid}", "{item_uuid}").replace("name: uuid", "name: item_uuid")) == [
        (COMPATIBLE, "/items/{item_uuid}/parts/{id}: path parameter uuid renamed to item_uuid")
    ]
    changed = new.replace("maximum: 10", "maximum: 9")
    location = "GET /items/{item_uuid}/parts/{id} path parameter uuid"
    assert (BREAKING, f"{location}: maximum: 10 to 9") in compare_texts(old, changed)


def test_renamed_schema_is_compatible() -> None:
    new = SMALL.replace("schemas/Item'", "schemas/Thing'").replace("    Item:", "    Thing:")
    assert compare_texts(SMALL, new) == [
        (COMPATIBLE, "schemas/Item: renamed to Thing, and so are the types of generated clients")
    ]
    shorter = new.replace("maxLength: 10}\n        parent", "maxLength: 11}\n        parent")
    assert (BREAKING, "schemas/Thing.name: maxLength: 10 to 11") in compare_texts(SMALL, shorter)


def test_replaced_schema_is_reported_for_the_operation() -> None:
    created = "The item.\n          content:\n            application/json: {schema: {$ref: '#/components/schemas/"
    new = SMALL.replace(f"{created}Item'", f"{created}NewItem'")
    assert compare_texts(SMALL, new) == [
        (BREAKING, "POST /items 201: schema Item replaced by NewItem"),
        (BREAKING, "POST /items 201.parent: property removed"),
        (BREAKING, "POST /items 201.kind: property removed"),
        (BREAKING, "POST /items 201.size: property removed"),
        (COMPATIBLE, "POST /items 201.note: optional property added"),
    ]


def test_reference_that_becomes_nullable_is_one_change() -> None:
    reference = "parent: {$ref: '#/components/schemas/Item'}"
    nullable = SMALL.replace(reference, "parent: {nullable: true, allOf: [{$ref: '#/components/schemas/Item'}]}")
    assert compare_texts(SMALL, nullable) == [(BREAKING, "schemas/Item.parent: type null added")]
    assert compare_texts(nullable, SMALL) == [(COMPATIBLE, "schemas/Item.parent: type null removed")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{type: string, nullable: true}", "{type: [string, 'null']}"),
        ("{type: string, enum: [a], nullable: true}", "{type: [string, 'null'], enum: [a, null]}"),
        ("{type: integer, minimum: 1, exclusiveMinimum: true}", "{type: integer, exclusiveMinimum: 1}"),
        ("{type: string, example: a}", "{type: string, examples: [a]}"),
        ("{type: string, format: binary}", "{type: string, contentMediaType: application/octet-stream}"),
        ("{description: D., allOf: [{$ref: '#/components/schemas/Sort'}]}", "{description: D., $ref: '#/components/schemas/Sort'}"),  # noqa: E501
        ("{nullable: true, allOf: [{$ref: '#/components/schemas/Sort'}]}", "{oneOf: [{$ref: '#/components/schemas/Sort'}, {type: 'null'}]}"),  # noqa: E501
    ],
)  # fmt: skip
def test_forms_of_3_0_and_3_1_are_equal(old: str, new: str) -> None:
    schema = "{type: integer, nullable: true}"
    first = SMALL.replace(schema, old)
    second = SMALL.replace(schema, new).replace("openapi: 3.0.3", "openapi: 3.1.0")
    assert first != SMALL
    assert compare_texts(first, second) == compare_texts(second, first) == []


def test_boolean_schemas_of_3_1_are_compared() -> None:
    old = SMALL.replace("openapi: 3.0.3", "openapi: 3.1.0").replace(
        "kind: {anyOf: [{type: string}", "kind: {anyOf: [true"
    )
    new = old.replace("anyOf: [true, ", "anyOf: [").replace("note: {type: string}", "note: true")
    assert compare_texts(old, new) == [(COMPATIBLE, "schemas/Item.kind: anyOf removed: true")]


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ("integer", "number", BREAKING, "type: integer to number"),
        ("number", "integer", COMPATIBLE, "type: number to integer"),
        ("string", "number", BREAKING, "type: string to number"),
    ],
)
def test_type_of_a_response_is_replaced_in_one_line(old: str, new: str, kind: ChangeKind, message: str) -> None:
    texts = [SMALL.replace("{type: integer, nullable: true}", f"{{type: {name}}}") for name in (old, new)]
    assert compare_texts(*texts) == [(kind, f"schemas/Item.size: {message}")]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("", ", additionalProperties: false", BREAKING),
        (", additionalProperties: false", "", COMPATIBLE),
        (", additionalProperties: false", ", additionalProperties: true", COMPATIBLE),
        ("", ", uniqueItems: true", BREAKING),
        (", uniqueItems: true", ", uniqueItems: false", COMPATIBLE),
    ],
)
def test_constraint_of_a_request(old: str, new: str, kind: ChangeKind) -> None:
    texts = [SMALL.replace("note: {type: string", f"note: {{type: string{constraint}") for constraint in (old, new)]
    ((found, _),) = compare_texts(*texts)
    assert found is kind


def test_security_alternative_is_compatible() -> None:
    old = SMALL.replace("    post:\n", "    post:\n      security: [{bearer: []}]\n")
    assert compare_texts(old, old.replace("[{bearer: []}]", "[{bearer: []}, {key: []}]")) == [
        (COMPATIBLE, "POST /items: security: bearer to bearer or key")
    ]
    assert compare_texts(SMALL, SMALL.replace("    post:\n", "    post:\n      security: []\n")) == []


def test_header_of_a_shared_response_is_reported_once() -> None:
    response = "        '404': {$ref: '#/components/responses/Missing'}\n"
    text = SMALL.replace("        '404': {description: None.}\n", response).replace(
        "        '201':\n", f"{response}        '201':\n"
    )
    old = f"{text}  responses: {{Missing: {{description: None., headers: {{X-Id: {{}}}}}}}}\n"
    assert compare_texts(old, old.replace("headers: {X-Id: {}}", "headers: {}")) == [
        (BREAKING, "responses/Missing: header X-Id removed")
    ]


# The command, on the published contract


@pytest.mark.parametrize(
    ("old", "new", "status", "title"),
    [
        ("  /agents:\n", "  /assistants:\n", 1, "Breaking changes (2)"),
        ("operationId: listAgents\n", "operationId: listAgents\n      deprecated: true\n", 0, "Changes of the"),
        ("      - private\n      - workspace\n", "      - private\n", 1, 'enum value "workspace" removed'),
        ("- name: workspace_uuid\n        in: query\n", "- name: w\n        in: query\n", 1, "Compatible changes (1)"),
        ("  title: Athena API\n", "  title: API\n", 0, "Changes of the documentation (1)"),
    ],
)  # fmt: skip
def test_command_prints_few_lines(old: str, new: str, status: int, title: str, tmp_path: Path) -> None:
    text, file = CONTRACT.read_text(), tmp_path / "new.yaml"
    assert old in text
    file.write_text(text.replace(old, new, 1))
    result = CliRunner().invoke(main, ["diff", str(CONTRACT), str(file)])
    assert result.exit_code == status, result.output
    assert title in result.output
    assert len(result.output.splitlines()) <= MAX_LINES, result.output


def test_equal_files_have_no_changes() -> None:
    result = CliRunner().invoke(main, ["diff", str(CONTRACT), str(CONTRACT)])
    assert (result.exit_code, result.output) == (0, "No changes.\n")


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["diff", str(CONTRACT), str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "none.yaml: No such file" in result.output


def test_published_3_0_and_3_1_files_are_equal() -> None:
    folder = CONTRACT.parent
    for names in (("openapi.yaml", "openapi-3.1.json"), ("openapi-3.1.json", "openapi.json")):
        result = CliRunner().invoke(main, ["diff", *(str(folder / name) for name in names)])
        assert (result.exit_code, result.output) == (0, "No changes.\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("swagger: '2.0'\npaths: {}", "got swagger 2.0 (expected OpenAPI 3.0 or 3.1)"),
        ("openapi: 3.2.0\npaths: {}", "got openapi 3.2.0 (expected OpenAPI 3.0 or 3.1)"),
        ("openapi: 3.10.0\npaths: {}", "got openapi 3.10.0 (expected"),
        ("a: 1", "got a file without the key openapi (expected"),
        ('{"openapi": "3.0.3", "info": {}}', "missing paths (expected paths: a mapping)"),
        ("{openapi: 3.0.3, paths: {}, info: []}", "#/info: invalid value [] (expected a mapping)"),
        ("{openapi: 3.0.3, info: {}, paths: {/a: []}}", "#/paths/~1a: invalid value [] (expected a mapping)"),
        ("{openapi: 3.0.3, info: {}, paths: {/a: {get: {parameters: [1]}}}}", "#/paths/~1a/get/parameters: invalid"),
        ("{openapi: 3.0.3, info: {}, paths: {}, components: {schemas: {A: {type: [a]}}}}", "schemas/A/type: invalid"),
        ("{openapi: 3.1.0, info: {}, paths: {}, components: {schemas: {A: {type: 1}}}}", "schemas/A/type: invalid"),
    ],
)  # fmt: skip
def test_other_files_are_rejected(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(text)
    for arguments in ([str(CONTRACT), str(file)], [str(file), str(CONTRACT)]):
        result = CliRunner().invoke(main, ["diff", *arguments])
        assert result.exit_code == 2, result.output
        assert result.output.startswith(f"Error: {file}")
        assert message in result.output


def test_reference_to_a_scalar_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text("{openapi: 3.0.3, info: {a: 1}, paths: {/a: {get: {parameters: [{$ref: '#/info/a'}]}}}}")
    result = CliRunner().invoke(main, ["diff", str(file), str(file)])
    assert (result.exit_code, result.output) == (2, "Error: #/info/a: invalid type int (expected a mapping)\n")


def test_url_is_an_error() -> None:
    result = CliRunner().invoke(main, ["diff", str(CONTRACT), "http://127.0.0.1:8000/openapi.json"])
    assert result.exit_code == 2
    assert "got the URL http://127.0.0.1:8000/openapi.json, expected a file." in " ".join(result.output.split())


def test_surrogate_pairs_of_json_are_read(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text(json.dumps({"openapi": "3.0.3", "info": {"title": "\U0001f916"}, "paths": {}}))
    assert "\\ud83e" in file.read_text()
    result = CliRunner().invoke(main, ["diff", str(file), str(file)])
    assert (result.exit_code, result.output) == (0, "No changes.\n")


def test_version_option() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"{format_version('athena-contract')}\n"
