"""The model finds the bugs that teams make in list queries, caches, partial updates, values and aggregates.

The backend has a contract without provenance, so all that it states is inferred.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from conformance.checks.registry import CHECKS
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from tests.conformance.support.asgi_session import session
from tests.conformance.support.planner_server import BUGS, Answer, PlannerServer, planner_contract

MODEL_CHECKS = [check for check in CHECKS if check.id.startswith("model-")]
# Bug -> why the model does not find it.
UNDETECTED_BUGS = {
    "move-copies": "the copy may be a record of another client",
    "nul-error": "a server error, which the check of all responses reports",
    "text-rejected-by-bytes": "a rejected create, which `valid-body-accepted` reports",
}
FAST_BUGS = ("sort-drops-nulls", "update-clears-relation")


def find_failures(bug: str, seed: int = 1) -> list[CheckResult]:
    return find_failures_of(PlannerServer(bug), seed)


def find_failures_of(server: PlannerServer, seed: int = 1) -> list[CheckResult]:
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


def test_message_states_a_boolean_as_it_is_sent() -> None:
    assert any(failure.message.startswith("/tasks?done=false") for failure in find_failures("zero-filter-ignored"))


@dataclass
class ServerWithWorker(PlannerServer):
    """A backend whose worker changes a record, and so its time of the last change, before each page."""

    def _list(self, table: str, query: Mapping[str, str]) -> Answer:
        rows = list(self.tables[table].values())
        if query.get("sort", "").endswith("updated_at"):
            rows[self.request_count % len(rows)]["updated_at"] = f"{self._now:%Y-%m-%dT%H:%M:%SZ}"
        return super()._list(table, query)


def test_record_that_moves_between_two_pages_is_no_failure() -> None:
    assert find_failures_of(ServerWithWorker(contract=planner_contract("updated_at"))) == []
