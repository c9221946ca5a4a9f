"""Report as GitHub Actions annotations: workflow commands on standard output.

At most ten, blocking failures first; the last one is the verdict and counts the rest.
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator

from conformance.reporting.model import Report
from conformance.reporting.names import describe_failure, display_name, format_counts, format_headline, group_results
from conformance.results import CheckResult

MAX_ANNOTATIONS = 10
TITLE = "athena-conformance"


def render(report: Report) -> str:
    return "\n".join(_render_lines(report)) + "\n"


def neutralize_command(line: str) -> str:
    """Change a line so that the runner does not interpret it as a workflow command."""
    line = line.replace("##[", "## [")
    return f"{line[: len(line) - len(line.lstrip())]}: {line.lstrip()}" if line.lstrip().startswith("::") else line


def _render_lines(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    groups = group_results(gate_result.blocking)
    # The first failure of each group precedes the second failure of any group.
    errors = [group.first for group in groups] + [result for group in groups for result in group.results[1:]]
    warnings = [*gate_result.gaps, *gate_result.flaky]
    shown_warnings = max(0, MAX_ANNOTATIONS - 1 - len(errors))
    yield from (_render_annotation(report, "error", result) for result in errors[: MAX_ANNOTATIONS - 1])
    yield from (_render_annotation(report, "warning", result) for result in warnings[:shown_warnings])
    surplus = {"errors": len(errors) - MAX_ANNOTATIONS + 1, "warnings": len(warnings) - shown_warnings}
    omitted = " and ".join(f"{count} more {kind}" for kind, count in surplus.items() if count > 0)
    parts = [f"{format_headline(report)}.", f"{format_counts(report)}."]
    parts += [f"{text}." for text in report.comparison_lines()]
    parts += [f"{report.redaction.redact_line(warning)}." for warning in gate_result.warnings]
    if omitted:
        parts.append(f"{omitted} are only in the job summary and the report files.")
    level = "notice" if int(report.exit_code) == 0 or gate_result.blocking else "error"
    yield f"::{level} title={escape_property(TITLE)}::{escape_data(' '.join(parts))}"


def _render_annotation(report: Report, level: str, result: CheckResult) -> str:
    requirement, lines = result.requirement, [report.message(result), *describe_failure(report, result)]
    title = escape_property(display_name(requirement))
    file = escape_property(report.repository_path or report.contract)
    location = f"file={file},line={report.line_number(requirement)},title={title}"
    return f"::{level} {location}::{escape_data(chr(10).join(lines))}"


def escape_data(message: str) -> str:
    return message.replace("##[", "## [").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(value: str) -> str:
    return escape_data(value).replace(":", "%3A").replace(",", "%2C")
