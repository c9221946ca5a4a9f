"""Answers that clients must parse: the documented bodies, and one successful answer of the mock for each operation."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mock_server.athena import shared_api
from tests.mock_server.test_every_operation import find_key, get_example_body, get_required_query

FACTS = Path(__file__).parents[1] / "spec" / "facts"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of an operation. `name` is unique; `body` is None if the response has none."""

    name: str
    operation: str
    status: int
    body: Any

    def to_json(self) -> dict[str, Any]:
        """Return the form that the drivers read."""
        return {"name": self.name, "operation": self.operation, "status": self.status, "body": self.body}


def list_documented_answers() -> list[Answer]:
    """Return the bodies that the documentation shows."""
    return [
        Answer("documented_create_message", "createMessage", 201, _read_fact("create_message_201.json")),
        Answer("documented_get_messages", "listMessages", 200, _read_fact("get_messages_200.json")),
    ]


def _read_fact(name: str) -> Any:
    return json.loads((FACTS / name).read_bytes())


def record_answers() -> list[Answer]:
    """Call every operation of the mock, each with the initial data, and return the answers."""
    api = shared_api()
    answers = []
    for operation in api.contract.operations.values():
        api.reset()
        key, query, body = find_key(api, operation), get_required_query(operation), get_example_body(operation)
        reply = api.call(operation.id, key, body, query)
        answers.append(Answer(operation.id, operation.id, reply.status, reply.json if reply.body else None))
    api.reset()
    return answers
