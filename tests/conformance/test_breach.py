"""What makes a breach another one than the next: the key, the type or the choice that it is about."""

from typing import Any

import jsonschema_rs
import pytest

from conformance.responses.schema_violations import format_path, violation_details

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer"},
        "one": {"anyOf": [{"type": "object", "required": ["id"]}, {"type": "null"}]},
        "rows": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["kind"],
    "additionalProperties": False,
}


def told(value: Any) -> list[str]:
    """Each breach by its place and what it is about."""
    found = jsonschema_rs.Draft202012Validator(SCHEMA).iter_errors(value)
    return sorted(
        f"{format_path(b.instance_path)} {detail}".strip()
        for b in found
        for detail in violation_details(str(b.schema_path[-1]), b)
    )


@pytest.mark.parametrize(
    ("value", "about"),
    [
        ({}, ["kind"]),
        ({"kind": "a", "x": 1, "y": 2}, ["x", "y"]),
        ({"kind": "c"}, ["kind c"]),
        ({"kind": "a", "count": "7"}, ["count string"]),
        ({"kind": "a", "count": None}, ["count null"]),
        ({"kind": "a", "one": {}}, ["one required id"]),
        ({"kind": "a", "one": []}, ["one type array"]),
        ({"kind": "a", "rows": [1, 2, "x"]}, ["rows.[] string"]),
    ],
)
def test_a_breach_is_named_by_what_it_is_about(value: Any, about: list[str]) -> None:
    assert told(value) == about


def test_a_text_of_the_target_is_no_name_unless_it_is_a_plain_word() -> None:
    (name,) = told({"kind": "\x1b[31m secret token"})
    assert name.startswith("kind #")
    assert len(name) == len("kind #") + 8
