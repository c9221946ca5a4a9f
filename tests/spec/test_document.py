"""Parsing of documents: invalid YAML, JSON pointers, line numbers."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spec.document import (
    escape,
    iter_keyword_objects,
    parse_document,
    parse_yaml,
    snake_case,
    split_pointer,
)
from spec.errors import ContractError
from spec.line_numbers import find_line_numbers
from spec.reading.files import read_document
from tests.spec.contract_edits import FOREIGN, read_foreign_document

# YAML normalizes some control characters as line ends and rejects the others.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=12,
)


def load_error(text: str) -> ContractError:
    """Return the error of an invalid document."""
    with pytest.raises(ContractError) as error:
        parse_document(text.encode(), "api.yaml")
    return error.value


BOMB = "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "location", "problem", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "line 3", "duplicate key 'a'", "unique keys"),
        ("a:\n  - {b: 1, b: 2}", "line 2", "duplicate key 'b'", "unique keys"),
        ("200: 1\n'200': 2", "line 2", "duplicate key '200'", "unique keys"),
        ("? [a, b]\n: 1", "line 1", "list or mapping as a key", "a scalar"),
        ("", "api.yaml", "an empty document", "an OpenAPI document (a mapping)"),
        ("[1, 2]", "api.yaml", "a list", "an OpenAPI document (a mapping)"),
        ("a: &a [*a]", "#/a" + "/0" * 58, "nesting deeper than 64", "at most 64 levels"),
        (BOMB, "api.yaml", "more than 1000000 values (aliases expanded)", "a smaller document"),
        (
            "a: {$ref: 'other.yaml#/x'}",
            "#/a",
            "external reference 'other.yaml#/x'",
            "references within this file (#/...)",
        ),
        (
            "a: [{$ref: 'https://x.org/y'}]",
            "#/a/0",
            "external reference 'https://x.org/y'",
            "references within this file (#/...)",
        ),
        ("a: {$ref: '#x'}", "#/a", "external reference '#x'", "references within this file (#/...)"),
        ("a: 1\nb: .inf", "line 2", "invalid value '.inf'", "a finite number"),
        ("a: .nan", "line 1", "invalid value '.nan'", "a finite number"),
        ("a: 1.0e+400", "line 1", "invalid value '1.0e+400'", "a finite number"),
        (f"a: 1{'0' * 400}", "line 1", "invalid value '1000", "a finite number"),
        (f"a: 1{'0' * 5000}", "line 1", "invalid value '1000", "a finite number"),
        ("a: !!int 0x_", "line 1", "invalid value '0x_'", "a value of tag:yaml.org,2002:int"),
        ("a: !!float x", "line 1", "invalid value 'x'", "a value of tag:yaml.org,2002:float"),
        ("a: !!int x", "line 1", "invalid value 'x'", "a value of tag:yaml.org,2002:int"),
        ("a: !!bool x", "line 1", "invalid value 'x'", "a value of tag:yaml.org,2002:bool"),
    ],
)
def test_invalid_document_raises_error_with_location(text: str, location: str, problem: str, expected: str) -> None:
    error = load_error(text)
    assert (error.location[: len(location)], error.expected) == (location, expected)
    assert error.problem.startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 'x",
        "\ta: 1",
        "a: b: c",
        "!!python/object:os.system {}",
        "a: *unknown",
        "\x00",
        "a: !!binary aGk=",
        "a: !!set {b}",
        "a: !!omap [b: 1]",
        "a: !!timestamp 2024-01-15",
    ],
)
def test_invalid_yaml_raises_contract_error(text: str) -> None:
    assert load_error(text).expected == "well-formed YAML or JSON"


@pytest.mark.parametrize(
    ("text", "location", "problem", "expected"),
    [
        (r'{"a": [{"b": "x\ud83e"}]}', "#/a/0/b", r"lone surrogate \ud83e", "pairs of surrogates"),
        (r'{"a": {"\udd16": 1}}', "#/a", r"lone surrogate \udd16", "pairs of surrogates"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "api.json", "duplicate key 'b'", "unique keys"),
        ('{"a": 1e400}', "api.json", "invalid value '1e400'", "a finite number"),
        ('{"a": -Infinity}', "api.json", "invalid value '-Infinity'", "a finite number"),
        ('{"a":' * 100_000, "api.json", "nesting deeper than 64", "at most 64 levels"),
        ('{"a": 1\n"b": 2}', "api.json, line 2, column 1", "Expecting ',' delimiter", "well-formed JSON"),
    ],
)
def test_invalid_json_raises_error_with_location(text: str, location: str, problem: str, expected: str) -> None:
    with pytest.raises(ContractError) as error:
        parse_document(text.encode(), "api.json")
    assert (error.value.location, error.value.problem, error.value.expected) == (location, problem, expected)


def test_very_long_integer_is_rejected() -> None:
    with pytest.raises(ContractError, match="a finite number"):
        parse_document(b'{"a": ' + b"9" * 5000 + b"}", "api.json")


@pytest.mark.parametrize("name", ["api.yaml", "api.json"])
def test_integers_of_more_than_64_bits_are_floats(name: str) -> None:
    values = [18446744073709551615, 18446744073709551616, -9223372036854775808, -9223372036854775809]
    root = parse_document(json.dumps({"a": values}).encode(), name).root
    assert root == {"a": [2**64 - 1, 2.0**64, -(2**63), -(2.0**63)]}
    assert [type(value) for value in root["a"]] == [int, float, int, float]


@pytest.mark.parametrize("parse", [lambda text: parse_document(text, "x").root, lambda text: parse_yaml(text, "x")])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_json_escapes_are_decoded(parse: Callable[[bytes], Any], bom: bytes) -> None:
    value = {"\U0001f916": ["\U0001f916", "\\ud83e\\udd16", "\t/", 100000.0]}
    text = json.dumps(value).replace("100000.0", "1e5").encode()
    assert parse(bom + b"\n" + text) == value


def test_flow_mapping_that_is_not_json_is_yaml() -> None:
    assert parse_document(b"{a: 1, b: [x]}  # comment", "api.yaml").root == {"a": 1, "b": ["x"]}


@given(
    st.dictionaries(
        st.text(max_size=6),
        st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=8),
        min_size=1,
    )
)
def test_dumped_json_is_parsed_to_the_same_value(value: dict[str, Any]) -> None:
    assert parse_document(json.dumps(value).encode(), "x").root == value


def test_invalid_utf8_raises_contract_error() -> None:
    with pytest.raises(ContractError, match="well-formed YAML or JSON"):
        parse_document(b"a: \xff\xfe", "api.yaml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_raises_contract_error(opening: str) -> None:
    code = f"""
from spec.document import parse_document
from spec.errors import ContractError
try:
    parse_document(b"a: " + {opening!r}.encode() * 100_000, "api.yaml")
except ContractError:
    print("rejected")
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert process.stdout == "rejected\n", process.stderr[-300:]


@pytest.mark.parametrize(("path", "problem"), [("missing.yaml", "No such file or directory"), ("", "Is a directory")])
def test_unreadable_file_raises_contract_error(tmp_path: Path, path: str, problem: str) -> None:
    with pytest.raises(ContractError) as error:
        read_document(tmp_path / path)
    assert error.value.problem == problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-15", "2024-01-15"),
        *((text, text) for text in ("NO", "no", "on", "Off", "yes", "Y", "10:30", "1:02:03.5", "01234", "-007", "0o8")),
        *((text, text) for text in ("1_000", "0b11", "1e", ".", "+", "tRue", "nULL", "=", "0x", "1.2.3")),
        ("0o17", 15),
        ("0x1F", 31),
        ("+12", 12),
        ("-0", 0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.5E-2", -0.015),
        ("0.", 0.0),
        ("TRUE", True),
        ("~", None),
        ("", None),
        ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00Z"),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("'200'", "200"),
    ],
)
def test_scalars_are_json_values(text: str, value: Any) -> None:
    root = parse_document(f"a: {text}".encode(), "x").root
    assert root == {"a": value}
    assert type(root["a"]) is type(value)


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_byte_order_mark_and_line_ends_are_accepted(prefix: bytes, end: str, encoding: str) -> None:
    text = f"a: one{end}b: |{end}  two{end}  three{end}"
    content = text.encode(encoding) if encoding == "utf-16" else prefix + text.encode()
    assert parse_document(content, "x").root == {"a": "one", "b": "two\nthree\n"}


@pytest.mark.parametrize("key", ["200", "1.5", "true", "on", "null", "2024-01-15", "'200'"])
def test_keys_are_strings_as_written(key: str) -> None:
    assert parse_document(f"a: {{{key}: 1}}".encode(), "x").root == {"a": {key.strip("'"): 1}}


@pytest.mark.parametrize("text", ["18446744073709551615", "-9223372036854775808", "1.0e+308", "{? 1 : x}", "7", ""])
def test_parse_yaml_accepts_keys_of_any_type(text: str) -> None:
    assert parse_yaml(text.encode(), "x") == yaml.safe_load(text)


def test_merge_keys_are_merged() -> None:
    root = parse_document(b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "x").root
    assert root["b"] == {"x": 1, "y": 3}


@given(st.dictionaries(TEXTS, JSON, min_size=1, max_size=4))
def test_dumped_yaml_is_parsed_to_the_same_value(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True).encode()
    assert parse_document(text, "x").root == value


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_parse_or_raise_contract_error(text: bytes) -> None:
    with suppress(ContractError):
        assert parse_document(text, "x").content == text


# Pointers


@given(st.lists(st.text(max_size=5), max_size=4))
def test_escaped_pointer_is_split_into_its_parts(parts: list[str]) -> None:
    assert split_pointer("#" + "".join("/" + escape(part) for part in parts)) == parts


def test_pointer_resolves_to_value() -> None:
    document = read_foreign_document("library")
    assert document.resolve("#/paths/~1authors~1{uuid}/get/operationId") == "retrieveAuthor"


@pytest.mark.parametrize("pointer", ["#/nowhere", "#/tags/9", "#/tags/x", "#/info/title/x"])
def test_unresolved_pointer_raises_contract_error(pointer: str) -> None:
    with pytest.raises(ContractError) as error:
        read_foreign_document("library").resolve(pointer)
    assert (error.value.problem, error.value.expected) == (
        f"unresolved reference {pointer}",
        "a pointer into this file",
    )


def test_circular_reference_raises_contract_error() -> None:
    document = parse_document(b"a: {$ref: '#/b'}\nb: {$ref: '#/a'}", "x")
    with pytest.raises(ContractError, match="circular reference"):
        document.dereference(document.root["a"], "#/a")


def test_reference_chain_is_dereferenced_with_pointer() -> None:
    document = parse_document(b"a: {$ref: '#/b'}\nb: {$ref: '#/c'}\nc: {x: 1}", "x")
    assert document.dereference(document.root["a"], "#/a") == ({"x": 1}, "#/c")


def test_digest_depends_on_bytes() -> None:
    assert parse_document(b"a: 1", "x").digest != parse_document(b"a:  1", "y").digest


# Lines and keywords


def test_line_number_of_value() -> None:
    text = (FOREIGN / "library.yaml").read_bytes()
    line_numbers = find_line_numbers(text)
    assert text.splitlines()[line_numbers["#/paths/~1authors~1{uuid}/put"] - 1].strip() == b"put:"


def test_every_pointer_has_a_line_number() -> None:
    document = read_foreign_document("library")
    line_numbers = find_line_numbers(document.content)
    assert {pointer for _, pointer in iter_keyword_objects(document.root)} <= set(line_numbers)


def test_json_may_contain_characters_that_yaml_does_not_allow() -> None:
    content = '{"a": "\x7f\x9b",\n"b": 1}'.encode()
    assert parse_document(content, "a.json").root == {"a": "\x7f\x9b", "b": 1}
    assert find_line_numbers(content) == {"#": 1, "#/a": 1, "#/b": 2}


def test_line_numbers_of_lists_and_aliases() -> None:
    content = b"a: &x\n  b: 1\nlist:\n  - one\n  - {c: 1,\n     'd/e': 2}\ncopy: *x\nlast: []\n"
    expected = {"#": 1, "#/a": 1, "#/a/b": 2, "#/list": 3, "#/list/0": 4, "#/list/1": 5}
    expected |= {"#/list/1/c": 5, "#/list/1/d~1e": 6, "#/copy": 7, "#/last": 8}
    assert find_line_numbers(content) == expected


def test_line_numbers_are_found_without_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise AssertionError("a node takes four times as long as an event")

    monkeypatch.setattr(yaml.ScalarNode, "__init__", fail)
    assert find_line_numbers(b"a: {b: 1}") == {"#": 1, "#/a": 1, "#/a/b": 1}


@pytest.mark.parametrize(
    ("text", "extensions"),
    [
        ("properties: {x-a: {x-b: 1}}", {"x-b"}),
        ("properties: {default: {x-b: 1}, properties: {properties: {x-c: {x-d: 1}}}}", {"x-b", "x-d"}),
        ("example: {x-a: 1}\ndefault: {x-b: 1}\nenum: [{x-c: 1}]", set()),
        ("examples: {one: {value: {x-a: 1}}}", set()),
        ("parameters: [{x-a: 1}]", {"x-a"}),
        ("links: {one: {parameters: {x-a: $request.path.id}, x-b: 1}}", {"x-b"}),
        ("x-a: {x-b: 1}", {"x-a"}),
        ("x-resource: {x-a: 1, stores: {x-b: {x-c: 1}}, defaults: {a: {x-d: 1}}}", {"x-resource", "x-c"}),
        ("x-resource: 1", {"x-resource"}),
    ],
)
def test_names_and_literals_are_not_keywords(text: str, extensions: set[str]) -> None:
    root = parse_document(text.encode(), "x").root
    assert {key for node, _ in iter_keyword_objects(root) for key in node if key.startswith("x-")} == extensions


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("WorkflowExecution", "workflow_execution"),
        ("workflowExecution", "workflow_execution"),
        ("a_b", "a_b"),
        ("", ""),
    ],
)
def test_names_are_converted_to_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


# Meaning ------------------------------------------------------------------------------------------------------------

CONTRACT = """
openapi: 3.0.3
info: {title: Rooms, version: 1.0.0}
components:
  schemas:
    Room:
      type: object
      x-source: documented
      properties:
        description: {type: string, maxLength: 9, default: none}
        name: {type: string, enum: [description, title]}
      x-resource: {key: name, stores: {description: {type: integer}}, defaults: {name: {description: none}}}
"""


def digest_of(text: str) -> str:
    return parse_document(text.encode(), "rooms.yaml").semantic_digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("openapi:", "# a comment\nopenapi:"),
        ("version: 1.0.0", "version: 1.0.1"),
        ("type: object", "type: object\n      description: A room."),
        ("type: object", "type: object\n      example: {name: description}"),
        ("x-source: documented", "x-source: confirmed\n      x-evidence: {date: 2026-03-01, found: GET}"),
        ("type: string, maxLength: 9", "maxLength: 9, type: string"),
        ("maxLength: 9", "maxLength: 9, title: Text, x-faker: word"),
        ("type: integer", "type: integer, description: A number., x-source: confirmed"),
    ],
)
def test_annotations_do_not_change_the_semantic_digest(old: str, new: str) -> None:
    changed = CONTRACT.replace(old, new, 1)
    assert changed != CONTRACT
    assert digest_of(changed) == digest_of(CONTRACT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("maxLength: 9", "maxLength: 8"),
        ("default: none", "default: all"),
        ("enum: [description, title]", "enum: [title, description]"),
        ("enum: [description, title]", "enum: [description]"),
        ("        description: {type: string, maxLength: 9, default: none}\n", ""),
        ("Room:", "Hall:"),
        ("type: integer", "type: number"),
        ("description: {type: integer}", "title: {type: integer}"),
        ("description: none", "description: some"),
    ],
)
def test_everything_else_changes_the_semantic_digest(old: str, new: str) -> None:
    assert digest_of(CONTRACT.replace(old, new, 1)) != digest_of(CONTRACT)


def test_all_duplicate_keys_are_reported() -> None:
    error = load_error("a: {b: 1, b: 2}\nc: 1\nd: {e: 1,\n  e: 2}\nc: 2")
    assert [(problem.location, problem.problem) for problem in error.problems] == [
        ("line 1", "duplicate key 'b'"),
        ("line 4", "duplicate key 'e'"),
        ("line 5", "duplicate key 'c'"),
    ]
