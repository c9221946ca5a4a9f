"""The report as annotations of GitHub Actions: lines on standard output that the runner shows beside the code.

A step may show ten errors and ten warnings; what is beyond is counted in a notice at the end.
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator

from conformance.reporting import Report
from conformance.reporting.groups import group_results
from conformance.reporting.names import display_name, format_counts, format_headline
from conformance.results import CheckResult

MAX_ANNOTATIONS = 10
TITLE = "athena-conformance"


def render(report: Report) -> str:
    """The lines, with a line end."""
    return "\n".join(_render_lines(report)) + "\n"


def neutralize_command(line: str) -> str:
    """A line that the runner takes for no command, whatever a target says in it."""
    line = line.replace("##[", "## [")
    return f"{line[: len(line) - len(line.lstrip())]}: {line.lstrip()}" if line.lstrip().startswith("::") else line


def _render_lines(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    gaps = [*gate_result.gaps, *gate_result.flaky]
    blocking = [result for group in group_results(gate_result.blocking) for result in group.results]
    first_of_each = [
        group.first for group in group_results(gate_result.blocking)
    ]  # one of each before the second of any
    errors = [
        *first_of_each,
        *(result for result in blocking if not any(result is selected for selected in first_of_each)),
    ][:MAX_ANNOTATIONS]
    yield from (_render_annotation(report, "error", result) for result in errors)
    yield from (_render_annotation(report, "warning", result) for result in gaps[:MAX_ANNOTATIONS])
    omitted = max(0, len(gate_result.blocking) - MAX_ANNOTATIONS) + max(0, len(gaps) - MAX_ANNOTATIONS)
    omitted_note = (
        f" {omitted} more are in the report only: GitHub shows {MAX_ANNOTATIONS} errors and {MAX_ANNOTATIONS} warnings."
        if omitted
        else ""
    )
    warnings = "".join(f" {report.redaction.line(warning)}." for warning in gate_result.warnings)
    level = "notice" if int(gate_result.exit_code) == 0 or gate_result.blocking else "error"
    yield f"::{level} title={escape_property(TITLE)}::{escape_data(f'{format_headline(report)}. {format_counts(report)}.{warnings}{omitted_note}')}"


def _render_annotation(report: Report, level: str, result: CheckResult) -> str:
    requirement = result.requirement
    proposal = report.proposal_for(result)
    parts = [f"due: {requirement.summary}", f"found: {report.message(result)} ({report.rerun_summary(result)})"]
    parts += [report.curl_command(result), f"judge it again: {report.replay_command(requirement)}"]
    parts += [proposal.message] if proposal else []
    location = f"file={escape_property(report.contract)},line={report.line_number(requirement)},title={escape_property(display_name(requirement))}"
    return f"::{level} {location}::{escape_data(chr(10).join(part for part in parts if part))}"


def escape_data(message: str) -> str:
    """A message as a command says it."""
    return message.replace("##[", "## [").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(message: str) -> str:
    """A property of a command."""
    return escape_data(message).replace(":", "%3A").replace(",", "%2C")
