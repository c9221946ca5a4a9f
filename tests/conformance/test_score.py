"""The score: mutants that prove what they are, laws that are missed when they are gone, sound servers let pass."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.checks import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import build_variants
from conformance.mutation.equivalence import find_witness
from conformance.mutation.evaluate import Detectors, MutantStatus, evaluate_mutant
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image
from conformance.mutation.mutant import Mutant
from conformance.mutation.parallel import MutantSelection, MutantSummary, MutationTotals, VariantResult, Worker
from conformance.mutation.report import MutationReport, render_json, render_markdown, render_terminal
from spec.loader import load_contract
from tests.mock_server.athena import athena_contract

LIBRARY = Path(__file__).parents[1] / "foreign" / "library.yaml"


@cache
def bench() -> Worker:
    """What the mutants of the packaged contract are judged with."""
    return Worker.create(athena_contract(), build_demo_image(athena_contract()))


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
    for one in derive_mutants(athena_contract(), TOKENS["self"]):
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
        assert one.requirement.endswith(".")
        assert one.fault_operations <= athena_contract().operations.keys()


@pytest.mark.slow
@pytest.mark.parametrize("identifier", [*of_each_family()])
def test_a_family_has_a_mutant_with_a_witness(identifier: str) -> None:
    family = identifier.partition("/")[0]
    kin = [one for one in every() if one.family == family]
    assert any(find_witness(one, bench().mock) for one in kin[:12]), (
        f"none of the first of {family} differs from the mock"
    )


def test_a_witness_is_the_same_request_answered_otherwise() -> None:
    found = find_witness(mutant("page/listAgents/off by one"), bench().mock)
    assert found is not None
    assert found.mutant_exchange.request == found.original_exchange.request
    assert found.mutant_exchange.response.content != found.original_exchange.response.content


# Mutants that once survived -> the law that finds each: what a law says of an answer is not all in its name.
ONCE_MISSED = {
    "allow/getThreadsMetrics/no Allow": "unsupported-method-is-405",
    "count/listAgents/usage_count one too many": "relation-count-correct",
    "count/listWorkflowExecutions/with_count left out": "relation-count-correct",
    "created-stamp/updateAccount/created_at is updated_at": "created-timestamp-constant",
    "error-shape/deleteWorkspace/401 of another shape": "unauthenticated-is-401",
    "filter/listWorkflows/organization_multiplai_id inverted": "filter-excludes-non-matches",
    "metric/getAgentsMetrics/one too many": "metric-matches-list",
    "page/listWorkspaces/misses its last row": "pages-are-complete",
    "reference/getAuthenticatedUser/primary_workspace leads nowhere": "references-resolve",
    "reference/listWorkspaces/user leads nowhere": "embedded-matches-retrieved",
    "reference/retrieveAgent/user leads nowhere": "creator-owns-record",
    "search/listWorkflowExecutions/misses the first": "search-includes-all-matches",
    "text/createWorkflowExecution/mode without line ends": "text-round-trip",
    "valid-refused/shareAgent/permission of write": "valid-field-not-reported",
    "valid-refused/storeCommandRoomTask/taskable_type of workflow": "valid-body-accepted",
    "validation/runThread/content without minLength": "invalid-field-is-422",
    "validation-query/listProviders/with without enum": "invalid-parameter-is-422",
}


@pytest.mark.slow
@pytest.mark.parametrize(("identifier", "law"), ONCE_MISSED.items())
def test_what_was_once_missed_is_found(identifier: str, law: str) -> None:
    judges = Detectors(checks=[one for one in CHECKS if one.id == law], depth=None)
    assert evaluate_mutant(mutant(identifier), bench().mock, judges).check == law


def test_a_mutant_that_does_nothing_is_equivalent_and_not_counted() -> None:
    async def nothing(asked: Any, ask: Any) -> Any:
        return await ask(asked)

    idle = replace(mutant("page/listAgents/off by one"), make_fault=lambda: nothing)
    assert evaluate_mutant(idle, bench().mock).status is MutantStatus.EQUIVALENT


def test_a_mutant_that_fails_by_itself_is_an_error_and_no_kill() -> None:
    async def failing(asked: Any, ask: Any) -> Any:
        raise ZeroDivisionError("of the mutant")

    found = evaluate_mutant(replace(mutant("page/listAgents/off by one"), make_fault=lambda: failing), bench().mock)
    assert found.status is MutantStatus.ERROR
    assert "of the mutant" in found.message


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
    found = evaluate_mutant(one, bench().mock, Detectors(laws, None))
    assert found.status is MutantStatus.KILLED
    while found.status is MutantStatus.KILLED:
        assert len(laws) > len(CHECKS) - 12, f"more than a dozen laws find {identifier}"
        laws = [known for known in laws if known.id != found.check]
        found = evaluate_mutant(one, bench().mock, Detectors(laws, None))
    assert found.status is MutantStatus.SURVIVED
    gone = {known.id for known in CHECKS} - {known.id for known in laws}
    assert any(law in name for name in gone), gone


def test_a_sample_is_drawn_the_same_each_time_and_by_seed() -> None:
    contract = athena_contract()
    drawn = [MutantSelection(sample=30, seed=seed).select(contract) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    only = MutantSelection(families=("page",), operations=("listAgents",)).select(contract)
    assert {every()[number].id.rpartition("/")[0] for number in only} == {"page/listAgents"}


def test_the_conforming_variants_are_enough_and_each_differs_from_the_mock() -> None:
    assert len({one.name for one in build_variants()}) >= 30


@pytest.mark.slow
def test_a_foreign_contract_has_mutants_and_they_are_found() -> None:
    contract = load_contract(LIBRARY)
    mock = InProcessMock.from_image(contract, build_demo_image(contract))
    mutants = list(derive_mutants(contract, TOKENS["self"]))
    fates = [evaluate_mutant(one, mock, Detectors(depth=None)).status for one in mutants]
    counted = [fate for fate in fates if fate in (MutantStatus.KILLED, MutantStatus.SURVIVED)]
    assert len(counted) >= 60
    assert MutantStatus.ERROR not in fates
    assert counted.count(MutantStatus.KILLED) / len(counted) >= 0.9


# How it is told ------------------------------------------------------------------------------------------------------


def scored(name: str, fate: MutantStatus, *, blocked: bool = False) -> MutantSummary:
    """A made-up score."""
    return MutantSummary(
        name, "page", "listThings", "Pages do not overlap.", fate, True, False, blocked, "", "", 0.5, 9, "curl x", "200"
    )


def test_equivalent_mutants_and_errors_do_not_count() -> None:
    fates = [
        MutantStatus.KILLED,
        MutantStatus.KILLED,
        MutantStatus.SURVIVED,
        MutantStatus.EQUIVALENT,
        MutantStatus.ERROR,
    ]
    tally = MutationTotals.from_summaries(scored(str(number), fate) for number, fate in enumerate(fates))
    assert (tally.total, tally.killed, tally.equivalent, tally.errors) == (3, 2, 1, 1)
    assert tally.mutation_score == pytest.approx(2 / 3)


def test_survivors_and_false_alarms_are_told_and_make_it_too_low() -> None:
    alarm = VariantResult("keys in reverse", 1, 10, 20, ("some law: \x1b[31mred",), 0)
    report = MutationReport("a.yaml", "2 mutants", [scored("page/a/b", MutantStatus.SURVIVED)], [alarm], 0.95, 1.0)
    told = render_terminal(report)
    assert "SURVIVED  page/a/b" in told
    assert "FALSE ALARM  keys in reverse" in told
    assert "\x1b" not in told
    assert "TOO LOW" in told
    assert "page/a/b" in render_markdown(report)
    assert '"status": "survived"' in render_json(report)


def test_enough_found_and_nothing_called_broken_is_high_enough() -> None:
    report = MutationReport(
        "a.yaml", "1 mutant", [scored("page/a/b", MutantStatus.KILLED, blocked=True)], [], 0.95, 1.0
    )
    assert report.reasons == []
    assert "HIGH ENOUGH" in render_terminal(report)
