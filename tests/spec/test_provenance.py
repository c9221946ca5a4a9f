"""Provenance levels: inheritance, overrides, and what is always inferred."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec.document import Document, parse_document
from spec.extensions import PROVENANCE_LEVELS
from spec.provenance import DOCUMENTED_KEYWORDS, EXAMPLE_KEYWORDS, get_provenance, get_value_provenance
from tests.spec.contract_edits import read_foreign_document

TEXT = b"""
x-source: published
info: {title: A}
paths:
  /a:
    get:
      x-source: documented
      parameters:
        - {name: blank, in: query, required: true, schema: {type: boolean}}
        - name: list
          in: query
          schema: {x-source: {type: published}, type: array, items: {type: string}, maxItems: 9}
        - name: json
          in: query
          required: true
          x-source: {"*": published, in: inferred, schema: published}
          schema: {type: string}
        - name: seen
          in: query
          required: true
          x-source: {required: confirmed, schema: confirmed}
          schema: {type: object, required: [a]}
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [a]}}}}
      responses:
        "200": {description: x, content: {application/json: {schema: {$ref: "#/components/schemas/A"}}}}
        "201":
          x-source: documented
          description: x
          content: {application/json: {schema: {type: object, required: [a]}}}
        "202": {x-source: {content: published}, description: x, content: {application/json: {schema: {type: object}}}}
  /b:
    put:
      x-source: documented
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Stated"}}}}
    post:
      x-source: documented
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Sent"}}}}
    patch:
      x-source: documented
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/A"}}}}
components:
  requestBodies:
    A: {x-source: documented, required: true, content: {application/json: {schema: {type: object, required: [a]}}}}
  responses:
    A: {x-source: documented, description: x, content: {application/json: {schema: {type: object, required: [a]}}}}
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key, x-source: {"*": inferred, name: confirmed}}
  schemas:
    A:
      x-source: documented
      properties:
        shown: {type: string, format: uuid, enum: [a]}
        guessed: {x-source: inferred, type: string}
        stated: {x-source: {enum: published, maxLength: confirmed}, type: string, enum: [a], maxLength: 9}
        mixed: {x-source: {"*": inferred, enum: published}, type: string, enum: [a]}
        list: {type: array, items: [{type: string}, {x-source: confirmed, type: string}]}
        whole: {x-source: {properties: confirmed}, type: object, properties: {type: {type: string}}}
        # property names, not keywords
        in: {type: string}
        name: {type: string}
        schema: {type: string}
      x-resource: {stores: {hidden: {type: string}, stated: {type: string, x-source: confirmed}}}
    Sent:
      x-source: {"*": documented, required: inferred}
      type: object
      required: [a]
      properties: {required: {type: string}}
    Stated: {allOf: [{$ref: "#/components/schemas/Original"}]}
    Original: {x-source: {required: confirmed}, type: object, required: [a]}
    B: {properties: {b: {type: string}}}
    Named: {x-source: {enum: published, type: confirmed}, type: string, enum: [a]}
    Values: {x-source: {"*": published, enum: {a: documented, 1: confirmed}}, enum: [a, b, 1]}
    User:
      properties:
        value: {allOf: [{$ref: "#/components/schemas/Values"}]}
        reference: {$ref: "#/components/schemas/Named"}
        part: {allOf: [{$ref: "#/components/schemas/Named"}], enum: [a]}
"""


@pytest.fixture(scope="module")
def document() -> Document:
    return parse_document(TEXT, "x")


A = "#/components/schemas/A"
GET = "#/paths/~1a/get"
JSON = "content/application~1json/schema"


@pytest.mark.parametrize(
    ("pointer", "keyword", "expected"),
    [
        ("#", None, "published"),
        ("#/info", None, "published"),
        ("#/paths/~1a/get", None, "documented"),
        ("#/paths/~1a/get", "responses", "documented"),
        # a documented operation does not document its statuses
        (f"{GET}/responses", None, "documented"),
        (f"{GET}/responses/200", None, "inferred"),
        (f"{GET}/responses/200", "content", "inferred"),
        (f"{GET}/responses/200/{JSON}", None, "inferred"),
        (f"{GET}/responses/201", None, "documented"),
        (f"{GET}/responses/201/{JSON}", "type", "documented"),
        (f"{GET}/responses/202", None, "inferred"),
        (f"{GET}/responses/202", "content", "published"),
        (f"{GET}/responses/202/{JSON}", "type", "published"),
        ("#/components/responses/A", None, "documented"),
        # an example shows the required properties of a response, but not of a request
        (f"{GET}/responses/201/{JSON}", "required", "documented"),
        (f"#/components/responses/A/{JSON}", "required", "documented"),
        (f"{GET}/requestBody", None, "documented"),
        (f"{GET}/requestBody", "content", "documented"),
        (f"{GET}/requestBody", "required", "inferred"),
        (f"{GET}/requestBody/{JSON}", "type", "documented"),
        (f"{GET}/requestBody/{JSON}", "required", "inferred"),
        ("#/components/requestBodies/A", "required", "inferred"),
        (f"#/components/requestBodies/A/{JSON}", "required", "inferred"),
        ("#/components/schemas/Sent", "type", "documented"),
        ("#/components/schemas/Sent", "required", "inferred"),
        ("#/components/schemas/Sent/properties/required", "type", "documented"),
        # unless the schema of the body states the level of this keyword
        (f"#/paths/~1b/put/requestBody/{JSON}", "required", "confirmed"),
        (f"#/paths/~1b/post/requestBody/{JSON}", "required", "inferred"),
        (f"#/paths/~1b/patch/requestBody/{JSON}", "required", "inferred"),
        # levels of single values do not state that there are no others
        ("#/components/schemas/Values", "enum", "inferred"),
        # the bounds of a reference are those of the schema that it names; its type is not
        ("#/components/schemas/User/properties/reference", "enum", "published"),
        ("#/components/schemas/User/properties/reference", "format", "inferred"),
        ("#/components/schemas/User/properties/reference", "type", "published"),
        ("#/components/schemas/User/properties/part", "enum", "inferred"),
        # no page shows what a server stores
        (f"{A}/x-resource/stores/hidden", "type", "inferred"),
        (f"{A}/x-resource/stores/stated", "type", "confirmed"),
        # a parameter is sent as text, so its name does not show its type
        (f"{GET}/parameters/0", "name", "documented"),
        (f"{GET}/parameters/0", "in", "documented"),
        (f"{GET}/parameters/0", "required", "inferred"),
        (f"{GET}/parameters/0", "schema", "inferred"),
        (f"{GET}/parameters/0/schema", None, "inferred"),
        (f"{GET}/parameters/0/schema", "type", "inferred"),
        (f"{GET}/parameters/1/schema", "type", "published"),
        (f"{GET}/parameters/1/schema", "maxItems", "inferred"),
        (f"{GET}/parameters/1/schema/items", "type", "inferred"),
        (f"{GET}/parameters/2", "name", "published"),
        (f"{GET}/parameters/2", "in", "inferred"),
        (f"{GET}/parameters/2", "schema", "published"),
        (f"{GET}/parameters/2/schema", "type", "published"),
        (f"{GET}/parameters/2", "required", "inferred"),
        (f"{GET}/parameters/3", "name", "documented"),
        (f"{GET}/parameters/3", "required", "confirmed"),
        (f"{GET}/parameters/3/schema", "type", "confirmed"),
        (f"{GET}/parameters/3/schema", "required", "inferred"),
        ("#/components/securitySchemes/key", "name", "confirmed"),
        ("#/components/securitySchemes/key", "in", "inferred"),
        # the level of a keyword applies to its value
        (f"{A}/properties/whole", "type", "documented"),
        (f"{A}/properties/whole/properties/type", "type", "confirmed"),
        (f"{A}/properties/schema", "type", "documented"),
        # a component has its own level: references do not pass theirs on
        ("#/components/schemas/B/properties/b", "type", "published"),
        (A, None, "documented"),
        (f"{A}/properties/shown", None, "documented"),
        (f"{A}/properties/shown", "type", "documented"),
        # an example shows no format, enum or bound
        (f"{A}/properties/shown", "format", "inferred"),
        (f"{A}/properties/shown", "enum", "inferred"),
        (f"{A}/properties/guessed", "type", "inferred"),
        # but a text may state them for single keywords
        (f"{A}/properties/stated", "enum", "published"),
        (f"{A}/properties/stated", "maxLength", "confirmed"),
        (f"{A}/properties/stated", "type", "documented"),
        (f"{A}/properties/stated", None, "documented"),
        (f"{A}/properties/mixed", "type", "inferred"),
        (f"{A}/properties/mixed", "enum", "published"),
        (f"{A}/properties/list/items/0", "type", "documented"),
        (f"{A}/properties/list/items/1", "type", "confirmed"),
    ],
)
def test_keyword_has_the_level_of_x_source(
    document: Document, pointer: str, keyword: str | None, expected: str
) -> None:
    assert get_provenance(document, pointer, keyword) == expected


def test_default_level_is_inferred() -> None:
    assert get_provenance(parse_document(b"a: {b: 1}", "x"), "#/a/b") == "inferred"


def test_keyword_of_a_list_is_inferred(document: Document) -> None:
    """A parameter that the contract does not have is located at the list of parameters."""
    assert get_provenance(document, "#/paths/~1a/get/parameters", "colour") == "inferred"


@given(st.lists(st.none() | st.sampled_from(PROVENANCE_LEVELS), min_size=1, max_size=6))
def test_nearest_ancestor_sets_level(levels: list[str | None]) -> None:
    node: dict[str, object] = {}
    for level in reversed(levels):
        node = {"a": node} | ({"x-source": level} if level else {})
    expected = next((level for level in reversed(levels) if level), "inferred")
    document = Document("x", b"", node)
    assert get_provenance(document, "#" + "/a" * len(levels)) == expected


@given(st.sampled_from(PROVENANCE_LEVELS), st.text(max_size=8))
def test_keyword_level_is_inherited_or_inferred(level: str, keyword: str) -> None:
    keyword_level = get_provenance(Document("x", b"", {"x-source": level}), "#", keyword)
    assert keyword_level == (level if keyword in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS else "inferred")


@pytest.mark.parametrize("name", ["library", "museum"])
def test_foreign_contract_without_x_source_is_inferred(name: str) -> None:
    assert get_provenance(read_foreign_document(name), "#/paths") == "inferred"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Values", "a", "documented"),
        ("Values", "b", "inferred"),
        ("Values", 1, "confirmed"),
        ("User/properties/value", "a", "documented"),
        ("Named", "a", "published"),
        ("User/properties/part", "a", "inferred"),
    ],
)
def test_enum_value_has_its_own_level(document: Document, name: str, value: Any, expected: str) -> None:
    assert get_value_provenance(document, f"#/components/schemas/{name}", value) == expected
