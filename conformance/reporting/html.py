"""Report as one self-contained HTML file: no script, no external resource, one style sheet.

The content security policy of the page allows only that style sheet, by its hash, so that injected markup could not
run, load or send anything.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from conformance.gate.verdict import ExitCode
from conformance.reporting.model import Report
from conformance.reporting.names import ENGINE_CATEGORY, OTHER_CATEGORY, ResultGroup, check_category
from conformance.reporting.templating import render_report
from conformance.results import CheckResult, Status
from conformance.transport.credentials import CredentialPart
from conformance.transport.messages import Exchange

LIMITS = {
    "overview_rows": 12,  # fit on one screen
    "operation_links": 6,  # of a group in the overview
    "open_failures": 3,  # groups whose evidence is unfolded
    "message_chars": 280,  # of a message in the overview
    "uncovered": 400,  # listed items per kind of coverage
}
MAX_BODY_CHARS = 6_000
CSS_CLASSES = {ExitCode.PASSED: "good", ExitCode.FAILED: "bad", ExitCode.TARGET_UNREACHABLE: "bad"}


@dataclass(frozen=True, slots=True)
class _CellStatus:
    """Content of a matrix cell: a symbol that is readable without color, a CSS class and a label."""

    symbol: str
    css_class: str
    label: str


FAILED = _CellStatus("✗", "bad-cell", "failed (blocking)")
GAP = _CellStatus("△", "gap-cell", "contract gap")
FLAKY = _CellStatus("≈", "flaky-cell", "flaky")
ACCEPTED = _CellStatus("◇", "gap-cell", "accepted by the baseline")
PASSED = _CellStatus("✓", "good-cell", "passed")
SKIPPED = _CellStatus("?", "none-cell", "skipped")
NO_CHECK = _CellStatus("·", "none-cell", "no check of this category")
CELL_STATUSES = (FAILED, GAP, FLAKY, ACCEPTED, PASSED, SKIPPED)  # most severe first
Cells = Mapping[tuple[str, str], list[_CellStatus]]


def render(report: Report) -> str:
    templates = resources.files("conformance.reporting").joinpath("templates")
    stylesheet = templates.joinpath("report.css").read_text(encoding="utf-8")
    counts = Counter(status for status, _ in _cell_results(report))
    return render_report(
        "report.html.j2",
        report,
        stylesheet=stylesheet,
        style_hash=base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode(),
        verdict_class=CSS_CLASSES.get(report.gate_result.exit_code, ""),
        totals=[(status, count) for status in CELL_STATUSES if (count := counts[status]) or status is not ACCEPTED],
        matrix=_build_matrix(report),
        legend=(*CELL_STATUSES, NO_CHECK),
        limits=LIMITS,
        format_rule=_format_rule,
        link_anchors=_link_anchors,
        format_request=lambda result: _format_request(report, result, result.evidence[-1]),
        format_response=lambda result: _format_response(report, result, result.evidence[-1]),
    )


def _format_rule(group: ResultGroup) -> str:
    """Return the parameter, if all failures share it, the check and the number of failures."""
    parameters = {result.requirement.parameter for result in group.results}
    times = f"({len(group.results)} times)" if len(group.results) > len(group.operations) else ""
    parts = (*(parameters if len(parameters) == 1 else ()), group.first.requirement.check, times)
    return " ".join(filter(None, parts))


def _link_anchors(group: ResultGroup) -> dict[str, int]:
    """Map each operationId to the index of its first failure in the group."""
    anchors: dict[str, int] = {}
    for index, result in enumerate(group.results):
        anchors.setdefault(result.requirement.operation, index)
    return anchors


def _build_matrix(report: Report) -> dict[str, Any]:
    """Return the columns (categories) and rows (operations) of the matrix; the most severe rows first."""
    cells: dict[tuple[str, str], list[_CellStatus]] = {}
    severity: dict[str, int] = {}
    for status, result in _cell_results(report):
        operation, rank = result.requirement.operation, CELL_STATUSES.index(status)
        cells.setdefault((operation, check_category(result.requirement.check)), []).append(status)
        severity[operation] = min(severity.get(operation, CELL_STATUSES.index(PASSED)), rank)
    categories = {category for _, category in cells}
    columns = sorted(categories, key=lambda name: (name in (OTHER_CATEGORY, ENGINE_CATEGORY), name))
    operations = sorted(severity, key=lambda name: (severity[name], name))
    rows = [(operation, [_build_cell(operation, column, cells) for column in columns]) for operation in operations]
    return {"columns": columns, "rows": rows}


def _build_cell(operation: str, column: str, cells: Cells) -> dict[str, str]:
    statuses = cells.get((operation, column), [])
    worst = min(statuses, key=CELL_STATUSES.index, default=NO_CHECK)
    counts = ", ".join(f"{statuses.count(status)} {status.label}" for status in CELL_STATUSES if status in statuses)
    number = str(statuses.count(worst)) if statuses and worst is not PASSED else ""
    title = f"{operation}, {column}: {counts or NO_CHECK.label}"
    return {"css_class": worst.css_class, "title": title, "text": f"{worst.symbol}{number}"}


def _cell_results(report: Report) -> Iterator[tuple[_CellStatus, CheckResult]]:
    gate = report.gate_result
    others = (report.run.with_status(status) for status in (Status.PASSED, Status.SKIPPED))
    groups = (gate.blocking, gate.gaps, gate.flaky, gate.accepted, *others)
    return ((status, result) for status, results in zip(CELL_STATUSES, groups, strict=True) for result in results)


def _format_request(report: Report, result: CheckResult, exchange: Exchange) -> str:
    redaction = report.redaction_for(result)
    request = redaction.describe_request(exchange.request)
    actor = exchange.request.actor
    credentials = report.printed_credentials.list_variables(exchange.request.operation, actor)
    lines = [f"{request['method']} {request['target']}"]
    lines += [_format_credential(part, variable) for part, variable in credentials] or ["no token of the run"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    if request["body"] is None:
        return "\n".join(lines)
    return "\n".join([*lines, "", redaction.redact_body(request["body"].encode("utf-8", "replace"), MAX_BODY_CHARS, 2)])


def _format_credential(part: CredentialPart, variable: str) -> str:
    place = "" if part == CredentialPart() else f" ({part.format.description})"
    return f"{'token' if part.credential is None else 'credential'}: ${variable}{place}"


def _format_response(report: Report, result: CheckResult, exchange: Exchange) -> str:
    redaction, response = report.redaction_for(result), exchange.response
    lines = [f"{response.status}  ({response.elapsed * 1000:.0f} ms)"]
    lines += [f"{name}: {value}" for name, value in redaction.redact_headers(response.headers).items()]
    return "\n".join([*lines, "", redaction.redact_body(response.content, MAX_BODY_CHARS, 2)])
