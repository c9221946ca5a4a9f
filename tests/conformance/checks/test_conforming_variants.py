"""No check fails on a conforming variant of the clinic; `make mutation-full` proves it on Athena's contract."""

import pytest
from starlette.types import ASGIApp

from conformance.checks.registry import CHECKS
from conformance.mutation.conforming_variants import VARIANTS
from conformance.mutation.fault_injection import FaultInjector
from conformance.results import Status
from tests.conformance.support.clinic import demo_clinic, run_checks
from tests.conformance.support.clinic_faults import CLINIC

pytestmark = pytest.mark.slow  # each case runs all checks


@pytest.mark.parametrize("name", VARIANTS)
def test_no_check_fails_on_a_conforming_variant(name: str) -> None:
    def inject_variant(app: ASGIApp) -> ASGIApp:
        return FaultInjector.create(app, CLINIC, VARIANTS[name](CLINIC, demo_clinic().clock))

    run_result = run_checks(CHECKS, None, inject_variant)
    assert [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)] == []
    assert any(run_result.with_status(Status.PASSED))
