"""Extensions that no check uses, and the reason."""

import pytest

from conformance.checks.unused_extensions import find_unused_extensions, format_unused_extensions
from tests.conformance.support.notes_server import CONTRACT, load_contract
from tests.mock_server.athena import athena_contract

NO_ACTION = "is used by no check, because no action is known of the operations that refer to it (readReport): "
REPORT = """paths:
  /report:
    get:
      operationId: readReport
      parameters:
        - {name: page, in: query, schema: {type: integer}, x-query: page}
      responses:
        "200":
          description: A report
          content:
            application/json: {schema: {type: object, properties: {total: {type: integer, x-page: total}}}}
        "401": {$ref: "#/components/responses/Error"}
"""
UNUSED = """  schemas:
    Draft: {type: object, properties: {at: {type: string, format: date-time, x-stamp: created}}}
"""
FAKER = "title: {type: string, minLength: 1, maxLength: 80, x-faker: persona.title}"


def describe(old: str, new: str) -> list[str]:
    """Return the lines about the notes contract after one replacement."""
    assert old in CONTRACT
    return format_unused_extensions(find_unused_extensions(load_contract(CONTRACT.replace(old, new, 1))))


def test_every_extension_of_the_contract_is_used_but_those_for_generated_values() -> None:
    assert {extension.name for extension in find_unused_extensions(athena_contract())} == {"x-faker"}
    assert describe("paths:\n", "paths:\n") == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "paths:\n",
            REPORT,
            [
                f"x-query {NO_ACTION}#/paths/~1report/get/parameters/0",
                f"x-page {NO_ACTION}"
                "#/paths/~1report/get/responses/200/content/application~1json/schema/properties/total",
            ],
        ),
        (
            "  schemas:\n",
            UNUSED,
            [
                "x-stamp is used by no check, because no operation refers to it: "
                "#/components/schemas/Draft/properties/at"
            ],
        ),
        (
            "title: {type: string, minLength: 1, maxLength: 80}",
            FAKER,
            [
                "x-faker is used by no check, because it describes generated values, which only the mock has: "
                "#/components/schemas/Note/properties/title"
            ],
        ),
    ],
)
def test_unused_extension_has_a_reason(old: str, new: str, expected: list[str]) -> None:
    assert describe(old, new) == expected


def test_long_list_of_locations_is_shortened() -> None:
    (line,) = format_unused_extensions(find_unused_extensions(athena_contract()))
    assert line.endswith(" more")
    assert line.count("#/") == 3
