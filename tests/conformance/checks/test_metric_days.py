"""Tests of the check of the days that a metric counts, on the Athena mock."""

from collections.abc import Iterable
from datetime import date, timedelta

from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import change_request
from conformance.results import CheckResult, Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, run_checks_with_session

CHECK, METRIC, LISTING = "metric-days-are-utc", "countWorkflowExecutions", "listWorkflowExecutions"
FIRST_DAY_PARAMETERS = ("start_date", "date_from")  # of the metric and of the list


def _start_a_day_earlier(request: InterceptedRequest) -> InterceptedRequest:
    """The first day is that of a time zone west of UTC."""
    days = {name: date.fromisoformat(value) for name, value in request.query if value and name in FIRST_DAY_PARAMETERS}
    return request.with_parameters({name: day - timedelta(days=1) for name, day in days.items()})


def _find_failures(fault_operations: Iterable[str]) -> list[CheckResult]:
    make_fault = change_request(_start_a_day_earlier)
    run_result, _ = run_checks_with_session(
        [CHECKS_BY_ID[CHECK]], METRIC, make_fault, fault_operations=fault_operations
    )
    return list(run_result.with_status(Status.FAILED))


def test_metric_of_other_days_than_the_filtered_list_is_a_contradiction() -> None:
    (failure,) = _find_failures([METRIC])
    assert failure.requirement.parameter == "start_date"
    assert "the number of listed records" in failure.message
    assert failure.requirement.provenance == "inferred"
    assert failure.is_contradiction
    assert failure.is_blocking()


def test_metric_of_the_same_days_as_the_filtered_list_is_a_gap() -> None:
    (failure,) = _find_failures([METRIC, LISTING])
    assert failure.requirement.parameter == "start_date"
    assert not failure.is_blocking()
