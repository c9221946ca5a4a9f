"""Report as JUnit XML: one testsuite per operation, one testcase per check (and parameter).

Blocking failures are failures. Contract gaps, flaky and accepted failures and skipped checks are skipped, with the
reason. Further testsuites hold the coverage (properties), the warnings (output) and the reason of an incomplete run
(error). Valid against junit-10.xsd of Jenkins and the schema of Ant: the root has no attributes, and every suite has
`properties`, `system-out` and `system-err`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit
from xml.etree import ElementTree as etree

from conformance.gate.verdict import ExitCode
from conformance.reporting.model import Report
from conformance.reporting.names import describe_failure
from conformance.results import CheckResult, Status
from conformance.session.coverage import COVERED, ITEM_KINDS

_INVALID_XML_CHARS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SUITE_NAME = "athena-conformance"


def render(report: Report) -> str:
    root = etree.Element("testsuites")
    results_by_operation: dict[str, list[tuple[CheckResult, bool]]] = {}
    run = report.run
    for result, is_flaky in [*((r, False) for r in run.results), *((r, True) for r in run.flaky)]:
        results_by_operation.setdefault(result.requirement.operation, []).append((result, is_flaky))
    for operation, results in results_by_operation.items():
        suite = _add_suite(report, root, operation)
        name_counts: Counter[str] = Counter()
        for result, is_flaky in results:
            _add_test_case(report, suite, result, is_flaky, name_counts)
        _complete_suite(suite)
    if report.gate_result.exit_code not in (ExitCode.PASSED, ExitCode.FAILED):
        suite = _add_suite(report, root, SUITE_NAME)
        case = _add_element(suite, "testcase", classname=SUITE_NAME, name="the run is complete", time="0.000")
        reasons = "; ".join(map(report.redaction.redact_line, report.gate_result.reasons))
        _add_element(case, "error", type=report.gate_result.exit_code.name.lower(), message=reasons)
        _complete_suite(suite)
    if report.coverage is not None:
        suite = _add_suite(report, root, f"{SUITE_NAME}: coverage")
        for kind in ITEM_KINDS:
            value = f"{report.coverage.count(kind, COVERED)} of {report.coverage.total(kind)}"
            _add_element(suite[0], "property", name=kind, value=value)
        _complete_suite(suite)
    texts = [*report.comparison_lines(), *map(report.redaction.redact_line, report.gate_result.warnings)]
    if texts:
        _complete_suite(_add_suite(report, root, f"{SUITE_NAME}: warnings"), texts)
    etree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="unicode") + "\n"


def _add_suite(report: Report, root: etree.Element, name: str) -> etree.Element:
    """Add a test suite with what both schemas require; `_complete_suite` adds the rest."""
    hostname = urlsplit(report.display_target()).hostname or "localhost"
    head = {"timestamp": report.started_at[:19], "hostname": hostname, "package": SUITE_NAME, "id": str(len(root))}
    suite = _add_element(root, "testsuite", name=name, **head)
    _add_element(suite, "properties")
    return suite


def _complete_suite(suite: etree.Element, lines: Iterable[str] = ()) -> None:
    """Add the output, which follows the test cases, and the counts."""
    _set_text(_add_element(suite, "system-out"), lines)
    _add_element(suite, "system-err")
    _set_counts(suite)
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in suite.iter('testcase')):.3f}")


def _add_test_case(
    report: Report, suite: etree.Element, result: CheckResult, is_flaky: bool, name_counts: Counter[str]
) -> None:
    requirement = result.requirement
    name = f"{requirement.check}[{requirement.parameter}]" if requirement.parameter else requirement.check
    name_counts[name] += 1
    unique_name = name if name_counts[name] == 1 else f"{name} #{name_counts[name]}"
    seconds = f"{sum(exchange.response.elapsed for exchange in result.evidence):.3f}"
    case = _add_element(suite, "testcase", classname=requirement.operation, name=unique_name, time=seconds)
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
