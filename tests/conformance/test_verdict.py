"""From what became of each promise to the exit code: judged by laws of the tests' own, with no target behind them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from conformance.bodies import Bodies
from conformance.errors import CannotMake, OutOfBudget, TargetLost
from conformance.exchange import Request, Response
from conformance.laws.law import Case, Law
from conformance.ledger import Ledger
from conformance.outcome import Kind, Outcome, Verdict
from conformance.run import Run, run
from conformance.session import Session
from conformance.verdict import Code, Demands, Judgement, judge
from spec.contract import Contract, Operation, load
from spec.schemas import Schemas

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
    return load(LIBRARY)


def session_of(contract: Contract, *, status: int = 200, read_only: bool = False) -> Session:
    """A session with a stub behind it."""
    bodies = Bodies(contract, "test", Random(1))
    schemas = Schemas.of(contract.document)
    return Session(contract, schemas, Answering(status), Ledger("test"), bodies, read_only=read_only)


def law(judging: Judge, *, always: bool = True, writes: bool = False) -> Law:
    """A law that applies to every operation."""
    return Law("stub", "It holds.", lambda contract, operation: True, judging, always=always, writes=writes)


def asks(case: Case) -> Iterator[Outcome]:
    """Sends the operation's request and is content."""
    path = dict.fromkeys(case.operation.path_parameters, 1)
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


def test_too_few_judged_is_incomplete(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake("there is no row")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.code, judgement.reached * 2) == (Code.INCOMPLETE, judgement.due)
    assert judgement.causes == {"there is no row": len(lists(contract))}
    _, content = outcome_of(contract, law(asks), law(cannot), demands=Demands(min_reached=50))
    assert content.code is Code.KEPT


def test_what_the_contract_gives_no_way_to_is_not_due(contract: Contract) -> None:
    def cannot(case: Case) -> Iterator[Outcome]:
        raise CannotMake("the contract has no operation to create a Book")
        yield

    _, judgement = outcome_of(contract, law(asks), law(cannot))
    assert (judgement.code, judgement.reached) == (Code.KEPT, judgement.due)


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
    assert any("KeyError" in cause for cause in judgement.causes)


def test_a_read_only_run_does_not_come_to_writing_laws(contract: Contract) -> None:
    session = session_of(contract, read_only=True)
    assert not run(session, [law(asks, writes=True)], lists(contract), lambda outcome: None).outcomes


def test_a_budget_is_lifted_for_cleaning(contract: Contract) -> None:
    lifted: list[bool] = []
    run(session_of(contract), [], [], lambda outcome: None, before_cleaning=lambda: lifted.append(True))
    assert lifted == [True]
