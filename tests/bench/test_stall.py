"""Targets of the longest stall and the largest response."""

import pytest

from bench.stall import TARGET_EXCESS_BYTES, HostileRequest, HostileResponse, StallResult, WorstCase
from tests.mock_server.athena import athena_contract

REQUEST = HostileRequest(athena_contract().operations["createPrompt"], "kind", "/prompts", b"{}" * 46)


def build_result(*responses: HostileResponse, is_complete: bool = True) -> StallResult:
    worst = WorstCase()
    for response in responses:
        worst.add(REQUEST, response)
    return StallResult({"kind": worst}, is_complete)


def test_worst_case_names_the_slowest_and_the_largest_response() -> None:
    result = build_result(HostileResponse(0.2, 422, b""), HostileResponse(0.1, 201, b"x" * 300))
    worst = result.worst_cases["kind"]
    assert (worst.requests, worst.slowest, worst.largest) == (2, "createPrompt, 422", "createPrompt, 201")
    assert (result.seconds, result.excess_bytes) == (0.2, 300 - 2 * REQUEST.size)
    assert result.meets_targets


@pytest.mark.parametrize(
    ("response", "is_complete"),
    [
        (HostileResponse(0.26, 422, b""), True),
        (HostileResponse(0.1, 422, b"x" * (TARGET_EXCESS_BYTES + 2 * REQUEST.size + 1)), True),
        (HostileResponse(0.1, 422, b""), False),
    ],
    ids=["slow", "large", "incomplete"],
)
def test_missed_target_is_an_error(response: HostileResponse, is_complete: bool) -> None:
    assert not build_result(response, is_complete=is_complete).meets_targets
