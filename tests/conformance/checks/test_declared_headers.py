"""The checks of declared headers pass on a sound server, and each finds its fault."""

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.declared_headers import find_response_headers
from conformance.checks.validation.response_headers import parse_links
from conformance.errors import SkipCheck
from conformance.results import Status
from conformance.runner.runner import RunResult, run
from tests.conformance.support.articles_server import BUGS, ArticlesServer, load_contract
from tests.conformance.support.asgi_session import session

BY_ID = {check.id: check for check in CHECKS}
HEADER_CHECKS = [BY_ID[name] for name in dict.fromkeys(name for name, _ in BUGS.values())]


def run_header_checks(server: ArticlesServer, seed: int = 1) -> RunResult:
    operations = list(server.contract.operations.values())
    return run(session(server, server.contract, seed), HEADER_CHECKS, operations, lambda result: None)


def describe(run_result: RunResult) -> list[str]:
    results = (*run_result.with_status(Status.FAILED), *run_result.flaky)
    return [f"{r.requirement.check} {r.requirement.operation}: {r.message}" for r in results]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sound_server_passes_each_check(seed: int) -> None:
    server = ArticlesServer()
    run_result = run_header_checks(server, seed)
    assert not describe(run_result)
    passed = {result.requirement.check for result in run_result.with_status(Status.PASSED)}
    assert passed == {check.id for check in HEADER_CHECKS}
    assert not run_result.records_not_deleted


def test_sound_server_passes_all_checks() -> None:
    server = ArticlesServer()
    operations = list(server.contract.operations.values())
    run_result = run(session(server, server.contract), CHECKS, operations, lambda result: None)
    assert not describe(run_result)


@pytest.mark.parametrize("bug", BUGS)
def test_check_finds_its_fault(bug: str) -> None:
    run_result = run_header_checks(ArticlesServer(bug))
    failed = {(r.requirement.check, r.requirement.operation) for r in run_result.with_status(Status.FAILED)}
    assert BUGS[bug] in failed, describe(run_result)


def test_only_a_required_header_must_be_present() -> None:
    contract = load_contract()
    required = find_response_headers(contract, contract.operations["createArticle"], 201)["location"]
    assert required.report_absence("none") == "Location: none"
    optional = find_response_headers(contract, contract.operations["listArticles"], 200)["x-total-count"]
    with pytest.raises(SkipCheck, match="the response has no X-Total-Count, which the contract does not require"):
        optional.report_absence("none")


def test_links_of_a_header_by_relation() -> None:
    header = '<https://localhost/a?x=1,2>; rel="next prev", </b>; title="t, u"; rel=last'
    assert parse_links(header) == {
        "next": "https://localhost/a?x=1,2",
        "prev": "https://localhost/a?x=1,2",
        "last": "/b",
    }
