"""Complete runs with checks and engine: existing records are unchanged, and concurrent runs do not interfere."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import httpx
import pytest

from conformance.checks.registry import CHECKS
from conformance.runner.runner import run
from conformance.schemathesis_engine import DEEP
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from mock_server.store import StoredRecord
from tests.conformance.support.asgi_session import HOST, TOKENS, AsgiTransport
from tests.conformance.support.check_runner import CREDENTIALS
from tests.conformance.support.clinic import demo_clinic, inject_fault
from tests.conformance.support.clinic_faults import AppWrapper, accept_second_stop, keep_shared_records_visible
from tests.conformance.support.http_server import run_http_server
from tests.conformance.support.recorded import source
from tests.mock_process import MODULE, ROOT, build_environment, run_mock
from tests.mock_server.athena import PASSWORD, Api, athena_contract, athena_schemas

MAX_SECONDS = 120.0  # seconds; a complete deep run may take 30 minutes


def all_records(api: Api) -> dict[tuple[str, str], StoredRecord]:
    """Every record in the store."""
    rows = ((name, api.sandbox.store.select(name)) for name in api.contract.resources)
    return {(name, str(record.key)): record for name, records in rows for record in records}


@pytest.mark.slow
def test_deep_run_does_not_change_existing_records() -> None:
    api = Api.create(athena_contract(), athena_schemas(), "demo", size=3)
    before = all_records(api)
    budget = Budget(None, time.monotonic() + MAX_SECONDS)
    target = HttpTarget(HOST + api.contract.base_path, TOKENS, budget, transport=AsgiTransport(api.app))
    bodies = PayloadFactory(api.contract, "conformance-deep", Random(1))
    options = RunOptions(allow_effects=True, credentials=CREDENTIALS)
    session = Session.create(api.contract, api.schemas, target, WriteLog("deep"), bodies, options)
    session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    operations = list(api.contract.operations.values())
    deep = [source(operations, 1, DEEP)]
    run_result = run(
        session, CHECKS, operations, lambda outcome: None, before_cleanup=budget.start_cleanup, sources=deep
    )
    after = all_records(api)
    assert len(before) > 2000
    assert {key: record for key, record in before.items() if after.get(key) != record} == {}
    assert run_result.records_not_deleted == []


@pytest.mark.slow
def test_concurrent_runs_pass(tmp_path: Path) -> None:
    environment_variables = build_environment(tmp_path) | {
        "ATHENA_TOKEN": "demo-token",
        "ATHENA_OTHER_TOKEN": "other-token",
    }
    with run_mock((*MODULE, "--port", "0", "--quiet"), build_environment(tmp_path)) as (_, startup_line):
        command = [sys.executable, "-m", "conformance", "run", "--base-url", startup_line.split()[0], "--strict"]
        command += ["--profile", "gate", "--tag", "Prompt", "--tag", "Memory", "--tag", "Thread"]
        folders = [tmp_path / str(number) for number in range(2)]
        runs = [
            subprocess.Popen(
                [*command, "--seed", str(number), "--report-dir", str(folder)],
                cwd=ROOT,
                env=environment_variables | {"PYTHONPATH": os.fspath(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number, folder in enumerate(folders)
        ]
        outputs = [item.communicate(timeout=400)[0] for item in runs]
    assert [item.returncode for item in runs] == [0, 0], "\n".join(outputs)
    for folder in folders:
        report = json.loads((folder / "conformance.json").read_text())
        assert report["counts"]["flaky"] == 0
        assert report["records_not_deleted"] == []
        assert any(item["check"].startswith("engine-") for item in report["results"])


# Another contract

CLINIC = os.fspath(Path("tests", "foreign", "clinic.yaml"))


def run_on_clinic(base: str, folder: Path, *options: str) -> tuple[int, list[dict[str, str]]]:
    """Run the command on a clinic server under `--strict`; return the exit code and the results of the report."""
    user = httpx.get(f"{base}/session/vet", headers={"authorization": "Bearer demo-token"}).json()["data"]
    tokens = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
    login = {"ATHENA_LOGIN": user["email"], "ATHENA_PASSWORD": PASSWORD, "PYTHONPATH": os.fspath(ROOT)}
    command = [sys.executable, "-m", "conformance", "run", "--contract", CLINIC, "--base-url", base, "--strict"]
    completed = subprocess.run(
        [*command, "--allow-effects", "--consistency-timeout", "0.2", "--report-dir", os.fspath(folder), *options],
        cwd=ROOT,
        env=build_environment(folder) | tokens | login,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert (folder / "conformance.json").is_file(), completed.stdout + completed.stderr
    return completed.returncode, json.loads((folder / "conformance.json").read_text())["results"]


@pytest.mark.slow
def test_mock_of_another_contract_passes_every_check(tmp_path: Path) -> None:
    mock_command = (*MODULE, "--contract", CLINIC, "--dataset", "plain", "--port", "0", "--quiet")
    with run_mock(mock_command, build_environment(tmp_path)) as (_, startup_line):
        code, results = run_on_clinic(startup_line.split()[0], tmp_path)
    assert code == 0
    assert {check.id for check in CHECKS} - {item["check"] for item in results if item["status"] == "passed"} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "check", "fault"),
    [
        ("stopTreatment", "terminal-state-is-final", inject_fault(accept_second_stop, "stopTreatment")),
        ("referPatient", "unsharing-revokes-access", inject_fault(keep_shared_records_visible, "retrievePatient")),
    ],
)
def test_command_reports_fault_in_another_contract(
    tmp_path: Path, operation: str, check: str, fault: AppWrapper
) -> None:
    clinic = demo_clinic()
    clinic.reset()
    with run_http_server(fault(clinic.app)) as address:
        code, results = run_on_clinic(f"{address}/clinic/v3", tmp_path, "--operation", operation)
    assert code == 1
    assert {(item["check"], item["operation"]) for item in results if item["status"] == "failed"} == {
        (check, operation)
    }
