"""The three reports of one run: whole, parseable, harmless whatever the target says, and without a secret."""

import json as json_of
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conformance.exchange import Exchange, Request, Response
from conformance.outcome import Outcome, Promise, Verdict
from conformance.redaction import GONE, Redaction, plain
from conformance.report import Report, json, junit, terminal
from conformance.run import Run
from conformance.verdict import Demands, judge
from spec.contract import Contract, load
from spec.document import lines

CONTRACT = Path(__file__).parents[2] / "spec" / "openapi.yaml"
TOKEN = "canary-token-1234"
PASSWORD = "canary-password"
HOSTILE = (
    f"\x1b[31mred\x1b[0m \x00\x07\x1b]0;title\x07 \u202eturned <script>&]]> \ud800 {TOKEN} {PASSWORD}\nsecond line"
)
WRITERS: tuple[Callable[[Report], str], ...] = (terminal.render, json.render, junit.render)


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The project's contract."""
    return load(CONTRACT)


def hostile_exchange(contract: Contract) -> Exchange:
    """An exchange full of what may not be shown."""
    operation = contract.operations["createMessage"]
    body = {"content": HOSTILE, "password": PASSWORD, "nested": [{"Password": PASSWORD}]}
    request = Request(operation.id, "post", operation.path, body=body, headers={"Authorization": f"Basic {TOKEN}"})
    content = json_of.dumps({"data": {"password": PASSWORD, "text": HOSTILE + "x" * 20_000}}).encode()
    headers = {"set-cookie": "canary-cookie", "content-type": HOSTILE}
    return Exchange(request, Response(500, headers, content, 0.1))


def report_of(contract: Contract, found: Run, *, strict: bool = False) -> Report:
    """A report of a run."""
    scope = list(contract.operations.values())
    seen = Counter({(o.id, 200): 1 for o in scope})
    return Report(
        "http://127.0.0.1:1/api/v1",
        "spec/openapi.yaml",
        contract.document.digest,
        "0badcafe",
        7,
        "2026-03-01T00:00:00+00:00",
        1.5,
        12,
        strict,
        False,
        "ATHENA_TOKEN",
        "ATHENA_OTHER_TOKEN",
        ("a note",),
        found,
        judge(found, contract, scope, seen, Demands(strict=strict)),
        Redaction.of(contract, [TOKEN]),
        lines(contract.document.text),
        seen,
    )


@pytest.fixture(scope="module")
def report(contract: Contract) -> Report:
    """One of each: kept, blocking, gap, flaky, not judged; all of them said by a hostile target."""
    pointer = contract.operations["createMessage"].pointer
    promise = Promise("stored", "createMessage", "What was sent is stored.", pointer, "documented")
    shown = (hostile_exchange(contract),)
    gap = replace(promise, law="guessed", grade="inferred", parameter="content")
    flaky = replace(promise, law="now-and-then")
    found = Run(
        [
            Outcome(replace(promise, law="fine"), Verdict.KEPT),
            Outcome(promise, Verdict.BROKEN, HOSTILE, shown),
            Outcome(gap, Verdict.BROKEN, HOSTILE, shown),
            Outcome(replace(promise, law="unknown"), Verdict.NOT_JUDGED, HOSTILE.replace(PASSWORD, "")),
        ],
        left=[("Message", TOKEN)],
        flaky=[Outcome(flaky, Verdict.BROKEN, HOSTILE, shown)],
        replays={promise.fingerprint: (2, 2), gap.fingerprint: (2, 2), flaky.fingerprint: (1, 2)},
    )
    return report_of(contract, found)


@pytest.mark.parametrize("render", WRITERS)
def test_no_secret_and_no_control_character_is_in_a_report(report: Report, render: Callable[[Report], str]) -> None:
    text = render(report)
    assert [word for word in (TOKEN, PASSWORD, "canary") if word in text] == []
    assert plain(text) == text
    assert "\\u001b" not in text


def test_a_secret_that_is_split_by_control_characters_is_found() -> None:
    redaction = Redaction((TOKEN,), frozenset())
    assert redaction.text("a " + "\x00".join(TOKEN)) == f"a {GONE}"


def test_texts_are_bounded(report: Report) -> None:
    document = json.document(report)
    bodies = [e["response"]["body"] for p in document["promises"] for e in p["exchanges"]]
    assert bodies
    assert max(map(len, bodies)) < 4_100


def test_the_terminal_says_what_a_reader_needs(report: Report) -> None:
    text = terminal.render(report)
    line = report.lines["#/paths/~1messages/post"]
    for due in (
        "createMessage stored",
        "documented; 2 of 2 times",
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


def test_a_curl_names_the_token_and_does_not_show_it(contract: Contract, report: Report) -> None:
    operation = contract.operations["listMessages"]
    asked = Exchange(Request(operation.id, "get", operation.path), Response(200, {}, b"", 0.0))
    command = report.redaction.curl(asked, report.target, "MINE", "OTHER")
    assert command == 'curl -i -X GET -H "Authorization: Bearer $MINE" http://127.0.0.1:1/api/v1/messages'


def test_the_json_report_is_versioned_and_counts_what_it_lists(report: Report) -> None:
    document: dict[str, Any] = json_of.loads(json.render(report))
    assert document["version"] == json.VERSION == 1
    assert document["verdict"]["code"] == 1
    verdicts = Counter(promise["verdict"] for promise in document["promises"])
    assert verdicts == {"kept": 1, "broken": 2, "flaky": 1, "not judged": 1}
    assert document["counts"]["broken_blocking"] == document["counts"]["contract_gaps"] == 1
    assert document["counts"]["judged"] == 4


def test_every_key_of_the_json_report_is_told_in_its_docstring(report: Report) -> None:
    document = json.document(report)
    told = json.__doc__ or ""
    keys = {*document, *document["run"], *document["verdict"], *document["counts"], *document["promises"][1]}
    assert {key for key in keys if f'"{key}"' not in told} == set()


def test_junit_has_a_suite_for_each_operation_and_a_case_for_each_law(report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report))
    (suite,) = root.findall("testsuite")
    assert suite.get("name") == "createMessage"
    assert [case.get("name") for case in suite] == ["fine", "stored", "guessed[content]", "unknown", "now-and-then"]
    assert [child.tag for case in suite for child in case] == ["failure", "skipped", "skipped", "skipped"]
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("5", "1", "0", "3")


def test_junit_fails_for_a_gap_under_strict(contract: Contract, report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report_of(contract, report.found, strict=True)))
    assert root.get("failures") == "2"


def test_junit_is_not_green_when_the_target_was_lost(contract: Contract) -> None:
    root = ElementTree.fromstring(junit.render(report_of(contract, Run(ended="gone", lost=True))))
    (error,) = root.iter("error")
    assert error.get("message") == "the target was lost: gone"
