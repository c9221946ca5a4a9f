"""The word plan: it sends nothing, and its figures are near what a run sends."""

import re
from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.costs import Costs
from conformance.laws import LAWS
from conformance.run import cases_of, run
from conformance.verdict import Code
from tests.conformance.served import session
from tests.conformance.test_command import ran, serving
from tests.mock_server.athena import Api, athena_contract, athena_schemas

SUM = re.compile(
    r"^(\d+) operations?, (\d+) cases?: about (\d+) requests, (\d+) of them writes, and (\d+) to take", re.M
)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What plan prints."""
    assert main(["plan", *arguments], {}) == 0
    return capsys.readouterr().out


def figures(said: str) -> tuple[int, ...]:
    """Operations, cases, requests, writes, cleaning."""
    found = SUM.search(said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


def test_it_sends_nothing_and_needs_no_token() -> None:
    asked: list[object] = []
    with serving(asked.append) as base:
        code, said = ran("plan", "--base-url", base, token="")
    assert (code, asked) == (Code.KEPT, [])
    assert "listMessages" in said


def test_it_needs_no_target(capsys: pytest.CaptureFixture[str]) -> None:
    operations, cases, requests, writes, cleaning = figures(planned(capsys))
    assert operations == len(athena_contract().operations)
    assert 0 < cleaning < writes < requests
    assert cases > operations


def test_a_scope_is_planned_alone(capsys: pytest.CaptureFixture[str]) -> None:
    said = planned(capsys, "--operation", "listAgents,createAgent")
    assert figures(said)[0] == 2
    assert "listThreads" not in said


def test_what_is_only_read_has_no_writes(capsys: pytest.CaptureFixture[str]) -> None:
    said = planned(capsys, "--read-only")
    assert figures(said)[3:] == (0, 0)
    assert "nothing is written: --read-only" in said
    said = planned(capsys, "--base-url", "https://staging.example.com/api")
    assert figures(said)[3:] == (0, 0)
    assert "no --allow-writes-to staging.example.com" in said


def test_effects_and_dear_calls_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    said = planned(capsys)
    assert "not used without --allow-effects: " in said
    assert "runAgent (language-model)" in said
    models = sum("language-model" in o.effects for o in athena_contract().operations.values())
    said = planned(capsys, "--allow-effects", "--max-expensive", "3")
    assert f"at most {3 * models} calls of models ({models} x --max-expensive 3)" in said


def test_the_least_duration_follows_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    said = planned(capsys, "--rate-limit", "10", "--max-requests", "5", "--profile", "smoke", "--no-engine")
    _, _, requests, _, cleaning = figures(said)
    found = re.search(r"least duration: (\d+) min (\d+) s \(--rate-limit 10\)", said)
    assert found is not None, said
    assert abs(60 * int(found[1]) + int(found[2]) - (requests + cleaning) / 10) <= 1
    assert "--max-requests 5 ends it" in said
    assert "no more is judged after 1 min 0 s (--profile smoke)" in said


def engines(said: str) -> tuple[int, int]:
    """Requests and writes of the engine."""
    found = re.search(r"^the stock engine after them \(\w+\): about (\d+) requests, (\d+) of them writes", said, re.M)
    assert found is not None, said
    return int(found[1]), int(found[2])


def test_the_engine_is_planned_as_deep_as_the_profile_goes(capsys: pytest.CaptureFixture[str]) -> None:
    smoke, gate, deep = (engines(planned(capsys, "--profile", name)) for name in ("smoke", "gate", "deep"))
    assert smoke[0] < gate[0] < deep[0]
    assert engines(planned(capsys)) == gate
    assert engines(planned(capsys, "--read-only"))[1] == 0 < gate[1]
    assert "the stock engine is not asked: --no-engine" in planned(capsys, "--no-engine")


def test_skipped_operations_are_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("athena-conformance.toml").write_text("[skip]\nlistAgents = 'ticket 12'\n")
    said = planned(capsys)
    assert "skipped: listAgents (ticket 12)" in said
    assert figures(said)[0] == len(athena_contract().operations) - 1


def test_every_law_was_measured() -> None:
    """After a new law: `python -m bench.costs`."""
    assert {law.id for law in LAWS} - Costs.measured().laws.keys() == set()


@pytest.mark.slow
def test_the_figures_are_near_what_a_run_sends(capsys: pytest.CaptureFixture[str]) -> None:
    _, cases, requests, writes, cleaning = figures(planned(capsys))
    api = Api.of(athena_contract(), athena_schemas(), "demo")
    api.begin_anew()
    asking = session(api.app, api.contract, schemas=api.schemas)
    assert len(list(cases_of(asking, LAWS, api.contract.operations.values()))) == cases
    run(asking, LAWS, api.contract.operations.values(), lambda outcome: None)
    methods = {o.id: o.method for o in api.contract.operations.values()}
    sent = sum(asking.seen.values())
    wrote = sum(times for (name, _), times in asking.seen.items() if methods[name] != "get")
    assert abs(requests + cleaning - sent) < 0.15 * sent
    assert abs(writes + cleaning - wrote) < 0.25 * wrote
