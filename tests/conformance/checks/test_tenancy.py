"""Tests of checks between tenants on the Athena mock, of what the contract of the clinic does not declare."""

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_request
from conformance.results import Status
from tests.conformance.support.check_runner import (
    CHECKS_BY_ID,
    demo_mock,
    find_failures,
    run_checks_with_session,
)

PRIMARY_WORKSPACE = "550e8400-e29b-41d4-a716-446655440000"
LIST = "list-covers-all-tenants"
DELETE = "delete-spares-records-of-other-tenants"


def _delete_with_foreign_accounts() -> Fault:
    """A delete of a provider deletes the accounts of another tenant that use it."""
    accounts: list[str] = []

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.operation.id == "deleteProvider":
            delete = demo_mock().contract.operations["deleteAccount"]
            for uuid in accounts:
                await call_next(request.follow_up(delete, uuid).with_token("other-token"))
        response = await call_next(request)
        if request.operation.id == "createAccount" and response.is_success:
            accounts.append(response.json["data"]["uuid"])
        return response

    return fault


def test_delete_that_deletes_records_of_another_tenant() -> None:
    run_result, _ = run_checks_with_session(
        [CHECKS_BY_ID[DELETE]],
        "deleteProvider",
        _delete_with_foreign_accounts,
        fault_operations=["createAccount", "deleteProvider"],
    )
    (failure,) = run_result.with_status(Status.FAILED)
    assert failure.requirement.parameter == "Account.provider"
    assert "then the Account of another tenant could not be retrieved: got 404" in failure.message
    assert not failure.is_blocking()


def test_records_of_both_tenants_are_deleted_afterwards() -> None:
    run_result, _ = run_checks_with_session([CHECKS_BY_ID[DELETE]], "deleteProvider")
    assert [result.status for result in run_result.results] == [Status.PASSED]
    assert not run_result.records_not_deleted


def test_list_without_a_filter_that_has_the_primary_tenant_only() -> None:
    def add_filter(request: InterceptedRequest) -> InterceptedRequest:
        is_filtered = "workspace_uuid" in dict(request.query)
        return request if is_filtered else request.with_parameters({"workspace_uuid": PRIMARY_WORKSPACE})

    rows, total = find_failures(LIST, "listMemories", change_request(add_filter))
    assert "without this filter" in rows.message
    assert not rows.is_contradiction
    assert "expected at least" in total.message
    assert total.is_contradiction


def test_account_with_one_tenant_skips_the_lists_of_all_tenants() -> None:
    tokens = {"self": "other-token"}
    (result,) = run_checks_with_session([CHECKS_BY_ID[LIST]], "listMemories", tokens=tokens)[0].results
    assert "only one tenant" in result.message
