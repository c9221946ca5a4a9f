"""Interference: writes of another client are detected, an unstable list is not mistaken for them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Case
from conformance.runner.interference import InterferenceMonitor
from tests.conformance.support.unstable_targets import SimulatedTarget, create_session

CHECK_ID = "model-list"
BODY = {"name": "other client", "content": "other client"}


@pytest.fixture
def target() -> SimulatedTarget:
    """Athena mock with its initial dataset and a simulated clock."""
    return SimulatedTarget.create()


def write_as_other_client(target: SimulatedTarget, name: str, key: Any = None, body: Any = None) -> Any:
    """Call an operation as another client and return the data of its response."""
    target.wait(2)
    reply = target.api.send(name, key, body)
    return reply.json["data"] if reply.body else None


def is_unchanged(target: SimulatedTarget, act: Callable[[], object], check_id: str = CHECK_ID) -> bool:
    """Return whether the monitor sees no write of another client during `act`."""
    session = create_session(target)
    check = next(check for check in CHECKS if check.id == check_id)
    case = Case(check, session, session.contract.operations["listPrompts"])
    monitor = InterferenceMonitor(session)
    before = monitor.snapshot(case)
    act()
    return monitor.is_unchanged(case, before)


def test_idle_target_is_unchanged(target: SimulatedTarget) -> None:
    assert is_unchanged(target, lambda: target.wait(10))


def test_create_by_other_client_is_detected(target: SimulatedTarget) -> None:
    assert not is_unchanged(target, lambda: write_as_other_client(target, "createPrompt", body=BODY))


def test_update_by_other_client_is_detected(target: SimulatedTarget) -> None:
    key = write_as_other_client(target, "createPrompt", body=BODY)["uuid"]
    assert not is_unchanged(
        target, lambda: write_as_other_client(target, "updatePrompt", key, {**BODY, "name": "another"})
    )


def test_delete_by_other_client_is_detected(target: SimulatedTarget) -> None:
    key = write_as_other_client(target, "createPrompt", body=BODY)["uuid"]
    assert not is_unchanged(target, lambda: write_as_other_client(target, "deletePrompt", key))


def test_records_of_run_are_no_interference(target: SimulatedTarget) -> None:
    session = create_session(target)
    assert is_unchanged(target, lambda: session.records.create("Prompt"))


def test_unaffected_check_has_no_interference(target: SimulatedTarget) -> None:
    assert is_unchanged(
        target, lambda: write_as_other_client(target, "createPrompt", body=BODY), check_id="model-create"
    )


def test_unstable_list_is_no_interference(target: SimulatedTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a faulty list omits can still be retrieved, so no other client deleted them."""
    rows = InterferenceMonitor._rows
    calls: Iterator[int] = iter(range(100))

    def omit_rows(self: InterferenceMonitor, listing: Any) -> Any:
        all_rows = rows(self, listing)
        omitted = next(calls) % 3
        return {key: row for i, (key, row) in enumerate(all_rows.items()) if i == 0 or i % 3 != omitted}

    monkeypatch.setattr(InterferenceMonitor, "_rows", omit_rows)
    assert is_unchanged(target, lambda: None)
