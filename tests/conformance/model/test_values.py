"""Values that the model sends."""

from typing import Any

import pytest

from conformance.model.execution import Execution
from conformance.model.steps import Action
from conformance.model.tours import Tour, run_tour
from conformance.model.values import ADDITIONAL_NAME, EXACT_TEXTS, MAX_COLUMN_BYTES, ValueGenerator
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

FALSE_VALUES: tuple[Any, ...] = (False, 0, None, "", [], {})


@pytest.fixture(scope="module")
def values() -> ValueGenerator:
    """Values for the operations of the Athena contract."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    return ValueGenerator(session(api.app, api.contract, schemas=api.schemas))


@pytest.mark.parametrize(
    ("operation", "field", "longest"),
    [("createMessage", "content", MAX_COLUMN_BYTES + 1), ("createThread", "name", 255)],
)
def test_text_exceeds_a_column_of_64_kib_if_the_schema_permits_it(
    values: ValueGenerator, operation: str, field: str, longest: int
) -> None:
    texts = values.list_values(athena_contract().operations[operation].body_fields[field])
    assert max(map(len, texts)) == longest


@pytest.mark.parametrize("operation", ["createPrompt", "updatePrompt"])
def test_nested_properties_have_fractions_and_special_characters(values: ValueGenerator, operation: str) -> None:
    objects = values.list_values(athena_contract().operations[operation].body_fields["metadata"])
    assert {0, 0.25} <= {value.get("temperature") for value in objects}
    assert any("$1" in str(value.get("large_language_model")) for value in objects)


def test_free_objects_have_false_zero_null_and_empty_members(values: ValueGenerator) -> None:
    objects = values.list_values(athena_contract().operations["createWorkflow"].body_fields["settings"])
    members = [member for value in objects for member in value.values()]
    assert all(any(member == wanted and type(member) is type(wanted) for member in members) for wanted in FALSE_VALUES)


def test_create_sends_both_values_of_an_optional_boolean() -> None:
    """Also the one that is generated first, which an update would send."""
    for seed in (1, 2, 3):
        api = Api.create(athena_contract(), athena_schemas(), "demo")
        execution = Execution.start(session(api.app, api.contract, seed, schemas=api.schemas))
        run_tour(execution, Tour(execution, api.contract.operations["createWorkflow"]).creates())
        sent = [step.body.get("is_active") for step in execution.steps if step.action is Action.CREATE]
        assert {True, False} <= set(sent)


@pytest.mark.parametrize("operation", ["createWorkflow", "updateWorkflow"])
def test_items_have_the_properties_and_additional_keys_of_each_alternative(
    values: ValueGenerator, operation: str
) -> None:
    items = [
        item
        for value in values.list_values(athena_contract().operations[operation].body_fields["nodes"])
        for item in value
    ]
    nodes = [item for item in items if isinstance(item, dict)]
    assert any(isinstance(item, str) for item in items)
    assert any(node.get("parameters") for node in nodes)
    assert any(ADDITIONAL_NAME in node for node in nodes)
    assert any(ADDITIONAL_NAME in node["position"] for node in nodes)


def test_free_objects_have_deep_and_repeated_members(values: ValueGenerator) -> None:
    objects = values.list_values(athena_contract().operations["updateWorkflow"].body_fields["settings"])
    assert any({"deep", "repeated", "numbers"} <= value.keys() for value in objects)


@pytest.mark.parametrize("operation", ["updateThread", "updateMessage"])
def test_update_sends_all_values_of_a_text(operation: str) -> None:
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    check_session = session(api.app, api.contract, schemas=api.schemas)
    execution = Execution.start(check_session)
    tour = Tour(execution, api.contract.operations[operation])
    run_tour(execution, tour.updates())
    sent = [value for step in execution.steps if step.action is Action.UPDATE for value in step.body.values()]
    assert {*EXACT_TEXTS} <= {value for value in sent if isinstance(value, str)}
