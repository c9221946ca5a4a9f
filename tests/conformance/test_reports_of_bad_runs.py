"""The reports of a run in which much is broken: short where they are read, whole where they are searched, and quick."""

import json as json_of
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
from conformance.gate.verdict import ExitCode, GatePolicy, evaluate
from conformance.reporting import ADVICE, Report, github, html, json_report, junit, markdown, sarif, terminal
from conformance.reporting.groups import group_results
from conformance.reporting.names import ENGINE_CATEGORY, OTHER_CATEGORY, check_category, format_headline
from conformance.results import CheckResult, FailureKind, Requirement, Status
from conformance.runner.runner import RunResult
from tests.conformance.large import large_report
from tests.conformance.telling import WRITERS, hostile_exchange, report_of
from tests.mock_server.athena import athena_contract

SECONDS = 5.0  # of the processor, for all writers together


def promise(law: str, operation: str = "listAgents", **more: object) -> Requirement:
    """A promise that blocks."""
    pointer = athena_contract().operations[operation].pointer
    return replace(Requirement(law, operation, "A sentence.", pointer, "documented"), **more)  # type: ignore[arg-type]


def broken(law: str, operation: str = "listAgents", **more: object) -> CheckResult:
    """A broken one."""
    return CheckResult(
        promise(law, operation, **more), Status.FAILED, f"found of {law}", failure_kind=FailureKind.DETERMINISTIC
    )


@cache
def large(laws: int = 12) -> Report:
    """Hundreds of promises, dozens broken; with 60 laws thousands, and hundreds broken."""
    return large_report(laws)


def told(*outcomes: CheckResult, **more: Any) -> Report:
    """The report of a run with these outcomes, each broken as often as it was judged."""
    found = RunResult()
    for outcome in outcomes:
        found.record(outcome, (2, 2))
    return report_of(athena_contract(), found, **more)


# Groups ---------------------------------------------------------------------------------------------------------------


def test_one_promise_on_many_operations_is_told_once() -> None:
    operations = ["listAgents", "listPrompts", "listThreads", "listMessages"]
    (group,) = group_results([broken("sorted", operation) for operation in operations])
    assert group.title() == "sorted on 4 operations: listAgents, listPrompts, listThreads and 1 more"
    assert group.location_count == 4


def test_another_keyword_is_another_group() -> None:
    assert len(group_results([broken("schema", keyword="type"), broken("schema", keyword="required")])) == 2


def test_what_always_blocks_comes_first_and_then_what_many_operations_break() -> None:
    many = [broken("many", "listAgents"), broken("many", "listPrompts")]
    found = group_results(
        [broken("guessed", provenance="inferred"), broken("one"), *many, broken("crash", provenance_independent=True)]
    )
    assert [group.first.requirement.check for group in found] == ["crash", "many", "one", "guessed"]


# What is said ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "terminal"])
def test_each_failure_stands_beside_the_command_that_judges_it_again(name: str) -> None:
    outcome = broken("stored")
    if name == "conformance.json":
        assert f'"short": "{outcome.requirement.id}"' in WRITERS[name](told(outcome))
    else:
        assert f"athena-conformance replay conformance.json {outcome.requirement.id}" in WRITERS[name](told(outcome))


def test_the_terminal_gives_the_command_when_there_is_a_file_to_replay() -> None:
    outcome = broken("stored")
    assert " replay " not in terminal.render(told(outcome))
    said = terminal.render(told(outcome, report_dir="out put/"))
    assert f"athena-conformance replay 'out put/conformance.json' {outcome.requirement.id}" in said


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", [FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT])
def test_each_writer_says_what_a_failure_turned_out_to_be(name: str, kind: FailureKind) -> None:
    assert kind.value in WRITERS[name](told(replace(broken("stored"), failure_kind=kind)))


def test_every_kind_has_its_advice() -> None:
    assert set(ADVICE) == set(FailureKind)


@pytest.mark.parametrize("name", WRITERS)
def test_remarks_on_the_run_are_in_each_report(name: str) -> None:
    report = report_of(
        athena_contract(), RunResult([CheckResult(promise("stored"), Status.PASSED)], observed_delay=1.5)
    )
    assert "writes were seen up to 1.5 s late" in WRITERS[name](report)


def accepting(outcome: CheckResult) -> Report:
    """The report of a run whose one failure is accepted."""
    entry = AcceptedFailure(outcome.requirement.fingerprint, date(2026, 1, 1), "known", None)
    report = told(outcome)
    demands = GatePolicy(baseline=Baseline(date(2026, 2, 1), {entry.fingerprint: entry}))
    scope = list(athena_contract().operations.values())
    return replace(report, gate_result=evaluate(report.run, athena_contract(), scope, report.response_counts, demands))


def test_what_is_accepted_is_shown_and_not_red() -> None:
    report = accepting(broken("stored"))
    assert report.gate_result.exit_code is not ExitCode.FAILED
    assert "accepted by --baseline" in terminal.render(report)
    assert "### Accepted by --baseline (1)" in markdown.render(report)
    assert "<h2>Accepted (1)</h2>" in html.render(report)
    (result,) = sarif.build_document(report)["runs"][0]["results"]
    assert (result["level"], result["suppressions"][0]["kind"]) == ("note", "external")
    root = ElementTree.fromstring(junit.render(report))
    assert root.get("failures") == "0"
    assert "accepted by --baseline" in str(next(root.iter("skipped")).get("message"))


@pytest.mark.parametrize("name", WRITERS)
def test_an_unstable_target_is_called_so(name: str) -> None:
    flaky = replace(broken("stored"), failure_kind=FailureKind.FLAKY)
    report = report_of(athena_contract(), RunResult(flaky=[flaky], transient_failures=40))
    assert report.gate_result.exit_code is ExitCode.FLAKY
    assert format_headline(report).startswith("UNSTABLE (exit 6)")
    assert "unstable" in WRITERS[name](report).lower()


def test_a_parameter_named_for_a_missing_token_hides_nothing() -> None:
    said = replace(broken("unauthenticated-access-denied", parameter="no token"), message="answered 200")
    assert told(said).message(said) == "answered 200"


@pytest.mark.parametrize("parameter", ["password", "user.password", "password maxLength", "search:password"])
def test_what_was_found_at_a_hidden_property_is_not_shown(parameter: str) -> None:
    said = replace(broken("stored", parameter=parameter), message="found 'hush-hush'")
    assert "hush" not in told(said).message(said)


# Families -------------------------------------------------------------------------------------------------------------


def test_the_stock_engine_has_a_column_of_its_own() -> None:
    assert check_category("engine-use-after-free") == ENGINE_CATEGORY
    assert check_category("nobody-knows-it") == OTHER_CATEGORY
    text = html.render(told(broken("engine-use-after-free"), broken("page-size-respected")))
    assert [f"<th>{head}</th>" in text for head in (ENGINE_CATEGORY, "paging")] == [True, True]


# A large run ----------------------------------------------------------------------------------------------------------


def test_the_terminal_stays_on_a_screen() -> None:
    text = terminal.render(replace(large(), report_dir="reports"))
    assert len(large().gate_result.blocking) > 20
    assert len(text.splitlines()) <= 45
    counted = sum(int(n) for n in re.findall(r"and (\d+) other broken promises? of", text))
    shown = sum(
        len(group.results)
        for group in group_results(large().gate_result.blocking)[: terminal.MAX_FULL_GROUPS + terminal.MAX_SHORT_GROUPS]
    )
    assert counted + shown == len(large().gate_result.blocking)


@pytest.mark.slow
def test_all_reports_of_a_large_run_are_written_in_seconds() -> None:
    report = large(60)
    assert len(report.run.results) > 4_300
    assert len([*report.run.with_status(Status.FAILED)]) >= 300
    assert len(terminal.render(report).splitlines()) <= 45
    began = time.process_time()
    for render in WRITERS.values():
        render(report)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("render", WRITERS.values(), ids=WRITERS)
def test_no_hidden_value_of_a_long_list_is_shown(render: Callable[[Report], str]) -> None:
    assert re.findall(r"t\d+-secret|pw-\d+-secret", render(large())) == []


def test_a_long_body_is_cut_and_says_how_long_it_was() -> None:
    (first, *_) = [p for p in json_report.build_document(large())["promises"] if p["exchanges"]]
    body = first["exchanges"][0]["response"]["body"]
    assert re.search(r"\.\.\. \(\d{5,} bytes\)$", body)
    assert len(body) < 4_100


def test_a_hidden_value_is_known_though_its_name_is_escaped() -> None:
    contract = athena_contract()
    shown = hostile_exchange(contract)
    content = json_of.dumps({"password": "hush-hush", "note": "is hush-hush"}).replace("ss", "s\\u0073")
    answer = replace(shown.response, content=content.encode())
    outcome = replace(broken("stored"), message="got hush-hush", evidence=(replace(shown, response=answer),))
    for name, render in WRITERS.items():
        assert "hush-hush" not in render(told(outcome)), name


def test_github_shows_one_of_each_kind_before_the_second_of_any() -> None:
    many = [broken("many", operation) for operation in list(athena_contract().operations)[:20]]
    lines = github.render(told(*many, broken("one"))).splitlines()
    assert ["one" in line.partition("::")[2] for line in lines[:2]].count(True) >= 1
    assert len([line for line in lines if line.startswith("::error")]) == github.MAX_ANNOTATIONS
