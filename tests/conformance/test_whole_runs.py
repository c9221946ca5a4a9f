"""Whole runs, laws and engine: harmless to what others made, and two at once call each other's doing no fault."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from conformance.bodies import Bodies
from conformance.engine import DEEP
from conformance.laws import LAWS
from conformance.ledger import Ledger
from conformance.run import run
from conformance.session import Session
from conformance.target import Budget, HttpTarget
from mock_server.store import Stored
from tests.conformance.judging import CREDENTIALS
from tests.conformance.recorded import source
from tests.conformance.served import HOST, TOKENS, AsgiTransport
from tests.mock_server.athena import Api, athena_contract, athena_schemas
from tests.running import MODULE, ROOT, environment, running

LONGEST = 120.0  # seconds of a deep run here; by itself it may take half an hour


def stored(api: Api) -> dict[tuple[str, str], Stored]:
    """Every record, whoever may see it."""
    rows = ((name, api.world.store.rows(name, "1")) for name in api.contract.resources)
    return {(name, str(record.key)): record for name, records in rows for record in records}


@pytest.mark.slow
def test_a_deep_run_leaves_every_foreign_record_as_it_was() -> None:
    api = Api.of(athena_contract(), athena_schemas(), "demo", size=3)
    before = stored(api)
    budget = Budget(None, time.monotonic() + LONGEST)
    target = HttpTarget(HOST + api.contract.base_path, TOKENS, budget, transport=AsgiTransport(api.app))
    bodies = Bodies(api.contract, "conformance-deep", Random(1))
    session = Session(api.contract, api.schemas, target, Ledger("deep"), bodies, effects=True, credentials=CREDENTIALS)
    session.pause = lambda seconds: api.watch.wait(seconds=seconds)
    operations = list(api.contract.operations.values())
    deep = [source(operations, 1, DEEP)]
    found = run(session, LAWS, operations, lambda outcome: None, before_cleaning=budget.lift, sources=deep)
    after = stored(api)
    assert len(before) > 2000
    assert {key: record for key, record in before.items() if after.get(key) != record} == {}
    assert found.left == []


@pytest.mark.slow
def test_two_whole_runs_at_once_end_with_0(tmp_path: Path) -> None:
    around = environment(tmp_path) | {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
    with running((*MODULE, "--port", "0", "--quiet"), environment(tmp_path)) as (_, greeting):
        command = [sys.executable, "-m", "conformance", "run", "--base-url", greeting.split()[0], "--strict"]
        command += ["--profile", "gate", "--tag", "Prompt", "--tag", "Memory", "--tag", "Thread"]
        folders = [tmp_path / str(number) for number in range(2)]
        runs = [
            subprocess.Popen(
                [*command, "--seed", str(number), "--report-dir", str(folder)],
                cwd=ROOT,
                env=around | {"PYTHONPATH": os.fspath(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number, folder in enumerate(folders)
        ]
        said = [one.communicate(timeout=400)[0] for one in runs]
    assert [one.returncode for one in runs] == [0, 0], "\n".join(said)
    for folder in folders:
        report = json.loads((folder / "conformance.json").read_text())
        assert report["counts"]["flaky"] == 0
        assert report["left_over"] == []
        assert any(one["law"].startswith("engine-") for one in report["promises"])
