"""The JSON Schema of the JSON report, and reports of real runs that have to match it."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from conformance.checks.registry import CHECKS
from conformance.cli.main import main
from conformance.mutation.faults import on_status, set_status
from conformance.reporting import json_report
from tests.conformance.support.check_runner import demo_mock, inject_fault
from tests.conformance.support.http_server import run_http_server
from tests.conformance.support.large_report import large_report
from tests.conformance.support.sample_reports import hostile_report

TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
CHECK_IDS = ("blank-parameter-ignored", "unknown-record-is-404", "model-create", "status-is-documented")


@cache
def validator() -> Any:
    """Return a validator of the schema in the package."""
    text = resources.files("conformance.reporting").joinpath("report.schema.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(text))


def violations(document: Any) -> list[str]:
    """Return the violations of the schema."""
    return [f"{list(error.instance_path)}: {error.message[:200]}" for error in validator().iter_errors(document)]


def run(folder: Path, base_url: str, *options: str) -> dict[str, Any]:
    """Run some checks and return the JSON report."""
    checks = [check for check in CHECKS if check.id in CHECK_IDS]
    command = ["run", "--base-url", base_url, "--operation", "listPrompts", "--operation", "retrievePrompt"]
    main([*command, "--operation", "createPrompt", "--report-dir", str(folder), *options], TOKENS, checks)
    document: dict[str, Any] = json.loads((folder / "conformance.json").read_text(encoding="utf-8"))
    return document


def test_report_of_passing_run_matches_schema(tmp_path: Path) -> None:
    with run_http_server(demo_mock().app) as base_url:
        document = run(tmp_path, base_url)
    assert violations(document) == []
    assert document["counts"]["passed"] > 0
    assert document["counts"]["failed_blocking"] == document["counts"]["contract_gaps"] == 0


@pytest.mark.slow
def test_report_of_failing_run_matches_schema(tmp_path: Path) -> None:
    with run_http_server(inject_fault(on_status(201, set_status(202)))) as base_url:
        document = run(tmp_path, base_url)
    assert violations(document) == []
    failures = [result for result in document["results"] if result["status"] == "failed"]
    assert any(failure["sequence"] and failure["exchanges"] and failure["reruns"] for failure in failures)


def test_report_of_aborted_run_matches_schema(tmp_path: Path) -> None:
    with run_http_server(demo_mock().app) as base_url:
        document = run(tmp_path, base_url, "--max-requests", "8")
    assert violations(document) == []
    assert document["run"]["abort_reason"]


def test_report_of_unreachable_target_matches_schema(tmp_path: Path) -> None:
    document = run(tmp_path, "http://127.0.0.1:9")
    assert violations(document) == []
    assert document["run"]["target_unreachable"] is True


def test_report_of_recorded_traffic_matches_schema(tmp_path: Path) -> None:
    with run_http_server(demo_mock().app) as base_url:
        url = f"{base_url}/api/v1/agents?unknown=1"
    entry = {
        "request": {"method": "GET", "url": url, "headers": [{"name": "Authorization", "value": "Bearer demo-token"}]},
        "response": {
            "status": 200,
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "content": {"mimeType": "application/json", "text": '{"data": 1}'},
        },
    }
    (tmp_path / "a.har").write_text(json.dumps({"log": {"version": "1.2", "entries": [entry]}}))
    main(["traffic", str(tmp_path / "a.har"), "--report-dir", str(tmp_path)], {})
    document = json.loads((tmp_path / "conformance.json").read_text(encoding="utf-8"))
    assert violations(document) == []
    assert {result["status"] for result in document["results"]} >= {"failed"}


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(hostile_report, id="hostile"),
        pytest.param(lambda: large_report(12), id="large", marks=pytest.mark.slow),
    ],
)
def test_sample_report_matches_schema(report: Any) -> None:
    assert violations(json_report.build_document(report())) == []


def test_schema_has_no_key_that_reports_lack() -> None:
    document = json_report.build_document(hostile_report())
    schema: Any = json.loads(
        resources.files("conformance.reporting").joinpath("report.schema.json").read_text(encoding="utf-8")
    )
    definitions = schema["$defs"]
    for name, value in (
        ("report", document),
        ("run", document["run"]),
        ("counts", document["counts"]),
        ("result", document["results"][1]),
        ("coverage", document["coverage"]),
    ):
        assert set(definitions[name]["properties"]) == set(value) == set(definitions[name]["required"])


@pytest.mark.parametrize("key", ["status", "failure_kind", "provenance", "skip_category"])
def test_schema_rejects_unknown_value(key: str) -> None:
    document = json_report.build_document(hostile_report())
    document["results"][0][key] = "broken"
    assert violations(document)
