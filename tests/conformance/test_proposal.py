"""Proposed edits: applied to the contract, they admit what was seen, and change nothing else."""

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.contract_edits.proposals import Proposal, Proposer, infer_schema
from conformance.contract_edits.proposals import build_proposals as proposals_of
from conformance.contract_edits.yaml_patch import apply_edits
from conformance.responses.findings import inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.transport.messages import Exchange, Request, Response
from spec.document import find_line_numbers
from spec.loader import Contract, load_contract
from spec.validators import SchemaValidators
from tests.conformance.served import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

NAME = "spec/openapi.yaml"


@cache
def answer(operation: str) -> Any:
    """What the sound mock answers."""
    api = Api.of(athena_contract(), athena_schemas(), "demo")
    api.begin_anew()
    return session(api.app, api.contract, schemas=api.schemas).send(api.contract.operations[operation]).response.json


def told(operation: str, status: int, body: Any) -> list[CheckResult]:
    """The outcomes of an answer, as the laws on any answer make them."""
    contract = athena_contract()
    asked = contract.operations[operation]
    content = json.dumps(body).encode()
    request = Request(operation, asked.method, asked.path)
    exchange = Exchange(request, Response(status, {"content-type": "application/json"}, content, 0.0))
    return [
        CheckResult(
            Requirement(notice.check, operation, "A sentence.", notice.pointer, "inferred", parameter=notice.parameter),
            Status.FAILED,
            notice.message,
            (exchange,),
        )
        for notice in inspect_response(athena_schemas(), asked, exchange)
    ]


def proposals(outcomes: list[CheckResult]) -> list[Proposal]:
    """What is proposed."""
    proposer = Proposer(athena_contract(), athena_schemas(), NAME)
    return [proposer.propose(outcome) for outcome in outcomes]


def edited(found: list[Proposal], folder: Path) -> Contract:
    """The contract with the proposed edits; it loads."""
    text = apply_edits(athena_contract().document.content.decode(), [edit for one in found for edit in one.edits])
    (folder / "openapi.yaml").write_text(text, encoding="utf-8")
    return load_contract(folder / "openapi.yaml")


SEEN: tuple[tuple[tuple[str, ...], Any, str], ...] = (
    (("brand_new",), "x", "additionalProperties"),
    (("name",), ..., "required"),
    (("visibility",), None, "type"),
    (("user", "email"), "nobody", "format"),
    # the exhaustive part: each loads the contract anew
    (("brand_new",), None, "additionalProperties"),
    (("brand_new",), [{"a": 1}], "additionalProperties"),
    (("name",), None, "type"),
    (("name",), 5, "type"),
    (("name",), "x" * 300, "maxLength"),
    (("uuid",), "no uuid", "format"),
    (("visibility",), "unheard-of", "enum"),
    (("usage_frequency",), None, "type"),
    (("tools_count",), -1, "minimum"),
    (("tools_count",), 1.5, "type"),
    (("user",), None, "type"),
    (("metadata", "role"), None, "type"),
    (("workspace", "brand_new"), True, "additionalProperties"),
)
QUICK = 4


@pytest.mark.parametrize(
    ("path", "value", "keyword"), [*SEEN[:QUICK], *(pytest.param(*one, marks=pytest.mark.slow) for one in SEEN[QUICK:])]
)
def test_the_edit_admits_what_was_seen(path: tuple[str, ...], value: Any, keyword: str, tmp_path: Path) -> None:
    body = copy.deepcopy(answer("listAgents"))
    for row in body["data"]:
        *above, last = path
        at = row
        for part in above:
            at = at[part]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    outcomes = told("listAgents", 200, body)
    found = proposals(outcomes)
    assert keyword in {one.keyword for one in found}
    assert all(one.edits for one in found)
    contract = edited(found, tmp_path)
    pointer = contract.operations["listAgents"].responses[200] or ""
    assert [
        e.message for e in SchemaValidators.from_document(contract.document).get(pointer, "read").iter_errors(body)
    ] == []


def test_an_unknown_status_is_admitted_as_other_operations_say_it(tmp_path: Path) -> None:
    (outcome,) = told("listAgents", 409, {"message": "x"})
    (found,) = proposals([outcome])
    assert found.edits[0].value == {"$ref": "#/components/responses/Conflict"}
    assert 409 in edited([found], tmp_path).operations["listAgents"].responses


def test_a_status_that_nobody_knows_is_admitted_by_its_name(tmp_path: Path) -> None:
    (outcome,) = told("listAgents", 418, {"message": "x"})
    (found,) = proposals([outcome])
    assert found.edits[0].value == {"description": "I'm a Teapot."}
    assert 418 in edited([found], tmp_path).operations["listAgents"].responses


def test_a_diff_names_the_lines_of_the_contract() -> None:
    body = copy.deepcopy(answer("listAgents"))
    body["data"][0]["name"] = None
    (found,) = proposals(told("listAgents", 200, body))
    number = find_line_numbers(athena_contract().document.content)["#/components/schemas/Agent/properties/name"]
    assert found.diff.splitlines()[:3] == [f"--- a/{NAME}", f"+++ b/{NAME}", f"@@ -{number - 2},5 +{number - 2},5 @@"]
    assert "+        name: {type: string, nullable: true, maxLength: 255, x-faker: persona.name}" in found.diff


def test_null_at_a_property_does_not_make_all_that_shares_its_schema_null() -> None:
    body = copy.deepcopy(answer("listAgents"))
    body["data"][0]["visibility"] = None
    for found in proposals(told("listAgents", 200, body)):
        assert {edit.pointer for edit in found.edits} == {"#/components/schemas/Agent/properties/visibility"}


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "a: {b", "\u202e", ""])
def test_a_key_that_is_data_is_for_people(name: str) -> None:
    body = copy.deepcopy(answer("listAgents"))
    body["data"][0][name] = 1
    (found,) = proposals(told("listAgents", 200, body))
    assert found.edits == ()
    assert "Confirm" in found.message


def test_what_no_answer_shows_is_for_people() -> None:
    promise = Requirement("law", "listAgents", "Rows are sorted.", "#/paths/~1agents/get", "inferred")
    (found,) = proposals([CheckResult(promise, Status.FAILED, "not sorted")])
    assert (found.edits, found.diff, found.pointer) == ((), "", promise.pointer)
    assert "Rows are sorted." in found.message


def test_only_what_rests_on_inferred_places_gets_a_proposal() -> None:
    (gap,) = told("listAgents", 418, {"message": "x"})
    stated = replace(gap, requirement=replace(gap.requirement, provenance="documented"))
    always = replace(gap, requirement=replace(gap.requirement, provenance_independent=True))
    kept = replace(gap, status=Status.PASSED)
    found = proposals_of(athena_contract(), athena_schemas(), NAME, [stated, always, kept, gap])
    assert list(found) == [(gap.requirement.fingerprint, gap.message)]


@pytest.mark.parametrize("value", ["secret-text", 77, [["secret-text"]], {"secret-text": 1}, 1.5, True, None, []])
def test_a_new_schema_says_nothing_of_the_value(value: Any) -> None:
    assert "secret-text" not in str(infer_schema(value))
    assert "77" not in str(infer_schema(value))
