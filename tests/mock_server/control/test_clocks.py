"""The clock of a sandbox: it governs timestamps, token expiry and executions."""

from typing import Any

import pytest

from tests.mock_server.controlled_mock import ControlledMock

START = "2026-03-01T00:00:00.000000Z"


pytestmark = pytest.mark.usefixtures("sandbox_a")


def read_clock(mock: ControlledMock, name: str = "a") -> Any:
    return mock.control("GET", f"/sandboxes/{name}/clock")


def test_clock_starts_at_the_epoch_and_follows_the_system(mock: ControlledMock) -> None:
    assert read_clock(mock) == {"now": START, "frozen": False, "speed": 1.0, "offset_seconds": 0}
    mock.clock.advance(seconds=90)
    assert read_clock(mock)["now"] == "2026-03-01T00:01:30.000000Z"


def test_set_time_applies_to_one_sandbox(mock: ControlledMock) -> None:
    clock = mock.control("PATCH", "/sandboxes/a/clock", {"now": "2030-05-06T07:08:09Z"})
    assert clock["now"] == "2030-05-06T07:08:09.000000Z"
    assert read_clock(mock, "default")["now"] == START
    agent = mock.call("a", "POST", "/agents", {"name": "New", "instruction": "Answer."}).json["data"]
    assert agent["created_at"].startswith("2030-05-06T07:08:09")


def test_frozen_clock_does_not_move_until_it_continues(mock: ControlledMock) -> None:
    mock.control("PATCH", "/sandboxes/a/clock", {"frozen": True})
    mock.clock.advance(days=1)
    assert read_clock(mock) == {"now": START, "frozen": True, "speed": 1.0, "offset_seconds": -86400}
    mock.control("PATCH", "/sandboxes/a/clock", {"frozen": False})
    mock.clock.advance(seconds=1)
    assert read_clock(mock)["now"] == "2026-03-01T00:00:01.000000Z"


def test_speed_multiplies_the_time_that_passes(mock: ControlledMock) -> None:
    mock.control("PATCH", "/sandboxes/a/clock", {"speed": 60})
    mock.clock.advance(seconds=2)
    clock = {"now": "2026-03-01T00:02:00.000000Z", "frozen": False, "speed": 60.0, "offset_seconds": 118}
    assert read_clock(mock) == clock
    mock.control("PATCH", "/sandboxes/a/clock", {"speed": 1})
    mock.clock.advance(seconds=2)
    assert read_clock(mock)["now"] == "2026-03-01T00:02:02.000000Z"


@pytest.mark.parametrize("is_frozen", [True, False])
def test_advance_moves_the_clock(mock: ControlledMock, is_frozen: bool) -> None:
    mock.control("PATCH", "/sandboxes/a/clock", {"frozen": is_frozen})
    assert mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": 1.5})["now"] == "2026-03-01T00:00:01.500000Z"


def test_synchronized_clock_has_the_time_and_the_speed_of_the_system(mock: ControlledMock) -> None:
    mock.control("PATCH", "/sandboxes/a/clock", {"now": "2030-05-06T07:08:09Z", "frozen": True, "speed": 60})
    mock.clock.advance(seconds=90)
    synchronized = mock.control("POST", "/sandboxes/a/clock/synchronize")
    clock = {"now": "2026-03-01T00:01:30.000000Z", "frozen": False, "speed": 1.0, "offset_seconds": 0}
    assert synchronized == clock
    mock.clock.advance(seconds=1)
    assert read_clock(mock)["now"] == "2026-03-01T00:01:31.000000Z"


def test_synchronized_clock_of_a_later_time_expires_tokens(mock: ControlledMock) -> None:
    mock.control("PATCH", "/sandboxes/a/clock", {"frozen": True})
    account = mock.control("GET", "/sandboxes/a")["accounts"][0]
    token = mock.request("POST", "/api/v1/auth/sign-in", account).json["data"]["token"]
    mock.clock.advance(days=1)
    statuses = [mock.request("GET", "/api/v1/agents", authorization=f"Bearer {token}").status]
    mock.control("POST", "/sandboxes/a/clock/synchronize")
    statuses.append(mock.request("GET", "/api/v1/agents", authorization=f"Bearer {token}").status)
    assert statuses == [200, 401]


def test_clock_ends_with_a_409(mock: ControlledMock) -> None:
    path, century = "/sandboxes/a/clock/advance", {"seconds": 3153600000}
    statuses = [mock.control_status("POST", path, century) for _ in range(12)]
    assert statuses == [200] * 9 + [409] * 3
    mock.control("PATCH", "/sandboxes/a/clock", {"speed": 1_000_000})
    mock.clock.advance(days=4000)
    assert read_clock(mock)["now"] == "2999-12-31T00:00:00.000000Z"


def test_token_expires_by_the_clock(mock: ControlledMock) -> None:
    login = {"email": "john.doe@example.com", "password": "password"}
    token = mock.call("a", "POST", "/auth/sign-in", login).json["data"]["token"]
    assert mock.call("a", "GET", "/agents", token=token).status == 200
    mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": 13 * 3600})
    assert mock.call("a", "GET", "/agents", token=token).status == 401


def run_day_of_executions(mock: ControlledMock, name: str) -> list[Any]:
    """Start an execution in every hour of a day; return their states, and the times at which they ended."""
    mock.control("PUT", f"/sandboxes/{name}")
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"frozen": True})
    workflow = next(row["uuid"] for row in mock.read(name, "/workflows?per_page=100") if row["is_active"])
    transcript = []
    for _ in range(24):
        reply = mock.call(name, "POST", "/workflow-executions", {"workflow_uuid": workflow})
        assert reply.status == 201, reply.body
        key = reply.json["data"]["uuid"]
        statuses = [reply.json["data"]["status"]]
        for seconds in (1, 10, 3589):
            mock.control("POST", f"/sandboxes/{name}/clock/advance", {"seconds": seconds})
            execution = mock.read(name, f"/workflow-executions/{key}")
            statuses.append(execution["status"])
        transcript.append((key, statuses, execution["stopped_at"]))
    return transcript


def test_day_of_executions_has_the_same_transcript_each_time(mock: ControlledMock) -> None:
    first = run_day_of_executions(mock, "b")
    assert {tuple(statuses[:2]) for _, statuses, _ in first} == {("pending", "running")}
    assert {statuses[-1] for _, statuses, _ in first} <= {"completed", "error"}
    mock.clock.advance(minutes=7)
    assert run_day_of_executions(mock, "c") == first
    mock.control("POST", "/sandboxes/c/reset")
    assert run_day_of_executions(mock, "c") == first


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"now": "1999-01-01T00:00:00Z", "speed": 0, "frozen": "yes"}, ["frozen", "now", "speed"]),
        ({"time": "2026-03-01T00:00:00Z"}, ["time"]),
        ({}, [""]),
    ],
)
def test_invalid_change_names_all_fields_and_changes_nothing(
    mock: ControlledMock, body: dict[str, Any], fields: list[str]
) -> None:
    reply = mock.request("PATCH", "/__mock/api/sandboxes/a/clock", body)
    assert reply.status == 422
    assert sorted(reply.json["errors"]) == fields or not body
    assert read_clock(mock) == {"now": START, "frozen": False, "speed": 1.0, "offset_seconds": 0}
