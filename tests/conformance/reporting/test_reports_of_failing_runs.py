"""The reports of a run with many failures: short for people, complete for programs, and written in seconds."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from conformance.gate.baseline import AcceptedFailure, Baseline
from conformance.gate.verdict import ExitCode, GatePolicy
from conformance.har import requirements
from conformance.reporting import Report, github, html, json_report, junit, markdown, sarif, terminal
from conformance.reporting.model import ADVICE
from conformance.reporting.names import (
    ENGINE_CATEGORY,
    OTHER_CATEGORY,
    TRAFFIC_CHECK_IDS,
    check_category,
    format_headline,
    group_results,
)
from conformance.results import CheckResult, FailureKind, Requirement, Status
from conformance.runner.runner import RunResult
from tests.conformance.support.large_report import large_report
from tests.conformance.support.sample_reports import WRITERS, build_report, hostile_exchange
from tests.mock_server.athena import athena_contract

HTTP_CHECKS = (
    "unknown-record-is-404",
    "unknown-path-is-404",
    "unknown-parameter-ignored",
    "unsupported-method-is-405",
    "malformed-json-is-400",
    "unsupported-media-type-is-415",
)


def requirement(check: str, operation: str = "listAgents", **options: object) -> Requirement:
    """Return a blocking requirement."""
    pointer = athena_contract().operations[operation].pointer
    return replace(Requirement(check, operation, "A sentence.", pointer, "documented"), **options)  # type: ignore[arg-type]


def create_failure(check: str, operation: str = "listAgents", **options: object) -> CheckResult:
    """Return a failure of a blocking requirement."""
    message = f"message of {check}"
    kind = FailureKind.DETERMINISTIC
    return CheckResult(requirement(check, operation, **options), Status.FAILED, message, failure_kind=kind)


@cache
def build_large_report(checks: int = 12) -> Report:
    """Return a report of hundreds of results with dozens of failures; with 60 checks ten times as many."""
    return large_report(checks)


def create_report(*results: CheckResult, **options: Any) -> Report:
    """Return the report of a run with these results; the failed ones failed in each rerun."""
    run = RunResult()
    for result in results:
        run.record(result, (2, 2))
    return build_report(athena_contract(), run, **options)


# Groups ---------------------------------------------------------------------------------------------------------------


def test_failures_of_one_check_form_one_group() -> None:
    operations = ["listAgents", "listPrompts", "listThreads", "listMessages"]
    (group,) = group_results([create_failure("sorted", operation) for operation in operations])
    assert group.title() == "sorted on 4 operations: listAgents, listPrompts, listThreads and 1 more"
    assert group.location_count == 4


def test_failures_of_different_keywords_form_different_groups() -> None:
    assert (
        len(group_results([create_failure("schema", keyword="type"), create_failure("schema", keyword="required")]))
        == 2
    )


def test_deterministic_failure_is_first_in_its_group() -> None:
    kinds = (FailureKind.STATE_DEPENDENT, FailureKind.DETERMINISTIC, FailureKind.NOT_REPEATED)
    operations = ("listAgents", "createAgent", "retrieveAgent")
    failures = [
        replace(create_failure("schema", operation), failure_kind=kind)
        for kind, operation in zip(kinds, operations, strict=True)
    ]
    (group,) = group_results(failures)
    assert [result.requirement.operation for result in group.results] == ["createAgent", "listAgents", "retrieveAgent"]


def test_groups_are_ordered_by_severity_and_number_of_operations() -> None:
    many = [create_failure("many", "listAgents"), create_failure("many", "listPrompts")]
    groups = group_results(
        [
            create_failure("assumed", provenance="inferred"),
            create_failure("one"),
            *many,
            create_failure("crash", provenance_independent=True),
        ]
    )
    assert [group.first.requirement.check for group in groups] == ["crash", "many", "one", "assumed"]


# Failures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "terminal"])
def test_each_failure_has_replay_command(name: str) -> None:
    result = create_failure("stored")
    if name == "conformance.json":
        assert f'"id": "{result.requirement.id}"' in WRITERS[name](create_report(result))
    else:
        assert f"athena-conformance replay conformance.json {result.requirement.id}" in WRITERS[name](
            create_report(result)
        )


def test_terminal_has_replay_command_only_if_report_is_written() -> None:
    result = create_failure("stored")
    assert " replay " not in terminal.render(create_report(result))
    text = terminal.render(create_report(result, report_dir="out put/"))
    assert f"athena-conformance replay 'out put/conformance.json' {result.requirement.id}" in text


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", [FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT])
def test_each_report_has_failure_kind(name: str, kind: FailureKind) -> None:
    assert kind.value in WRITERS[name](create_report(replace(create_failure("stored"), failure_kind=kind)))


def test_every_failure_kind_has_advice() -> None:
    assert set(ADVICE) == set(FailureKind)


@pytest.mark.parametrize("name", WRITERS)
def test_each_report_has_warnings(name: str) -> None:
    report = build_report(
        athena_contract(), RunResult([CheckResult(requirement("stored"), Status.PASSED)], observed_delay=1.5)
    )
    assert "1.5 s" in WRITERS[name](report)


def build_report_with_accepted(result: CheckResult) -> Report:
    """Return the report of a run with one accepted failure."""
    entry = AcceptedFailure(result.requirement.fingerprint, date(2026, 1, 1), "known", None)
    report = create_report(result)
    policy = GatePolicy(baseline=Baseline(date(2026, 2, 1), {entry.fingerprint: entry}))
    return replace(report, gate_result=replace(report.gate_result, policy=policy))


def test_accepted_failure_is_reported_and_does_not_block() -> None:
    report = build_report_with_accepted(create_failure("stored"))
    assert report.gate_result.exit_code is not ExitCode.FAILED
    assert "accepted by --baseline" in terminal.render(report)
    assert "### Accepted by --baseline (1)" in markdown.render(report)
    assert "<h2>Accepted (1)</h2>" in html.render(report)
    (result,) = sarif.build_document(report)["runs"][0]["results"]
    assert (result["level"], result["suppressions"][0]["kind"]) == ("note", "external")
    root = ElementTree.fromstring(junit.render(report))
    assert {suite.get("failures") for suite in root} == {"0"}
    assert "accepted by --baseline" in str(next(root.iter("skipped")).get("message"))


@pytest.mark.parametrize("name", WRITERS)
def test_each_report_has_verdict_flaky(name: str) -> None:
    flaky = replace(create_failure("stored"), failure_kind=FailureKind.FLAKY)
    report = build_report(athena_contract(), RunResult(flaky=[flaky], transient_failures=40))
    assert report.gate_result.exit_code is ExitCode.FLAKY
    assert format_headline(report).startswith("FLAKY (exit 6)")
    assert re.search(r"FLAKY \(exit 6\)|error type=\"flaky\"|\"name\": \"flaky\"", WRITERS[name](report))


def test_parameter_no_token_is_not_hidden() -> None:
    result = replace(create_failure("unauthenticated-access-denied", parameter="no token"), message="got 200")
    assert create_report(result).message(result) == "got 200"


@pytest.mark.parametrize("parameter", ["password", "user.password", "password maxLength", "search:password"])
def test_message_about_hidden_property_is_redacted(parameter: str) -> None:
    result = replace(create_failure("stored", parameter=parameter), message="got 'hush-hush'")
    assert "hush" not in create_report(result).message(result)


# Categories -----------------------------------------------------------------------------------------------------------


def test_schemathesis_checks_have_their_own_column() -> None:
    assert check_category("engine-use-after-free") == ENGINE_CATEGORY
    assert check_category("unknown-check") == OTHER_CATEGORY
    text = html.render(create_report(create_failure("engine-use-after-free"), create_failure("model-list")))
    assert [f"<th>{head}</th>" in text for head in (ENGINE_CATEGORY, "lists")] == [True, True]


@pytest.mark.parametrize("check", HTTP_CHECKS)
def test_http_checks_are_labelled_http(check: str) -> None:
    report = create_report(create_failure(check))
    assert "<th>http</th>" in html.render(report)
    (rule,) = sarif.build_document(report)["runs"][0]["tool"]["driver"]["rules"]
    assert rule["properties"]["tags"] == ["http"]


@pytest.mark.parametrize("check", TRAFFIC_CHECK_IDS)
def test_checks_of_recorded_requests_are_labelled_requests(check: str) -> None:
    assert check in requirements.REQUIREMENTS
    assert check_category(check) == "requests"


# A large run ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_terminal_report_fits_on_one_screen() -> None:
    text = terminal.render(replace(build_large_report(), report_dir="reports"))
    assert len(build_large_report().gate_result.blocking) > 20
    assert len(text.splitlines()) <= 45
    other_failures = sum(int(n) for n in re.findall(r"and (\d+) other failures? of", text))
    listed_failures = sum(
        len(group.results)
        for group in group_results(build_large_report().gate_result.blocking)[
            : terminal.MAX_FULL_GROUPS + terminal.MAX_SHORT_GROUPS
        ]
    )
    assert other_failures + listed_failures == len(build_large_report().gate_result.blocking)


@pytest.mark.slow
def test_time_to_write_reports_is_linear() -> None:
    """Six times the results take at most 18 times the CPU time; quadratic work would take 36 times."""
    report = build_large_report(60)
    assert len(report.run.results) > 4_300
    assert len([*report.run.with_status(Status.FAILED)]) >= 300
    assert len(terminal.render(report).splitlines()) <= 45
    assert _write_seconds(report) < 18 * _write_seconds(build_large_report(10))


def _write_seconds(report: Report) -> float:
    start = time.process_time()
    for render in WRITERS.values():
        render(report)
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("render", WRITERS.values(), ids=WRITERS)
def test_hidden_values_of_long_list_are_redacted(render: Callable[[Report], str]) -> None:
    assert re.findall(r"t\d+-secret|pw-\d+-secret", render(build_large_report())) == []


@pytest.mark.slow
def test_long_body_is_truncated_with_its_size() -> None:
    (first, *_) = [
        result for result in json_report.build_document(build_large_report())["results"] if result["exchanges"]
    ]
    body = first["exchanges"][0]["response"]["body"]
    assert re.search(r"\.\.\. \(\d{5,} bytes\)$", body)
    assert len(body) < 4_100


def test_hidden_value_with_escaped_name_is_redacted() -> None:
    contract = athena_contract()
    exchange = hostile_exchange(contract)
    content = json.dumps({"password": "hush-hush", "note": "is hush-hush"}).replace("ss", "s\\u0073")
    response = replace(exchange.response, content=content.encode())
    result = replace(
        create_failure("stored"), message="got hush-hush", evidence=(replace(exchange, response=response),)
    )
    for name, render in WRITERS.items():
        assert "hush-hush" not in render(create_report(result)), name


def test_github_shows_first_failure_of_each_group_first() -> None:
    many = [create_failure("many", operation) for operation in list(athena_contract().operations)[:20]]
    lines = github.render(create_report(*many, create_failure("one"))).splitlines()
    assert ["one" in line.partition("::")[2] for line in lines[:2]].count(True) >= 1
    assert len([line for line in lines if line.startswith("::")]) == github.MAX_ANNOTATIONS
