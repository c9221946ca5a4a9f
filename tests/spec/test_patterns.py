"""Contracts that would harm the process that loads them: patterns and control characters."""

import time

import pytest

from spec.errors import ContractError
from spec.patterns import MAX_BACKTRACKING_CHARS, repair_pattern
from spec.validators import SchemaValidators
from tests.spec.contract_edits import load_edited_contract

FIELD = "#/components/schemas/Room/properties/name"


@pytest.mark.parametrize("pattern", ["(", "[", "a{1000000}", "(?<=", "\\", 5])
def test_invalid_pattern_is_an_error_with_its_location(pattern: object) -> None:
    with pytest.raises(ContractError) as error:
        load_edited_contract("museum", (FIELD, {"type": "string", "pattern": pattern}))
    assert error.value.location == f"{FIELD}/pattern"


@pytest.mark.parametrize("limits", [{}, {"maxLength": 2000}])
def test_only_short_texts_must_match_a_backtracking_pattern(limits: dict[str, int]) -> None:
    schema = {"type": "string", "pattern": "^(?!x)", **limits}
    contract = load_edited_contract("museum", (FIELD, schema))
    validator = SchemaValidators.from_document(contract.document).get(FIELD, "write")
    results = [validator.is_valid("x" * length) for length in (MAX_BACKTRACKING_CHARS, MAX_BACKTRACKING_CHARS + 1)]
    assert results == [False, True]


def test_backtracking_pattern_next_to_a_condition_is_checked() -> None:
    schema = {"type": "string", "pattern": "^(?!x)", "if": {"minLength": 3}, "then": {"pattern": "z$"}}
    contract = load_edited_contract("museum", (FIELD, schema))
    validator = SchemaValidators.from_document(contract.document).get(FIELD, "write")
    assert [validator.is_valid(text) for text in ("ab", "abz", "xbz", "abc")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("pattern", "repaired"),
    [(r"^[\w-.]+@$", r"^[\w\-.]+@$"), (r"[\d-x]", r"[\d\-x]"), (r"^\d-\d$", r"^\d-\d$"), (r"[\w-", r"[\w-")],
)
def test_hyphen_after_a_class_is_a_character(pattern: str, repaired: str) -> None:
    assert repair_pattern(pattern) == repaired


def test_invalid_pattern_of_property_names_is_an_error() -> None:
    with pytest.raises(ContractError) as error:
        load_edited_contract("museum", (FIELD, {"type": "object", "patternProperties": {"(": {}}}))
    assert error.value.location == f"{FIELD}/patternProperties/("


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(.*a){20}$", "(?<!a+)b", "^(?=(a+)+$)b", r"^(a|a\1?)+$", r"^(?=a)(a|aa)+$"]
)
def test_matching_any_accepted_pattern_is_fast(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern, "maxLength": MAX_BACKTRACKING_CHARS}
    contract = load_edited_contract("museum", (FIELD, schema))
    validator = SchemaValidators.from_document(contract.document).get(FIELD, "write")
    for length in (MAX_BACKTRACKING_CHARS - 1, 500_000):
        started_at = time.process_time()
        is_valid = validator.is_valid("a" * length + "!")
        assert not is_valid
        assert time.process_time() - started_at < 0.25


def test_short_text_must_match_a_backtracking_pattern() -> None:
    contract = load_edited_contract("museum", (FIELD, {"type": "string", "pattern": "^(?!x)", "maxLength": 5}))
    validator = SchemaValidators.from_document(contract.document).get(FIELD, "write")
    assert [validator.is_valid(text) for text in ("abc", "xbc", "abcdef", "xbcdef")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("pointer", "value", "location"),
    [
        ("#/info/title", "A\x1b[2Jtitle", "#/info/title"),
        ("#/info/version", "1\x1b[2J", "#/info/version"),
        ("#/servers", [{"url": "https://localhost/\x1b[31m"}], "#/servers/0/url"),
        ("#/paths/~1rooms/get/operationId", "list\x07Rooms", "#/paths/~1rooms/get/operationId"),
        ("#/components/schemas/A\u202eB", {"type": "object"}, "#/components/schemas"),
        ("#/paths/~1ro\x1boms", {}, "#/paths"),
    ],
)
def test_control_characters_in_printed_texts_are_errors(pointer: str, value: object, location: str) -> None:
    with pytest.raises(ContractError) as error:
        load_edited_contract("museum", (pointer, value))
    assert error.value.location == location
    assert str(error.value).isprintable()
