"""From what became of each promise to the exit code: judged by laws of the tests' own, with no target behind them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from conformance.bodies import Bodies
from conformance.cause import Cause, Reason, no_way
from conformance.errors import CannotMake, OutOfBudget, TargetLost
from conformance.exchange import Exchange, Request, Response
from conformance.laws.law import Case, Law
from conformance.ledger import Ledger
from conformance.outcome import Kind, Outcome, Verdict
from conformance.run import Run, run
from conformance.session import Mine, Session
from conformance.verdict import Code, Demands, Judgement, judge
from spec.contract import Contract, Operation, load_contract
from spec.schemas import SchemaValidators

LIBRARY = Path(__file__).parents[1] / "foreign" / "library.yaml"
Judge = Callable[[Case], Iterator[Outcome]]


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
    bodies = Bodies(contract, "test", Random(1))
    schemas = SchemaValidators.from_document(contract.document)
    return Session(contract, schemas, Answering(status), Ledger("test"), bodies, read_only=read_only)


def law(judging: Judge, *, always: bool = True, writes: bool = False) -> Law:
    """A law that applies to every operation."""
    return Law("stub", "It holds.", lambda contract, operation: True, judging, always=always, writes=writes)


def asks(case: Case) -> Iterator[Outcome]:
    """Sends the operation's request and is content."""
    path = dict.fromkeys(case.operation.path_parameter_names, 1)
    yield case.judged(case.promise(), "", case.session.send(case.operation, path=path))


def breaks(case: Case) -> Iterator[Outcome]:
    """The same, and is not content."""
    for outcome in asks(case):
        yield case.judged(outcome.promise, "found 1; due: 2", *outcome.shown)


def broken_at(*turns: int) -> Judge:
    """Not content at these turns of judging an operation, from 0, and content at others."""
    turn: Counter[str] = Counter()

    def sometimes(case: Case) -> Iterator[Outcome]:
        turn[case.operation.id] += 1
        yield from breaks(case) if turn[case.operation.id] - 1 in turns else asks(case)

    return sometimes


def lists(contract: Contract) -> list[Operation]:
    """The operations that list."""
    return [o for o in contract.operations.values() if o.action == "list"]


def outcome_of(
    contract: Contract,
    *laws: Law,
    operations: list[Operation] | None = None,
    demands: Demands | None = None,
    status: int = 200,
) -> tuple[Run, Judgement]:
    """What a run over lists comes to."""
    session = session_of(contract, status=status)
    scope = lists(contract) if operations is None else operations
    found = run(session, laws, scope, lambda outcome: None)
    return found, judge(found, contract, scope, session.seen, demands or Demands())


def test_kept_promises_end_with_0(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(asks))
    assert (judgement.code, judgement.kept) == (Code.KEPT, len(lists(contract)))


def test_a_promise_broken_twice_ends_with_1(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(breaks))
    assert judgement.code is Code.BROKEN
    assert set(found.replays.values()) == {(2, 2)}


def test_a_promise_broken_once_is_flaky_and_not_red(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(broken_at(0)))
    assert not judgement.blocking
    assert len(judgement.flaky) == len(lists(contract))
    assert {o.kind for o in found.flaky} == {Kind.FLAKY}
    assert set(found.replays.values()) == {(1, 3)}


def depends(case: Case) -> Iterator[Outcome]:
    """Not content in the run's own session, content in a fresh one."""
    yield from breaks(case) if case.session.shared else asks(case)


def test_what_is_broken_only_after_what_the_run_did_is_state_dependent_and_red(contract: Contract) -> None:
    session, scope = session_of(contract), lists(contract)[:1]
    session._kept["Book"] = Mine("Book", 1, {}, {}, Exchange(Request("x", "get", "/"), Response(200, {}, b"", 0.0)))
    found = run(session, [law(depends)], scope, lambda outcome: None)
    assert [(o.verdict, o.kind) for o in found.outcomes] == [(Verdict.BROKEN, Kind.STATE)]
    assert set(found.replays.values()) == {(3, 5)}
    assert judge(found, contract, scope, session.seen, Demands()).code is Code.BROKEN


@pytest.mark.parametrize("turns", [(0,), (0, 2), (0, 2, 3), (0, 4)])
def test_what_is_not_broken_each_time_is_flaky(contract: Contract, turns: tuple[int, ...]) -> None:
    _, judgement = outcome_of(contract, law(broken_at(*turns)))
    assert {o.kind for o in judgement.flaky} == {Kind.FLAKY}
    assert not judgement.blocking


def test_a_target_that_has_stumbled_is_trusted_less(contract: Contract) -> None:
    session, scope = session_of(contract), lists(contract)[:1]
    session.steady.stumbles.append(Exchange(Request(scope[0].id, "get", "/"), Response(500, {}, b"{}", 0.0)))
    found = run(session, [law(broken_at(0, 1))], scope, lambda outcome: None)
    assert [o.kind for o in found.flaky] == [Kind.FLAKY]
    assert run(session, [law(breaks)], scope, lambda outcome: None).outcomes[0].kind is Kind.DETERMINISTIC


def test_flaky_failures_over_the_limit_end_with_6(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(broken_at(0)))
    assert judgement.code is Code.UNSTABLE
    assert "went away when asked again" in judgement.reasons[0]
    _, content = outcome_of(contract, law(broken_at(0)), demands=Demands(flaky_limit=100))
    assert content.code is Code.KEPT


def test_what_is_broken_weighs_more_than_what_is_unstable(contract: Contract) -> None:
    assert outcome_of(contract, law(broken_at(0)), law(breaks))[1].code is Code.BROKEN


def test_a_gateways_answer_breaks_nothing(contract: Contract) -> None:
    found, judgement = outcome_of(contract, law(breaks), status=503)
    assert {(o.verdict, o.kind) for o in found.outcomes} == {(Verdict.NOT_JUDGED, Kind.INFRASTRUCTURE)}
    assert judgement.code is Code.INCOMPLETE


def test_what_cannot_be_judged_again_is_not_red(contract: Contract) -> None:
    turn: Counter[str] = Counter()

    def once(case: Case) -> Iterator[Outcome]:
        turn[case.operation.id] += 1
        if turn[case.operation.id] > 1:
            raise CannotMake("no record any more")
        yield from breaks(case)

    found, judgement = outcome_of(contract, law(once))
    assert not judgement.blocking
    assert all("could not be judged again: no record any more" in o.said for o in found.of(Verdict.NOT_JUDGED))


def test_other_sources_are_asked_behind_the_laws(contract: Contract) -> None:
    operation = lists(contract)[0]

    def source(session: Session) -> Iterator[tuple[Outcome, tuple[int, int]]]:
        case = Case(law(breaks), session, operation)
        for number, tally in enumerate([(2, 2), (1, 3)]):
            promise = case.promise(parameter=f"{number}")
            yield Outcome(promise, Verdict.BROKEN, "found 1"), tally
        yield Outcome(case.promise(), Verdict.KEPT), (0, 1)

    told: list[Outcome] = []
    found = run(session_of(contract), [law(asks)], [operation], told.append, sources=[source])
    assert [o.verdict for o in told] == [Verdict.KEPT, Verdict.BROKEN, Verdict.BROKEN, Verdict.KEPT]
    assert [o.kind for o in found.of(Verdict.BROKEN)] == [Kind.DETERMINISTIC]
    assert [o.kind for o in found.flaky] == [Kind.FLAKY]


def test_a_case_draws_the_same_whatever_was_judged_before_it(contract: Contract) -> None:
    def drawn(*laws: Law) -> list[str]:
        found = run(session_of(contract), laws, lists(contract), lambda outcome: None)
        return [o.said for o in found.outcomes if o.promise.law == "draws"]

    def draws(case: Case) -> Iterator[Outcome]:
        yield case.not_judged(case.promise(), str(case.session.bodies.chance.random()))

    asking = Law("draws", "It draws.", lambda contract, operation: True, draws)
    assert drawn(asking) == drawn(law(draws), asking)
    assert len(set(drawn(asking))) == len(lists(contract))


def test_a_broken_inferred_promise_is_a_gap_and_blocks_under_strict(contract: Contract) -> None:
    inferred = lists(contract)[:1]
    judging = law(breaks, always=False)
    found, judgement = outcome_of(contract, judging, operations=inferred)
    assert [o.promise.grade for o in found.outcomes] == ["inferred"]
    assert (judgement.code, len(judgement.gaps)) == (Code.KEPT, 1)
    _, strict = outcome_of(contract, judging, operations=inferred, demands=Demands(strict=True))
    assert (strict.code, len(strict.blocking)) == (Code.BROKEN, 1)


def test_no_law_means_nothing_was_tested(contract: Contract) -> None:
    assert outcome_of(contract)[1].code is Code.NOTHING


def test_no_operation_means_nothing_was_tested(contract: Contract) -> None:
    assert outcome_of(contract, law(asks), operations=[])[1].code is Code.NOTHING


def test_an_operation_that_never_succeeded_is_incomplete_and_named(contract: Contract) -> None:
    _, judgement = outcome_of(contract, law(asks), status=401)
    assert judgement.code is Code.INCOMPLETE
    assert judgement.unsucceeded == {o.id: "it answered 401 (1 times)" for o in lists(contract)}


def test_actions_that_never_succeeded_are_incomplete_where_nothing_else_was_asked_for(contract: Contract) -> None:
    acts = [o for o in contract.operations.values() if not o.is_generic][:2]
    assert outcome_of(contract, law(asks), operations=acts, status=422)[1].code is Code.INCOMPLETE
    assert outcome_of(contract, law(asks), operations=acts)[1].code is Code.KEPT
    read_only = Demands(read_only=True)
    assert outcome_of(contract, law(asks), operations=acts, status=422, demands=read_only)[1].code is Code.KEPT


def test_too_few_judged_is_incomplete(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake("there is no row")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.code, judgement.reached * 2) == (Code.INCOMPLETE, judgement.due)
    assert judgement.causes == {Reason("there is no row"): len(lists(contract))}
    _, content = outcome_of(contract, law(asks), law(cannot), demands=Demands(min_reached=50))
    assert content.code is Code.KEPT


def test_what_the_contract_gives_no_way_to_is_not_due(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake(no_way("the contract has no operation to create a Book"))
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.code, judgement.reached) == (Code.KEPT, judgement.due)


@pytest.mark.parametrize(
    ("cause", "due", "due_when_reading"),
    [
        (Cause.SKIPPED, False, False),
        (Cause.CHOSEN, False, False),
        (Cause.NO_WAY, False, False),
        (Cause.RECORDS, True, False),
        (Cause.FOUND, True, True),
    ],
)
def test_what_is_due_depends_on_the_kind_of_cause(
    contract: Contract, cause: Cause, due: bool, due_when_reading: bool
) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        yield case.not_judged(case.promise(), Reason("it is so", cause))

    for demands, expected in ((Demands(), due), (Demands(read_only=True), due_when_reading)):
        _, judgement = outcome_of(contract, law(asks), law(cannot), demands=demands)
        assert (judgement.reached < judgement.due) is expected


def test_no_wording_excuses(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake("the contract has no way: the run is read-only, skipped: --allow-effects")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.code, judgement.reached * 2) == (Code.INCOMPLETE, judgement.due)


def test_a_cause_is_kept_with_its_kind_when_it_is_told_on(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake(no_way("nobody can"))
        yield

    found, judgement = outcome_of(contract, law(asks), law(cannot))
    assert {(o.said, o.cause) for o in found.of(Verdict.NOT_JUDGED)} == {("nobody can", Cause.NO_WAY)}
    assert set(judgement.causes) == {no_way("nobody can")}


def test_a_lost_target_breaks_nothing_and_ends_with_3(contract: Contract) -> None:
    times = iter(range(1000))

    def dies(case: Case) -> Iterator[Outcome]:
        yield from breaks(case)
        if next(times):
            raise TargetLost("gone")

    found, judgement = outcome_of(contract, law(dies))
    assert judgement.code is Code.LOST
    assert not judgement.blocking
    assert all(o.verdict is Verdict.NOT_JUDGED for o in found.outcomes)


@pytest.mark.parametrize("error", [OutOfBudget("used up"), KeyboardInterrupt()])
def test_a_run_that_ends_early_keeps_what_it_has_and_counts_the_rest(contract: Contract, error: BaseException) -> None:
    times = iter(range(1000))

    def ends(case: Case) -> Iterator[Outcome]:
        if next(times) == 1:
            raise error
        yield from asks(case)

    found, judgement = outcome_of(contract, law(ends))
    assert judgement.code is Code.INCOMPLETE
    assert len(found.outcomes) == len(lists(contract))
    assert judgement.kept == 1


def test_a_law_that_fails_by_itself_ends_nothing_else(contract: Contract) -> None:
    def fails(case: Case) -> Iterator[Outcome]:
        raise KeyError("id")
        yield

    _, judgement = outcome_of(contract, law(fails), law(asks))
    assert judgement.kept == len(lists(contract))
    assert any("KeyError" in cause.said for cause in judgement.causes)


def test_a_read_only_run_does_not_come_to_writing_laws(contract: Contract) -> None:
    session = session_of(contract, read_only=True)
    assert not run(session, [law(asks, writes=True)], lists(contract), lambda outcome: None).outcomes


def test_a_budget_is_lifted_for_cleaning(contract: Contract) -> None:
    lifted: list[bool] = []
    run(session_of(contract), [], [], lambda outcome: None, before_cleaning=lambda: lifted.append(True))
    assert lifted == [True]
