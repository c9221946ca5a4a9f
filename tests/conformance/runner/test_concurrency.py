"""Requests that are sent at once: a server with a race fails, one without does not, and nothing is left behind."""

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from conformance.checks.registry import CHECKS
from conformance.results import FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog, read_write_log
from conformance.transport.client import Budget, HttpTarget
from spec.validators import SchemaValidators
from tests.conformance.support.articles_server import RACES, ArticlesServer
from tests.conformance.support.http_server import run_http_server

CONCURRENT_CHECKS = [check for check in CHECKS if check.is_concurrent]


def run_concurrently(server: ArticlesServer, write_log: WriteLog | None = None) -> RunResult:
    """Run the checks over HTTP: an application in process answers one request at a time."""
    contract = server.contract
    with run_http_server(server) as base:
        tokens = {"self": "demo-token", "other": "other-token"}
        target = HttpTarget(f"{base}/api", tokens, Budget(None, None), trust_env=False)
        session = Session.create(
            contract,
            SchemaValidators.from_document(contract.document),
            target,
            write_log or WriteLog("0000aaaa"),
            PayloadFactory(contract, "conformance-0000aaaa", Random(1)),
            RunOptions(reduction_requests=0, concurrency=True, consistency_timeout=0),
            sleep=time.sleep,
        )
        try:
            return run(session, CONCURRENT_CHECKS, list(contract.operations.values()), lambda result: None)
        finally:
            target.close()


def test_concurrent_checks_are_those_of_the_races() -> None:
    assert {check.id for check in CONCURRENT_CHECKS} == {check for check, _ in RACES.values()}


def test_server_without_a_race_passes(tmp_path: Path) -> None:
    server, path = ArticlesServer(), tmp_path / "write-log.jsonl"
    write_log = WriteLog.create("0000aaaa", path, "http://localhost", "conformance-0000aaaa")
    run_result = run_concurrently(server, write_log)
    assert [result.message for result in run_result.results] == [""] * len(CONCURRENT_CHECKS)
    assert {result.status for result in run_result.results} == {Status.PASSED}
    assert not run_result.records_not_deleted
    assert sorted(server.articles) == [1, 2, 3, 4]
    (logged,) = read_write_log(path)
    assert len(logged.created) >= 20
    assert not logged.remaining


@pytest.mark.parametrize("race", RACES)
def test_race_is_found(race: str) -> None:
    server = ArticlesServer(race)
    run_result = run_concurrently(server)
    failures = list(run_result.with_status(Status.FAILED))
    assert {(f.requirement.check, f.requirement.operation) for f in failures} == {RACES[race]}
    for failure in failures:
        assert failure.failure_kind in (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT)
        failed, total = run_result.reruns[failure.requirement.fingerprint]
        assert failed == total
        assert total >= 4
    assert not run_result.records_not_deleted


@dataclass(slots=True)
class TemporaryRace(ArticlesServer):
    """A server whose race ends after the first updates that are sent at once."""

    updates: int = 0

    async def _update(self, request: Request, article: dict[str, Any]) -> Response:
        self.updates += 1
        if self.updates > 4:  # two in a row, then two at once
            self.bug = ""
        return await ArticlesServer._update(self, request, article)


def test_race_that_does_not_recur_is_flaky() -> None:
    run_result = run_concurrently(TemporaryRace("last update wins"))
    assert not list(run_result.with_status(Status.FAILED))
    assert [result.requirement.check for result in run_result.flaky] == ["concurrent-updates-are-kept"]
