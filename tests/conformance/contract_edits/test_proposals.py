"""Proposed edits: applied to the contract, they allow the observed response and change nothing else."""

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.contract_edits.proposals import Proposal, Proposer, build_proposals, infer_schema
from conformance.contract_edits.yaml_patch import apply_edits
from conformance.responses.findings import inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.transport.messages import Exchange, Request, Response
from spec.line_numbers import find_line_numbers
from spec.loader import load_contract
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

NAME = "spec/openapi.yaml"


@cache
def response_body(operation: str) -> Any:
    """Return a response body of the mock."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    api.reset()
    return (
        session(api.app, api.contract, schemas=api.schemas)
        .client.send(api.contract.operations[operation])
        .response.json
    )


def check_response(operation_id: str, status: int, body: Any) -> list[CheckResult]:
    """Return the failures of a response, as the response checks report them."""
    operation = athena_contract().operations[operation_id]
    content = json.dumps(body).encode()
    request = Request(operation_id, operation.method, operation.path)
    exchange = Exchange(request, Response(status, {"content-type": "application/json"}, content, 0.0))
    return [
        CheckResult(
            Requirement(
                finding.check, operation_id, "A sentence.", finding.pointer, "inferred", parameter=finding.parameter
            ),
            Status.FAILED,
            finding.message,
            (exchange,),
        )
        for finding in inspect_response(athena_schemas(), operation, exchange)
    ]


def propose(results: list[CheckResult]) -> list[Proposal]:
    """Return the proposals for failures."""
    proposer = Proposer(athena_contract(), athena_schemas(), NAME)
    return [proposer.propose(result) for result in results]


def edit_contract(proposals: list[Proposal], folder: Path) -> Contract:
    """Load the contract with the proposed edits."""
    text = apply_edits(
        athena_contract().document.content.decode(), [edit for proposal in proposals for edit in proposal.edits]
    )
    (folder / "openapi.yaml").write_text(text, encoding="utf-8")
    return load_contract(folder / "openapi.yaml")


OBSERVED: tuple[tuple[tuple[str, ...], Any, str], ...] = (
    (("brand_new",), "x", "additionalProperties"),
    # slow: each case loads the contract
    (("name",), ..., "required"),
    (("visibility",), None, "type"),
    (("user", "email"), "no email", "format"),
    (("brand_new",), None, "additionalProperties"),
    (("brand_new",), [{"a": 1}], "additionalProperties"),
    (("name",), None, "type"),
    (("name",), 5, "type"),
    (("name",), "x" * 300, "maxLength"),
    (("uuid",), "no uuid", "format"),
    (("visibility",), "unknown", "enum"),
    (("usage_frequency",), None, "type"),
    (("tools_count",), -1, "minimum"),
    (("tools_count",), 1.5, "type"),
    (("user",), None, "type"),
    (("metadata", "role"), None, "type"),
    (("workspace", "brand_new"), True, "additionalProperties"),
)
QUICK = 1


@pytest.mark.parametrize(
    ("path", "value", "keyword"),
    [*OBSERVED[:QUICK], *(pytest.param(*case, marks=pytest.mark.slow) for case in OBSERVED[QUICK:])],
)
def test_edit_allows_the_observed_value(path: tuple[str, ...], value: Any, keyword: str, tmp_path: Path) -> None:
    body = copy.deepcopy(response_body("listAgents"))
    for row in body["data"]:
        *above, last = path
        parent = row
        for part in above:
            parent = parent[part]
        if value is ...:
            del parent[last]
        else:
            parent[last] = value
    results = check_response("listAgents", 200, body)
    proposals = propose(results)
    assert keyword in {proposal.keyword for proposal in proposals}
    assert all(proposal.edits for proposal in proposals)
    contract = edit_contract(proposals, tmp_path)
    pointer = contract.operations["listAgents"].responses[200] or ""
    assert [
        e.message for e in SchemaValidators.from_document(contract.document).get(pointer, "read").iter_errors(body)
    ] == []


@pytest.mark.slow
def test_undocumented_status_uses_common_reference(tmp_path: Path) -> None:
    (result,) = check_response("listAgents", 409, {"message": "x"})
    (proposal,) = propose([result])
    assert proposal.edits[0].value == {"$ref": "#/components/responses/Conflict"}
    assert 409 in edit_contract([proposal], tmp_path).operations["listAgents"].responses


@pytest.mark.slow
def test_status_of_no_operation_uses_reason_phrase(tmp_path: Path) -> None:
    (result,) = check_response("listAgents", 418, {"message": "x"})
    (proposal,) = propose([result])
    assert proposal.edits[0].value == {"description": "I'm a Teapot."}
    assert 418 in edit_contract([proposal], tmp_path).operations["listAgents"].responses


def test_diff_has_line_numbers_of_the_contract() -> None:
    body = copy.deepcopy(response_body("listAgents"))
    body["data"][0]["name"] = None
    (proposal,) = propose(check_response("listAgents", 200, body))
    number = find_line_numbers(athena_contract().document.content)["#/components/schemas/Agent/properties/name"]
    assert proposal.diff.splitlines()[:3] == [
        f"--- a/{NAME}",
        f"+++ b/{NAME}",
        f"@@ -{number - 2},5 +{number - 2},5 @@",
    ]
    (removed,) = (line for line in proposal.diff.splitlines() if line.startswith("-  "))
    (added,) = (line for line in proposal.diff.splitlines() if line.startswith("+  "))
    assert added == "+" + removed[1:].replace("type: string,", "type: string, nullable: true,")


@pytest.mark.slow
def test_null_is_allowed_only_at_the_property() -> None:
    body = copy.deepcopy(response_body("listAgents"))
    body["data"][0]["visibility"] = None
    for proposal in propose(check_response("listAgents", 200, body)):
        assert {edit.pointer for edit in proposal.edits} == {"#/components/schemas/Agent/properties/visibility"}


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "a: {b", "\u202e", ""])
def test_key_that_is_not_a_property_name_has_no_edit(name: str) -> None:
    body = copy.deepcopy(response_body("listAgents"))
    body["data"][0][name] = 1
    (proposal,) = propose(check_response("listAgents", 200, body))
    assert proposal.edits == ()
    assert "Confirm" in proposal.message


def test_failure_without_response_has_no_edit() -> None:
    requirement = Requirement("check", "listAgents", "Rows are sorted.", "#/paths/~1agents/get", "inferred")
    (proposal,) = propose([CheckResult(requirement, Status.FAILED, "not sorted")])
    assert (proposal.edits, proposal.diff, proposal.pointer) == ((), "", requirement.pointer)
    assert "Rows are sorted." in proposal.message


def test_only_inferred_requirements_have_proposals() -> None:
    (gap,) = check_response("listAgents", 418, {"message": "x"})
    documented = replace(gap, requirement=replace(gap.requirement, provenance="documented"))
    independent = replace(gap, requirement=replace(gap.requirement, provenance_independent=True))
    passed = replace(gap, status=Status.PASSED)
    proposals = build_proposals(athena_contract(), athena_schemas(), NAME, [documented, independent, passed, gap])
    assert list(proposals) == [(gap.requirement.fingerprint, gap.message)]


@pytest.mark.parametrize("value", ["secret-text", 77, [["secret-text"]], {"secret-text": 1}, 1.5, True, None, []])
def test_inferred_schema_does_not_contain_the_value(value: Any) -> None:
    assert "secret-text" not in str(infer_schema(value))
    assert "77" not in str(infer_schema(value))
