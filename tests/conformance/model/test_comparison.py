"""Records in responses are compared with the model."""

import pytest

from conformance.checks.support.values import truncate
from conformance.model.comparison import Comparison
from conformance.model.specification import Model, ModelRecord
from tests.mock_server.athena import athena_contract

KEY = "9f8b2c64-1d3e-4a57-8c90-5e6f7a8b9c0d"


def find_mismatches(body: dict[str, object]) -> list[tuple[str, str | None]]:
    """(property, keyword) of the differences between an account and a response."""
    contract = athena_contract()
    record = ModelRecord(contract.resources["Account"], KEY, {"uuid": KEY})
    view = contract.views_by_resource["Account"][0]
    return [(m.name, m.keyword) for m in Comparison(Model(contract)).mismatches(view, record, body)]


def test_property_that_is_only_stored_is_reported_when_a_response_shows_it() -> None:
    assert find_mismatches({"uuid": KEY}) == []
    assert find_mismatches({"uuid": KEY, "credentials": {"key": "sk-example"}}) == [("credentials", "writeOnly")]


def test_property_of_which_the_contract_knows_nothing_is_not_reported() -> None:
    assert find_mismatches({"uuid": KEY, "colour": "red"}) == []


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        ({"b": 2}, None),
        ({"b": 2, "added by the server": 1}, None),
        ({"a": 3, "b": 2}, None),  # a default of the server
        ({"a": 1, "b": 2}, "settings.a: got 1, expected the update to remove it"),
    ],
)
def test_update_of_an_object_removes_the_keys_that_it_lacks(actual: dict[str, int], message: str | None) -> None:
    contract = athena_contract()
    model = Model(contract)
    record = model.create(contract.operations["createWorkflow"], "Workflow", KEY, {"settings": {"a": 1}})
    model.update(record, contract.operations["updateWorkflow"], {"settings": {"b": 2}})
    view, body = contract.views_by_resource["Workflow"][0], {"uuid": KEY, "settings": actual}
    comparison = Comparison(model)
    assert [m.message for m in comparison.mismatches(view, record, body)] == ([message] if message else [])
    comparison.adopt(view, record, body)
    assert not list(comparison.mismatches(view, record, body))


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        ("a\N{GRINNING FACE}b", "a?b", " (first difference at character 2: got U+003F, expected U+1F600)"),
        (
            "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
            "caf",
            " (first difference at character 4: got the end, expected U+00E9)",
        ),
        ("x" * 50, "x" * 49 + "y", " (first difference at character 50: got U+0079, expected U+0078)"),
        ("abc", "abd", ""),
        (None, "\N{SNOWMAN}", ""),
    ],
)
def test_message_names_characters_that_are_hard_to_see(expected: str | None, actual: str, difference: str) -> None:
    contract = athena_contract()
    values = {"uuid": KEY, "provider_display_name": expected}
    record = ModelRecord(contract.resources["Account"], KEY, values)
    view, body = contract.views_by_resource["Account"][0], {"uuid": KEY, "provider_display_name": actual}
    (mismatch,) = Comparison(Model(contract)).mismatches(view, record, body)
    wanted = "null" if expected is None else repr(expected)
    assert mismatch.message.startswith(f"got {truncate(actual)}, expected {truncate(expected)}{difference}")
    assert wanted[:20] in mismatch.message


@pytest.mark.parametrize(
    ("actual", "difference"),
    [
        ([{"id": "a", "parameters": {}}], "0.parameters.limit: got nothing, expected 5"),
        ([{"id": "b", "parameters": {"limit": 5}}], "0.id: got 'b', expected 'a'"),
        ([{"id": "a"}], "0.parameters: got nothing, expected {'limit': 5}"),
    ],
)
def test_message_names_the_member_that_differs(actual: object, difference: str) -> None:
    contract = athena_contract()
    record = ModelRecord(contract.resources["Workflow"], KEY, {"nodes": [{"id": "a", "parameters": {"limit": 5}}]})
    view = contract.views_by_resource["Workflow"][0]
    (mismatch,) = Comparison(Model(contract)).mismatches(view, record, {"nodes": actual})
    assert mismatch.message.endswith(f" (first difference at {difference})")
