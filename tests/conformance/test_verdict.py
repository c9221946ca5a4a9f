"""From what became of each promise to the exit code: judged by laws of the tests' own, with no target behind them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from conformance.checks.support.check import Case, Category, Check
from conformance.errors import BudgetExhausted, SkipCheck, TargetUnreachable
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult, evaluate
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.session.payloads import PayloadFactory
from conformance.session.session import CreatedRecord, Session
from conformance.session.write_log import WriteLog
from conformance.skip_reasons import SkipCategory, SkipReason, not_testable
from conformance.transport.messages import Exchange, Request, Response
from spec.loader import Contract, Operation, load_contract
from spec.validators import SchemaValidators

LIBRARY = Path(__file__).parents[1] / "foreign" / "library.yaml"
Judge = Callable[[Case], Iterator[CheckResult]]


class Answering:
    """A target that answers every request the same."""

    base = "http://stub"

    def __init__(self, status: int = 200) -> None:
        self.status = status

    def send(self, request: Request) -> Response:
        """The answer."""
        return Response(self.status, {}, b"{}", 0.0)


@pytest.fixture(scope="module")
def contract() -> Contract:
    """A small contract, not Athena's."""
    return load_contract(LIBRARY)


def session_of(contract: Contract, *, status: int = 200, read_only: bool = False) -> Session:
    """A session with a stub behind it."""
    bodies = PayloadFactory(contract, "test", Random(1))
    schemas = SchemaValidators.from_document(contract.document)
    return Session(contract, schemas, Answering(status), WriteLog("test"), bodies, read_only=read_only)


def law(judging: Judge, *, always: bool = True, writes: bool = False) -> Check:
    """A law that applies to every operation."""
    return Check(
        "stub",
        "It holds.",
        Category.RESPONSES,
        lambda contract, operation: True,
        judging,
        provenance_independent=always,
        writes=writes,
    )


def asks(case: Case) -> Iterator[CheckResult]:
    """Sends the operation's request and is content."""
    path = dict.fromkeys(case.operation.path_parameter_names, 1)
    yield case.build_result(case.build_requirement(), "", case.session.send(case.operation, path=path))


def breaks(case: Case) -> Iterator[CheckResult]:
    """The same, and is not content."""
    for outcome in asks(case):
        yield case.build_result(outcome.requirement, "found 1; due: 2", *outcome.evidence)


def broken_at(*turns: int) -> Judge:
    """Not content at these turns of judging an operation, from 0, and content at others."""
    turn: Counter[str] = Counter()

    def sometimes(case: Case) -> Iterator[CheckResult]:
        turn[case.operation.id] += 1
        yield from breaks(case) if turn[case.operation.id] - 1 in turns else asks(case)

    return sometimes


def lists(contract: Contract) -> list[Operation]:
    """The operations that list."""
    return [o for o in contract.operations.values() if o.action == "list"]


def outcome_of(
    contract: Contract,
    *laws: Check,
    operations: list[Operation] | None = None,
    demands: GatePolicy | None = None,
    status: int = 200,
) -> tuple[RunResult, GateResult]:
    """What a run over lists comes to."""
    session = session_of(contract, status=status)
    scope = lists(contract) if operations is None else operations
    found = run(session, laws, scope, lambda outcome: None)
    return found, evaluate(found, contract, scope, session.call_counts, demands or GatePolicy())


def test_kept_promises_end_with_0(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(asks))
    assert (judgement.exit_code, judgement.passed) == (ExitCode.PASSED, len(lists(contract)))


def test_a_promise_broken_twice_ends_with_1(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(breaks))
    assert judgement.exit_code is ExitCode.FAILED
    assert set(found.reruns.values()) == {(2, 2)}


def test_a_promise_broken_once_is_flaky_and_not_red(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(broken_at(0)))
    assert not judgement.blocking
    assert len(judgement.flaky) == len(lists(contract))
    assert {o.failure_kind for o in found.flaky} == {FailureKind.FLAKY}
    assert set(found.reruns.values()) == {(1, 3)}


def depends(case: Case) -> Iterator[CheckResult]:
    """Not content in the run's own session, content in a fresh one."""
    yield from breaks(case) if case.session.shared_records else asks(case)


def test_what_is_broken_only_after_what_the_run_did_is_state_dependent_and_red(contract: Contract) -> None:
    session, scope = session_of(contract), lists(contract)[:1]
    session._shared_records["Book"] = CreatedRecord(
        "Book", 1, {}, {}, Exchange(Request("x", "get", "/"), Response(200, {}, b"", 0.0))
    )
    found = run(session, [law(depends)], scope, lambda outcome: None)
    assert [(o.status, o.failure_kind) for o in found.results] == [(Status.FAILED, FailureKind.STATE_DEPENDENT)]
    assert set(found.reruns.values()) == {(3, 5)}
    assert evaluate(found, contract, scope, session.call_counts, GatePolicy()).exit_code is ExitCode.FAILED


@pytest.mark.parametrize("turns", [(0,), (0, 2), (0, 2, 3), (0, 4)])
def test_what_is_not_broken_each_time_is_flaky(contract: Contract, turns: tuple[int, ...]) -> None:
    _, judgement = outcome_of(contract, law(broken_at(*turns)))
    assert {o.failure_kind for o in judgement.flaky} == {FailureKind.FLAKY}
    assert not judgement.blocking


def test_a_target_that_has_stumbled_is_trusted_less(contract: Contract) -> None:
    session, scope = session_of(contract), lists(contract)[:1]
    session.retrier.recovered.append(Exchange(Request(scope[0].id, "get", "/"), Response(500, {}, b"{}", 0.0)))
    found = run(session, [law(broken_at(0, 1))], scope, lambda outcome: None)
    assert [o.failure_kind for o in found.flaky] == [FailureKind.FLAKY]
    assert run(session, [law(breaks)], scope, lambda outcome: None).results[0].failure_kind is FailureKind.DETERMINISTIC


def test_flaky_failures_over_the_limit_end_with_6(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(broken_at(0)))
    assert judgement.exit_code is ExitCode.FLAKY
    assert "went away when asked again" in judgement.reasons[0]
    _, content = outcome_of(contract, law(broken_at(0)), demands=GatePolicy(flaky_limit=100))
    assert content.exit_code is ExitCode.PASSED


def test_what_is_broken_weighs_more_than_what_is_unstable(contract: Contract) -> None:
    assert outcome_of(contract, law(broken_at(0)), law(breaks))[1].exit_code is ExitCode.FAILED


def test_a_gateways_answer_breaks_nothing(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(breaks), status=503)
    assert {(o.status, o.failure_kind) for o in found.results} == {(Status.SKIPPED, FailureKind.INFRASTRUCTURE)}
    assert judgement.exit_code is ExitCode.INCOMPLETE


def test_what_cannot_be_judged_again_is_not_red(contract: Contract) -> None:
    turn: Counter[str] = Counter()

    def once(case: Case) -> Iterator[CheckResult]:
        turn[case.operation.id] += 1
        if turn[case.operation.id] > 1:
            raise SkipCheck("no record any more")
        yield from breaks(case)

    found, judgement = outcome_of(contract, law(once))
    assert not judgement.blocking
    assert all("could not be judged again: no record any more" in o.message for o in found.with_status(Status.SKIPPED))


def test_other_sources_are_asked_behind_the_laws(contract: Contract) -> None:
    operation = lists(contract)[0]

    def source(session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
        case = Case(law(breaks), session, operation)
        for number, tally in enumerate([(2, 2), (1, 3)]):
            promise = case.build_requirement(parameter=f"{number}")
            yield CheckResult(promise, Status.FAILED, "found 1"), tally
        yield CheckResult(case.build_requirement(), Status.PASSED), (0, 1)

    told: list[CheckResult] = []
    found = run(session_of(contract), [law(asks)], [operation], told.append, sources=[source])
    assert [o.status for o in told] == [Status.PASSED, Status.FAILED, Status.FAILED, Status.PASSED]
    assert [o.failure_kind for o in found.with_status(Status.FAILED)] == [FailureKind.DETERMINISTIC]
    assert [o.failure_kind for o in found.flaky] == [FailureKind.FLAKY]


def test_a_case_draws_the_same_whatever_was_judged_before_it(contract: Contract) -> None:
    def drawn(*laws: Check) -> list[str]:
        found = run(session_of(contract), laws, lists(contract), lambda outcome: None)
        return [o.message for o in found.results if o.requirement.check == "draws"]

    def draws(case: Case) -> Iterator[CheckResult]:
        yield case.skip(case.build_requirement(), str(case.session.payloads.random.random()))

    asking = Check("draws", "It draws.", Category.RESPONSES, lambda contract, operation: True, draws)
    assert drawn(asking) == drawn(law(draws), asking)
    assert len(set(drawn(asking))) == len(lists(contract))


def test_a_broken_inferred_promise_is_a_gap_and_blocks_under_strict(contract: Contract) -> None:
    inferred = lists(contract)[:1]
    judging = law(breaks, always=False)
    found, judgement = outcome_of(contract, judging, operations=inferred)
    assert [o.requirement.provenance for o in found.results] == ["inferred"]
    assert (judgement.exit_code, len(judgement.gaps)) == (ExitCode.PASSED, 1)
    _, strict = outcome_of(contract, judging, operations=inferred, demands=GatePolicy(strict=True))
    assert (strict.exit_code, len(strict.blocking)) == (ExitCode.FAILED, 1)


def test_no_law_means_nothing_was_tested(contract: Contract) -> None:
    assert outcome_of(contract)[1].exit_code is ExitCode.NO_CHECKS_RAN


def test_no_operation_means_nothing_was_tested(contract: Contract) -> None:
    assert outcome_of(contract, law(asks), operations=[])[1].exit_code is ExitCode.NO_CHECKS_RAN


def test_an_operation_that_never_succeeded_is_incomplete_and_named(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(asks), status=401)
    assert judgement.exit_code is ExitCode.INCOMPLETE
    assert judgement.operations_never_successful == {o.id: "it answered 401 (1 times)" for o in lists(contract)}


def test_actions_that_never_succeeded_are_incomplete_where_nothing_else_was_asked_for(contract: Contract) -> None:
    acts = [o for o in contract.operations.values() if not o.is_generic][:2]
    assert outcome_of(contract, law(asks), operations=acts, status=422)[1].exit_code is ExitCode.INCOMPLETE
    assert outcome_of(contract, law(asks), operations=acts)[1].exit_code is ExitCode.PASSED
    read_only = GatePolicy(read_only=True)
    assert (
        outcome_of(contract, law(asks), operations=acts, status=422, demands=read_only)[1].exit_code is ExitCode.PASSED
    )


def test_too_few_judged_is_incomplete(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck("there is no row")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.exit_code, judgement.blocking_run * 2) == (ExitCode.INCOMPLETE, judgement.blocking_total)
    assert judgement.skip_reasons == {SkipReason("there is no row"): len(lists(contract))}
    _, content = outcome_of(contract, law(asks), law(cannot), demands=GatePolicy(min_coverage=50))
    assert content.exit_code is ExitCode.PASSED


def test_what_the_contract_gives_no_way_to_is_not_due(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck(not_testable("the contract has no operation to create a Book"))
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.exit_code, judgement.blocking_run) == (ExitCode.PASSED, judgement.blocking_total)


@pytest.mark.parametrize(
    ("cause", "due", "due_when_reading"),
    [
        (SkipCategory.USER_SKIPPED, False, False),
        (SkipCategory.DISABLED_BY_OPTION, False, False),
        (SkipCategory.NOT_TESTABLE, False, False),
        (SkipCategory.INSUFFICIENT_DATA, True, False),
        (SkipCategory.TARGET, True, True),
    ],
)
def test_what_is_due_depends_on_the_kind_of_cause(
    contract: Contract, cause: SkipCategory, due: bool, due_when_reading: bool
) -> None:
    def cannot(case: Case) -> Iterator[CheckResult]:
        yield case.skip(case.build_requirement(), SkipReason("it is so", cause))

    for demands, expected in ((GatePolicy(), due), (GatePolicy(read_only=True), due_when_reading)):
        _, judgement = outcome_of(contract, law(asks), law(cannot), demands=demands)
        assert (judgement.blocking_run < judgement.blocking_total) is expected


def test_no_wording_excuses(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck("the contract has no way: the run is read-only, skipped: --allow-effects")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.exit_code, judgement.blocking_run * 2) == (ExitCode.INCOMPLETE, judgement.blocking_total)


def test_a_cause_is_kept_with_its_kind_when_it_is_told_on(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck(not_testable("nobody can"))
        yield

    found, judgement = outcome_of(contract, law(asks), law(cannot))
    assert {(o.message, o.skip_category) for o in found.with_status(Status.SKIPPED)} == {
        ("nobody can", SkipCategory.NOT_TESTABLE)
    }
    assert set(judgement.skip_reasons) == {not_testable("nobody can")}


def test_a_lost_target_breaks_nothing_and_ends_with_3(contract: Contract) -> None:
    times = iter(range(1000))

    def dies(case: Case) -> Iterator[CheckResult]:
        yield from breaks(case)
        if next(times):
            raise TargetUnreachable("gone")

    found, judgement = outcome_of(contract, law(dies))
    assert judgement.exit_code is ExitCode.TARGET_UNREACHABLE
    assert not judgement.blocking
    assert all(o.status is Status.SKIPPED for o in found.results)


@pytest.mark.parametrize("error", [BudgetExhausted("used up"), KeyboardInterrupt()])
def test_a_run_that_ends_early_keeps_what_it_has_and_counts_the_rest(contract: Contract, error: BaseException) -> None:
    times = iter(range(1000))

    def ends(case: Case) -> Iterator[CheckResult]:
        if next(times) == 1:
            raise error
        yield from asks(case)

    found, judgement = outcome_of(contract, law(ends))
    assert judgement.exit_code is ExitCode.INCOMPLETE
    assert len(found.results) == len(lists(contract))
    assert judgement.passed == 1


def test_a_law_that_fails_by_itself_ends_nothing_else(contract: Contract) -> None:
    def fails(case: Case) -> Iterator[CheckResult]:
        raise KeyError("id")
        yield

    _, judgement = outcome_of(contract, law(fails), law(asks))
    assert judgement.passed == len(lists(contract))
    assert any("KeyError" in cause.message for cause in judgement.skip_reasons)


def test_a_read_only_run_does_not_come_to_writing_laws(contract: Contract) -> None:
    session = session_of(contract, read_only=True)
    assert not run(session, [law(asks, writes=True)], lists(contract), lambda outcome: None).results


def test_a_budget_is_lifted_for_cleaning(contract: Contract) -> None:
    lifted: list[bool] = []
    run(session_of(contract), [], [], lambda outcome: None, before_cleanup=lambda: lifted.append(True))
    assert lifted == [True]
