"""Interference: writes of another client are detected, an unstable list is not mistaken for them."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Case
from conformance.runner.interference import InterferenceMonitor
from tests.conformance.asgi_session import HOST
from tests.conformance.unstable_targets import Mock, create_session, send_to_mock
from tests.mock_server.athena import Api, athena_contract, athena_schemas

CHECK_ID = "model-list"
BODY = {"name": "other client", "content": "other client"}


@pytest.fixture(scope="module")
def module_mock() -> Api:
    """Mock of the module."""
    return Api.create(athena_contract(), athena_schemas(), "demo")


@pytest.fixture
def mock(module_mock: Api) -> Mock:
    """Mock with its initial dataset."""
    module_mock.reset()
    return Mock(module_mock)


def write_as_other_client(mock: Mock, method: str, path: str, body: Any = None) -> Any:
    """Send a write of another client and return the data of its response."""
    mock.wait(2)
    headers = {"Authorization": "Bearer demo-token"}
    url = f"{HOST}{mock.api.contract.base_path}{path}"
    response = send_to_mock(mock.api, httpx.Request(method, url, json=body, headers=headers), mock.moment)
    return response.json()["data"] if response.content else None


def is_unchanged(mock: Mock, act: Callable[[], object], check_id: str = CHECK_ID) -> bool:
    """Return whether the monitor sees no write of another client during `act`."""
    session = create_session(mock)
    check = next(check for check in CHECKS if check.id == check_id)
    case = Case(check, session, session.contract.operations["listPrompts"])
    monitor = InterferenceMonitor(session)
    before = monitor.snapshot(case)
    act()
    return monitor.is_unchanged(case, before)


def test_idle_target_is_unchanged(mock: Mock) -> None:
    assert is_unchanged(mock, lambda: mock.wait(10))


def test_create_by_other_client_is_detected(mock: Mock) -> None:
    assert not is_unchanged(mock, lambda: write_as_other_client(mock, "POST", "/prompts", BODY))


def test_update_by_other_client_is_detected(mock: Mock) -> None:
    key = write_as_other_client(mock, "POST", "/prompts", BODY)["uuid"]
    assert not is_unchanged(
        mock, lambda: write_as_other_client(mock, "PUT", f"/prompts/{key}", {**BODY, "name": "another"})
    )


def test_delete_by_other_client_is_detected(mock: Mock) -> None:
    key = write_as_other_client(mock, "POST", "/prompts", BODY)["uuid"]
    assert not is_unchanged(mock, lambda: write_as_other_client(mock, "DELETE", f"/prompts/{key}"))


def test_records_of_run_are_no_interference(mock: Mock) -> None:
    session = create_session(mock)
    assert is_unchanged(mock, lambda: session.records.create("Prompt"))


def test_unaffected_check_has_no_interference(mock: Mock) -> None:
    assert is_unchanged(mock, lambda: write_as_other_client(mock, "POST", "/prompts", BODY), check_id="model-create")


def test_unstable_list_is_no_interference(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a faulty list omits can still be retrieved, so no other client deleted them."""
    rows = InterferenceMonitor._rows
    calls: Iterator[int] = iter(range(100))

    def omit_rows(self: InterferenceMonitor, listing: Any) -> Any:
        all_rows = rows(self, listing)
        omitted = next(calls) % 3
        return {key: row for i, (key, row) in enumerate(all_rows.items()) if i == 0 or i % 3 != omitted}

    monkeypatch.setattr(InterferenceMonitor, "_rows", omit_rows)
    assert is_unchanged(mock, lambda: None)
