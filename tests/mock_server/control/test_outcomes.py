"""Chosen outcomes of executions, texts of model runs, and the run time of executions."""

from datetime import datetime

import pytest

from tests.asgi import Reply
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock

KEY = "550e8400-e29b-41d4-a716-446655440000"  # of a workflow and of an agent
TOKEN = "Bearer demo-token~a"


pytestmark = pytest.mark.usefixtures("sandbox_a")


def start(mock: ControlledMock, **headers: str) -> Reply:
    return mock.request("POST", "/api/v1/workflow-executions", {"workflow_uuid": KEY}, authorization=TOKEN, **headers)


def follow(mock: ControlledMock, reply: Reply, *seconds: float) -> list[str]:
    """Return the status of an execution at its start and after each number of seconds."""
    assert reply.status == 201, reply.body
    execution = reply.json["data"]
    statuses = [execution["status"]]
    for step in seconds:
        mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": step})
        statuses.append(mock.read("a", f"/workflow-executions/{execution['uuid']}")["status"])
    return statuses


def run_agent(mock: ControlledMock, **headers: str) -> str:
    reply = mock.request("POST", f"/api/v1/agents/{KEY}/run", {"content": "Hi"}, authorization=TOKEN, **headers)
    assert reply.status in (200, 201), reply.body
    content: str = reply.json["data"]["answer"]["content"]
    return content


@pytest.mark.parametrize("outcome", ["completed", "error"])
def test_header_determines_the_outcome(mock: ControlledMock, outcome: str) -> None:
    for _ in range(3):
        assert follow(mock, start(mock, x_mock_outcome=outcome), 1, 5) == ["pending", "running", outcome]


def test_execution_that_does_not_end_can_be_stopped(mock: ControlledMock) -> None:
    reply = start(mock, x_mock_outcome="running")
    assert follow(mock, reply, 1, 80_000) == ["pending", "running", "running"]
    stopped = mock.call("a", "POST", f"/workflow-executions/{reply.json['data']['uuid']}/stop")
    assert (stopped.status, stopped.json["data"]["status"]) == (200, "stopped")


def test_unknown_outcome_lists_the_known_ones(mock: ControlledMock) -> None:
    reply = start(mock, x_mock_outcome="success")
    assert reply.status == 400
    assert reply.json["message"].endswith("invalid value 'success' (expected completed, error, running).")
    assert mock.control("GET", "/sandboxes/a/changes") == {"created": [], "changed": [], "deleted": []}


def test_rule_determines_outcome_and_text_and_the_header_takes_precedence(mock: ControlledMock) -> None:
    mock.control("POST", "/sandboxes/a/rules", {"respond": {"outcome": "error", "text": "From the rule."}})
    assert follow(mock, start(mock), 6) == ["pending", "error"]
    assert follow(mock, start(mock, x_mock_outcome="completed"), 6) == ["pending", "completed"]
    assert run_agent(mock) == "From the rule."
    assert run_agent(mock, x_mock_text="From%20the%20header: 100%") == "From the header: 100%"
    assert mock.control_status("POST", "/sandboxes/a/rules", {"respond": {"outcome": "success"}}) == 422


@pytest.mark.parametrize("encoded", ["Gr%C3%BC%C3%9Fe%0A%F0%9F%91%8B"])
def test_text_is_percent_encoded_and_stored(mock: ControlledMock, encoded: str) -> None:
    text = "Gr\u00fc\u00dfe\n\U0001f44b"
    assert run_agent(mock, x_mock_text=encoded) == text
    created = mock.control("GET", "/sandboxes/a/changes")["created"]
    assert text in [change["record"]["content"] for change in created if change["resource"] == "Message"]


@pytest.mark.parametrize(
    ("seconds", "steps", "statuses"),
    [
        (0, [0], ["pending", "completed"]),
        (0.5, [0.5, 0.5], ["pending", "running", "completed"]),
        (60, [1, 59, 1], ["pending", "running", "running", "completed"]),
    ],
)
def test_run_time_is_a_parameter_of_the_sandbox(
    mock: ControlledMock, seconds: float, steps: list[float], statuses: list[str]
) -> None:
    assert mock.control("PUT", "/sandboxes/a", {"execution_seconds": seconds})["execution_seconds"] == seconds
    assert follow(mock, start(mock, x_mock_outcome="completed"), *steps) == statuses
    (execution,) = mock.read("a", "/workflow-executions?per_page=1")
    run_time = datetime.fromisoformat(execution["stopped_at"]) - datetime.fromisoformat(execution["started_at"])
    assert run_time.total_seconds() == seconds


def test_run_time_of_the_mock_is_the_default_of_sandboxes() -> None:
    mock = ControlledMock.create(execution_seconds=7.0)
    shown = [mock.control("GET", "/sandboxes/default"), mock.control("PUT", "/sandboxes/a")]
    assert [sandbox["execution_seconds"] for sandbox in shown] == [7.0, 7.0]
    assert mock.request("PUT", f"{SANDBOXES}/a", {"execution_seconds": -1}).status == 422


def test_outcome_and_text_without_effect_are_noted(mock: ControlledMock) -> None:
    headers = {"x_mock_outcome": "error", "x_mock_text": "Hi", "authorization": "Bearer demo-token"}
    reply = mock.request("GET", "/api/v1/agents", **headers)
    assert reply.headers["x-mock-note"] == "ignored: X-Mock-Outcome, X-Mock-Text"
