"""What is no usable document is refused with its place, what was found, and what is allowed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spec.document import (
    Document,
    escape,
    find_line_numbers,
    iter_keyword_objects,
    parse_document,
    parse_yaml,
    read_document,
    snake_case,
    split_pointer,
)
from spec.errors import ContractError
from tests.spec.edited import FOREIGN, original

# Of control characters YAML folds some, as line ends, and refuses the others.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=12,
)


def refused(text: str) -> ContractError:
    """How a text is refused."""
    with pytest.raises(ContractError) as error:
        parse_document(text.encode(), "api.yaml")
    return error.value


BOMB = "\n".join(["a0: &a0 {x: 1}", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "place", "found", "allowed"),
    [
        ("a: 1\nb: 2\na: 3", "line 3", "the key 'a' a second time", "each key once"),
        ("a:\n  - {b: 1, b: 2}", "line 2", "the key 'b' a second time", "each key once"),
        ("200: 1\n'200': 2", "line 2", "the key '200' a second time", "each key once"),
        ("? [a, b]\n: 1", "line 1", "a list or mapping as a key", "a name"),
        ("", "api.yaml", "a NoneType", "an OpenAPI document (a mapping)"),
        ("[1, 2]", "api.yaml", "a list", "an OpenAPI document (a mapping)"),
        ("a: &a [*a]", "#/a" + "/0" * 58, "nesting deeper than 64", "at most 64 levels"),
        (BOMB, "api.yaml", "more than 1000000 values (aliases written out)", "a smaller document"),
        ("a: {$ref: 'other.yaml#/x'}", "#/a", "a reference to 'other.yaml#/x'", "references within this file (#/...)"),
        (
            "a: [{$ref: 'https://x.org/y'}]",
            "#/a/0",
            "a reference to 'https://x.org/y'",
            "references within this file (#/...)",
        ),
        ("a: {$ref: '#x'}", "#/a", "a reference to '#x'", "references within this file (#/...)"),
        ("a: 1\nb: .inf", "line 2", ".inf", "a finite number"),
        ("a: .nan", "line 1", ".nan", "a finite number"),
        ("a: 1.0e+400", "line 1", "1.0e+400", "a finite number"),
        ("a: 18446744073709551616", "line 1", "18446744073709551616", "an integer of 64 bits"),
        ("a: 0x_", "line 1", "'0x_'", "a value of tag:yaml.org,2002:int"),
        ("a: !!int x", "line 1", "'x'", "a value of tag:yaml.org,2002:int"),
        ("a: !!bool x", "line 1", "'x'", "a value of tag:yaml.org,2002:bool"),
    ],
)
def test_a_document_is_refused(text: str, place: str, found: str, allowed: str) -> None:
    error = refused(text)
    assert (error.location[: len(place)], error.actual, error.expected) == (place, found, allowed)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 'x",
        "\ta: 1",
        "a: b: c",
        "!!python/object:os.system {}",
        "a: *nobody",
        "\x00",
        "a: !!binary aGk=",
        "a: !!set {b}",
        "a: !!omap [b: 1]",
        "a: !!timestamp 2024-01-15",
    ],
)
def test_what_is_no_yaml_is_refused_in_the_parsers_words(text: str) -> None:
    assert refused(text).expected == "well-formed YAML or JSON"


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ContractError, match="well-formed YAML or JSON"):
        parse_document(b"a: \xff\xfe", "api.yaml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_ends_in_a_refusal(opening: str) -> None:
    code = f"""
from spec.document import parse_document
from spec.errors import ContractError
try:
    parse_document(b"a: " + {opening!r}.encode() * 100_000, "api.yaml")
except ContractError:
    print("refused")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout == "refused\n", ended.stderr[-300:]


@pytest.mark.parametrize(("path", "found"), [("nowhere.yaml", "No such file or directory"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, path: str, found: str) -> None:
    with pytest.raises(ContractError) as error:
        read_document(tmp_path / path)
    assert error.value.actual == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-15", "2024-01-15"),
        ("2024-01-15T10:30:00Z", "2024-01-15T10:30:00Z"),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("'200'", "200"),
    ],
)
def test_values_are_those_of_json(text: str, value: Any) -> None:
    assert parse_document(f"a: {text}".encode(), "x").root == {"a": value}


@pytest.mark.parametrize("key", ["200", "1.5", "true", "on", "null", "2024-01-15", "'200'"])
def test_every_key_is_a_text_as_written(key: str) -> None:
    assert parse_document(f"a: {{{key}: 1}}".encode(), "x").root == {"a": {key.strip("'"): 1}}


@pytest.mark.parametrize("text", ["18446744073709551615", "-9223372036854775808", "1.0e+308", "{? 1 : x}", "7", ""])
def test_any_json_is_a_value_with_keys_of_any_kind(text: str) -> None:
    assert parse_yaml(text.encode(), "x") == yaml.safe_load(text)


def test_merge_keys_are_merged() -> None:
    root = parse_document(b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "x").root
    assert root["b"] == {"x": 1, "y": 3}


@given(st.dictionaries(TEXTS, JSON, min_size=1, max_size=4))
def test_what_yaml_writes_is_read_as_it_was(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True).encode()
    assert parse_document(text, "x").root == value


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        found: Document | ContractError = parse_document(text, "x")
    except ContractError as error:
        found = error
    assert found is not None


# Pointers ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_pointer_is_read_as_it_was_written(parts: list[str]) -> None:
    assert split_pointer("#" + "".join("/" + escape(part) for part in parts)) == parts


def test_a_pointer_finds_what_stands_there() -> None:
    document = original("library")
    assert document.resolve("#/paths/~1authors~1{uuid}/get/operationId") == "retrieveAuthor"


@pytest.mark.parametrize("pointer", ["#/nowhere", "#/tags/9", "#/tags/x", "#/info/title/x"])
def test_a_pointer_to_nothing_is_refused(pointer: str) -> None:
    with pytest.raises(ContractError) as error:
        original("library").resolve(pointer)
    assert (error.value.actual, error.value.expected) == (
        f"a reference to {pointer}",
        "a place that exists in this file",
    )


def test_references_in_a_circle_are_refused() -> None:
    document = parse_document(b"a: {$ref: '#/b'}\nb: {$ref: '#/a'}", "x")
    with pytest.raises(ContractError, match="references that lead in a circle"):
        document.dereference(document.root["a"], "#/a")


def test_a_chain_of_references_ends_at_its_object_and_its_place() -> None:
    document = parse_document(b"a: {$ref: '#/b'}\nb: {$ref: '#/c'}\nc: {x: 1}", "x")
    assert document.dereference(document.root["a"], "#/a") == ({"x": 1}, "#/c")


def test_the_digest_is_of_the_bytes() -> None:
    assert parse_document(b"a: 1", "x").digest != parse_document(b"a:  1", "y").digest


# Lines and keywords --------------------------------------------------------------------------------------------------


def test_every_value_has_the_line_it_stands_on() -> None:
    text = (FOREIGN / "library.yaml").read_bytes()
    found = find_line_numbers(text)
    assert text.splitlines()[found["#/paths/~1authors~1{uuid}/put"] - 1].strip() == b"put:"


def test_every_pointer_of_the_document_has_a_line() -> None:
    document = original("library")
    found = find_line_numbers(document.content)
    assert {pointer for _, pointer in iter_keyword_objects(document.root)} <= set(found)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("properties: {x-a: {x-b: 1}}", {"x-b"}),
        ("properties: {default: {x-b: 1}, properties: {properties: {x-c: {x-d: 1}}}}", {"x-b", "x-d"}),
        ("example: {x-a: 1}\ndefault: {x-b: 1}\nenum: [{x-c: 1}]", set()),
        ("examples: {one: {value: {x-a: 1}}}", set()),
        ("parameters: [{x-a: 1}]", {"x-a"}),
        ("links: {one: {parameters: {x-a: $request.path.id}, x-b: 1}}", {"x-b"}),
        ("x-a: {x-b: 1}", {"x-a"}),
    ],
)
def test_a_name_or_a_literal_is_no_keyword(text: str, seen: set[str]) -> None:
    root = parse_document(text.encode(), "x").root
    assert {key for node, _ in iter_keyword_objects(root) for key in node if key.startswith("x-")} == seen


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("WorkflowExecution", "workflow_execution"),
        ("workflowExecution", "workflow_execution"),
        ("a_b", "a_b"),
        ("", ""),
    ],
)
def test_names_become_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake
