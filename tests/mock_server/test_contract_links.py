"""Every link of the contract leads from an operation's response to a success of the next operation."""

from typing import Any

import pytest

from spec.document import escape
from tests.mock_server.athena import Api, athena_contract
from tests.mock_server.test_every_operation import find_key, get_example_body, get_required_query

CONTRACT = athena_contract()
BODY = "$response.body#"
# Links that the first step makes invalid.
CONFLICTS = {
    ("stopWorkflowExecution", "stop"),
}


def list_links() -> list[tuple[str, str]]:
    """Return (operation, name) of each link of a successful response."""
    result = []
    for operation in CONTRACT.operations.values():
        pointer = f"{operation.pointer}/responses/{operation.envelope.status}"
        definition, _ = CONTRACT.document.dereference(CONTRACT.document.resolve(pointer), pointer)
        result += [(operation.id, escape(name)) for name in definition.get("links", {})]
    return result


def evaluate(expression: Any, reply: Any) -> Any:
    """Evaluate a runtime expression for a response; other values are returned unchanged."""
    if not (isinstance(expression, str) and expression.startswith(BODY)):
        return expression
    for part in expression.removeprefix(BODY).split("/")[1:]:
        reply = reply[int(part)] if isinstance(reply, list) else reply[part]
    return reply


@pytest.mark.parametrize(("name", "link"), list_links())
def test_link_leads_to_its_operation(api: Api, name: str, link: str) -> None:
    operation = CONTRACT.operations[name]
    reply = api.call_json(name, find_start_key(api, name), get_example_body(operation), get_required_query(operation))
    status = CONTRACT.document.resolve(f"{operation.pointer}/responses/{operation.envelope.status}")
    response, _ = CONTRACT.document.dereference(status, "")
    definition, _ = CONTRACT.document.dereference(response["links"][link], "")
    linked_operation = CONTRACT.operations[definition["operationId"]]
    parameters = {key: evaluate(value, reply) for key, value in definition.get("parameters", {}).items()}
    key = next((parameters.pop(part) for part in linked_operation.path_parameter_names), None)
    body = {field: evaluate(value, reply) for field, value in definition.get("requestBody", {}).items()}
    expected_status = 409 if (name, link) in CONFLICTS else linked_operation.envelope.status
    assert (
        api.status(linked_operation.id, key, body or get_example_body(linked_operation), parameters) == expected_status
    )


def find_start_key(api: Api, name: str) -> Any:
    """Return a seeded key to start with, in a state that allows the next operation."""
    operation = CONTRACT.operations[name]
    if operation.action in ("retrieve", "update"):
        # Records that may be deleted, stopped and so on.
        by_state = {
            "Workspace": "deleteWorkspace",
            "Provider": "deleteProvider",
            "WorkflowExecution": "stopWorkflowExecution",
        }
        return find_key(api, CONTRACT.operations[by_state.get(operation.resource or "", name)])
    return find_key(api, operation)
