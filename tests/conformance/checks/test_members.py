"""Tests of the checks with the token of another member of the tenant, on the Athena mock."""

import pytest

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_request
from conformance.results import CheckResult, Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, find_failures, run_checks_with_session

MEMBER, OWNER = "Bearer viewer-token", "demo-token"
WRITES = "members-write-what-they-may"


def _act_as_owner(request: InterceptedRequest) -> InterceptedRequest:
    return request.with_token(OWNER) if request.headers.get("authorization") == MEMBER else request


def _run(check: str, operation: str, tokens: dict[str, str] | None = None) -> list[CheckResult]:
    return run_checks_with_session([CHECKS_BY_ID[check]], operation, tokens=tokens)[0].results


@pytest.mark.parametrize("operation", ["updateAccount", "deleteAccount", "updateWorkspace"])
def test_members_may_not_change_what_only_the_owner_may(operation: str) -> None:
    (failure,) = find_failures(WRITES, operation, change_request(_act_as_owner))
    assert failure.requirement.parameter == "owner"
    assert "expected 403" in failure.message
    assert [result.status for result in _run(WRITES, operation)] == [Status.PASSED]


def test_tenant_is_not_deleted_with_the_token_of_a_member() -> None:
    run_result, session = run_checks_with_session([CHECKS_BY_ID[WRITES]], "deleteWorkspace")
    assert [result.status for result in run_result.results] == [Status.SKIPPED]
    assert all(name != "deleteWorkspace" for name, _ in session.responses.call_counts)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ({"self": "demo-token"}, "no token of a member of the tenant"),
        ({"self": "demo-token", "member": "demo-token"}, "belongs to the same User"),
        ({"self": "demo-token", "member": "other-token"}, "has no access to the Workspace of the run"),
    ],
)
def test_token_of_no_member_skips_the_check(tokens: dict[str, str], reason: str) -> None:
    (result,) = _run("members-see-the-same-record", "retrieveAgent", tokens)
    assert result.status is Status.SKIPPED
    assert reason in result.message


@pytest.mark.parametrize(
    ("value", "status"), [("noor.haddad@example.com", Status.PASSED), ("another text", Status.FAILED)]
)
def test_property_may_name_the_member_who_updated_the_record_last(value: str, status: Status) -> None:
    def make_fault() -> Fault:
        updated = set[str]()

        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            response = await call_next(request)
            if request.method == "PUT" and request.headers.get("authorization") == MEMBER:
                updated.add(request.key)
            if request.method != "GET" or request.key not in updated:
                return response
            return response.with_json({"data": {**response.json["data"], "description": value}})

        return fault

    checks, operations = [CHECKS_BY_ID["member-update-changes-only-what-it-sends"]], ["updatePrompt", "retrievePrompt"]
    run_result, _ = run_checks_with_session(checks, "updatePrompt", make_fault, fault_operations=operations)
    results = {result.requirement.parameter: result.status for result in run_result.results}
    assert results["description"] is status
    assert results["user"] is Status.PASSED
