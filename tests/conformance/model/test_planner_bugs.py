"""The model finds the bugs that teams make in list queries, caches, partial updates, values and aggregates.

The backend has a contract without provenance, so all that it states is inferred.
"""

import pytest

from conformance.checks.registry import CHECKS
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from tests.conformance.support.asgi_session import session
from tests.conformance.support.planner_server import BUGS, PlannerServer

MODEL_CHECKS = [check for check in CHECKS if check.id.startswith("model-")]
# Bug -> why the model does not find it.
UNDETECTED_BUGS = {
    "move-copies": "the copy may be a record of another client",
    "nul-error": "a server error, which the check of all responses reports",
    "text-rejected-by-bytes": "a rejected create, which `valid-body-accepted` reports",
}
FAST_BUGS = ("sort-drops-nulls", "update-clears-relation")


def find_failures(bug: str, seed: int = 1) -> list[CheckResult]:
    server = PlannerServer(bug)
    check_session = session(server, server.contract, seed)
    check_session.update_options(consistency_timeout=0.0)
    operations = list(server.contract.operations.values())
    return list(run(check_session, MODEL_CHECKS, operations, lambda result: None).with_status(Status.FAILED))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_sound_backend_passes(seed: int) -> None:
    assert find_failures("", seed) == []


@pytest.mark.parametrize("bug", FAST_BUGS)
def test_bug_blocks_by_default(bug: str) -> None:
    assert any(failure.is_blocking() for failure in find_failures(bug))


@pytest.mark.slow
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in UNDETECTED_BUGS])
def test_bug_is_found(bug: str) -> None:
    assert find_failures(bug)
