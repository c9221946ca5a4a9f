"""Results of checks on Athena's contract: parameter, location, provenance, message and skip reason.

Which checks find which faults is proven elsewhere: see "Which corpus proves what" in CONTRIBUTING.md. The faults here
are those that neither the clinic nor the mutation operators have.
"""

from typing import Any

import pytest

from conformance.checks.support.action_calls import PLACEHOLDER, VARIABLE_VALUE
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    ANY_ITEM,
    REMOVED,
    MakeFault,
    accept,
    change_body,
    change_json,
    change_response,
    change_value,
    stateless,
)
from conformance.results import Status
from tests.conformance.support.check_runner import (
    CHECKS_BY_ID,
    find_failures,
    run_checks,
    run_checks_with_session,
)

pytestmark = pytest.mark.slow  # each test sends many requests to a reset mock

UNKNOWN_KEY = "00000000-0000-4000-8000-00000000dead"


def replace_four_byte_characters(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Replace characters outside the Basic Multilingual Plane, as in a three-byte column."""
    text = "".join(c if ord(c) < 0x10000 else "?" for c in response.body.decode())
    return (
        response if request.method != "POST" else InterceptedResponse(response.status, response.headers, text.encode())
    )


truncate_names = change_body(
    lambda body: {**body, "name": body["name"][:255]} if isinstance(body.get("name"), str) else body
)


def fill_in_once(text: str) -> str:
    """Fill in only the first occurrence of a placeholder."""
    first, separator, rest = text.partition(VARIABLE_VALUE)
    return first + separator + rest.replace(VARIABLE_VALUE, PLACEHOLDER)


def round_temperature(body: dict[str, Any]) -> dict[str, Any]:
    """Round a nested number to one decimal."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("temperature"), float):
        return body
    return {**body, "metadata": {**metadata, "temperature": round(metadata["temperature"], 1)}}


def keep_memories() -> Fault:
    """Records that were created by an action remain when the record that they belong to is deleted."""
    responses: dict[str, InterceptedResponse] = {}

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        if request.operation.id != "retrieveMemory":
            return response
        return (
            responses.setdefault(request.path, response)
            if response.is_success
            else responses.get(request.path, response)
        )

    return change_response(change)()


def return_first_metric() -> Fault:
    """A metric keeps its first value."""
    responses: dict[str, InterceptedResponse] = {}
    return change_response(lambda q, r: responses.setdefault(str(q.query), r))()


def touch_account() -> Fault:
    """Each request advances the time of the last change of the account."""
    number = 0

    def change(_: InterceptedRequest, body: Any) -> Any:
        nonlocal number
        number += 1
        return {"data": {**body["data"], "updated_at": f"2026-02-01T00:00:00.{number:06}Z"}}

    return change_json(change)()


def repeat_for_attachments(request: InterceptedRequest, body: Any) -> Any:
    """A join with the attachments repeats messages that have several."""
    if "attachments" not in dict(request.query).get("with", ""):
        return body
    return {**body, "data": [row for row in body["data"] for _ in range(max(1, len(row.get("attachments", ()))))]}


def ignore_thread(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedRequest | None:
    """Ignore an unknown thread instead of rejecting it."""
    is_unknown = response.status == 404 and "thread_uuid" in request.json_object
    return request.with_json({"content": request.json_object.get("content", "x")}) if is_unknown else None


def name_requested_thread(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Respond as if the message were stored in the thread of the request, whatever its tenant."""
    key = request.json_object.get("thread_uuid")
    return response.with_json({"data": {"thread": {"uuid": key}}}) if response.is_success and key else response


@stateless
async def run_in_any_thread(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """Run an agent in a thread of another tenant."""
    response = await call_next(request)
    corrected = ignore_thread(request, response)
    return response if corrected is None else name_requested_thread(request, await call_next(corrected))


@pytest.mark.parametrize(
    ("check", "operation", "make_fault", "parameter"),
    [
        # the account of the clinic has no time of the last change
        ("account-unchanged-by-reads", "getAuthenticatedUser", touch_account, "updated_at"),
        # the clinic has no list of related records in a body, nor a reference to another resource in that of an action
        ("model-list", "listMessages", change_json(repeat_for_attachments), "with"),
        ("foreign-reference-is-refused", "runAgent", accept(ignore_thread), "thread_uuid"),
        ("foreign-reference-not-stored", "runAgent", run_in_any_thread, "thread_uuid"),
        # the clinic has no action whose result is, or is part of, another record
        (
            "action-result-is-stored",
            "runAgent",
            change_value(lambda answer: {**answer, "content": "another answer"}, ("data", "answer")),
            "data.answer",
        ),
        ("action-result-is-stored", "generateAgent", change_value(lambda key: UNKNOWN_KEY, ("data", "uuid")), "data"),
        (
            "action-result-concerns-record",
            "triggerWebhook",
            change_value(lambda workflow: {**workflow, "uuid": UNKNOWN_KEY}, ("data", "workflow")),
            "data",
        ),
        # nor an action that fills in a text
        (
            "placeholder-value-unchanged",
            "runPrompt",
            change_value(lambda text: text.replace("$1", ""), ("data", "prompt")),
            "variables",
        ),
        ("placeholder-value-unchanged", "runPrompt", change_value(fill_in_once, ("data", "prompt")), "variables"),
        # nor properties that only other records show
        (
            "model-create",
            "createWorkflow",
            change_body(lambda body: {**body, "allow_cloning": True} if "allow_cloning" in body else body),
            "workflow.allow_cloning",
        ),
        # nor properties of objects
        ("model-update", "updatePrompt", change_body(round_temperature), "metadata"),
        # nor metrics by query parameters
        (
            "metric-follows-writes",
            "getWorkspacesMetrics",
            return_first_metric,
            "entity=agents metric=created",
        ),
        # nor fields of nested objects
        (
            "invalid-field-is-422",
            "createMessage",
            change_body(lambda body: {name: value for name, value in body.items() if name != "files"}),
            "files.0.key type",
        ),
    ],
)
def test_check_fails_for_a_fault_that_the_clinic_cannot_have(
    check: str, operation: str, make_fault: MakeFault, parameter: str
) -> None:
    failures = find_failures(check, operation, make_fault)
    assert {(o.requirement.check, o.requirement.operation) for o in failures} == {(check, operation)}
    assert parameter in {o.requirement.parameter for o in failures}
    assert all(o.message and o.evidence for o in failures)


@pytest.mark.parametrize(
    ("check", "operation"),
    [
        ("placeholder-value-unchanged", "runPrompt"),
        ("account-unchanged-by-reads", "getAuthenticatedUser"),
        ("foreign-reference-not-stored", "runAgent"),
        ("model-update", "updatePrompt"),
        ("model-create", "createWorkflow"),
        ("model-delete", "deleteAgent"),
        ("malformed-key-is-client-error", "retrieveWorkflow"),
        ("metric-days-are-utc", "countWorkflowExecutions"),
    ],
)
def test_check_passes_without_a_fault(check: str, operation: str) -> None:
    results = run_checks([CHECKS_BY_ID[check]], operation).results
    assert {result.status for result in results} == {Status.PASSED}, [result.message for result in results]


def test_record_of_an_action_that_outlives_its_parent_is_reported() -> None:
    operations = ["retrieveMemory"]
    run_result, _ = run_checks_with_session(
        [CHECKS_BY_ID["model-delete"]], "deleteAgent", keep_memories, fault_operations=operations
    )
    (failure,) = run_result.with_status(Status.FAILED)
    assert failure.requirement.parameter == "Memory.agent cascade"


@pytest.mark.parametrize("check", ["model-update", "model-create"])
def test_changed_value_of_a_nested_or_embedded_property_is_a_contradiction(check: str) -> None:
    operation, make_fault = {
        "model-update": ("updatePrompt", change_body(round_temperature)),
        "model-create": ("createWorkflow", change_body(lambda body: {**body, "allow_cloning": True})),
    }[check]
    assert any(failure.is_contradiction for failure in find_failures(check, operation, make_fault))


def test_lost_emoji_fails_in_the_documented_field() -> None:
    failures = find_failures("model-create", "createMessage", change_response(replace_four_byte_characters))
    assert {o.requirement.parameter for o in failures} == {"content"}
    assert {o.requirement.provenance for o in failures} == {"documented"}


def test_truncated_name_is_the_only_failure() -> None:
    failures = find_failures("invalid-field-is-422", "updateAgent", truncate_names)
    assert [o.requirement.parameter for o in failures] == ["name maxLength"]
    assert "got 200, expected 422" in failures[0].message


def test_missing_property_of_an_example_is_reported_with_its_location() -> None:
    remove_content = change_value(lambda content: REMOVED, ("data", ANY_ITEM, "content"))
    (failure,) = find_failures("response-matches-schema", "listMessages", remove_content)
    assert failure.requirement.pointer == "#/components/schemas/Message"
    assert failure.requirement.provenance == "documented"
    assert failure.is_blocking()


def test_second_token_of_the_same_tenant_skips_tenant_isolation() -> None:
    tokens = {"self": "demo-token", "other": "viewer-token"}
    run_result, _ = run_checks_with_session([CHECKS_BY_ID["tenant-isolation"]], "retrievePrompt", tokens=tokens)
    (result,) = run_result.results
    assert result.status is Status.SKIPPED
    assert result.message == "the second token has access to the same Workspace: --other-token-env"
