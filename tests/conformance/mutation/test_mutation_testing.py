"""Mutation testing: witnesses, surviving mutants without their checks, conforming variants, reports."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import VARIANTS
from conformance.mutation.equivalence import find_witness
from conformance.mutation.evaluate import Detectors, MutantStatus, MutantSummary, evaluate_mutant
from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image
from conformance.mutation.mutant import Mutant
from conformance.mutation.parallel import VariantResult, select_mutants
from conformance.mutation.report import MutationReport, MutationTotals, render_json, render_markdown, render_terminal
from conformance.transport.credentials import CredentialFormat
from spec.loader import load_contract
from tests.mock_process import ROOT
from tests.mock_server.athena import athena_contract

LIBRARY = ROOT / "tests" / "foreign" / "library.yaml"


@cache
def demo_mock() -> InProcessMock:
    """A mock of the packaged contract."""
    return InProcessMock.from_image(athena_contract(), build_demo_image(athena_contract()))


@cache
def all_mutants() -> tuple[Mutant, ...]:
    """All mutants of the packaged contract."""
    return tuple(derive_mutants(athena_contract(), TOKENS["self"]))


def mutant(identifier: str) -> Mutant:
    """The mutant with an id."""
    return next(item for item in all_mutants() if item.id == identifier)


def first_of_each_family() -> Iterator[Any]:
    """The first mutant of each family."""
    families: set[str] = set()
    for item in derive_mutants(athena_contract(), TOKENS["self"]):
        if item.family not in families:
            families.add(item.family)
            yield pytest.param(item.id, id=item.family)


def test_mutants_are_numerous_and_have_unique_ids() -> None:
    assert len(all_mutants()) >= 600
    assert len({item.family for item in all_mutants()}) >= 20
    assert len({item.id for item in all_mutants()}) == len(all_mutants())


def test_every_mutant_has_a_location_and_a_requirement() -> None:
    for item in all_mutants():
        athena_contract().document.resolve(item.pointer)
        assert item.requirement.endswith(".")
        assert item.fault_operations <= athena_contract().operations.keys()


@pytest.mark.slow
@pytest.mark.parametrize("identifier", [*first_of_each_family()])
def test_family_has_a_mutant_with_a_witness(identifier: str) -> None:
    family = identifier.partition("/")[0]
    same_family = [item for item in all_mutants() if item.family == family]
    assert any(find_witness(item, demo_mock()) for item in same_family[:12]), (
        f"no mutant of {family} differs from the mock"
    )


def test_witness_has_equal_requests_and_different_responses() -> None:
    witness = find_witness(mutant("page/listAgents/off by one"), demo_mock())
    assert witness is not None
    original, mutated = witness
    assert mutated.request == original.request
    assert mutated.response.content != original.response.content


API_KEY = ROOT / "tests" / "contracts" / "extensions" / "resource-with-deleted-body.yaml"


def test_mutants_of_a_contract_with_api_keys_accept_and_reject_keys() -> None:
    contract = load_contract(API_KEY)
    mock = InProcessMock.from_image(contract, build_demo_image(contract))
    statuses = {}
    for item in derive_mutants(contract, TOKENS["self"]):
        if item.family.startswith("auth-"):
            witness = find_witness(item, mock)
            statuses[item.family, item.operation] = witness and [exchange.response.status for exchange in witness]
    families = ("auth-none", "auth-any-token", "auth-derived-token")
    expected: dict[tuple[str, str], list[int]] = {(f, o): [401, 200] for o in contract.operations for f in families}
    assert statuses == {**expected, ("auth-header", "listLabels"): [200, 401]}


def test_body_of_an_error_without_schema_is_no_mutant() -> None:
    identifiers = {item.id for item in derive_mutants(load_contract(API_KEY), TOKENS["self"])}
    assert "leak/deleteLabel/404 shows a trace" in identifiers
    assert "error-shape/deleteLabel/404 of another shape" not in identifiers


@pytest.mark.parametrize(
    ("place", "header"),
    [
        (CredentialFormat(), ("authorization", "Bearer x")),
        (CredentialFormat("header", "X-Key", ""), ("x-key", "x")),
        (CredentialFormat("cookie", "session", ""), ("cookie", "session=x")),
        (CredentialFormat("query", "key", ""), None),
    ],
)
def test_intercepted_request_has_the_token_at_its_place(
    place: CredentialFormat, header: tuple[str, str] | None
) -> None:
    operation = athena_contract().operations["listAgents"]
    request = InterceptedRequest(operation, "GET", operation.path, {}, (), {}, b"")
    assert request.find_credential(place) == ""
    changed = request.with_token("x", place)
    assert changed.find_credential(place) == f"{place.prefix}x"
    assert tuple(changed.headers.items()) == ((header,) if header else ())


# Mutants that survived once -> the check that kills each.
DETECTING_CHECKS = {
    "allow/getThreadsMetrics/no Allow": "unsupported-method-is-405",
    "count/listAgents/usage_count one too many": "model-list",
    "count/listWorkflowExecutions/with_count left out": "model-list",
    "created-stamp/updateAccount/created_at is updated_at": "created-timestamp-constant",
    "error-shape/deleteWorkspace/401 of another shape": "unauthenticated-is-401",
    "filter/listWorkflows/organization_multiplai_id inverted": "model-list",
    "metric/getAgentsMetrics/one too many": "metric-matches-list",
    "page/listWorkspaces/misses its last row": "model-list",
    "reference/getAuthenticatedUser/primary_workspace leads nowhere": "embedded-matches-retrieved",
    "reference/listWorkspaces/user leads nowhere": "model-list",
    "reference/retrieveAgent/user leads nowhere": "model-retrieve",
    "search/listWorkflowExecutions/misses the first": "model-list",
    "text/createWorkflowExecution/mode without line ends": "model-create",
    "valid-refused/shareAgent/permission of write": "valid-field-not-reported",
    "valid-refused/storeCommandRoomTask/taskable_type of workflow": "valid-body-accepted",
    "validation/runThread/content without minLength": "invalid-field-is-422",
    "validation-query/listProviders/with without enum": "invalid-parameter-is-422",
}


@pytest.mark.slow
@pytest.mark.parametrize(("identifier", "check_id"), DETECTING_CHECKS.items())
def test_check_kills_mutant(identifier: str, check_id: str) -> None:
    detectors = Detectors(checks=[item for item in CHECKS if item.id == check_id], depth=None)
    assert evaluate_mutant(mutant(identifier), demo_mock(), detectors).check == check_id


def test_mutant_without_effect_is_equivalent() -> None:
    async def pass_through(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    equivalent_mutant = replace(mutant("page/listAgents/off by one"), make_fault=lambda: pass_through)
    assert evaluate_mutant(equivalent_mutant, demo_mock()).status is MutantStatus.EQUIVALENT


def test_mutant_that_raises_is_an_error() -> None:
    async def raise_error(request: Any, call_next: Any) -> Any:
        raise ZeroDivisionError("of the mutant")

    result = evaluate_mutant(replace(mutant("page/listAgents/off by one"), make_fault=lambda: raise_error), demo_mock())
    assert result.status is MutantStatus.ERROR
    assert "of the mutant" in result.message


@pytest.mark.parametrize(
    ("identifier", "check_id"),
    [
        ("page/listWorkspaces/misses its last row", "model-list"),
        pytest.param("filter/listMessages/thread_uuid ignored", "model-list", marks=pytest.mark.slow),
        pytest.param("update/updateAgent/lost", "update", marks=pytest.mark.slow),
    ],
)
def test_mutant_survives_without_its_checks(identifier: str, check_id: str) -> None:
    """Removing checks lowers the score."""
    item, checks = mutant(identifier), list(CHECKS)
    result = evaluate_mutant(item, demo_mock(), Detectors(checks, None))
    assert result.status is MutantStatus.KILLED
    while result.status is MutantStatus.KILLED:
        assert len(checks) > len(CHECKS) - 12, f"more than 12 checks kill {identifier}"
        checks = [check for check in checks if check.id != result.check]
        result = evaluate_mutant(item, demo_mock(), Detectors(checks, None))
    assert result.status is MutantStatus.SURVIVED
    removed = {check.id for check in CHECKS} - {check.id for check in checks}
    assert any(check_id in name for name in removed), removed


def test_sample_is_deterministic_by_seed() -> None:
    contract = athena_contract()
    selections = [select_mutants(contract, sample=30, seed=seed) for seed in (1, 1, 2)]
    assert selections[0] == selections[1] != selections[2]
    selected = select_mutants(contract, families=("page",), operations=("listAgents",))
    assert {all_mutants()[number].id.rpartition("/")[0] for number in selected} == {"page/listAgents"}


def test_conforming_variants_are_numerous() -> None:
    assert len(VARIANTS) >= 30


@pytest.mark.slow
def test_mutants_of_another_contract_are_killed() -> None:
    contract = load_contract(LIBRARY)
    mock = InProcessMock.from_image(contract, build_demo_image(contract))
    mutants = list(derive_mutants(contract, TOKENS["self"]))
    statuses = [evaluate_mutant(item, mock, Detectors(depth=None)).status for item in mutants]
    decided = [status for status in statuses if status in (MutantStatus.KILLED, MutantStatus.SURVIVED)]
    assert len(decided) >= 60
    assert MutantStatus.ERROR not in statuses
    assert decided.count(MutantStatus.KILLED) / len(decided) >= 0.9


# Reports


def summary(name: str, status: MutantStatus, *, blocked: bool = False) -> MutantSummary:
    """A mutant summary with a status."""
    return MutantSummary(
        id=name,
        family="page",
        operation="listThings",
        requirement="Pages do not overlap.",
        can_block=True,
        provenance_independent=False,
        status=status,
        is_blocked=blocked,
        curl="curl x",
    )


def test_equivalent_mutants_and_errors_do_not_count() -> None:
    statuses = [
        MutantStatus.KILLED,
        MutantStatus.KILLED,
        MutantStatus.SURVIVED,
        MutantStatus.EQUIVALENT,
        MutantStatus.ERROR,
    ]
    totals = MutationTotals.from_summaries(summary(str(number), status) for number, status in enumerate(statuses))
    assert (totals.total, totals.killed, totals.equivalent, totals.errors) == (3, 2, 1, 1)
    assert totals.mutation_score == pytest.approx(2 / 3)


def test_survivors_and_false_positives_are_reported_and_fail() -> None:
    false_positive = VariantResult("keys reversed", 1, 10, 20, ("some check: \x1b[31mred",), 0)
    report = MutationReport(
        "a.yaml", "2 mutants", [summary("page/a/b", MutantStatus.SURVIVED)], [false_positive], 0.95, 1.0
    )
    output = render_terminal(report)
    assert "SURVIVED  page/a/b" in output
    assert "FALSE POSITIVE  keys reversed" in output
    assert "\x1b" not in output
    assert "FAILED: " in output
    assert "page/a/b" in render_markdown(report)
    assert '"status": "survived"' in render_json(report)


def test_sufficient_score_without_false_positives_passes() -> None:
    report = MutationReport(
        "a.yaml", "1 mutant", [summary("page/a/b", MutantStatus.KILLED, blocked=True)], [], 0.95, 1.0
    )
    assert report.reasons == []
    assert "PASSED" in render_terminal(report)
