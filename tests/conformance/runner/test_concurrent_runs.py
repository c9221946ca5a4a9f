"""Two concurrent runs against one target over HTTP: neither reports failures caused by the other."""

import threading
from pathlib import Path
from random import Random

import pytest

from conformance.checks.registry import CHECKS
from conformance.results import Status
from conformance.runner.runner import RunResult, run
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from tests.conformance.support.asgi_session import TOKENS
from tests.mock_process import MODULE, build_environment, run_mock
from tests.mock_server.athena import athena_contract, athena_schemas

pytestmark = pytest.mark.slow  # complete runs against a mock over HTTP

TAGS = ("Prompt", "Memory")
RUN_COUNT = 2


def run_checks(base: str, number: int) -> RunResult:
    """Run the checks with a separate seed and marker."""
    contract = athena_contract()
    target = HttpTarget(base, TOKENS, Budget(None, None))
    payloads = PayloadFactory(contract, f"conformance-run{number}", Random(number))
    session = Session.create(contract, athena_schemas(), target, WriteLog(f"run{number}"), payloads)
    scope = [o for o in contract.operations.values() if o.tag in TAGS]
    try:
        return run(session, CHECKS, scope, lambda result: None)
    finally:
        target.close()


def test_concurrent_runs_report_no_failures_and_clean_up(tmp_path: Path) -> None:
    with run_mock((*MODULE, "--port", "0"), build_environment(tmp_path)) as (_, startup_line):
        base = startup_line.split()[0]
        results: dict[int, RunResult] = {}

        def store_result(number: int) -> None:
            results[number] = run_checks(base, number)

        threads = [threading.Thread(target=store_result, args=(number,)) for number in range(RUN_COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert sorted(results) == list(range(RUN_COUNT))
    for result in results.values():
        assert [f"{r.requirement.fingerprint}: {r.message}" for r in result.with_status(Status.FAILED)] == []
        assert [f"{r.requirement.fingerprint}: {r.message}" for r in result.flaky] == []
        assert len(list(result.with_status(Status.PASSED))) > 100
        assert not result.records_not_deleted
        assert not result.abort_reason
