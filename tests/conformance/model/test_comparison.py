"""Records in responses are compared with the model."""

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
