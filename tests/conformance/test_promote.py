"""`promote`: what a run kept is confirmed with its evidence, and nothing else of the contract changes."""

import json
from collections.abc import Iterator
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
from conformance.past_runs.report_reader import PastReport, ReportedFailure
from spec.document import Document, iter_keyword_objects, parse_document
from spec.loader import Contract, load_contract, parse_contract
from spec.provenance import EXAMPLE_KEYWORDS, get_provenance

ROOT = Path(__file__).parents[2]
FILES = {
    "athena": ROOT / "spec" / "openapi.yaml",
    "library": ROOT / "tests" / "foreign" / "library.yaml",
    "museum": ROOT / "tests" / "foreign" / "museum.yaml",
}


@cache
def contract(name: str) -> Contract:
    """A contract as it is."""
    return load_contract(FILES[name])


def told(contract: Contract, pointer: str, operation: str | None = None, **parts: Any) -> ReportedFailure:
    """A promise at a place, kept by the first operation."""
    texts = dict.fromkeys(("fingerprint", "id", "parameter", "requirement", "message", "location"), "x")
    said: dict[str, Any] = {
        **texts,
        "check": "stub",
        "operation": operation or next(iter(contract.operations)),
        "status": "kept",
        "pointer": pointer,
        "keyword": "",
        "provenance": get_provenance(contract.document, pointer, parts.get("keyword")),
        "proposal": None,
        "sequence": None,
    }
    return ReportedFailure(**{**said, **parts})


def reported(contract: Contract, *promises: ReportedFailure, answered: int = 200) -> PastReport:
    """A run's report, in which every operation answered that status."""
    statuses = dict.fromkeys(contract.operations, frozenset({answered}))
    at = "2026-03-01T10:00:00+00:00"
    return PastReport("r.json", "http://t", 1, "0badcafe", at, contract.document.digest, statuses, promises)


def edited(contract: Contract, said: PastReport) -> Document:
    """The document with what the report confirms."""
    found = build_confirmation(contract, said)
    document = parse_document(apply_edits(contract.document.content.decode(), found.edits).encode(), "edited")
    parse_contract(document)
    return document


def grades(document: Document) -> dict[tuple[str, str | None], str]:
    """The grade of every place, and of every keyword that stands there."""
    found: dict[tuple[str, str | None], str] = {}
    for node, pointer in iter_keyword_objects(document.root):
        for keyword in (None, *(name for name in node if not name.startswith("x-"))):
            found[pointer, keyword] = get_provenance(document, pointer, keyword)
    return found


@cache
def before(name: str) -> dict[tuple[str, str | None], str]:
    """The grades of a contract as it is."""
    return grades(contract(name).document)


@cache
def places(name: str) -> list[str]:
    """The inferred places where promises stand: operations, parameters, answers' schemas, properties."""
    found = contract(name)
    known = (place for place in _places(found) if "$ref" not in found.document.resolve(place))
    return sorted({place for place in known if before(name)[place, None] == "inferred"})


def _places(found: Contract) -> Iterator[str]:
    for operation in found.operations.values():
        yield operation.pointer
        yield from (parameter.pointer for parameter in operation.parameters)
        yield from (pointer for pointer in operation.responses.values() if pointer)
        yield from (field.pointer for field in operation.request_body.fields.values()) if operation.request_body else ()
    for resource in found.resources.values():
        yield from (own.pointer for own in resource.attributes.values())


def without_words(node: Any) -> Any:
    """A document without what promote writes."""
    if isinstance(node, dict):
        return {k: without_words(v) for k, v in node.items() if k not in ("x-source", "x-evidence")}
    return [without_words(value) for value in node] if isinstance(node, list) else node


def graded(now: Contract, pointer: str) -> bool:
    """Whether a place has a grade of its own: a reference has not, but what it leads to; nor has a need for a token."""
    return "$ref" not in now.document.resolve(pointer) and "/security/" not in pointer


def check(name: str, asked: list[str]) -> None:
    """Promote promises at these places: they are confirmed, and no other grade, value or line differs."""
    now = contract(name)
    after = edited(now, reported(now, *(told(now, place) for place in asked)))
    found = grades(after)
    assert {place: found[place, None] for place in asked} == dict.fromkeys(asked, "confirmed")
    changed = {at for at, known in found.items() if known != before(name)[at] and graded(now, at[0])}
    assert {pointer for pointer, _ in changed} <= set(asked)
    # Only words about the place itself, no schemas in it; an operation's grade is one word, and held where it ends.
    schemas = {place for place in asked if "operationId" not in now.document.resolve(place)}
    assert {at for at in changed if at[0] in schemas and at[1] in EXAMPLE_KEYWORDS - {"type"}} == set()
    assert without_words(after.root) == without_words(now.document.root)
    assert [after.resolve(place)["x-evidence"]["date"] for place in asked] == ["2026-03-01"] * len(asked)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "athena" else name for name in FILES]
)
def test_every_inferred_place_can_be_confirmed_at_once(name: str) -> None:
    check(name, places(name))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_of_them_are_confirmed_and_nothing_else(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["library", "museum"]))
    check(name, data.draw(st.lists(st.sampled_from(places(name)), min_size=1, max_size=6, unique=True)))


def test_one_place_changes_its_own_line_alone() -> None:
    now = contract("athena")
    place = "#/paths/~1workspaces/get/parameters/0"
    text = edited(now, reported(now, told(now, place))).content.decode().splitlines()
    old = now.document.content.decode().splitlines()
    changed = [(a, b) for a, b in zip(old, text, strict=True) if a != b]
    evidence = "x-evidence: {date: '2026-03-01', found: run 0badcafe kept stub (signIn)}"
    assert [b for _, b in changed] == [f"{a[:-1]}, x-source: confirmed, {evidence}}}" for a, _ in changed]
    assert len(changed) == 1


def test_one_keyword_is_confirmed_beside_the_others() -> None:
    now = contract("athena")
    place = "#/components/schemas/Agent/properties/name"
    assert get_provenance(now.document, place) == "documented"
    after = edited(now, reported(now, told(now, place, keyword="maxLength")))
    assert after.resolve(place)["x-source"] == {"maxLength": "confirmed"}
    assert [get_provenance(after, place, k) for k in (None, "maxLength", "type")] == [
        "documented",
        "confirmed",
        "documented",
    ]


def test_what_confirms_nothing_is_left_and_counted() -> None:
    now = contract("athena")
    one, two = places("athena")[:2]
    graded = "#/components/schemas/Agent/properties/name"
    said = reported(
        now,
        told(now, one),
        told(now, one, status="broken"),
        told(now, two, operation="nobody"),
        told(now, "#/info"),
        told(now, "#/paths/~1agents/get", keyword="security", provenance="inferred"),
        told(now, "#/paths/~1agents/get/parameters/18", provenance="inferred"),
        told(now, graded, provenance="inferred"),
        told(now, graded, provenance="documented"),
        told(now, two, status="not judged"),
    )
    found = build_confirmation(now, said)
    assert (found.edits, found.confirmed_count) == ((), 0)
    assert found.excluded_counts == {
        "another promise that rests on the place was broken": 1,
        "its operation did not succeed in the run": 1,
        "its place is no operation, parameter, answer or schema": 1,
        "its place is a reference: what that leads to has a grade": 1,
        "it rests on a part of an operation, whose grade is one word": 1,
        "it rests on one keyword of its place, which the report does not name": 1,
    }
    assert build_confirmation(now, reported(now, told(now, one), answered=404)).edits == ()


# The command ----------------------------------------------------------------------------------------------------


def report_of(folder: Path, name: str, *promises: ReportedFailure, **run: Any) -> str:
    """A report's file."""
    now = contract(name)
    document = {
        "version": 1,
        "run": {
            "target": "t",
            "seed": 1,
            "id": "0badcafe",
            "started": "2026-03-01T00:00:00+00:00",
            "digest": now.document.digest,
            **run,
        },
        "answers": {o: {"200": 3} for o in now.operations},
        "promises": [
            {
                "id": p.fingerprint,
                "short": p.id,
                "law": p.check,
                "operation": p.operation,
                "parameter": p.parameter,
                "sentence": p.requirement,
                "grade": p.provenance,
                "keyword": p.keyword,
                "verdict": p.status,
                "said": p.message,
                "place": {"file": "f", "line": 1, "pointer": p.pointer},
                "proposal": p.proposal,
            }
            for p in promises
        ],
    }
    (folder / "r.json").write_text(json.dumps(document))
    return str(folder / "r.json")


def copied(folder: Path, name: str) -> Path:
    """A contract that may be edited."""
    file = folder / "contract.yaml"
    file.write_bytes(FILES[name].read_bytes())
    return file


def test_the_contract_is_edited_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copied(tmp_path, "library")
    place = places("library")[0]
    report = report_of(tmp_path, "library", told(contract("library"), place))
    assert main(["promote", report, "--contract", str(file)], {}) == ExitCode.PASSED
    assert capsys.readouterr().out.startswith("1 place confirmed; written to ")
    assert get_provenance(load_contract(file).document, place) == "confirmed"
    assert main(["promote", report, "--contract", str(file)], {}) == ExitCode.USAGE
    assert "the report was made with another contract" in capsys.readouterr().err


def test_a_dry_run_prints_the_difference_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copied(tmp_path, "library")
    report = report_of(tmp_path, "library", told(contract("library"), places("library")[0]))
    assert main(["promote", report, "--contract", str(file), "--dry-run"], {}) == ExitCode.PASSED
    out, err = capsys.readouterr()
    assert out.startswith("--- a/")
    assert "\n+" in out
    assert "nothing was written" in err
    assert file.read_bytes() == FILES["library"].read_bytes()


def test_another_file_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, other = copied(tmp_path, "library"), tmp_path / "other.yaml"
    report = report_of(tmp_path, "library", told(contract("library"), places("library")[0]))
    assert main(["promote", report, "--contract", str(file), "--output", str(other)], {}) == ExitCode.PASSED
    assert file.read_bytes() == FILES["library"].read_bytes() != other.read_bytes()
    assert main(["promote", report, "--contract", str(file), "--output", str(tmp_path)], {}) == ExitCode.USAGE
    assert "--output: found" in capsys.readouterr().err


def gap(edits: Any, **parts: Any) -> ReportedFailure:
    """A broken promise with a proposal."""
    now = contract("library")
    said: dict[str, Any] = {"verdict": "broken", "proposal": {"edits": edits}, **parts}
    return told(now, places("library")[0], **said)


def test_gaps_are_admitted_when_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copied(tmp_path, "library")
    edit = {"pointer": "#/info", "keyword": "title", "value": "Another"}
    report = report_of(tmp_path, "library", gap([edit]), gap([edit]), gap([{**edit, "value": "No"}], status="flaky"))
    assert main(["promote", report, "--contract", str(file), "--dry-run"], {}) == ExitCode.PASSED
    assert capsys.readouterr().out == ""
    assert main(["promote", report, "--contract", str(file), "--gaps"], {}) == ExitCode.PASSED
    assert capsys.readouterr().out.startswith("0 places confirmed, 1 edit for gaps; written to")
    assert load_contract(file).title == "Another"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"pointer": "#/info"}, "an edit: found"),
        ({"pointer": "#/nowhere", "keyword": "a", "value": 1}, "#/nowhere: found no object there"),
        ({"pointer": "#/info", "keyword": "x-unknown", "value": 1}, "the unknown word 'x-unknown'"),
        ({"pointer": "#", "keyword": "paths", "gone": True}, "#/paths"),
    ],
)
def test_an_edit_that_leaves_no_contract_is_refused(
    edit: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copied(tmp_path, "library")
    assert main(["promote", report_of(tmp_path, "library", gap([edit])), "--contract", str(file), "--gaps"], {}) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert words in err
    assert file.read_bytes() == FILES["library"].read_bytes()
