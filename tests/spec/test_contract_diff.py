"""The differences of two contracts: which of them break clients, and how the command prints them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from spec.cli import main
from spec.contract_diff import ChangeKind, compare_contracts
from spec.document import Document, parse_document

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
        ("[asc, desc]", "[asc]", BREAKING, "schemas/Sort: enum value 'desc' removed"),
        ("[asc, desc]", "[asc, desc, none]", COMPATIBLE, "schemas/Sort: enum value 'none' added"),
        ("'200':", "'202':", BREAKING, "GET /items 200: status removed"),
        ("'404':", "'403':", COMPATIBLE, "GET /items 404: status removed"),
        ("application/json: {schema: {$ref: '#/components/schemas/New", "text/plain: {schema: {$ref: '#/components/schemas/New", BREAKING, "media type application/json removed"),  # noqa: E501
        ("requestBody:\n", "requestBody:\n        required: true\n", BREAKING, "request body: now required"),
        ("    post:\n", "    post:\n      security: []\n", BREAKING, "POST /items: security: None to []"),
        ("maxLength: 10}\n        parent", "maxLength: 9}\n        parent", COMPATIBLE, "schemas/Item.name: maxLength"),
        ("maxLength: 10}\n        parent", "maxLength: 11}\n        parent", BREAKING, "schemas/Item.name: maxLength"),
        ("maxLength: 10}\n        note", "maxLength: 9}\n        note", BREAKING, "schemas/NewItem.name: maxLength"),
        ("[name]\n      properties:\n        name: {type: string, maxLength: 10}\n        p", "[]\n      properties:\n        name: {type: string, maxLength: 10}\n        p", BREAKING, "schemas/Item.name: now optional"),  # noqa: E501
        ("[name]\n      properties:\n        name: {type: string, maxLength: 10}\n        n", "[]\n      properties:\n        name: {type: string, maxLength: 10}\n        n", COMPATIBLE, "schemas/NewItem.name: now optional"),  # noqa: E501
        ("        size:", "        weight: {type: number}\n        size:", COMPATIBLE, "schemas/Item.weight: optional"),
        ("        size: {type: integer, nullable: true}\n", "", BREAKING, "schemas/Item.size: property removed"),
        ("integer, nullable: true", "integer", COMPATIBLE, "schemas/Item.size: type 'null' removed"),
        ("name: {type: string, maxLength: 10}\n        p", "name: {type: string, maxLength: 10, nullable: true}\n        p", BREAKING, "schemas/Item.name: type 'null' added"),  # noqa: E501
        ("{type: string}, {type: integer}", "{type: string}", COMPATIBLE, "schemas/Item.kind: anyOf removed: integer"),
        ("{type: integer}]", "{type: integer}, {type: boolean}]", BREAKING, "anyOf added: boolean"),
        ("note: {type: string}", "note: {type: string, format: uri}", BREAKING, "schemas/NewItem.note: format"),
        ("note: {type: string}", "note: {type: string, description: D.}", DOCUMENTATION, "changed: description"),
        ("maxLength: 10}\n        parent", "maxLength: 10, default: a}\n        parent", DOCUMENTATION, "default:"),
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
        "schemas/Item.size: type 'integer' removed",
        "schemas/Item.size: type 'string' added",
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


# The command, on the published contract


@pytest.mark.parametrize(
    ("old", "new", "status", "title"),
    [
        ("  /agents:\n", "  /assistants:\n", 1, "Breaking changes (2)"),
        ("operationId: listAgents\n", "operationId: listAgents\n      deprecated: true\n", 0, "Changes of the"),
        ("      - private\n      - workspace\n", "      - private\n", 1, "enum value 'workspace' removed"),
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
