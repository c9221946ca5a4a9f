"""`athena-conformance run --strict` passes on the mock of every small contract file.

The mock accepts any credential that does not start with `invalid` or `expired`; for one contract those of
a file (`--tokens`).
"""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from tests.conformance.support.http_server import run_http_server
from tests.contracts.served_contract import ServedContract
from tests.contracts.test_contracts import SAMPLE, SERVED, mark_slow
from tests.mock_process import MODULE, ROOT, build_environment, run_mock

TOKENS = ("demo-token", "other-token")
LOGINS = ("demo:password", "other:password")
COMBINED = "alternatives-and-combinations.yaml"  # an operation requires two keys, of which the token is one
BASIC = ("basic.yaml", "alternatives-and-combinations.yaml")

TASKS = str(ROOT / "examples" / "tasks-with-state.yaml")
API_KEY = str(ROOT / "tests" / "contracts" / "extensions" / "resource-with-deleted-body.yaml")

IMPOSSIBLE_BODY = """
openapi: 3.0.3
info: {title: A body that cannot exist, version: "1"}
paths:
  /a:
    get: {operationId: read, responses: {"204": {description: Read}}}
    post:
      operationId: send
      requestBody: {content: {application/json: {schema: {type: string, minLength: 5, maxLength: 4}}}}
      responses: {"204": {description: Sent}}
"""


def run_suite(path: Path, accepted_tokens: frozenset[str] | None = None) -> int:
    """Run the suite on the mock of a contract file and return its exit code."""
    served = ServedContract.create(path, accepted_tokens=accepted_tokens)
    token, other_token = LOGINS if path.name in BASIC else TOKENS
    environment = {"ATHENA_TOKEN": token, "ATHENA_OTHER_TOKEN": other_token}
    with run_http_server(served.app) as address:
        base_url = address + served.contract.base_path
        arguments: tuple[str, ...] = (
            "run",
            "--contract",
            str(path),
            "--base-url",
            base_url,
            "--profile",
            "smoke",
            "--strict",
        )
        if path.name == COMBINED:
            arguments = (*arguments, "--credential", "app=APP_KEY")
        return main(arguments, {**environment, "APP_KEY": "app-key"})


@pytest.mark.parametrize("path", mark_slow(SERVED, SAMPLE))
def test_suite_passes_on_a_contract(path: Path) -> None:
    assert run_suite(path) == ExitCode.PASSED


def test_suite_passes_on_a_mock_with_a_file_of_tokens() -> None:
    path = ROOT / "tests" / "contracts" / "security" / "key-for-some-operations.yaml"
    assert run_suite(path, frozenset((*TOKENS, *LOGINS))) == ExitCode.PASSED


def test_operation_without_a_valid_body_makes_the_run_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = tmp_path / "contract.yaml"
    contract.write_text(IMPOSSIBLE_BODY, encoding="utf-8")
    assert run_suite(contract) == ExitCode.INCOMPLETE
    assert "1 operation not called without a valid request, first send: the contract has no valid example" in (
        capsys.readouterr().out
    )


def test_operation_without_all_credentials_counts_as_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "tests" / "contracts" / "security" / COMBINED
    served = ServedContract.create(path)
    with run_http_server(served.app) as address:
        arguments = ("run", "--contract", str(path), "--base-url", address, "--no-fuzzing", "--strict")
        assert main(arguments, {"ATHENA_TOKEN": TOKENS[0]}) == ExitCode.INCOMPLETE
    assert "no credential for app (query parameter app): add --credential app=VARIABLE" in capsys.readouterr().out


@pytest.mark.slow
def test_run_without_reports_leaves_no_files(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("current", "temporary")]
    for folder in folders:
        folder.mkdir()
    environment = build_environment(tmp_path / "cache") | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folders[1])}
    with run_http_server(ServedContract.create(Path(API_KEY)).app) as address:
        options = ("--contract", API_KEY, "--base-url", address, "--profile", "smoke")
        command = (sys.executable, "-m", "conformance", "run", *options)
        done = subprocess.run(command, cwd=folders[0], env=environment | {"ATHENA_TOKEN": TOKENS[0]}, check=False)
    assert done.returncode == ExitCode.PASSED
    assert [path for folder in folders for path in folder.iterdir()] == []


@pytest.mark.slow
def test_recorded_traffic_of_a_mock_passes(tmp_path: Path) -> None:
    archive = tmp_path / "traffic.har"
    command = (*MODULE, "--contract", TASKS, "--dataset", "plain", "--port", "0", "--quiet")
    with run_mock(command, build_environment(tmp_path)) as (_, banner):
        base_url = banner.split()[0]
        with httpx.Client(headers={"Authorization": "Bearer demo-token"}) as client:
            client.get(f"{base_url}/tasks", params={"status": "done", "limit": 2})
            client.post(f"{base_url}/tasks", json={"title": "Buy milk", "status": "open"})
            client.post(f"{base_url}/tasks", json={"title": "", "status": "open"})
            client.put(f"{base_url}/tasks/2", json={"title": "Buy milk", "status": "done"})
            client.delete(f"{base_url}/tasks/3")
            client.get(f"{base_url}/tasks/3")
            har = client.get(f"{base_url.removesuffix('/v1')}/__mock/api/sandboxes/default/requests.har")
    archive.write_bytes(har.raise_for_status().content)
    assert (
        main(("traffic", "--contract", TASKS, "--base-url", base_url, "--strict", str(archive)), {}) == ExitCode.PASSED
    )


@pytest.mark.slow
@pytest.mark.parametrize("contract", [TASKS, API_KEY])
def test_conforming_mock_of_a_contract_causes_no_false_alarm(contract: str) -> None:
    options = ("--sample", "20", "--workers", "1", "--min", "0.9")
    assert main(("mutation-test", "--contract", contract, *options), {}) == 0
