"""Checks of rejected input and of responses: they pass on the mock, and each fails for its fault."""

from dataclasses import replace
from typing import Any

import pytest

from conformance.checks.support.check import Check
from conformance.checks.validation.responses import RESPONSE_CHECKS
from conformance.results import Status
from tests.conformance.check_runner import (
    CHECKS_BY_ID,
    REJECTION_CHECKS,
    find_failures,
    find_unexpected_failures,
    run_checks,
    run_checks_with_session,
)
from tests.conformance.fault_injection import CallNext, FaultRequest, FaultResponse

DEMO = "demo-token"


@pytest.mark.parametrize("check", [*REJECTION_CHECKS, *RESPONSE_CHECKS], ids=lambda check: check.id)
def test_check_passes_on_the_mock(check: Check) -> None:
    run_result = run_checks([check])
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]
    assert any(run_result.with_status(Status.PASSED))
    assert not run_result.records_not_deleted


async def return_500(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=500) if request.method == "GET" and response.status == 200 else response


async def expose_traceback(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    trace = {"message": "Server Error", "exception": "QueryException", "trace": []}
    return replace(response, status=500).with_json(trace) if request.method == "GET" else response


async def return_202(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=202) if response.status == 200 else response


async def return_html(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, headers={**response.headers, "content-type": "text/html"})


async def drop_property(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method != "GET" or response.status != 200:
        return response
    body = response.body
    for row in body["data"]:
        del row["content"]
    return response.with_json(body)


async def accept_anonymous(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request.with_token(DEMO))
    return response


async def return_403_for_401(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=403) if response.status == 401 else response


async def ignore_tenants(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Every token has access to all records; the account and its tenants are still correct."""
    keeps_token = request.path.startswith(("/user", "/workspaces")) or "authorization" not in request.headers
    response: FaultResponse = await call_next(request if keeps_token else request.with_token(DEMO))
    return response


async def return_200_for_404(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=200) if response.status == 404 else response


async def drop_allow_header(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, headers={n: v for n, v in response.headers.items() if n != "allow"})


async def return_422_for_400(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=422) if response.status in (400, 415) else response


async def ignore_page_size(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    query = "&".join(pair for pair in request.query.split("&") if not pair.startswith("per_page="))
    response: FaultResponse = await call_next(replace(request, query=query))
    return response


async def report_another_field(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if response.status != 422:
        return response
    body = response.body
    return response.with_json({**body, "errors": {"something": next(iter(body["errors"].values()))}})


async def truncate_names(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    body = request.body
    if isinstance(body, dict) and isinstance(body.get("name"), str):
        request = request.with_json({**body, "name": body["name"][:255]})
    response: FaultResponse = await call_next(request)
    return response


async def accept_another_scheme(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    basic = request.headers.get("authorization", "").startswith("Basic")
    response: FaultResponse = await call_next(request.with_token(DEMO) if basic else request)
    return response


async def ignore_logout(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = (
        FaultResponse(204, {}, b"") if request.path.endswith("/logout") else await call_next(request)
    )
    return response


async def serve_unknown_paths(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=200) if request.path.startswith("/conformance") else response


async def skip_nested_validation(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    body = request.body
    if isinstance(body, dict) and isinstance(body.get("files"), list):
        request = request.with_json({name: value for name, value in body.items() if name != "files"})
    response: FaultResponse = await call_next(request)
    return response


@pytest.mark.parametrize(
    ("check", "operation", "fault", "about"),
    [
        ("no-server-error", "listAgents", return_500, ""),
        ("no-traceback", "retrievePrompt", expose_traceback, "500"),
        ("status-is-documented", "retrieveAgent", return_202, "202"),
        ("content-type-is-json", "listThreads", return_html, "200"),
        ("response-matches-schema", "listMessages", drop_property, "data.[] content"),
        ("unauthenticated-access-denied", "listAgents", accept_anonymous, "no token"),
        ("unauthenticated-is-401", "deleteAgent", return_403_for_401, "no token"),
        ("tenant-isolation", "retrievePrompt", ignore_tenants, ""),
        ("tenant-isolation", "updatePrompt", ignore_tenants, ""),
        ("tenant-isolation", "deletePrompt", ignore_tenants, ""),
        ("tenant-isolation", "listMessages", ignore_tenants, ""),
        ("tenant-isolation", "triggerWebhook", ignore_tenants, ""),
        ("tenant-isolation", "createMessage", ignore_tenants, ""),
        ("unauthenticated-access-denied", "listPrompts", ignore_logout, "a logged-out token"),
        ("unauthenticated-access-denied", "retrieveAgent", accept_another_scheme, "another scheme"),
        ("unauthenticated-access-denied", "deletePrompt", accept_another_scheme, "another scheme"),
        ("unknown-path-is-404", "retrieveWorkspace", serve_unknown_paths, ""),
        ("invalid-field-is-422", "createMessage", skip_nested_validation, "files.0.key type"),
        ("unknown-record-is-404", "retrieveThread", return_200_for_404, ""),
        ("unsupported-method-is-405", "listAgents", drop_allow_header, "put"),
        ("malformed-json-is-400", "createPrompt", return_422_for_400, ""),
        ("unsupported-media-type-is-415", "updatePrompt", return_422_for_400, ""),
        ("invalid-parameter-is-422", "listAgents", ignore_page_size, "per_page minimum"),
        ("invalid-field-is-422", "createMessage", report_another_field, "content required"),
        ("invalid-field-is-422", "updateAgent", truncate_names, "name maxLength"),
    ],
)
def test_check_fails_for_its_fault(check: str, operation: str, fault: Any, about: str) -> None:
    assert not find_unexpected_failures(check, operation, fault, about)


def test_truncated_name_is_the_only_failure() -> None:
    failures = find_failures("invalid-field-is-422", "updateAgent", truncate_names)
    assert [o.requirement.parameter for o in failures] == ["name maxLength"]
    assert "got 200, expected 422" in failures[0].message


def test_missing_property_of_an_example_is_reported_with_its_location() -> None:
    (failure,) = find_failures("response-matches-schema", "listMessages", drop_property)
    assert failure.requirement.pointer == "#/components/schemas/Message"
    assert failure.requirement.provenance == "documented"
    assert failure.requirement.is_blocking(strict=False)


def test_second_token_of_the_same_tenant_skips_tenant_isolation() -> None:
    tokens = {"self": DEMO, "other": "viewer-token"}
    run_result, _ = run_checks_with_session([CHECKS_BY_ID["tenant-isolation"]], "retrievePrompt", tokens=tokens)
    (result,) = run_result.results
    assert result.status is Status.SKIPPED
    assert result.message == "the second token has access to the same Workspace: --other-token-env"
