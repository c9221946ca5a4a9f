"""The score: mutants that prove what they are, laws that are missed when they are gone, sound servers let pass."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.laws import CHECKS
from conformance.mutants import derive
from conformance.mutants.inside import TOKENS, Mock, demo
from conformance.mutants.mutant import Mutant
from conformance.mutants.variants import variants
from conformance.mutants.witness import witness
from conformance.report.scored import ScoreReport, as_json, markdown, terminal
from conformance.score import Fate, Judges, score
from conformance.scores import Alarm, Bench, Choice, Scored, Tally
from spec.contract import load_contract
from tests.mock_server.athena import athena_contract

LIBRARY = Path(__file__).parents[1] / "foreign" / "library.yaml"


@cache
def bench() -> Bench:
    """What the mutants of the packaged contract are judged with."""
    return Bench.of(athena_contract(), demo(athena_contract()))


@cache
def every() -> tuple[Mutant, ...]:
    """All mutants of the packaged contract."""
    return tuple(bench().mutants)


def mutant(identifier: str) -> Mutant:
    """The one of that name."""
    return next(one for one in every() if one.id == identifier)


def of_each_family() -> Iterator[Any]:
    """One mutant of each family, the first."""
    seen: set[str] = set()
    for one in derive(athena_contract(), TOKENS["self"]):
        if one.family not in seen:
            seen.add(one.family)
            yield pytest.param(one.id, id=one.family)


def test_there_are_mutants_enough_of_families_enough_and_no_two_have_a_name() -> None:
    assert len(every()) >= 600
    assert len({one.family for one in every()}) >= 20
    assert len({one.id for one in every()}) == len(every())


def test_every_mutant_names_a_place_of_the_contract_and_the_promise_that_it_breaks() -> None:
    for one in every():
        athena_contract().document.resolve(one.pointer)
        assert one.sentence.endswith(".")
        assert one.stands_in <= athena_contract().operations.keys()


@pytest.mark.slow
@pytest.mark.parametrize("identifier", [*of_each_family()])
def test_a_family_has_a_mutant_with_a_witness(identifier: str) -> None:
    family = identifier.partition("/")[0]
    kin = [one for one in every() if one.family == family]
    assert any(witness(one, bench().mock) for one in kin[:12]), f"none of the first of {family} differs from the mock"


def test_a_witness_is_the_same_request_answered_otherwise() -> None:
    found = witness(mutant("page/listAgents/off by one"), bench().mock)
    assert found is not None
    assert found.shown.request == found.sound.request
    assert found.shown.response.content != found.sound.response.content


# Mutants that once survived -> the law that finds each: what a law says of an answer is not all in its name.
ONCE_MISSED = {
    "allow/getThreadsMetrics/no Allow": "wrong-method-is-405",
    "count/listAgents/usage_count one too many": "with-count-counts",
    "count/listWorkflowExecutions/with_count left out": "with-count-counts",
    "created-stamp/updateAccount/created_at is updated_at": "created-stamp-never-moves",
    "error-shape/deleteWorkspace/401 of another shape": "strangers-are-told-so",
    "filter/listWorkflows/organization_multiplai_id inverted": "every-row-satisfies",
    "metric/getAgentsMetrics/one too many": "figures-agree-with-lists",
    "page/listWorkspaces/misses its last row": "pages-do-not-overlap-and-are-whole",
    "reference/getAuthenticatedUser/primary_workspace leads nowhere": "references-resolve",
    "reference/listWorkspaces/user leads nowhere": "embedded-equals-retrieved",
    "reference/retrieveAgent/user leads nowhere": "a-record-is-its-makers",
    "search/listWorkflowExecutions/misses the first": "search-finds-a-known-record",
    "text/createWorkflowExecution/mode without line ends": "sent-text-comes-back",
    "valid-refused/shareAgent/permission of write": "right-is-not-called-wrong",
    "valid-refused/storeCommandRoomTask/taskable_type of workflow": "an-admitted-body-is-taken",
    "validation/runThread/content without minLength": "broken-field-is-named",
    "validation-query/listProviders/with without enum": "broken-parameter-is-named",
}


@pytest.mark.slow
@pytest.mark.parametrize(("identifier", "law"), ONCE_MISSED.items())
def test_what_was_once_missed_is_found(identifier: str, law: str) -> None:
    judges = Judges(laws=[one for one in CHECKS if one.id == law], depth=None)
    assert score(mutant(identifier), bench().mock, judges).law == law


def test_a_mutant_that_does_nothing_is_equivalent_and_not_counted() -> None:
    async def nothing(asked: Any, ask: Any) -> Any:
        return await ask(asked)

    idle = replace(mutant("page/listAgents/off by one"), plant=lambda: nothing)
    assert score(idle, bench().mock).fate is Fate.EQUIVALENT


def test_a_mutant_that_fails_by_itself_is_an_error_and_no_kill() -> None:
    async def failing(asked: Any, ask: Any) -> Any:
        raise ZeroDivisionError("of the mutant")

    found = score(replace(mutant("page/listAgents/off by one"), plant=lambda: failing), bench().mock)
    assert found.fate is Fate.ERROR
    assert "of the mutant" in found.said


@pytest.mark.parametrize(
    ("identifier", "law"),
    [
        ("page/listAgents/shows a row twice", "pages"),
        pytest.param("filter/listMessages/thread_uuid ignored", "satisfies", marks=pytest.mark.slow),
        pytest.param("update/updateAgent/lost", "update", marks=pytest.mark.slow),
    ],
)
def test_without_the_laws_that_find_it_a_mutant_survives(identifier: str, law: str) -> None:
    """The score falls where a law is taken away."""
    one, laws = mutant(identifier), list(CHECKS)
    found = score(one, bench().mock, Judges(laws, None))
    assert found.fate is Fate.KILLED
    while found.fate is Fate.KILLED:
        assert len(laws) > len(CHECKS) - 12, f"more than a dozen laws find {identifier}"
        laws = [known for known in laws if known.id != found.law]
        found = score(one, bench().mock, Judges(laws, None))
    assert found.fate is Fate.SURVIVED
    gone = {known.id for known in CHECKS} - {known.id for known in laws}
    assert any(law in name for name in gone), gone


def test_a_sample_is_drawn_the_same_each_time_and_by_seed() -> None:
    contract = athena_contract()
    drawn = [Choice(sample=30, seed=seed).of(contract) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    only = Choice(families=("page",), operations=("listAgents",)).of(contract)
    assert {every()[number].id.rpartition("/")[0] for number in only} == {"page/listAgents"}


def test_the_conforming_variants_are_enough_and_each_differs_from_the_mock() -> None:
    assert len({one.name for one in variants()}) >= 30


@pytest.mark.slow
def test_a_foreign_contract_has_mutants_and_they_are_found() -> None:
    contract = load_contract(LIBRARY)
    mock = Mock.of(contract, demo(contract))
    mutants = list(derive(contract, TOKENS["self"]))
    fates = [score(one, mock, Judges(depth=None)).fate for one in mutants]
    counted = [fate for fate in fates if fate in (Fate.KILLED, Fate.SURVIVED)]
    assert len(counted) >= 60
    assert Fate.ERROR not in fates
    assert counted.count(Fate.KILLED) / len(counted) >= 0.9


# How it is told ------------------------------------------------------------------------------------------------------


def scored(name: str, fate: Fate, *, blocked: bool = False) -> Scored:
    """A made-up score."""
    return Scored(
        name, "page", "listThings", "Pages do not overlap.", fate, True, False, blocked, "", "", 0.5, 9, "curl x", "200"
    )


def test_equivalent_mutants_and_errors_do_not_count() -> None:
    fates = [Fate.KILLED, Fate.KILLED, Fate.SURVIVED, Fate.EQUIVALENT, Fate.ERROR]
    tally = Tally.of(scored(str(number), fate) for number, fate in enumerate(fates))
    assert (tally.counted, tally.killed, tally.equivalent, tally.errors) == (3, 2, 1, 1)
    assert tally.share == pytest.approx(2 / 3)


def test_survivors_and_false_alarms_are_told_and_make_it_too_low() -> None:
    alarm = Alarm("keys in reverse", 1, 10, 20, ("some law: \x1b[31mred",), 0)
    report = ScoreReport("a.yaml", "2 mutants", [scored("page/a/b", Fate.SURVIVED)], [alarm], 0.95, 1.0)
    told = terminal(report)
    assert "SURVIVED  page/a/b" in told
    assert "FALSE ALARM  keys in reverse" in told
    assert "\x1b" not in told
    assert "TOO LOW" in told
    assert "page/a/b" in markdown(report)
    assert '"fate": "survived"' in as_json(report)


def test_enough_found_and_nothing_called_broken_is_high_enough() -> None:
    report = ScoreReport("a.yaml", "1 mutant", [scored("page/a/b", Fate.KILLED, blocked=True)], [], 0.95, 1.0)
    assert report.reasons == []
    assert "HIGH ENOUGH" in terminal(report)
