"""The reports of one run: whole, parseable, harmless whatever the target says, and without a secret."""

import json as json_of
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from conformance.reporting import Report, github, html, json_report, junit, markdown, sarif, terminal
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange, Request, Response
from conformance.transport.redaction import REDACTED, Redactor, plain
from spec.loader import Contract
from tests.conformance.telling import PASSWORD, SPELLED, TOKEN, WRITERS, broken_many, hostile_report, report_of
from tests.mock_server.athena import athena_contract


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The project's contract."""
    return athena_contract()


@pytest.fixture(scope="module")
def report() -> Report:
    """One of each: kept, blocking, gap, flaky, not judged; all of them said by a hostile target."""
    return hostile_report()


@pytest.mark.parametrize("render", WRITERS.values(), ids=WRITERS)
def test_no_secret_and_no_control_character_is_in_a_report(report: Report, render: Callable[[Report], str]) -> None:
    text = render(report)
    assert [word for word in (*SPELLED, TOKEN, PASSWORD, "canary", "Y2FuYXJ5", "63616e617279") if word in text] == []
    assert plain(text) == text
    assert "\\u001b" not in text


@pytest.mark.parametrize("said", SPELLED)
def test_a_token_is_found_however_it_is_spelled(said: str) -> None:
    shown = Redactor((TOKEN,), frozenset({"access_token"})).text(f"before {said} behind")
    assert REDACTED in shown
    assert "canary" not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" behind")


def test_what_is_no_secret_stays() -> None:
    said = "https://example.com/agents?page=2&sort=name eyJ short, bearer of news, 12:30 me@example.com"
    assert Redactor((TOKEN,), frozenset({"token"})).text(said) == said


def test_a_secret_that_is_split_by_control_characters_is_found() -> None:
    redaction = Redactor((TOKEN,), frozenset())
    assert redaction.text("a " + "\x00".join(TOKEN)) == f"a {REDACTED}"


def test_texts_are_bounded(report: Report) -> None:
    document = json_report.build_document(report)
    bodies = [e["response"]["body"] for p in document["promises"] for e in p["exchanges"]]
    assert bodies
    assert max(map(len, bodies)) < 4_100


def test_the_terminal_says_what_a_reader_needs(report: Report) -> None:
    text = terminal.render(report)
    line = report.line_numbers["#/paths/~1messages/post"]
    for due in (
        "createMessage stored",
        "documented; broken 2 of 2 times",
        "What was sent is stored.",
        f"spec/openapi.yaml:{line} #/paths/~1messages/post",
        "curl -i -X POST",
        "1 blocking, 1 contract gap",
        "1 flaky",
        "exit 1",
        "left over",
    ):
        assert due in text
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize("render", [terminal.render, markdown.render, html.render])
def test_what_is_left_over_is_told_with_the_command_that_takes_it_away(
    report: Report, render: Callable[[Report], str]
) -> None:
    assert "no ledger was kept" in render(report)
    assert "athena-conformance clean out/ledger.jsonl" in render(replace(report, write_log="out/ledger.jsonl"))


def test_a_failure_that_one_request_does_not_show_says_so(report: Report) -> None:
    first = report.gate_result.blocking[0]
    together = replace(first, evidence=first.evidence * 3)
    said = terminal.render(replace(report, gate_result=replace(report.gate_result, blocking=(together,))))
    assert "the last of 3 requests that show it together" in said
    assert "that show it together" not in terminal.render(report)


def test_a_curl_names_the_token_and_does_not_show_it(contract: Contract, report: Report) -> None:
    operation = contract.operations["listMessages"]
    asked = Exchange(Request(operation.id, "get", operation.path), Response(200, {}, b"", 0.0))
    command = report.redaction.curl(asked, report.target, "MINE", "OTHER")
    assert command == 'curl -i -X GET -H "Authorization: Bearer $MINE" http://127.0.0.1:1/api/v1/messages'


def test_the_json_report_is_versioned_and_counts_what_it_lists(report: Report) -> None:
    document: dict[str, Any] = json_of.loads(json_report.render(report))
    assert document["version"] == json_report.VERSION == 1
    assert document["verdict"]["code"] == 1
    verdicts = Counter(promise["verdict"] for promise in document["promises"])
    assert verdicts == {"kept": 1, "broken": 2, "flaky": 1, "not judged": 1}
    assert document["counts"]["broken_blocking"] == document["counts"]["contract_gaps"] == 1
    assert document["counts"]["judged"] == 4


def test_every_key_of_the_json_report_is_told_in_its_docstring(report: Report) -> None:
    document = json_report.build_document(report)
    told = json_report.__doc__ or ""
    keys = {*document, *document["run"], *document["verdict"], *document["counts"], *document["promises"][1]}
    assert {key for key in keys if f'"{key}"' not in told} == set()


def test_json_says_what_kind_of_cause_kept_a_promise_from_being_judged(contract: Contract) -> None:
    promise = Requirement(
        "stored", "createMessage", "It is stored.", contract.operations["createMessage"].pointer, "inferred"
    )
    missed = CheckResult.skip(promise, not_testable("nobody can"))
    document = json_report.build_document(
        report_of(contract, RunResult([missed, CheckResult(replace(promise, check="fine"), Status.PASSED)]))
    )
    assert document["not_judged"] == [{"cause": "nobody can", "kind": "no way", "count": 1}]
    assert [one["cause"] for one in document["promises"]] == ["no way", ""]


def test_json_says_coverage_and_proposals(report: Report) -> None:
    document = json_report.build_document(report)
    kinds = document["coverage"]["kinds"]
    assert kinds["operations"] == {"all": 75, "exercised": 0, "reached": 0, "never": 75}
    assert len(document["coverage"]["missed"]) == sum(kind["all"] for kind in kinds.values())
    (gap,) = [p for p in document["promises"] if p["law"] == "guessed"]
    assert gap["proposal"]["edits"] == []  # they would show a token
    assert [p["proposal"] for p in document["promises"] if p is not gap] == [None] * 4


def test_junit_has_a_suite_for_each_operation_and_a_case_for_each_law(report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report))
    suite, coverage = root.findall("testsuite")
    assert suite.get("name") == "createMessage"
    told = {one.get("name"): one.get("value") for one in coverage.iter("property")}
    assert told["operations"] == "0 of 75"
    assert [case.get("name") for case in suite] == ["fine", "stored", "guessed[content]", "unknown", "now-and-then"]
    assert [child.tag for case in suite for child in case] == ["failure", "skipped", "skipped", "skipped"]
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("5", "1", "0", "3")


def test_junit_fails_for_a_gap_under_strict(contract: Contract, report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report_of(contract, report.run, strict=True)))
    assert root.get("failures") == "2"


def test_junit_is_not_green_when_the_target_was_lost(contract: Contract) -> None:
    root = ElementTree.fromstring(
        junit.render(report_of(contract, RunResult(abort_reason="gone", target_unreachable=True)))
    )
    (error,) = root.iter("error")
    assert error.get("message") == "the target was lost: gone"


# Markdown -----------------------------------------------------------------------------------------------------------


def outside_code(text: str) -> str:
    """A Markdown text without its fences and code spans, as CommonMark ends them."""
    text = re.sub(r"^(`{3,})[^\n`]*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


def test_markdown_says_the_verdict_first(report: Report) -> None:
    first, *_ = markdown.render(report).splitlines()
    assert re.match(r"\*\*athena-conformance: BROKEN \(exit 1\): `+1 broken promise that blocks", first)


def test_nothing_of_a_target_stands_outside_of_code_in_markdown(report: Report) -> None:
    text = outside_code(markdown.render(report))
    for word in ("script", "everyone", "#123", "evil", "javascript", "pipe", "out of the fence", "::error", "<", "`"):
        assert word not in text


def test_every_row_of_a_markdown_table_has_its_columns(report: Report) -> None:
    rows = [line for line in markdown.render(report).splitlines() if line.startswith("| ")]
    widths = Counter(len(re.findall(r"(?<!\\)\|", row)) for row in rows)
    assert set(widths) == {6}  # coverage, and what blocks


@pytest.mark.parametrize("number", [1, 40, 400])
def test_markdown_fits_into_a_comment(number: int) -> None:
    text = markdown.render(broken_many(number))
    assert len(text.encode()) <= markdown.MAX_BYTES
    assert ("*Cut here: " in text) is (number > 1)
    assert text.count("\n```") % 2 == 0


@pytest.mark.parametrize("said", ["`", "``", "a`b", "`a", "a``", "a | b", "```\nx\n````"])
def test_code_cannot_be_left(said: str) -> None:
    assert outside_code(f"{markdown.code_span(said)} after").strip() == "after"
    assert outside_code(f"{markdown.code_block(said)}\nafter").strip() == "after"


# GitHub -------------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) (?:file=[^,:]+,line=\d+,)?title=[^,:]*::.*")


def test_every_line_of_annotations_is_one_command(report: Report) -> None:
    lines = github.render(report).splitlines()
    assert [COMMAND.fullmatch(line) is not None for line in lines] == [True] * len(lines)
    assert [line.split()[0] for line in lines] == ["::error", "::warning", "::warning", "::notice"]
    assert [line for line in lines if "##[" in line] == []


def test_github_shows_ten_of_each_and_counts_the_rest() -> None:
    lines = github.render(broken_many(50)).splitlines()
    assert Counter(line.split()[0] for line in lines) == {"::error": 10, "::warning": 10, "::notice": 1}
    assert "30 more are in the report only" in lines[-1]


@pytest.mark.parametrize(
    ("said", "data", "name"),
    [("50%, a:b", "50%25, a:b", "50%25%2C a%3Ab"), ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"), ("##[x]", "## [x]", "## [x]")],
)
def test_annotations_are_escaped(said: str, data: str, name: str) -> None:
    assert (github.escape_data(said), github.escape_property(said)) == (data, name)


def test_a_line_on_the_terminal_is_no_command(report: Report) -> None:
    for line in terminal.render(report).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    assert github.neutralize_command("  ::error::x") == "  : ::error::x"


# SARIF --------------------------------------------------------------------------------------------------------------


def test_sarif_has_what_the_standard_requires(report: Report) -> None:
    document = sarif.build_document(report)
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert "What was sent is stored." in result["message"]["text"]
        assert "](" not in result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "spec/openapi.yaml"
        assert place["region"] == {"startLine": report.line_numbers["#/paths/~1messages/post"]}
        assert re.fullmatch("[0-9a-f]{64}", result["partialFingerprints"][sarif.FINGERPRINT_KEY])


def test_a_fingerprint_is_of_the_promise_and_not_of_its_line(report: Report) -> None:
    def fingerprints(of: Report) -> list[str]:
        return [r["partialFingerprints"][sarif.FINGERPRINT_KEY] for r in sarif.build_document(of)["runs"][0]["results"]]

    moved = report_of(athena_contract(), report.run)
    assert fingerprints(report) == fingerprints(moved)
    assert len(set(fingerprints(report))) == 3


@pytest.mark.parametrize(("path", "uri"), [("spec/a b.yaml", "spec/a%20b.yaml"), ("/x/y.yaml", "file:///x/y.yaml")])
def test_a_place_is_a_uri(path: str, uri: str) -> None:
    assert sarif.build_uri(path) == uri


# HTML ---------------------------------------------------------------------------------------------------------------


def test_html_needs_nothing_from_outside(report: Report) -> None:
    text = html.render(report)
    assert re.findall(r"<(?:script|img|link|iframe|object|form|a href=\"(?!#))", text) == []
    assert re.findall(r"<[^>]+\son[a-z]+=", text) == []
    assert "default-src 'none'; style-src 'sha256-" in text


def test_html_says_what_to_fix_with_its_place_in_the_contract(report: Report) -> None:
    text = html.render(report)
    line = report.line_numbers["#/paths/~1messages/post"]
    for due in (
        "What to fix first",
        "What was sent is stored.",
        f"spec/openapi.yaml:{line}",
        "documentation states it",
    ):
        assert due in text
    assert f'<span class="here">▶ {line:>5}      post:</span>' in text


def test_the_matrix_reads_without_colour(report: Report) -> None:
    text = html.render(report)
    assert 'title="createMessage, others: 1 broken, blocks, 1 contract gap, 1 flaky, 1 kept, 1 not judged">✗1<' in text
