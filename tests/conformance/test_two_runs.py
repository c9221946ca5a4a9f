"""Two runs at once on one target, over HTTP: neither calls broken what the other one does."""

import threading
from pathlib import Path
from random import Random

import pytest

from conformance.checks import CHECKS
from conformance.results import Status
from conformance.runner.runner import RunResult, run
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from tests.conformance.served import TOKENS
from tests.mock_server.athena import athena_contract, athena_schemas
from tests.running import MODULE, environment, running

pytestmark = pytest.mark.slow  # each case is a run of its own, over a served mock or the engine's cases

TAGS = ("Prompt", "Memory")
TOGETHER = 2


def judged(base: str, number: int) -> RunResult:
    """One run, with a seed and a marker of its own."""
    contract = athena_contract()
    target = HttpTarget(base, TOKENS, Budget(None, None))
    bodies = PayloadFactory(contract, f"conformance-run{number}", Random(number))
    session = Session(contract, athena_schemas(), target, WriteLog(f"run{number}"), bodies)
    scope = [o for o in contract.operations.values() if o.tag in TAGS]
    try:
        return run(session, CHECKS, scope, lambda outcome: None)
    finally:
        target.close()


def test_two_runs_at_once_call_nothing_broken_and_leave_nothing(tmp_path: Path) -> None:
    with running((*MODULE, "--port", "0"), environment(tmp_path)) as (_, greeting):
        base = greeting.split()[0]
        found: dict[int, RunResult] = {}

        def judge(number: int) -> None:
            found[number] = judged(base, number)

        threads = [threading.Thread(target=judge, args=(number,)) for number in range(TOGETHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert sorted(found) == list(range(TOGETHER))
    for one in found.values():
        assert [f"{o.requirement.fingerprint}: {o.message}" for o in one.with_status(Status.FAILED)] == []
        assert [f"{o.requirement.fingerprint}: {o.message}" for o in one.flaky] == []
        assert len(list(one.with_status(Status.PASSED))) > 100
        assert not one.records_not_deleted
        assert not one.abort_reason
