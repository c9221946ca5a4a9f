"""Tests of properties that the contract defines as the sum of others."""

import json
from typing import Any

import pytest

from conformance.mutation.faults import change_value
from conformance.responses.sums import find_sum_rules, inspect_sums
from conformance.results import Status
from conformance.transport.messages import Exchange, Request, Response
from spec.document import parse_document
from tests.conformance.support.check_runner import CHECKS_BY_ID, run_checks_with_session

DOCUMENT = parse_document(
    b"""
openapi: 3.0.3
info: {title: Invoices, version: 1.0.0}
paths: {}
components:
  schemas:
    Amount:
      type: object
      additionalProperties: false
      properties:
        net: {type: number}
        tax: {type: number}
        gross: {type: number, x-sum-of: [net, tax]}
""",
    "invoices.yaml",
)


def _inspect(body: Any, status: int = 200) -> list[str]:
    response = Response(status, {"content-type": "application/json"}, json.dumps(body).encode(), 0.0)
    exchange = Exchange(Request("readInvoice", "get", "/invoices/1"), response)
    return [finding.message for finding in inspect_sums(find_sum_rules(DOCUMENT), exchange)]


@pytest.mark.parametrize("body", [{"gross": 3, "net": 1, "tax": 2}, {"rows": [{"gross": 0.3, "net": 0.1, "tax": 0.2}]}])
def test_correct_sum_has_no_finding(body: Any) -> None:
    assert _inspect(body) == []


def test_wrong_sum_is_found_at_any_depth() -> None:
    message = "rows.[].amount.gross of 200: got 4, expected 3 (net + tax)"
    assert _inspect({"rows": [{"amount": {"gross": 4, "net": 1, "tax": 2}}]}) == [message]


@pytest.mark.parametrize(
    "body",
    [{"gross": 4, "net": 1}, {"gross": "4", "net": 1, "tax": 2}, {"gross": 4, "net": 1, "tax": 2, "note": "another"}],
)
def test_other_objects_are_not_compared(body: Any) -> None:
    assert _inspect(body) == []


def test_error_responses_are_not_compared() -> None:
    assert _inspect({"gross": 4, "net": 1, "tax": 2}, status=422) == []


def test_wrong_sum_of_an_action_fails_and_blocks() -> None:
    checks = [CHECKS_BY_ID["response-matches-schema"]]
    fault = change_value(lambda total: total + 1, ("data", "tokens", "total"))
    run_result, _ = run_checks_with_session(checks, "runPrompt", fault)
    failures = [r for r in run_result.with_status(Status.FAILED) if r.requirement.parameter == "data.tokens.total"]
    assert [failure.is_blocking() for failure in failures] == [True]
    assert not list(run_checks_with_session(checks, "runPrompt")[0].with_status(Status.FAILED))
