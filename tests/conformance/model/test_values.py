"""Values that the model sends."""

import pytest

from conformance.model.values import MAX_COLUMN_BYTES, ValueGenerator
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas


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
