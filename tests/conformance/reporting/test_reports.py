"""The reports of one run: complete, well-formed, and free of secrets and of effective markup of the target."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from conformance.errors import not_testable
from conformance.reporting import Report, github, html, json_report, junit, markdown, names, sarif, terminal
from conformance.reporting.comparison import FailureComparison, PastFailure
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.session.coverage import COVERED, ITEM_KINDS
from conformance.trace.sequence import RequestSequence, TraceStep
from conformance.transport.credentials import OperationCredentials, PrintedCredentials
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.redaction import Redactor
from spec.model import Contract
from spec.redaction import REDACTED, remove_unsafe_chars
from tests.conformance.support.sample_reports import (
    PASSWORD,
    TOKEN,
    TOKEN_FORMS,
    WRITERS,
    build_report,
    hostile_report,
    report_with_failures,
)
from tests.mock_server.athena import athena_contract


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The project's contract."""
    return athena_contract()


@pytest.fixture(scope="module")
def report() -> Report:
    """A report with hostile texts and one result of each kind."""
    return hostile_report()


# Redaction ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("render", WRITERS.values(), ids=WRITERS)
def test_report_has_no_secret_and_no_control_character(report: Report, render: Callable[[Report], str]) -> None:
    text = render(report)
    secrets = (*TOKEN_FORMS, TOKEN, PASSWORD, "canary", "Y2FuYXJ5", "63616e617279")
    assert [secret for secret in secrets if secret in text] == []
    assert remove_unsafe_chars(text) == text
    assert "\\u001b" not in text


@pytest.mark.parametrize("form", TOKEN_FORMS)
def test_token_is_redacted_in_every_form(form: str) -> None:
    text = Redactor((TOKEN,), frozenset({"access_token"})).redact_text(f"before {form} after")
    assert REDACTED in text
    assert "canary" not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_text_without_secret_is_unchanged() -> None:
    text = "https://example.com/agents?page=2&sort=name eyJ short, bearer of news, 12:30 me@example.com"
    assert Redactor((TOKEN,), frozenset({"token"})).redact_text(text) == text


def test_secret_split_by_control_characters_is_redacted() -> None:
    redaction = Redactor((TOKEN,), frozenset())
    assert redaction.redact_text("a " + "\x00".join(TOKEN)) == f"a {REDACTED}"


def test_bodies_are_truncated(report: Report) -> None:
    document = json_report.build_document(report)
    bodies = [e["response"]["body"] for result in document["results"] for e in result["exchanges"]]
    assert bodies
    assert max(map(len, bodies)) < 4_100


# Terminal -----------------------------------------------------------------------------------------------------------


def test_terminal_shows_failure_and_counts(report: Report) -> None:
    text = terminal.render(report)
    line = report.line_numbers["#/paths/~1messages/post"]
    for expected in (
        "FAILED  createMessage stored",
        "documented; failed 2 of 2 times",
        "requirement: The request is stored.",
        f"location:    spec/openapi.yaml:{line} #/paths/~1messages/post",
        "contract:    description: ",
        "curl -i -X POST",
        "4 checks ran: 1 passed, 2 failed (1 blocking, 1 contract gap), 1 flaky; 1 skipped",
        "\nFAILED (exit 1): ",
        "records not deleted",
    ):
        assert expected in text
    assert len(text.splitlines()) < 40


@pytest.mark.parametrize("render", [terminal.render, markdown.render, html.render])
def test_records_not_deleted_are_reported_with_cleanup_command(report: Report, render: Callable[[Report], str]) -> None:
    assert "there is no write log" in render(report)
    with_log = replace(report, write_log="out/write-log.jsonl")
    assert "athena-conformance cleanup out/write-log.jsonl" in render(with_log)


def test_terminal_shows_the_requests_before_the_last_one(report: Report) -> None:
    first = report.gate_result.blocking[0]
    request = Request("createAgent", "post", "/agents", body={"name": "one", "password": "secret-1"})
    earlier = Exchange(request, Response(201, {}, b"{}", 0.1))
    for count, omitted in ((1, 0), (6, 2)):
        failure = replace(first, evidence=(*[earlier] * count, first.evidence[-1]))
        text = terminal.render(
            replace(report, gate_result=replace(report.gate_result, run_result=RunResult([failure])))
        )
        lines = [line.strip() for line in text.splitlines() if line.startswith("   request:")]
        shown = 'request:     POST /agents {"name": "one", "password": "[redacted]"} -> 201'
        assert lines[-(count - omitted) :] == [shown] * (count - omitted)
        assert ("(2 earlier ones omitted; replay --format=sh prints all)" in text) is bool(omitted)
    assert "   request:" not in terminal.render(report)


def test_requests_before_the_last_one_are_those_that_reproduce_the_failure(report: Report) -> None:
    failure = report.gate_result.blocking[0]
    last = failure.evidence[-1].request
    create = Request("createAgent", "post", "/agents", body={"password": "secret-1"})
    first = TraceStep(create, 204, is_evidence=False)
    steps = (first, TraceStep(last, 200, is_evidence=True))
    sequences = {failure.requirement.fingerprint: RequestSequence("m", steps, {})}
    line = 'POST /agents {"password": "[redacted]"} -> 204'
    assert names.format_earlier_requests(replace(report, evidence_sequences=sequences), failure) == [line]
    # Those of another execution of the check have other identifiers.
    other = (first, TraceStep(replace(last), 200, is_evidence=True))
    sequences = {failure.requirement.fingerprint: RequestSequence("m", other, {})}
    assert names.format_earlier_requests(replace(report, evidence_sequences=sequences), failure) == []


def test_markdown_shows_the_requests_before_the_last_one_and_the_replay_first(report: Report) -> None:
    first = report.gate_result.blocking[0]
    request = Request("createAgent", "post", "/agents", body={"name": "one", "password": "secret-1"})
    earlier = Exchange(request, Response(201, {}, b"{}", 0.1))
    failure = replace(first, evidence=(earlier, first.evidence[-1]))
    text = markdown.render(replace(report, gate_result=replace(report.gate_result, run_result=RunResult([failure]))))
    assert '- requests before: `POST /agents {"name": "one", "password": "[redacted]"} -> 201`' in text.splitlines()
    replay = report.replay_command(failure.requirement)
    assert 0 <= text.index(replay) < text.index(markdown.LAST_REQUEST_NOTE) < text.index("curl -i")


def test_terminal_names_the_other_failures_of_a_group(report: Report) -> None:
    first = report.gate_result.blocking[0]
    others = [replace(first, requirement=replace(first.requirement, operation=name)) for name in ("listA", "listB")]
    text = terminal.render(
        replace(report, gate_result=replace(report.gate_result, run_result=RunResult([first, *others])))
    )
    assert re.search(r"   also:        listA( \w+)?, listB( \w+)?\n", text)


def test_curl_command_has_name_of_token_variable(contract: Contract, report: Report) -> None:
    operation = contract.operations["listMessages"]
    exchange = Exchange(Request(operation.id, "get", operation.path), Response(200, {}, b"", 0.0))
    credentials = PrintedCredentials(OperationCredentials.from_contract(contract), {Actor.OWNER: "MINE"})
    command = report.redaction.format_curl(exchange, report.target, credentials)
    token, accept = '-H "Authorization: Bearer $MINE"', "-H 'Accept: application/json'"
    assert command == f"curl -i -X GET {token} {accept} http://127.0.0.1:1/api/v1/messages"
    variables = {"X-Tenant": "HEADER_X_TENANT"}
    command = report.redaction.format_curl(exchange, report.target, credentials, variables)
    assert ' -H "X-Tenant: $HEADER_X_TENANT" ' in command


# JSON ---------------------------------------------------------------------------------------------------------------


def test_json_report_has_version_and_counts_of_its_results(report: Report) -> None:
    document: dict[str, Any] = json.loads(json_report.render(report))
    assert document["version"] == json_report.VERSION == 2
    assert document["verdict"]["code"] == 1
    results = Counter((result["status"], result["failure_kind"]) for result in document["results"])
    assert results == {("passed", ""): 1, ("failed", ""): 2, ("failed", "flaky"): 1, ("skipped", ""): 1}
    assert document["counts"]["failed_blocking"] == document["counts"]["contract_gaps"] == 1
    assert document["counts"]["checks_run"] == 4


def test_json_report_has_skip_category(contract: Contract) -> None:
    pointer = contract.operations["createMessage"].pointer
    requirement = Requirement("stored", "createMessage", "It is stored.", pointer, "inferred")
    skipped = CheckResult.skip(requirement, not_testable("no way to test"))
    passed = CheckResult(replace(requirement, check="fine"), Status.PASSED)
    document = json_report.build_document(build_report(contract, RunResult([skipped, passed])))
    assert document["skip_reasons"] == [{"message": "no way to test", "category": "not_testable", "count": 1}]
    assert [result["skip_category"] for result in document["results"]] == ["not_testable", ""]


def test_html_report_shows_coverage_as_bars(report: Report) -> None:
    text = html.render(report)
    chart = ElementTree.fromstring(text[text.index('<svg class="chart"') : text.index("</svg>") + 6])
    assert report.coverage is not None
    assert chart.get("aria-label") == report.coverage.summary_line()
    kinds = [kind for kind in ITEM_KINDS if report.coverage.total(kind)]
    assert [element.text for element in chart.iterfind("text")] == kinds
    for kind, bar in zip(kinds, chart.iterfind("rect[@class='chart-covered']"), strict=True):
        share = report.coverage.count(kind, COVERED) / report.coverage.total(kind)
        assert bar.get("width") == f"{80 * share:.2f}%"
    assert all(float((bar.get("width") or "").rstrip("%")) <= 80 for bar in chart.iterfind("rect"))


def test_json_report_has_coverage_and_proposals(report: Report) -> None:
    document = json_report.build_document(report)
    kinds = document["coverage"]["kinds"]
    operations = len(athena_contract().operations)
    assert kinds["operations"] == {"total": operations, "covered": 0, "partially": 0, "uncovered": operations}
    assert len(document["coverage"]["uncovered"]) == sum(kind["total"] for kind in kinds.values())
    (gap,) = [result for result in document["results"] if result["check"] == "assumed"]
    assert gap["proposal"]["edits"] == []  # they contain a token
    assert [result["proposal"] for result in document["results"] if result is not gap] == [None] * 4


# JUnit --------------------------------------------------------------------------------------------------------------


def test_junit_has_suite_per_operation_and_case_per_check(report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report))
    suite, coverage = root.findall("testsuite")
    assert suite.get("name") == "createMessage"
    properties = {element.get("name"): element.get("value") for element in coverage.iter("property")}
    assert properties["operations"] == f"0 of {len(athena_contract().operations)}"
    assert [case.get("name") for case in suite.findall("testcase")] == [
        "fine",
        "stored",
        "assumed[content]",
        "unknown",
        "unstable",
    ]
    assert [child.tag for case in suite.findall("testcase") for child in case] == [
        "failure",
        "skipped",
        "skipped",
        "skipped",
    ]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "5",
        "1",
        "0",
        "3",
    )


def test_junit_reports_gap_as_failure_under_strict(contract: Contract, report: Report) -> None:
    root = ElementTree.fromstring(junit.render(build_report(contract, report.run, strict=True)))
    assert root[0].get("failures") == "2"


def test_junit_has_error_if_target_is_unreachable(contract: Contract) -> None:
    report = build_report(contract, RunResult(abort_reason="gone", target_unreachable=True))
    root = ElementTree.fromstring(junit.render(report))
    (error,) = root.iter("error")
    assert error.get("type") == "target_unreachable"
    assert str(error.get("message")).endswith(": gone")


# Markdown -----------------------------------------------------------------------------------------------------------


def outside_code(text: str) -> str:
    """Return a Markdown text without its code blocks and code spans, as defined by CommonMark."""
    text = re.sub(r"^(`{3,})[^\n`]*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


def test_markdown_starts_with_verdict(report: Report) -> None:
    first, *_ = markdown.render(report).splitlines()
    assert re.match(r"\*\*athena-conformance: FAILED \(exit 1\): `+1 ", first)


def test_markdown_has_texts_of_target_only_in_code(report: Report) -> None:
    text = outside_code(markdown.render(report))
    for part in ("script", "everyone", "#123", "evil", "javascript", "pipe", "out of the fence", "::error", "<", "`"):
        assert part not in text


def test_markdown_table_rows_have_same_number_of_columns(report: Report) -> None:
    rows = [line for line in markdown.render(report).splitlines() if line.startswith("| ")]
    assert len(rows) == 11
    widths = Counter(len(re.findall(r"(?<!\\)\|", row)) for row in rows)
    assert set(widths) == {6}  # coverage and blocking failures have five columns each


def test_markdown_has_all_sections(report: Report) -> None:
    text = markdown.render(report)
    headings = [line for line in text.splitlines() if line.startswith("### ")]
    assert headings == [
        "### Blocking failures",
        "### Contract gaps (1)",
        "### Flaky (1)",
        "### Skipped (1)",
        "### Records not deleted from the target",
        "### Coverage of the contract",
    ]
    assert "\n\n\n" not in text


@pytest.mark.parametrize("number", [1, 40, 400])
@pytest.mark.slow
def test_markdown_fits_into_comment(number: int) -> None:
    text = markdown.render(report_with_failures(number))
    assert len(text.encode()) <= markdown.MAX_BYTES
    assert ("*Truncated: " in text) is (number > 1)
    assert text.count("\n```") % 2 == 0


def test_markdown_shows_the_first_gap_of_each_check_in_full() -> None:
    """The others have a line with the id each."""
    pointer = athena_contract().operations["createMessage"].pointer
    first = Requirement("assumed", "createMessage", "A sentence.", pointer, "inferred")
    requirements = [replace(first, parameter=f"p{number}") for number in range(4)]
    gaps = [CheckResult(requirement, Status.FAILED, "got 1, expected 2") for requirement in requirements]
    section = markdown.render(build_report(athena_contract(), RunResult(gaps))).partition("### Contract gaps (4)")[2]
    assert section.count("athena-conformance replay") == 1
    assert section.count("\n- `createMessage p") == 3
    assert all(requirement.id in section for requirement in requirements)


@pytest.mark.parametrize("text", ["`", "``", "a`b", "`a", "a``", "a | b", "```\nx\n````"])
def test_markdown_code_cannot_be_closed_by_its_text(text: str) -> None:
    assert outside_code(f"{markdown.code_span(text)} after").strip() == "after"
    assert outside_code(f"{markdown.code_block(text)}\nafter").strip() == "after"


# GitHub -------------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning|notice) (?:file=[^,:]+,line=\d+,)?title=[^,:]*::.*")


def test_every_line_of_annotations_is_one_command(report: Report) -> None:
    lines = github.render(report).splitlines()
    assert [COMMAND.fullmatch(line) is not None for line in lines] == [True] * len(lines)
    assert [line.split()[0] for line in lines] == ["::error", "::warning", "::warning", "::notice"]
    assert [line for line in lines if "##[" in line] == []


def test_github_shows_ten_annotations_and_counts_the_rest() -> None:
    lines = github.render(report_with_failures(50)).splitlines()
    assert Counter(line.split()[0] for line in lines) == {"::error": 9, "::notice": 1}
    assert "16 more errors and 25 more warnings are only in the job summary and the report files" in lines[-1]


@pytest.mark.parametrize(
    ("text", "data", "name"),
    [("50%, a:b", "50%25, a:b", "50%25%2C a%3Ab"), ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"), ("##[x]", "## [x]", "## [x]")],
)
def test_annotations_are_escaped(text: str, data: str, name: str) -> None:
    assert (github.escape_data(text), github.escape_property(text)) == (data, name)


def test_terminal_lines_are_not_workflow_commands(report: Report) -> None:
    for line in terminal.render(report).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    assert github.neutralize_command("  ::error::x") == "  : ::error::x"


# SARIF --------------------------------------------------------------------------------------------------------------


def test_sarif_has_required_properties(report: Report) -> None:
    document = sarif.build_document(report)
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert "The request is stored." in result["message"]["text"]
        assert "](" not in result["message"]["text"]
        (location,) = result["locations"]
        physical_location = location["physicalLocation"]
        assert physical_location["artifactLocation"]["uri"] == "spec/openapi.yaml"
        assert physical_location["region"] == {"startLine": report.line_numbers["#/paths/~1messages/post"]}
        assert re.fullmatch("[0-9a-f]{64}", result["partialFingerprints"][sarif.FINGERPRINT_KEY])


def test_sarif_fingerprint_does_not_depend_on_line(report: Report) -> None:
    def fingerprints(of: Report) -> list[str]:
        return [r["partialFingerprints"][sarif.FINGERPRINT_KEY] for r in sarif.build_document(of)["runs"][0]["results"]]

    moved = replace(report, line_numbers={pointer: line + 7 for pointer, line in report.line_numbers.items()})
    assert fingerprints(report) == fingerprints(moved)
    assert len(set(fingerprints(report))) == 3


@pytest.mark.parametrize(("path", "uri"), [("spec/a b.yaml", "spec/a%20b.yaml"), ("/x/y.yaml", "file:///x/y.yaml")])
def test_sarif_uri(path: str, uri: str) -> None:
    assert sarif.build_uri(path) == uri


# HTML ---------------------------------------------------------------------------------------------------------------


def test_html_has_no_external_resource(report: Report) -> None:
    text = html.render(report)
    assert re.findall(r"<(?:script|img|link|iframe|object|form|a href=\"(?!#))", text) == []
    assert re.findall(r"<[^>]+\son[a-z]+=", text) == []
    assert "default-src 'none'; style-src 'sha256-" in text


def test_html_shows_failures_with_contract_excerpt(report: Report) -> None:
    text = html.render(report)
    line = report.line_numbers["#/paths/~1messages/post"]
    for expected in (
        "What to fix first",
        "The request is stored.",
        f"spec/openapi.yaml:{line}",
        "Stated by the API documentation",
        "Contract gaps (1)",
        "Flaky (1)",
        "Skipped (1)",
        "Coverage of the contract",
        "Records not deleted from the target",
    ):
        assert expected in text
    assert f'<span class="here">▶ {line:>5}      post:</span>' in text
    assert f"\n  {line + 1:>5}  " in text


def test_html_links_lead_to_elements(report: Report) -> None:
    text = html.render(report)
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links
    assert links <= set(re.findall(r'id="([^"]+)"', text))


def test_html_matrix_is_readable_without_color(report: Report) -> None:
    title = "createMessage, other: 1 failed (blocking), 1 contract gap, 1 flaky, 1 passed, 1 skipped"
    assert f'title="{title}">✗1<' in html.render(report)


# JUnit schemas, causes, job summary -----------------------------------------------------------------------------------

# The rules of both published schemas, in words of our own: junit-10.xsd of Jenkins' xUnit plugin and JUnit.xsd, which
# describes the reports of Ant (github.com/windyroad/JUnit-Schema). Attributes with the patterns of their types, and
# children in order. Attributes that only one of them permits are left out.
XML_TOKEN, COUNT, SECONDS = r"(?! ).+(?<! )", r"\d+", r"\d*(\.\d+)?"
JUNIT_SUITE = {
    **dict.fromkeys(("name", "hostname", "package"), XML_TOKEN),
    **dict.fromkeys(("id", "tests", "failures", "errors", "skipped"), COUNT),
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "time": r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?",
}
JUNIT_CASE = {"name": XML_TOKEN, "classname": XML_TOKEN, "time": SECONDS}
JUNIT_FAILURE = {"type": r"(?s).*", "message": r"(?s).*"}


def check_attributes(element: ElementTree.Element, patterns: Mapping[str, str]) -> None:
    assert element.attrib.keys() == patterns.keys()
    for name, pattern in patterns.items():
        assert re.fullmatch(pattern, element.attrib[name]), (element.tag, name, element.attrib[name])


@pytest.mark.parametrize("is_unreachable", [False, True])
def test_junit_has_the_structure_of_both_schemas(report: Report, contract: Contract, is_unreachable: bool) -> None:
    if is_unreachable:
        report = build_report(contract, RunResult(abort_reason="gone", target_unreachable=True))
    root = ElementTree.fromstring(junit.render(report))
    assert (root.tag, root.attrib) == ("testsuites", {})
    assert [suite.get("id") for suite in root] == [str(number) for number in range(len(root))]
    for suite in root:
        check_attributes(suite, JUNIT_SUITE)
        first, *cases, output, error = (child.tag for child in suite)
        assert (first, output, error) == ("properties", "system-out", "system-err")
        assert set(cases) <= {"testcase"}
        for entry in suite[0]:
            check_attributes(entry, {"name": XML_TOKEN, "value": r"(?s).*"})
        for case in suite.iter("testcase"):
            check_attributes(case, JUNIT_CASE)
            assert [child.tag for child in case] in ([], ["skipped"], ["failure"], ["error"])
            for child in case:
                check_attributes(child, JUNIT_FAILURE if child.tag != "skipped" else {"message": r"(?s).*"})
                assert not len(child)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"<!DOCTYPE html><h1>404</h1>", "got an HTML page for 404; got 1"),
        (b'{"name": "\xff"}', "the body of 404 is not UTF-8: byte 0xff at 10; got 1"),
        (b"no JSON", "got 1"),
        (b"{}", "got 1"),
    ],
)
def test_message_starts_with_the_cause(report: Report, content: bytes, cause: str) -> None:
    exchange = Exchange(Request("listMessages", "get", "/messages"), Response(404, {}, content, 0.0))
    failure = replace(report.gate_result.blocking[0], message="got 1", evidence=(exchange,))
    assert report.message(failure) == cause


@pytest.mark.parametrize("is_known", [True, False])
def test_first_line_has_method_path_status_and_compared_with_an_earlier_run_since_when(
    report: Report, is_known: bool
) -> None:
    assert re.search(r"   POST /messages\S* -> 500\n", terminal.render(report))
    failures = report.gate_result.failed if is_known else ()
    since = "run 01234567, 2026-02-01"
    past = [PastFailure(failure.requirement.fingerprint, "a failure", since) for failure in failures]
    compared = replace(report, comparison=FailureComparison.create("run 89abcdef", past, report.gate_result))
    expected = f"failing since {since}" if is_known else "new in run 0badcafe"
    assert re.search(rf"   POST /messages\S* -> 500; {expected}\n", terminal.render(compared))
    assert f"-> 500; {expected}" in markdown.render(compared)


def test_sarif_paths_are_relative_to_the_repository(report: Report) -> None:
    document = sarif.build_document(replace(report, contract="openapi.yaml", repository_path="spec/openapi.yaml"))
    (run,) = document["runs"]
    assert run["tool"]["driver"]["informationUri"].startswith("https://")
    for result in run["results"]:
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "spec/openapi.yaml"


def test_operations_without_a_successful_call_are_counted_before_the_verdict(report: Report) -> None:
    assert "NOT CHECKED" not in terminal.render(replace(report, gate_result=replace(report.gate_result, scope=())))
    operations = list(report.gate_result.contract.operations.values())[:3]
    gate_result = replace(report.gate_result, scope=operations, call_counts={(operations[0].id, 200): 1})
    line = terminal.render(replace(report, gate_result=gate_result)).splitlines()[-2]
    assert line.startswith("NOT CHECKED: 2 of 3 operations had no successful call: ")
