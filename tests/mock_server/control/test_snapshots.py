"""Snapshots, and changes since the creation or a snapshot."""

import pytest

from mock_server.sandbox.clock import MAX_CLOCK_TIME, ClockState
from tests.mock_server.controlled_mock import ControlledMock

AGENT = {"name": "New", "instruction": "Answer."}


@pytest.fixture(params=["a", "default"])
def name(request: pytest.FixtureRequest, mock: ControlledMock) -> str:
    """A named sandbox and the default one."""
    sandbox = str(request.param)
    mock.control("PUT", f"/sandboxes/{sandbox}")
    return sandbox


def create_agent(mock: ControlledMock, name: str) -> str:
    return str(mock.call(name, "POST", "/agents", AGENT).json["data"]["uuid"])


def export(mock: ControlledMock, name: str) -> bytes:
    """All records, tokens and metadata of a sandbox."""
    return mock.registry.entries[name].sandbox.store.serialize()


def test_restored_snapshot_has_the_same_records_tokens_and_time(mock: ControlledMock, name: str) -> None:
    login = {"email": "john.doe@example.com", "password": "password"}
    create_agent(mock, name)
    token = mock.call(name, "POST", "/auth/sign-in", login).json["data"]["token"]
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"frozen": True})
    saved = mock.control("PUT", f"/sandboxes/{name}/snapshots/one")
    before = mock.call(name, "GET", "/agents?per_page=100", token=token).body
    mock.clock.advance(hours=1)
    key = create_agent(mock, name)
    mock.call(name, "POST", "/auth/sign-out", token=token)
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"frozen": False, "speed": 5})
    restored = mock.control("POST", f"/sandboxes/{name}/snapshots/one/restore")
    assert restored == saved
    assert mock.call(name, "GET", "/agents?per_page=100", token=token).body == before
    clock = {"now": saved["now"], "frozen": True, "speed": 1.0, "offset_seconds": -3600}
    assert mock.control("GET", f"/sandboxes/{name}/clock") == clock
    assert create_agent(mock, name) == key  # the same numbers follow


def test_restored_store_of_a_named_sandbox_is_byte_equal(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/a")
    create_agent(mock, "a")
    mock.control("PUT", "/sandboxes/a/snapshots/one")
    before = export(mock, "a")
    create_agent(mock, "a")
    assert export(mock, "a") != before
    mock.control("POST", "/sandboxes/a/snapshots/one/restore")
    assert export(mock, "a") == before


def test_snapshot_of_unmodified_sandbox_needs_no_memory_and_restores_the_dataset(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/a")
    assert mock.control("PUT", "/sandboxes/a/snapshots/start")["bytes"] == 0
    before = mock.call("a", "GET", "/agents?per_page=100").body
    create_agent(mock, "a")
    mock.control("POST", "/sandboxes/a/snapshots/start/restore")
    assert mock.call("a", "GET", "/agents?per_page=100").body == before
    assert not mock.control("GET", "/sandboxes/a")["is_modified"]


def test_snapshots_survive_a_reset_and_are_listed_and_deleted(mock: ControlledMock, name: str) -> None:
    for snapshot in ("two", "one"):
        mock.control("PUT", f"/sandboxes/{name}/snapshots/{snapshot}")
    mock.control("POST", f"/sandboxes/{name}/reset")
    listed = mock.control("GET", f"/sandboxes/{name}/snapshots")["snapshots"]
    assert [snapshot["name"] for snapshot in listed] == ["one", "two"]
    assert mock.control_status("DELETE", f"/sandboxes/{name}/snapshots/one") == 204
    assert mock.control_status("POST", f"/sandboxes/{name}/snapshots/one/restore") == 404
    assert mock.control_status("DELETE", f"/sandboxes/{name}/snapshots/one") == 404
    assert mock.control_status("GET", f"/sandboxes/{name}/changes?since=one") == 404


def test_snapshot_at_the_end_of_the_clock_is_restored(mock: ControlledMock, name: str) -> None:
    end = "2999-12-31T00:00:00.000000Z"
    mock.registry.entries[name].sandbox.clock.set_state(ClockState(MAX_CLOCK_TIME, False, 1))
    mock.clock.advance(seconds=5)
    before = export(mock, name)
    assert mock.control("PUT", f"/sandboxes/{name}/snapshots/end")["now"] == end
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"now": "2026-03-01T00:00:00Z"})
    mock.control("POST", f"/sandboxes/{name}/snapshots/end/restore")
    assert mock.control("PATCH", f"/sandboxes/{name}/clock", {"frozen": True})["now"] == end
    assert mock.control_status("POST", f"/sandboxes/{name}/clock/advance", {"seconds": 1}) == 409
    if name != "default":  # whose store contains the offset of its clock
        assert export(mock, name) == before


def test_snapshot_beyond_the_memory_limit_is_a_429() -> None:
    mock = ControlledMock.create(max_bytes=6 * 1024 * 1024)
    create_agent(mock, "a")
    assert mock.control_status("PUT", "/sandboxes/a/snapshots/one") == 429
    assert mock.control("GET", "/sandboxes/a/snapshots") == {"snapshots": []}


def test_unmodified_sandbox_has_no_changes(mock: ControlledMock, name: str) -> None:
    assert mock.control("GET", f"/sandboxes/{name}/changes") == {"created": [], "changed": [], "deleted": []}


def test_changes_since_the_creation_and_since_a_snapshot(mock: ControlledMock, name: str) -> None:
    rows = mock.read(name, "/prompts")[:2]
    first, second = (row["uuid"] for row in rows)
    created = create_agent(mock, name)
    mock.control("PUT", f"/sandboxes/{name}/snapshots/one")
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"now": "2026-03-02T00:00:00Z", "frozen": True})
    assert mock.call(name, "PUT", f"/prompts/{first}", {"name": "Renamed"}).status == 200
    assert mock.call(name, "DELETE", f"/prompts/{second}").status == 204
    since_snapshot = mock.control("GET", f"/sandboxes/{name}/changes?since=one")
    assert since_snapshot["created"] == []
    assert since_snapshot["deleted"] == [{"resource": "Prompt", "key": second, "caption": rows[1]["name"]}]
    (change,) = since_snapshot["changed"]
    assert (change["resource"], change["key"], change["caption"]) == ("Prompt", first, "Renamed")
    assert change["fields"]["name"]["after"] == "Renamed"
    assert change["fields"]["updated_at"]["after"] == "2026-03-02T00:00:00.000000Z"
    since_creation = mock.control("GET", f"/sandboxes/{name}/changes")
    (record,) = since_creation["created"]
    assert (record["resource"], record["key"], record["record"]["name"]) == ("Agent", created, "New")
    assert record["caption"] == "New"
    assert {**since_creation, "created": []} == since_snapshot


def test_changed_list_of_references_is_shown(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/a")
    workflow = mock.control("POST", "/sandboxes/a/records", {"Workflow": [{}]})["Workflow"][0]["uuid"]
    agent = {"name": "New", "workflows": [workflow]}
    key = mock.control("POST", "/sandboxes/a/records", {"Agent": [agent]})["Agent"][0]["uuid"]
    mock.control("PUT", "/sandboxes/a/snapshots/one")
    assert mock.call("a", "DELETE", f"/workflows/{workflow}").status == 204
    (change,) = mock.control("GET", "/sandboxes/a/changes?since=one")["changed"]
    fields = {"workflows": {"before": [workflow], "after": []}}
    assert change == {"resource": "Agent", "key": key, "caption": "New", "fields": fields}
