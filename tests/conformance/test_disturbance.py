"""Whether somebody else writes: seen by what is new, changed or gone, and not by a list that flaps."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from conformance.checks import CHECKS
from conformance.checks.support.check import Case
from conformance.runner.interference import InterferenceMonitor
from tests.conformance.served import HOST
from tests.conformance.unsteady import Mock, sent, session_on
from tests.mock_server.athena import Api, athena_contract, athena_schemas

LAW = next(law for law in CHECKS if law.id == "pages-are-complete")
BODY = {"name": "theirs", "content": "theirs"}


@pytest.fixture(scope="module")
def built() -> Api:
    """A mock, built once."""
    return Api.of(athena_contract(), athena_schemas(), "demo")


@pytest.fixture
def mock(built: Api) -> Mock:
    """The mock as its dataset has it."""
    built.begin_anew()
    return Mock(built)


def written(mock: Mock, method: str, path: str, body: Any = None) -> Any:
    """What somebody else is answered."""
    mock.wait(2)
    headers = {"Authorization": "Bearer demo-token"}
    url = f"{HOST}{mock.api.contract.base_path}{path}"
    answer = sent(mock.api, httpx.Request(method, url, json=body, headers=headers), mock.moment)
    return answer.json()["data"] if answer.content else None


def quiet(mock: Mock, act: Callable[[], object], law: str = LAW.id) -> bool:
    """Whether a watch sees nobody write while something is done."""
    session = session_on(mock)
    judged = next(one for one in CHECKS if one.id == law)
    case = Case(judged, session, session.contract.operations["listPrompts"])
    watch = InterferenceMonitor(session)
    before = watch.snapshot(case)
    act()
    return watch.unchanged(case, before)


def test_nobody_writes(mock: Mock) -> None:
    assert quiet(mock, lambda: mock.wait(10))


def test_a_record_that_somebody_makes_is_seen(mock: Mock) -> None:
    assert not quiet(mock, lambda: written(mock, "POST", "/prompts", BODY))


def test_a_record_that_somebody_changes_is_seen(mock: Mock) -> None:
    key = written(mock, "POST", "/prompts", BODY)["uuid"]
    assert not quiet(mock, lambda: written(mock, "PUT", f"/prompts/{key}", {**BODY, "name": "another"}))


def test_a_record_that_somebody_deletes_is_seen(mock: Mock) -> None:
    key = written(mock, "POST", "/prompts", BODY)["uuid"]
    assert not quiet(mock, lambda: written(mock, "DELETE", f"/prompts/{key}"))


def test_the_runs_own_records_are_nobodys_else(mock: Mock) -> None:
    session = session_on(mock)
    assert quiet(mock, lambda: session.create("Prompt"))


def test_a_law_on_own_records_is_not_disturbed(mock: Mock) -> None:
    assert quiet(mock, lambda: written(mock, "POST", "/prompts", BODY), law="create-is-stored")


def test_a_list_that_flaps_is_no_somebody(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a faulty list leaves out in turn are there when they are asked for: nobody took them away."""
    rows = InterferenceMonitor._rows
    turns: Iterator[int] = iter(range(100))

    def flapping(self: InterferenceMonitor, listing: Any) -> Any:
        shown = rows(self, listing)
        left_out = next(turns) % 3
        return {key: row for place, (key, row) in enumerate(shown.items()) if place == 0 or place % 3 != left_out}

    monkeypatch.setattr(InterferenceMonitor, "_rows", flapping)
    assert quiet(mock, lambda: None)
