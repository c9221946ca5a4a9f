"""Report as JUnit XML: one testsuite per operation, one testcase per check (and parameter).

Blocking failures are failures. Contract gaps, flaky and accepted failures and skipped checks are skipped, with the
reason. Further testsuites hold the coverage (properties), the warnings (output) and the reason of an incomplete run
(error).
"""

import re
from collections import Counter
from collections.abc import Iterable
from xml.etree import ElementTree as etree

from conformance.gate.verdict import ExitCode
from conformance.reporting.model import Report
from conformance.reporting.names import describe_failure
from conformance.results import CheckResult, Status
from conformance.session.coverage import COVERED, ITEM_KINDS

_INVALID_XML_CHARS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SUITE_NAME = "athena-conformance"


def render(report: Report) -> str:
    root = etree.Element("testsuites", name=SUITE_NAME, time=f"{report.seconds:.3f}")
    results_by_operation: dict[str, list[tuple[CheckResult, bool]]] = {}
    run = report.run
    for result, is_flaky in [*((r, False) for r in run.results), *((r, True) for r in run.flaky)]:
        results_by_operation.setdefault(result.requirement.operation, []).append((result, is_flaky))
    for operation, results in results_by_operation.items():
        suite = _add_element(root, "testsuite", name=operation, timestamp=report.started_at[:19])
        name_counts: Counter[str] = Counter()
        for result, is_flaky in results:
            _add_test_case(report, suite, result, is_flaky, name_counts)
        _set_counts(suite)
    if report.gate_result.exit_code not in (ExitCode.PASSED, ExitCode.FAILED):
        suite = _add_element(root, "testsuite", name=SUITE_NAME)
        case = _add_element(suite, "testcase", classname=SUITE_NAME, name="the run is complete")
        reasons = "; ".join(map(report.redaction.redact_line, report.gate_result.reasons))
        _add_element(case, "error", type=report.gate_result.exit_code.name.lower(), message=reasons)
        _set_counts(suite)
    if report.coverage is not None:
        properties = _add_element(_add_element(root, "testsuite", name=f"{SUITE_NAME}: coverage"), "properties")
        for kind in ITEM_KINDS:
            value = f"{report.coverage.count(kind, COVERED)} of {report.coverage.total(kind)}"
            _add_element(properties, "property", name=kind, value=value)
    if report.gate_result.warnings:
        suite = _add_element(root, "testsuite", name=f"{SUITE_NAME}: warnings")
        _set_text(_add_element(suite, "system-out"), map(report.redaction.redact_line, report.gate_result.warnings))
    _set_counts(root)
    etree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="unicode") + "\n"


def _add_test_case(
    report: Report, suite: etree.Element, result: CheckResult, is_flaky: bool, name_counts: Counter[str]
) -> None:
    requirement = result.requirement
    name = f"{requirement.check}[{requirement.parameter}]" if requirement.parameter else requirement.check
    name_counts[name] += 1
    unique_name = name if name_counts[name] == 1 else f"{name} #{name_counts[name]}"
    case = _add_element(suite, "testcase", classname=requirement.operation, name=unique_name, file=report.contract)
    case.set("line", str(report.line_number(requirement)))
    message, proposal = report.message(result), report.proposal_for(result)
    if result.status is Status.FAILED and not is_flaky and result in report.gate_result.blocking:
        element = _add_element(case, "failure", type=requirement.check, message=message)
    elif result.status is not Status.PASSED:
        element = _add_element(case, "skipped", message=f"{_skip_message(report, result, is_flaky)}: {message}")
    if result.status is Status.FAILED:
        diff = [proposal.diff] if proposal and proposal.diff else []
        _set_text(element, [f"message: {message}", *describe_failure(report, result), *diff])


def _skip_message(report: Report, result: CheckResult, is_flaky: bool) -> str:
    """Return why the result is not a failure of the run."""
    if result.status is Status.SKIPPED:
        return "skipped"
    if is_flaky:
        return f"flaky, {report.rerun_summary(result).removesuffix(', flaky')}"
    is_accepted = result in report.gate_result.accepted
    return f"{'accepted by --baseline' if is_accepted else 'contract gap'}, {report.rerun_summary(result)}"


def _add_element(parent: etree.Element, tag: str, **attributes: str) -> etree.Element:
    return etree.SubElement(parent, tag, {name: _remove_invalid_chars(value) for name, value in attributes.items()})


def _set_text(element: etree.Element, lines: Iterable[str]) -> None:
    element.text = _remove_invalid_chars("\n".join(lines))


def _set_counts(element: etree.Element) -> None:
    for plural, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(plural, str(sum(1 for _ in element.iter(tag))))


def _remove_invalid_chars(text: str) -> str:
    return _INVALID_XML_CHARS.sub("", text)
