"""The gate: results of stub checks, with a stub target, become exit codes and reasons."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest

from conformance.checks.support.check import Case, Category, Check, Fixture, FixtureScope
from conformance.errors import BudgetExhausted, SkipCategory, SkipCheck, SkipReason, TargetUnreachable, not_testable
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult
from conformance.results import CheckResult, FailOn, FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.retry import Retrier
from spec.loader import load_contract
from spec.model import Contract, Operation
from spec.validators import SchemaValidators
from tests.mock_process import ROOT

LIBRARY = ROOT / "tests" / "foreign" / "library.yaml"
CheckFunction = Callable[[Case], Iterator[CheckResult]]


class StubTarget:
    """A target that returns the same response to every request."""

    base = "http://stub"

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.tokens: dict[str, str] = {Actor.OWNER: "token", Actor.OTHER_TENANT: "other-token"}

    def send(self, request: Request) -> Response:
        """The response."""
        return Response(self.status, {}, b"{}", 0.0)


@pytest.fixture(scope="module")
def contract() -> Contract:
    """A small contract."""
    return load_contract(LIBRARY)


def create_session(contract: Contract, *, status: int = 200, read_only: bool = False) -> Session:
    """A session with a stub target."""
    bodies = PayloadFactory(contract, "test", Random(1))
    schemas = SchemaValidators.from_document(contract.document)
    retrier = Retrier(sleep=lambda seconds: None)
    target, log = StubTarget(status), WriteLog("test")
    return Session.create(contract, schemas, target, log, bodies, RunOptions(read_only=read_only), retrier=retrier)


def create_check(function: CheckFunction, *, is_independent: bool = True, writes: bool = False) -> Check:
    """A check that applies to every operation."""
    return Check(
        function,
        "stub",
        "It holds.",
        Category.RESPONSES,
        lambda contract, operation: True,
        provenance_independent=is_independent,
        writes=writes,
    )


def send_and_pass(case: Case) -> Iterator[CheckResult]:
    """Send the request and pass."""
    path = dict.fromkeys(case.operation.path_parameter_names, 1)
    yield case.build_result(case.build_requirement(), "", case.session.client.send(case.operation, path=path))


def send_and_fail(case: Case) -> Iterator[CheckResult]:
    """Send the request and fail."""
    for result in send_and_pass(case):
        yield case.build_result(result.requirement, "got 1, expected 2", *result.evidence)


def fail_in_runs(*turns: int) -> CheckFunction:
    """Fail in these runs of an operation, counted from 0, and pass in the others."""
    run_counts: Counter[str] = Counter()

    def fail_in_turns(case: Case) -> Iterator[CheckResult]:
        run_counts[case.operation.id] += 1
        yield from send_and_fail(case) if run_counts[case.operation.id] - 1 in turns else send_and_pass(case)

    return fail_in_turns


def list_operations(contract: Contract) -> list[Operation]:
    """The list operations."""
    return [o for o in contract.operations.values() if o.action == "list"]


def run_checks(
    contract: Contract,
    *checks: Check,
    operations: list[Operation] | None = None,
    policy: GatePolicy | None = None,
    status: int = 200,
) -> tuple[RunResult, GateResult]:
    """Run checks on the lists and evaluate the gate."""
    session = create_session(contract, status=status)
    scope = list_operations(contract) if operations is None else operations
    run_result = run(session, checks, scope, lambda result: None)
    return run_result, GateResult(run_result, contract, scope, session.responses.call_counts, policy or GatePolicy())


def test_passed_checks_exit_with_0(contract: Contract) -> None:
    _, gate_result = run_checks(contract, create_check(send_and_pass))
    assert (gate_result.exit_code, len(gate_result.passed)) == (ExitCode.PASSED, len(list_operations(contract)))


@pytest.mark.parametrize(
    ("abort_reason", "exit_code"), [("", ExitCode.FLAKY), ("the time limit is reached", ExitCode.INCOMPLETE)]
)
def test_aborted_run_is_incomplete_and_not_flaky(contract: Contract, abort_reason: str, exit_code: ExitCode) -> None:
    run_result, gate_result = run_checks(contract, create_check(send_and_pass))
    changed = replace(run_result, transient_failures=100, abort_reason=abort_reason)
    assert replace(gate_result, run_result=changed).exit_code is exit_code


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_success_status_that_is_not_documented_is_no_success(contract: Contract, status: int) -> None:
    _, gate_result = run_checks(contract, create_check(send_and_pass), status=status)
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    expected = f"got {status} (1 time), expected 200"
    assert gate_result.operations_never_successful == {o.id: expected for o in list_operations(contract)}


def test_check_that_fails_twice_exits_with_1(contract: Contract) -> None:
    run_result, gate_result = run_checks(contract, create_check(send_and_fail))
    assert gate_result.exit_code is ExitCode.FAILED
    assert set(run_result.reruns.values()) == {(2, 2)}


def test_check_that_fails_once_is_flaky_and_does_not_block(contract: Contract) -> None:
    run_result, gate_result = run_checks(contract, create_check(fail_in_runs(0)))
    assert not gate_result.blocking
    assert len(gate_result.flaky) == len(list_operations(contract))
    assert {o.failure_kind for o in run_result.flaky} == {FailureKind.FLAKY}
    assert set(run_result.reruns.values()) == {(1, 3)}


def fail_in_used_session(case: Case) -> Iterator[CheckResult]:
    """Fail in the session of the run and pass in a fresh one."""
    yield from send_and_fail(case) if case.session.records.shared else send_and_pass(case)


def test_failure_after_other_requests_only_is_state_dependent_and_blocks(contract: Contract) -> None:
    session, scope = create_session(contract), list_operations(contract)[:1]
    session.records.shared["Book"] = CreatedRecord(
        "Book", 1, {}, {}, Exchange(Request("x", "get", "/"), Response(200, {}, b"", 0.0))
    )
    run_result = run(session, [create_check(fail_in_used_session)], scope, lambda result: None)
    assert [(o.status, o.failure_kind) for o in run_result.results] == [(Status.FAILED, FailureKind.STATE_DEPENDENT)]
    assert set(run_result.reruns.values()) == {(3, 5)}
    assert (
        GateResult(run_result, contract, scope, session.responses.call_counts, GatePolicy()).exit_code
        is ExitCode.FAILED
    )


@pytest.mark.parametrize("turns", [(0,), (0, 2), (0, 2, 3), (0, 4)])
def test_check_that_fails_sometimes_is_flaky(contract: Contract, turns: tuple[int, ...]) -> None:
    _, gate_result = run_checks(contract, create_check(fail_in_runs(*turns)))
    assert {o.failure_kind for o in gate_result.flaky} == {FailureKind.FLAKY}
    assert not gate_result.blocking


def test_failures_are_rerun_more_often_after_a_server_error(contract: Contract) -> None:
    session, scope = create_session(contract), list_operations(contract)[:1]
    session.client.retrier.recovered.append(Exchange(Request(scope[0].id, "get", "/"), Response(500, {}, b"{}", 0.0)))
    run_result = run(session, [create_check(fail_in_runs(0, 1))], scope, lambda result: None)
    assert [o.failure_kind for o in run_result.flaky] == [FailureKind.FLAKY]
    assert (
        run(session, [create_check(send_and_fail)], scope, lambda result: None).results[0].failure_kind
        is FailureKind.DETERMINISTIC
    )


def test_flaky_failures_above_the_limit_exit_with_6(contract: Contract) -> None:
    _, gate_result = run_checks(contract, create_check(fail_in_runs(0)))
    assert gate_result.exit_code is ExitCode.FLAKY
    assert "did not recur" in gate_result.reasons[0]
    _, tolerant = run_checks(contract, create_check(fail_in_runs(0)), policy=GatePolicy(flaky_limit=100))
    assert tolerant.exit_code is ExitCode.PASSED


def test_blocking_failure_precedes_flaky(contract: Contract) -> None:
    assert (
        run_checks(contract, create_check(fail_in_runs(0)), create_check(send_and_fail))[1].exit_code is ExitCode.FAILED
    )


def test_response_of_a_gateway_is_no_failure(contract: Contract) -> None:
    run_result, gate_result = run_checks(contract, create_check(send_and_fail), status=503)
    assert {(o.status, o.failure_kind) for o in run_result.results} == {(Status.SKIPPED, FailureKind.INFRASTRUCTURE)}
    assert gate_result.exit_code is ExitCode.INCOMPLETE


def test_failure_that_cannot_be_rerun_is_skipped(contract: Contract) -> None:
    run_counts: Counter[str] = Counter()

    def fail_once(case: Case) -> Iterator[CheckResult]:
        run_counts[case.operation.id] += 1
        if run_counts[case.operation.id] > 1:
            raise SkipCheck("no record any more")
        yield from send_and_fail(case)

    run_result, gate_result = run_checks(contract, create_check(fail_once))
    assert not gate_result.blocking
    assert all("the rerun was skipped: no record any more" in o.message for o in run_result.with_status(Status.SKIPPED))


def fail_after_an_effect(case: Case) -> Iterator[CheckResult]:
    case.session.client.charge_call(case.operation)
    yield case.build_result(case.build_requirement(), "got 1", case.session.client.send(case.operation))


@pytest.mark.parametrize(
    ("max_calls", "kind", "counts"),
    [(1, FailureKind.NOT_REPEATED, (1, 1)), (2, FailureKind.DETERMINISTIC, (2, 2))],
)
def test_failure_after_an_effect_blocks_and_is_repeated_only_within_the_limit(
    contract: Contract, max_calls: int, kind: FailureKind, counts: tuple[int, int]
) -> None:
    operation = replace(list_operations(contract)[0], effects=("calls a model",))
    session = create_session(contract)
    session.update_options(allow_effects=True, max_effect_calls=max_calls)
    run_result = run(session, [create_check(fail_after_an_effect)], [operation], lambda result: None)
    [failure] = run_result.with_status(Status.FAILED)
    assert (failure.failure_kind, run_result.reruns[failure.requirement.fingerprint]) == (kind, counts)
    assert session.responses.call_counts[operation.id, 200] == max_calls
    policy = GatePolicy(allow_effects=True)
    assert GateResult(run_result, contract, [operation], session.responses.call_counts, policy).blocking == (failure,)


def test_fixture_is_built_once_for_all_checks_and_again_in_a_rerun(contract: Contract) -> None:
    built: list[str] = []
    fixture = Fixture("answer", FixtureScope.OPERATION, lambda case: built.append(case.operation.id))

    def use_and_fail(case: Case) -> Iterator[CheckResult]:
        case.use(fixture)
        case.use(fixture)
        yield from send_and_fail(case)

    operation = list_operations(contract)[0]
    run(create_session(contract), [create_check(use_and_fail)] * 2, [operation], lambda result: None)
    assert built == [operation.id] * 3  # both checks; the rerun of each


def test_other_sources_run_after_the_checks(contract: Contract) -> None:
    operation = list_operations(contract)[0]

    def source(session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
        case = Case(create_check(send_and_fail), session, operation)
        for number, tally in enumerate([(2, 2), (1, 3)]):
            requirement = case.build_requirement(parameter=f"{number}")
            yield CheckResult(requirement, Status.FAILED, "found 1"), tally
        yield CheckResult(case.build_requirement(), Status.PASSED), (0, 1)

    reported: list[CheckResult] = []
    run_result = run(
        create_session(contract), [create_check(send_and_pass)], [operation], reported.append, sources=[source]
    )
    assert [o.status for o in reported] == [Status.PASSED, Status.FAILED, Status.FAILED, Status.PASSED]
    assert [o.failure_kind for o in run_result.with_status(Status.FAILED)] == [FailureKind.DETERMINISTIC]
    assert [o.failure_kind for o in run_result.flaky] == [FailureKind.FLAKY]


def test_random_values_of_a_case_do_not_depend_on_other_cases(contract: Contract) -> None:
    def draw_values(*checks: Check) -> list[str]:
        run_result = run(create_session(contract), checks, list_operations(contract), lambda result: None)
        return [o.message for o in run_result.results if o.requirement.check == "draws"]

    def draw_value(case: Case) -> Iterator[CheckResult]:
        yield case.skip(case.build_requirement(), str(case.session.payloads.random.random()))

    drawing_check = Check(draw_value, "draws", "It draws.", Category.RESPONSES, lambda contract, operation: True)
    assert draw_values(drawing_check) == draw_values(create_check(draw_value), drawing_check)
    assert len(set(draw_values(drawing_check))) == len(list_operations(contract))


def test_failed_inferred_requirement_is_a_gap_and_blocks_with_strict(contract: Contract) -> None:
    inferred_operations = list_operations(contract)[:1]
    failing_check = create_check(send_and_fail, is_independent=False)
    run_result, gate_result = run_checks(contract, failing_check, operations=inferred_operations)
    assert [o.requirement.provenance for o in run_result.results] == ["inferred"]
    assert (gate_result.exit_code, len(gate_result.gaps)) == (ExitCode.PASSED, 1)
    policy = GatePolicy(fail_on=FailOn.INFERRED)
    _, strict = run_checks(contract, failing_check, operations=inferred_operations, policy=policy)
    assert (strict.exit_code, len(strict.blocking)) == (ExitCode.FAILED, 1)


@pytest.mark.parametrize(
    ("fail_on", "is_blocking"), [(FailOn.DOCUMENTED, False), (FailOn.CONSISTENT, True), (FailOn.INFERRED, True)]
)
def test_contradiction_blocks_by_default_although_the_requirement_is_inferred(
    contract: Contract, fail_on: FailOn, is_blocking: bool
) -> None:
    def contradict(case: Case) -> Iterator[CheckResult]:
        yield from (replace(result, is_contradiction=True) for result in send_and_fail(case))

    check, policy = create_check(contradict, is_independent=False), GatePolicy(fail_on=fail_on)
    run_result, gate_result = run_checks(contract, check, operations=list_operations(contract)[:1], policy=policy)
    assert [result.requirement.provenance for result in run_result.results] == ["inferred"]
    assert (gate_result.exit_code is ExitCode.FAILED, len(gate_result.blocking)) == (is_blocking, int(is_blocking))
    assert GatePolicy().fail_on is FailOn.CONSISTENT


def test_run_without_checks_exits_with_4(contract: Contract) -> None:
    assert run_checks(contract)[1].exit_code is ExitCode.NO_CHECKS_RAN


def test_run_without_operations_exits_with_4(contract: Contract) -> None:
    assert run_checks(contract, create_check(send_and_pass), operations=[])[1].exit_code is ExitCode.NO_CHECKS_RAN


def test_operation_that_never_succeeded_makes_the_run_incomplete(contract: Contract) -> None:
    _, gate_result = run_checks(contract, create_check(send_and_pass), status=401)
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    assert gate_result.operations_never_successful == {o.id: "got 401 (1 time)" for o in list_operations(contract)}


def test_unsuccessful_actions_make_a_run_of_actions_only_incomplete(contract: Contract) -> None:
    actions = [o for o in contract.operations.values() if not o.is_generic][:2]
    assert (
        run_checks(contract, create_check(send_and_pass), operations=actions, status=422)[1].exit_code
        is ExitCode.INCOMPLETE
    )
    assert run_checks(contract, create_check(send_and_pass), operations=actions)[1].exit_code is ExitCode.PASSED
    read_only = GatePolicy(read_only=True)
    assert (
        run_checks(contract, create_check(send_and_pass), operations=actions, status=422, policy=read_only)[1].exit_code
        is ExitCode.PASSED
    )


def test_too_few_checks_make_the_run_incomplete(contract: Contract) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck("no record")
        yield

    _, gate_result = run_checks(contract, create_check(send_and_pass), create_check(skip))
    assert (gate_result.exit_code, gate_result.blocking_run * 2) == (ExitCode.INCOMPLETE, gate_result.blocking_total)
    assert gate_result.skip_reasons == {SkipReason("no record"): len(list_operations(contract))}
    _, tolerant = run_checks(
        contract, create_check(send_and_pass), create_check(skip), policy=GatePolicy(min_coverage=50)
    )
    assert tolerant.exit_code is ExitCode.PASSED


def test_untestable_checks_are_not_required(contract: Contract) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck(not_testable("the contract has no operation to create a Book"))
        yield

    _, gate_result = run_checks(contract, create_check(send_and_pass), create_check(skip))
    assert (gate_result.exit_code, gate_result.blocking_run) == (ExitCode.PASSED, gate_result.blocking_total)


@pytest.mark.parametrize(
    ("category", "is_required", "is_required_read_only"),
    [
        (SkipCategory.USER_SKIPPED, False, False),
        (SkipCategory.DISABLED_BY_OPTION, False, False),
        (SkipCategory.NOT_TESTABLE, False, False),
        (SkipCategory.INSUFFICIENT_DATA, True, False),
        (SkipCategory.TARGET, True, True),
        (SkipCategory.INTERNAL_ERROR, True, True),
    ],
)
def test_skip_category_decides_whether_a_check_is_required(
    contract: Contract, category: SkipCategory, is_required: bool, is_required_read_only: bool
) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        yield case.skip(case.build_requirement(), SkipReason("a reason", category))

    for policy, expected in ((GatePolicy(), is_required), (GatePolicy(read_only=True), is_required_read_only)):
        _, gate_result = run_checks(contract, create_check(send_and_pass), create_check(skip), policy=policy)
        assert (gate_result.blocking_run < gate_result.blocking_total) is expected


def test_message_does_not_excuse(contract: Contract) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck("the contract has no way: the run is read-only, skipped: --allow-effects")
        yield

    _, gate_result = run_checks(contract, create_check(send_and_pass), create_check(skip))
    assert (gate_result.exit_code, gate_result.blocking_run * 2) == (ExitCode.INCOMPLETE, gate_result.blocking_total)


def test_skip_reason_preserves_its_category(contract: Contract) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        raise SkipCheck(not_testable("not testable"))
        yield

    run_result, gate_result = run_checks(contract, create_check(send_and_pass), create_check(skip))
    assert {(o.message, o.skip_category) for o in run_result.with_status(Status.SKIPPED)} == {
        ("not testable", SkipCategory.NOT_TESTABLE)
    }
    assert set(gate_result.skip_reasons) == {not_testable("not testable")}


def test_lost_target_exits_with_3_without_failures(contract: Contract) -> None:
    call_numbers = iter(range(1000))

    def lose_target(case: Case) -> Iterator[CheckResult]:
        yield from send_and_fail(case)
        if next(call_numbers):
            raise TargetUnreachable("gone")

    run_result, gate_result = run_checks(contract, create_check(lose_target))
    assert gate_result.exit_code is ExitCode.TARGET_UNREACHABLE
    assert not gate_result.blocking
    assert all(o.status is Status.SKIPPED for o in run_result.results)


@pytest.mark.parametrize("error", [BudgetExhausted("used up"), KeyboardInterrupt()])
def test_aborted_run_preserves_results_and_counts_the_rest(contract: Contract, error: BaseException) -> None:
    call_numbers = iter(range(1000))

    def raise_error(case: Case) -> Iterator[CheckResult]:
        if next(call_numbers) == 1:
            raise error
        yield from send_and_pass(case)

    run_result, gate_result = run_checks(contract, create_check(raise_error))
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    assert len(run_result.results) == len(list_operations(contract))
    assert len(gate_result.passed) == 1


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(KeyboardInterrupt(), ExitCode.INCOMPLETE), (BudgetExhausted("the limit of 3 requests"), ExitCode.PASSED)],
)
def test_interrupted_run_never_passes(contract: Contract, error: BaseException, exit_code: ExitCode) -> None:
    def raise_error(case: Case) -> Iterator[CheckResult]:
        raise error
        yield

    checks = create_check(send_and_pass), create_check(raise_error)
    _, gate_result = run_checks(contract, *checks, policy=GatePolicy(min_coverage=0))
    assert gate_result.exit_code is exit_code


def test_internal_error_of_a_check_does_not_abort_the_run(contract: Contract) -> None:
    def raise_key_error(case: Case) -> Iterator[CheckResult]:
        raise KeyError("id")
        yield

    policy = GatePolicy(min_coverage=0)
    _, gate_result = run_checks(contract, create_check(raise_key_error), create_check(send_and_pass), policy=policy)
    assert len(gate_result.passed) == len(list_operations(contract))
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    assert re.search(
        r"\d checks ended with an internal error in the suite, first stub on \w+: .*KeyError\('id'\) at \w+.py:\d+",
        gate_result.reasons[0],
    )


def test_read_only_run_skips_checks_that_write(contract: Contract) -> None:
    session = create_session(contract, read_only=True)
    assert not run(
        session, [create_check(send_and_pass, writes=True)], list_operations(contract), lambda result: None
    ).results


def test_budget_is_lifted_for_cleanup(contract: Contract) -> None:
    calls: list[bool] = []
    run(create_session(contract), [], [], lambda result: None, before_cleanup=lambda: calls.append(True))
    assert calls == [True]


def skip_because_of_response(case: Case) -> Iterator[CheckResult]:
    """Send the request and skip, because the response is of no use."""
    case.session.client.send(case.operation)
    raise SkipCheck("got 200 without rows")
    yield


def test_operation_whose_checks_were_all_skipped_because_of_its_responses_exits_with_5(contract: Contract) -> None:
    first, *_ = list_operations(contract)
    policy = GatePolicy(min_coverage=0)
    passing = replace(create_check(send_and_pass), id="no-server-error")
    _, gate_result = run_checks(contract, passing, create_check(skip_because_of_response), policy=policy)
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    assert gate_result.operations_not_evaluated[first.id] == "got 200 without rows"
    assert any("returned nothing that could be checked" in reason for reason in gate_result.reasons)


def run_create_without_writes(contract: Contract, category: SkipCategory) -> GateResult:
    """Run a check that passes and one that writes and is skipped on the operation that creates books."""

    def skip(case: Case) -> Iterator[CheckResult]:
        yield case.skip(case.build_requirement(), SkipReason("no other value is known", category))

    create = next(o for o in contract.operations.values() if o.action == "create")
    checks = (create_check(send_and_pass), replace(create_check(skip, writes=True), id="writing-stub"))
    policy = GatePolicy(min_coverage=0)
    _, gate_result = run_checks(contract, *checks, operations=[create], policy=policy, status=201)
    return replace(gate_result, writing_checks=frozenset({"writing-stub"}))


@pytest.mark.parametrize("category", [SkipCategory.TARGET, SkipCategory.INSUFFICIENT_DATA])
def test_operation_whose_writes_were_all_skipped_exits_with_5(contract: Contract, category: SkipCategory) -> None:
    gate_result = run_create_without_writes(contract, category)
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    (operation,) = gate_result.writes_not_evaluated
    reason = f"all checks that write to 1 operation were skipped, first {operation}: no other value is known"
    assert gate_result.reasons == (reason,)


@pytest.mark.parametrize(
    "category", [SkipCategory.USER_SKIPPED, SkipCategory.DISABLED_BY_OPTION, SkipCategory.NOT_TESTABLE]
)
def test_operation_whose_writes_were_skipped_with_an_excuse_passes(contract: Contract, category: SkipCategory) -> None:
    assert run_create_without_writes(contract, category).exit_code is ExitCode.PASSED


def test_operation_with_one_evaluated_write_passes(contract: Contract) -> None:
    gate_result = run_create_without_writes(contract, SkipCategory.TARGET)
    assert replace(gate_result, writing_checks=frozenset({"writing-stub", "stub"})).exit_code is ExitCode.PASSED


@pytest.mark.parametrize("category", [c for c in SkipCategory if c.name not in ("TARGET", "INTERNAL_ERROR")])
def test_operation_skipped_for_another_reason_may_pass(contract: Contract, category: SkipCategory) -> None:
    def skip(case: Case) -> Iterator[CheckResult]:
        case.session.client.send(case.operation)
        raise SkipCheck(SkipReason("reason", category))
        yield

    passing = replace(create_check(send_and_pass), id="no-server-error")
    _, gate_result = run_checks(contract, passing, create_check(skip), policy=GatePolicy(min_coverage=0))
    assert (gate_result.exit_code, gate_result.operations_not_evaluated) == (ExitCode.PASSED, {})


def test_record_left_on_the_target_exits_with_5(contract: Contract) -> None:
    run_result, gate_result = run_checks(contract, create_check(send_and_pass))
    deletable = next(op.resource for op in contract.operations.values() if op.action == "delete")
    run_result.records_not_deleted = [("NoDeleteOperation", 1)]
    assert replace(gate_result).exit_code is ExitCode.PASSED
    run_result.records_not_deleted = [(str(deletable), 1)]
    gate_result = replace(gate_result)
    assert gate_result.exit_code is ExitCode.INCOMPLETE
    assert "1 record not deleted from the target" in gate_result.reasons
