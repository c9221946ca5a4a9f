"""No check fails on a conforming variant of the clinic; `make mutation-full` proves it on Athena's contract."""

import pytest
from starlette.types import ASGIApp

from conformance.checks.registry import CHECKS
from conformance.mutation.conforming_variants import VARIANTS, WITH_CONTRACT_GAPS, is_false_positive
from conformance.mutation.fault_injection import FaultInjector
from conformance.results import Status
from tests.conformance.support.clinic import demo_clinic, run_checks
from tests.conformance.support.clinic_faults import CLINIC

pytestmark = pytest.mark.slow  # each case runs all checks


def test_variants_with_contract_gaps_are_variants() -> None:
    assert VARIANTS.keys() >= WITH_CONTRACT_GAPS


@pytest.mark.parametrize("name", VARIANTS)
def test_no_check_fails_on_a_conforming_variant(name: str) -> None:
    def inject_variant(app: ASGIApp) -> ASGIApp:
        return FaultInjector.create(app, CLINIC, VARIANTS[name](CLINIC, demo_clinic().clock))

    run_result = run_checks(CHECKS, None, inject_variant)
    failures = list(run_result.with_status(Status.FAILED))
    assert [f"{o.requirement.fingerprint}: {o.message}" for o in failures if is_false_positive(name, o)] == []
    assert any(run_result.with_status(Status.PASSED))
