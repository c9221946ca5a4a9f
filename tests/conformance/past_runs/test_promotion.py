"""`confirm`: parts whose checks passed are confirmed with evidence, and nothing else of the contract changes."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.cli.main import main
from conformance.contract_edits.yaml_patch import apply_edits
from conformance.gate.verdict import ExitCode
from conformance.past_runs.promotion import build_confirmation
from conformance.past_runs.report_reader import PastReport, ReportedResult
from spec.document import Document, iter_keyword_objects, parse_document
from spec.loader import load_contract, parse_contract
from spec.model import Contract
from spec.provenance import EXAMPLE_KEYWORDS, get_provenance
from tests.mock_process import ROOT

FILES = {
    "athena": ROOT / "spec" / "openapi.yaml",
    "library": ROOT / "tests" / "foreign" / "library.yaml",
    "museum": ROOT / "tests" / "foreign" / "museum.yaml",
}


@cache
def contract(name: str) -> Contract:
    """Load a contract."""
    return load_contract(FILES[name])


def result(contract: Contract, pointer: str, operation: str | None = None, **values: Any) -> ReportedResult:
    """Return a passed result of the first operation at a location."""
    texts = dict.fromkeys(("fingerprint", "id", "parameter", "requirement", "message", "location"), "x")
    defaults: dict[str, Any] = {
        **texts,
        "check": "stub",
        "operation": operation or next(iter(contract.operations)),
        "status": "passed",
        "pointer": pointer,
        "keyword": "",
        "provenance": get_provenance(contract.document, pointer, values.get("keyword")),
        "proposal": None,
        "sequence": None,
    }
    return ReportedResult(**{**defaults, **values})


def build_report(contract: Contract, *results: ReportedResult, status: int = 200) -> PastReport:
    """Return a report in which every operation returned that status."""
    return PastReport(
        file="r.json",
        target="http://t",
        seed=1,
        run_id="0badcafe",
        started="2026-03-01T10:00:00+00:00",
        digest=contract.document.digest,
        statuses=dict.fromkeys(contract.operations, frozenset({status})),
        results=results,
    )


def edit_contract(contract: Contract, report: PastReport) -> Document:
    """Return the document with the parts that the report confirms."""
    edits = build_confirmation(contract, report).edits
    document = parse_document(apply_edits(contract.document.content.decode(), edits).encode(), "edited")
    parse_contract(document)
    return document


def provenance_levels(document: Document) -> dict[tuple[str, str | None], str]:
    """Return the provenance level of every location and of its keywords."""
    levels: dict[tuple[str, str | None], str] = {}
    for node, pointer in iter_keyword_objects(document.root):
        for keyword in (None, *(name for name in node if not name.startswith("x-"))):
            levels[pointer, keyword] = get_provenance(document, pointer, keyword)
    return levels


@cache
def before(name: str) -> dict[tuple[str, str | None], str]:
    """Return the provenance levels of the unedited contract."""
    return provenance_levels(contract(name).document)


@cache
def inferred_pointers(name: str) -> list[str]:
    """Return the inferred locations of requirements: operations, parameters, response schemas, properties."""
    document = contract(name).document
    pointers = (pointer for pointer in _pointers(contract(name)) if "$ref" not in document.resolve(pointer))
    return sorted({pointer for pointer in pointers if before(name)[pointer, None] == "inferred"})


def _pointers(contract: Contract) -> Iterator[str]:
    for operation in contract.operations.values():
        yield operation.pointer
        yield from (parameter.pointer for parameter in operation.parameters)
        yield from (pointer for pointer in operation.responses.values() if pointer)
        yield from (field.pointer for field in operation.request_body.fields.values()) if operation.request_body else ()
    for resource in contract.resources.values():
        yield from (attribute.pointer for attribute in resource.attributes.values())


def without_provenance(node: Any) -> Any:
    """Return a document without the keywords that `confirm` writes."""
    if isinstance(node, dict):
        return {k: without_provenance(v) for k, v in node.items() if k not in ("x-source", "x-evidence")}
    return [without_provenance(value) for value in node] if isinstance(node, list) else node


def has_provenance(now: Contract, pointer: str) -> bool:
    """Return whether a location has a provenance; references, security requirements and links to pages have none."""
    is_claim = "/security/" not in pointer and not pointer.endswith("/externalDocs")
    return is_claim and "$ref" not in now.document.resolve(pointer)


def check_confirmation(name: str, pointers: list[str]) -> None:
    """Confirm these locations and verify that no other provenance or value changes."""
    now = contract(name)
    after = edit_contract(now, build_report(now, *(result(now, pointer) for pointer in pointers)))
    levels = provenance_levels(after)
    assert {pointer: levels[pointer, None] for pointer in pointers} == dict.fromkeys(pointers, "confirmed")
    changed = {key for key, level in levels.items() if level != before(name)[key] and has_provenance(now, key[0])}
    assert {pointer for pointer, _ in changed} <= set(pointers)
    # Nested schemas do not change. An operation has a single level, which its parts do not inherit.
    schemas = {pointer for pointer in pointers if "operationId" not in now.document.resolve(pointer)}
    assert {key for key in changed if key[0] in schemas and key[1] in EXAMPLE_KEYWORDS - {"type"}} == set()
    assert without_provenance(after.root) == without_provenance(now.document.root)
    assert {after.resolve(pointer)["x-evidence"]["date"] for pointer in pointers} == {"2026-03-01"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "athena" else name for name in FILES]
)
def test_all_inferred_locations_can_be_confirmed_at_once(name: str) -> None:
    check_confirmation(name, inferred_pointers(name))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
@pytest.mark.slow
def test_any_locations_can_be_confirmed(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["library", "museum"]))
    check_confirmation(
        name, data.draw(st.lists(st.sampled_from(inferred_pointers(name)), min_size=1, max_size=6, unique=True))
    )


@pytest.mark.slow
def test_confirmation_adds_only_lines_of_the_location() -> None:
    now = contract("athena")
    pointer = "#/paths/~1workspaces/get/parameters/0"
    text = edit_contract(now, build_report(now, result(now, pointer))).content.decode().splitlines()
    old = now.document.content.decode().splitlines()
    changed = [line for line in difflib.ndiff(old, text) if line[0] in "+-"]
    indent = " " * 10
    assert changed == [
        f"+ {indent}x-source: confirmed",
        f"+ {indent}x-evidence: {{date: '2026-03-01', found: run 0badcafe passed stub (signIn)}}",
    ]


@pytest.mark.slow
def test_single_keyword_is_confirmed() -> None:
    now = contract("athena")
    pointer = "#/components/schemas/Agent/properties/name"
    assert get_provenance(now.document, pointer) == "documented"
    after = edit_contract(now, build_report(now, result(now, pointer, keyword="maxLength")))
    assert after.resolve(pointer)["x-source"] == {"maxLength": "confirmed"}
    assert [get_provenance(after, pointer, k) for k in (None, "maxLength", "type")] == [
        "documented",
        "confirmed",
        "documented",
    ]


def test_excluded_results_are_counted_by_reason() -> None:
    now = contract("athena")
    first, second = inferred_pointers("athena")[:2]
    documented = "#/components/schemas/Agent/properties/name"
    report = build_report(
        now,
        result(now, first),
        result(now, first, status="failed"),
        result(now, second, operation="unknown"),
        result(now, "#/info"),
        result(now, "#/paths/~1agents/get", keyword="security", provenance="inferred"),
        result(now, "#/paths/~1agents/get/parameters/18", provenance="inferred"),
        result(now, documented, provenance="inferred"),
        result(now, documented, provenance="documented"),
        result(now, second, status="skipped"),
    )
    confirmation = build_confirmation(now, report)
    assert (confirmation.edits, confirmation.confirmed_count) == ((), 0)
    assert confirmation.excluded_counts == {
        "another check of the location failed": 1,
        "the operation did not succeed in the run": 1,
        "the location is not an operation, parameter, response or schema": 1,
        "the location is a reference; its target has the provenance": 1,
        "the requirement is a keyword of an operation, which has no provenance per keyword": 1,
        "the requirement is one keyword of the location, which the report does not name": 1,
    }
    assert build_confirmation(now, build_report(now, result(now, first), status=404)).edits == ()


# Command --------------------------------------------------------------------------------------------------------


def write_report(folder: Path, name: str, *results: ReportedResult) -> str:
    """Write a report; return its path."""
    now = contract(name)
    document = {
        "version": 2,
        "run": {
            "target": "t",
            "seed": 1,
            "id": "0badcafe",
            "started": "2026-03-01T00:00:00+00:00",
            "digest": now.document.digest,
        },
        "responses": {operation: {"200": 3} for operation in now.operations},
        "results": [
            asdict(result) | {"location": {"file": "f", "line": 1, "pointer": result.pointer}} for result in results
        ],
    }
    (folder / "r.json").write_text(json.dumps(document))
    return str(folder / "r.json")


def copy_contract(folder: Path, name: str) -> Path:
    """Copy a contract to a file that the test may edit."""
    file = folder / "contract.yaml"
    file.write_bytes(FILES[name].read_bytes())
    return file


def test_contract_is_edited_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy_contract(tmp_path, "library")
    pointer = inferred_pointers("library")[0]
    report = write_report(tmp_path, "library", result(contract("library"), pointer))
    assert main(["confirm", report, "--contract", str(file)], {}) == ExitCode.PASSED
    assert capsys.readouterr().out.startswith("1 location confirmed; written to ")
    assert get_provenance(load_contract(file).document, pointer) == "confirmed"
    assert main(["confirm", report, "--contract", str(file)], {}) == ExitCode.USAGE
    assert "the report was made with another contract" in capsys.readouterr().err


def test_dry_run_prints_the_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy_contract(tmp_path, "library")
    report = write_report(tmp_path, "library", result(contract("library"), inferred_pointers("library")[0]))
    assert main(["confirm", report, "--contract", str(file), "--dry-run"], {}) == ExitCode.PASSED
    out, err = capsys.readouterr()
    assert out.startswith("--- a/")
    assert "\n+" in out
    assert "nothing was written" in err
    assert file.read_bytes() == FILES["library"].read_bytes()


def test_output_writes_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, other = copy_contract(tmp_path, "library"), tmp_path / "other.yaml"
    report = write_report(tmp_path, "library", result(contract("library"), inferred_pointers("library")[0]))
    assert main(["confirm", report, "--contract", str(file), "--output", str(other)], {}) == ExitCode.PASSED
    assert file.read_bytes() == FILES["library"].read_bytes() != other.read_bytes()
    assert main(["confirm", report, "--contract", str(file), "--output", str(tmp_path)], {}) == ExitCode.USAGE
    assert "--output: cannot write" in capsys.readouterr().err


def gap(edits: Any, **values: Any) -> ReportedResult:
    """Return a contract gap with a proposal."""
    now = contract("library")
    values = {"status": "failed", "proposal": {"edits": edits}, **values}
    return result(now, inferred_pointers("library")[0], **values)


def test_proposals_are_applied_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy_contract(tmp_path, "library")
    edit = {"op": "add", "pointer": "#/info", "keyword": "title", "value": "Another"}
    report = write_report(
        tmp_path, "library", gap([edit]), gap([edit]), gap([{**edit, "value": "No"}], failure_kind="flaky")
    )
    assert main(["confirm", report, "--contract", str(file), "--dry-run"], {}) == ExitCode.PASSED
    assert capsys.readouterr().out == ""
    assert main(["confirm", report, "--contract", str(file), "--apply-proposals"], {}) == ExitCode.PASSED
    assert capsys.readouterr().out.startswith("0 locations confirmed, 1 edit of proposals; written to")
    assert load_contract(file).title == "Another"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"pointer": "#/info"}, "edit: invalid value"),
        ({"op": "add", "pointer": "#/nowhere", "keyword": "a", "value": 1}, "#/nowhere: no object at this pointer"),
        ({"op": "add", "pointer": "#/info", "keyword": "x-resorce", "value": 1}, "x-resorce"),
        ({"op": "remove", "pointer": "#", "keyword": "paths"}, "#/paths"),
    ],
)
def test_edit_that_invalidates_the_contract_is_rejected(
    edit: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy_contract(tmp_path, "library")
    assert (
        main(
            ["confirm", write_report(tmp_path, "library", gap([edit])), "--contract", str(file), "--apply-proposals"],
            {},
        )
        == 2
    )
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert file.read_bytes() == FILES["library"].read_bytes()
