"""Tests of the check that grouping, order and limit leave the total of a metric unchanged, on the Athena mock."""

from typing import Any

import pytest

from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import MakeFault, change_json
from tests.conformance.support.check_runner import CHECKS_BY_ID, find_failures, run_checks

CHECK, METRIC = "metric-total-unchanged-by-grouping", "getWorkspacesMetrics"


def _change_data(request: InterceptedRequest, body: Any, **changes: Any) -> Any:
    return {**body, "data": {**body["data"], **changes}} if dict(request.query).get("group_by") else body


def _sum_shown_groups(request: InterceptedRequest, body: Any) -> Any:
    """The total is that of the shown groups, which `limit` cuts."""
    return _change_data(request, body, total=sum(row["value"] for row in body["data"]["results"]))


def _omit_last_group(request: InterceptedRequest, body: Any) -> Any:
    """Users are without the last of them."""
    is_by_user = dict(request.query).get("group_by") == "user"
    return _change_data(request, body, results=body["data"]["results"][:-1]) if is_by_user else body


def _count_groups(request: InterceptedRequest, body: Any) -> Any:
    """The total is the number of groups."""
    return _change_data(request, body, total=1000 + len(body["data"]["results"]))


def test_metric_without_a_fault_passes() -> None:
    results = run_checks([CHECKS_BY_ID[CHECK]], METRIC).results
    assert {result.requirement.parameter for result in results if not result.message} == {
        "group_by",
        "granularity",
        "order_by",
        "order_dir",
        "limit",
    }


@pytest.mark.parametrize(
    ("fault", "parameter", "is_contradiction"),
    [
        (change_json(_sum_shown_groups), "limit", True),
        (change_json(_omit_last_group), "group_by", True),
        (change_json(_count_groups), "group_by", False),
    ],
    ids=["shown groups", "missing group", "number of groups"],
)
def test_parameter_that_changes_the_total_fails(fault: MakeFault, parameter: str, *, is_contradiction: bool) -> None:
    failures = {failure.requirement.parameter: failure for failure in find_failures(CHECK, METRIC, fault)}
    assert failures[parameter].is_contradiction == is_contradiction
    assert failures[parameter].is_blocking() == is_contradiction
