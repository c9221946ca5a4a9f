"""The report as JUnit XML: a testsuite for each operation, a testcase for each law on it (and parameter).

A blocking broken promise is a failure; a contract gap, a flaky one, an accepted one and one that was not judged are
skipped, with the reason, and of a gap the proposed edit. Coverage of the contract stands in the properties of a
testsuite of its own, remarks on the run in the output of another. A run that ended before its time, or that is
incomplete, says so as an error of another.
"""

import re
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as etree

from conformance.coverage import COVERED, ITEM_KINDS
from conformance.outcome import CheckResult, Status
from conformance.report import Report
from conformance.verdict import ExitCode

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ITSELF = "athena-conformance"


def render(report: Report) -> str:
    """The whole document."""
    root = etree.Element("testsuites", name=ITSELF, time=f"{report.seconds:.3f}")
    suites: dict[str, list[tuple[CheckResult, bool]]] = {}
    for outcome, flaky in _all(report):
        suites.setdefault(outcome.requirement.operation, []).append((outcome, flaky))
    for operation, outcomes in suites.items():
        suite = _element(root, "testsuite", name=operation, timestamp=report.started[:19])
        taken: Counter[str] = Counter()
        for outcome, flaky in outcomes:
            _case(report, suite, outcome, flaky, taken)
        _count(suite)
    if report.judgement.exit_code not in (ExitCode.PASSED, ExitCode.FAILED):
        _itself(report, root)
    if report.covered is not None:
        properties = _element(_element(root, "testsuite", name=f"{ITSELF}: coverage"), "properties")
        for kind in ITEM_KINDS:
            said = f"{report.covered.count(kind, COVERED)} of {report.covered.total(kind)}"
            _element(properties, "property", name=kind, value=said)
    if report.judgement.warnings:
        told = "\n".join(map(report.redaction.line, report.judgement.warnings))
        _element(_element(root, "testsuite", name=f"{ITSELF}: remarks"), "system-out").text = _clean(told)
    _count(root)
    etree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="unicode") + "\n"


def _all(report: Report) -> Iterator[tuple[CheckResult, bool]]:
    yield from ((outcome, False) for outcome in report.found.results)
    yield from ((outcome, True) for outcome in report.found.flaky)


def _case(report: Report, suite: etree.Element, outcome: CheckResult, flaky: bool, taken: Counter[str]) -> None:
    promise = outcome.requirement
    name = f"{promise.check}[{promise.parameter}]" if promise.parameter else promise.check
    taken[name] += 1
    shown = name if taken[name] == 1 else f"{name} #{taken[name]}"
    case = _element(suite, "testcase", classname=promise.operation, name=shown, file=report.contract)
    case.set("line", str(report.line(promise)))
    said = report.said(outcome)
    if outcome.status is Status.FAILED and not flaky and outcome in report.judgement.blocking:
        failure = _element(case, "failure", type=promise.check, message=said)
        lines = (promise.summary, f"found: {said}", f"place: {report.place(promise)}", f"grade: {promise.provenance}")
        told = (*lines, report.times(outcome), report.curl(outcome), report.replay(promise), _proposed(report, outcome))
        failure.text = _clean("\n".join(told))
    elif outcome.status is not Status.PASSED:
        skipped = _element(case, "skipped", message=f"{_why(report, outcome, flaky)}: {said}")
        if outcome.status is Status.FAILED:
            skipped.text = _clean("\n".join(filter(None, (report.replay(promise), _proposed(report, outcome)))))


def _why(report: Report, outcome: CheckResult, flaky: bool) -> str:
    """Why it is no failure."""
    if outcome.status is Status.SKIPPED:
        return "not judged"
    if flaky:
        return f"flaky, {report.times(outcome).removesuffix(', flaky')}"
    accepted = outcome in report.judgement.accepted
    return f"{'accepted by --baseline' if accepted else 'contract gap'}, {report.times(outcome)}"


def _proposed(report: Report, outcome: CheckResult) -> str:
    proposal = report.proposal(outcome)
    return f"{proposal.message}\n{proposal.diff}" if proposal is not None else ""


def _itself(report: Report, root: etree.Element) -> None:
    suite = _element(root, "testsuite", name=ITSELF)
    case = _element(suite, "testcase", classname=ITSELF, name="the run is complete")
    reasons = "; ".join(report.redaction.line(reason) for reason in report.judgement.reasons)
    _element(case, "error", type=report.judgement.exit_code.name.lower(), message=reasons)
    _count(suite)


def _element(parent: etree.Element, tag: str, **attributes: str) -> etree.Element:
    return etree.SubElement(parent, tag, {name: _clean(value) for name, value in attributes.items()})


def _count(element: etree.Element) -> None:
    for plural, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(plural, str(sum(1 for _ in element.iter(tag))))


def _clean(text: str) -> str:
    return _NO_XML.sub("", text)
