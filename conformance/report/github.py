"""The report as annotations of GitHub Actions: lines on standard output that the runner shows beside the code.

A step may show ten errors and ten warnings; what is beyond is counted in a notice at the end.
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator

from conformance.outcome import CheckResult
from conformance.report import Report
from conformance.report.groups import grouped
from conformance.report.names import counts, headline, name

MOST = 10
TITLE = "athena-conformance"


def render(report: Report) -> str:
    """The lines, with a line end."""
    return "\n".join(_lines(report)) + "\n"


def neutral(line: str) -> str:
    """A line that the runner takes for no command, whatever a target says in it."""
    line = line.replace("##[", "## [")
    return f"{line[: len(line) - len(line.lstrip())]}: {line.lstrip()}" if line.lstrip().startswith("::") else line


def _lines(report: Report) -> Iterator[str]:
    judgement = report.judgement
    gaps = [*judgement.gaps, *judgement.flaky]
    blocking = [outcome for group in grouped(judgement.blocking) for outcome in group.outcomes]
    first = [group.first for group in grouped(judgement.blocking)]  # one of each before the second of any
    shown = [*first, *(outcome for outcome in blocking if not any(outcome is one for one in first))][:MOST]
    yield from (_annotation(report, "error", outcome) for outcome in shown)
    yield from (_annotation(report, "warning", outcome) for outcome in gaps[:MOST])
    left = max(0, len(judgement.blocking) - MOST) + max(0, len(gaps) - MOST)
    more = f" {left} more are in the report only: GitHub shows {MOST} errors and {MOST} warnings." if left else ""
    remarks = "".join(f" {report.redaction.line(remark)}." for remark in judgement.warnings)
    level = "notice" if int(judgement.exit_code) == 0 or judgement.blocking else "error"
    yield f"::{level} title={property_of(TITLE)}::{escaped(f'{headline(report)}. {counts(report)}.{remarks}{more}')}"


def _annotation(report: Report, level: str, outcome: CheckResult) -> str:
    promise = outcome.requirement
    proposal = report.proposal(outcome)
    said = [f"due: {promise.summary}", f"found: {report.said(outcome)} ({report.times(outcome)})"]
    said += [report.curl(outcome), f"judge it again: {report.replay(promise)}"]
    said += [proposal.message] if proposal else []
    place = f"file={property_of(report.contract)},line={report.line(promise)},title={property_of(name(promise))}"
    return f"::{level} {place}::{escaped(chr(10).join(part for part in said if part))}"


def escaped(said: str) -> str:
    """A message as a command says it."""
    return said.replace("##[", "## [").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_of(said: str) -> str:
    """A property of a command."""
    return escaped(said).replace(":", "%3A").replace(",", "%2C")
