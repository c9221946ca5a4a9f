"""`run --dry-run`: it sends nothing, and lists the checks that a run performs."""

import re
from pathlib import Path

import pytest

from conformance.checks.registry import CHECKS
from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.results import Status
from conformance.runner.runner import build_cases, run_check
from tests.conformance.support.asgi_session import session
from tests.conformance.support.http_target import run_command, run_http_target
from tests.mock_server.athena import Api, athena_contract, athena_schemas

TOKENS = {
    "ATHENA_TOKEN": "demo-token",
    "ATHENA_OTHER_TOKEN": "other-token",
    "ATHENA_MEMBER_TOKEN": "viewer-token",
}


def run_dry(capsys: pytest.CaptureFixture[str], *arguments: str, environment: dict[str, str] | None = None) -> str:
    """The output of a dry run, with line breaks inside of an entry removed."""
    assert main(["run", "--dry-run", *arguments], TOKENS if environment is None else environment) == ExitCode.PASSED
    return capsys.readouterr().out.replace("\n    ", " ")


def parse_rows(output: str) -> dict[str, list[str]]:
    """The operation table: operation -> method, writes, checks, Schemathesis, effects."""
    table = output.split("\n\n")[1].splitlines()
    return {cells[0]: cells[1:] for cells in (re.split(r" {2,}", line) for line in table[1:])}


def parse_checks(output: str) -> dict[str, list[str]]:
    """The checks by operation."""
    section = output.partition("Checks by operation\n")[2].partition("\n\n")[0]
    pairs = (line.strip().partition(": ") for line in section.splitlines())
    return {operation: names.split(", ") for operation, _, names in pairs}


def test_no_request_is_sent() -> None:
    requests: list[object] = []
    with run_http_target(requests.append) as base:
        code, output = run_command("run", "--dry-run", "--base-url", base, token="")
    assert (code, requests) == (ExitCode.PASSED, [])
    assert "listMessages" in output


def test_every_operation_is_listed_without_address_and_token(capsys: pytest.CaptureFixture[str]) -> None:
    table = parse_rows(run_dry(capsys, environment={}))
    contract = athena_contract()
    assert list(table) == list(contract.operations)
    assert {name for name, cells in table.items() if cells[1] == "yes"} == {
        o.id for o in contract.operations.values() if o.is_write
    }


@pytest.mark.parametrize("read_only", [False, True])
def test_checks_are_those_that_a_run_performs(capsys: pytest.CaptureFixture[str], read_only: bool) -> None:
    output = run_dry(capsys, *(["--read-only"] if read_only else []))
    contract = athena_contract()
    api = Api.create(contract, athena_schemas(), "demo")
    dry_session = session(api.app, contract, schemas=api.schemas, read_only=read_only)
    expected: dict[str, list[str]] = {name: [] for name in contract.operations}
    for case in build_cases(dry_session, CHECKS, contract.operations.values()):
        expected[case.operation.id].append(case.check.id)
    assert parse_checks(output) == expected
    assert {name: int(cells[2]) for name, cells in parse_rows(output).items()} == {
        n: len(c) for n, c in expected.items()
    }


def test_selected_operations_are_listed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    output = run_dry(capsys, "--operation", "listAgents,createAgent", "--no-fuzzing")
    assert list(parse_rows(output)) == ["listAgents", "createAgent"]
    assert "2 operations, 1 of them writing" in output
    assert "Schemathesis on 0 operations (--no-fuzzing)" in output
    assert list(parse_rows(run_dry(capsys, "--tag", "Message"))) == [
        o.id for o in athena_contract().operations.values() if o.tag == "Message"
    ]


def test_effects_are_marked_with_the_maximum_of_calls(capsys: pytest.CaptureFixture[str]) -> None:
    output = run_dry(capsys)
    assert parse_rows(output)["runAgent"][3:] == ["no", "language-model"]
    assert parse_rows(output)["shareAgent"][3:] == ["no", "mail"]
    assert re.search(r"successful calls of .*runAgent.*: --allow-effects is not set", output)
    assert "calls with external effects: at most 0" in output
    output = run_dry(capsys, "--allow-effects", "--max-effect-calls", "3")
    assert parse_rows(output)["runAgent"][3:] == ["yes", "language-model (at most 3 calls)"]
    with_effects = sum(bool(o.effects) for o in athena_contract().operations.values())
    assert f"calls with external effects: at most {3 * with_effects}" in output
    assert "--allow-effects is not set" not in output


def test_read_only_runs_skip_checks_that_write(capsys: pytest.CaptureFixture[str]) -> None:
    output = run_dry(capsys, "--read-only")
    assert re.search(r"checks .*model-create \(\d+ operations\).*: --read-only", output)
    assert parse_rows(output)["createAgent"][3] == "no"
    output = run_dry(capsys, "--base-url", "https://staging.example.com/api")
    assert "model-create" not in output.partition("Skipped")[0]
    assert "read-only without --allow-writes-to staging.example.com" in output


def test_checks_that_need_a_second_token_are_skipped_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    output = run_dry(capsys, environment={"ATHENA_TOKEN": "demo-token"})
    skipped = re.search(r"checks (.*): no second token \(\$ATHENA_OTHER_TOKEN is not set\)", output)
    assert skipped is not None, output
    names = {check.id for check in CHECKS if check.needs_second_token}
    assert set(re.findall(r"([a-z-]+) \(\d+ operations?\)", skipped[1])) == names
    assert "no second token" not in run_dry(capsys)


def test_run_without_second_token_skips_the_same_checks() -> None:
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    api.reset()
    dry_session = session(api.app, api.contract, schemas=api.schemas, tokens={"self": "demo-token"})
    needing = [check for check in CHECKS if check.needs_second_token]
    for case in build_cases(dry_session, needing, api.contract.operations.values()):
        results = list(run_check(case))
        assert [(r.status, "--other-token-env" in r.message) for r in results] == [(Status.SKIPPED, True)], (
            case.check.id
        )
    assert not dry_session.responses.call_counts


def test_skipped_operations_are_listed_with_their_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("athena-conformance.toml").write_text("[skip]\nlistAgents = 'ticket 12'\n")
    output = run_dry(capsys)
    assert "operations listAgents: ticket 12" in output
    assert "listAgents" not in parse_rows(output)


def test_limits_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output = run_dry(capsys, "--rate-limit", "10", "--max-requests", "5", "--profile", "smoke")
    assert "requests: at most 5 (--max-requests)" in output
    assert "time: no check starts after 60 s (--profile smoke)" in output
    assert "rate: at most 10 requests per second (--rate-limit)" in output
    assert "(phases: examples)" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--update-baseline",), "--update-baseline: "),
        (("--mutable-record", "None=1"), "--mutable-record: "),
        (("--base-url", "http://x.example", "--operation", "createMessage"), "--allow-writes-to x.example"),
    ],
)
def test_invalid_options_exit_with_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main(["run", "--dry-run", *arguments], TOKENS) == ExitCode.USAGE
    assert message in capsys.readouterr().err
