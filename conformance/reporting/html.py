"""The report as one HTML file that needs nothing else: no script, no address of another place, one style of its own.

The policy in its head (CSP) allows that style by its hash and nothing more, so that even markup which got through
could not run, load or send anything. On top stands what a reader needs first: the verdict, and what to fix.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from conformance.gate.verdict import ExitCode
from conformance.reporting import ADVICE, PROVENANCE_TEXTS, Report
from conformance.reporting.groups import ResultGroup, group_results
from conformance.reporting.names import (
    ENGINE_CATEGORY,
    OTHER_CATEGORY,
    check_category,
    display_name,
    format_counts,
    format_headline,
)
from conformance.results import CheckResult, Status
from conformance.session.coverage import COVERED, ITEM_KINDS, PARTIAL
from conformance.transport.messages import Exchange

MAX_OVERVIEW_ROWS = 12  # of the overview: it should fit on a screen
MAX_OPERATION_LINKS = 6  # operations of a group that the overview names
MAX_UNFOLDED = 3  # failures whose evidence is unfolded
MAX_BODY_CHARS = 6_000  # signs of a body
MAX_MESSAGE_CHARS = 280  # signs of what was found, in the overview
MAX_UNCOVERED = 400  # places of one kind that coverage lists


@dataclass(frozen=True, slots=True)
class _CellStatus:
    """A cell of the matrix: a sign that reads without colour, its class, its word."""

    symbol: str
    css_class: str
    label: str


FAILED = _CellStatus("✗", "bad-cell", "broken, blocks")
GAP = _CellStatus("△", "gap-cell", "contract gap")
FLAKY = _CellStatus("≈", "flaky-cell", "flaky")
ACCEPTED = _CellStatus("◇", "gap-cell", "accepted by the baseline")
PASSED = _CellStatus("✓", "good-cell", "kept")
SKIPPED = _CellStatus("?", "none-cell", "not judged")
NO_CHECK = _CellStatus("·", "none-cell", "no promise of this kind")
CELL_STATUSES = (FAILED, GAP, FLAKY, ACCEPTED, PASSED, SKIPPED)  # the first that occurs is what a cell shows


def render(report: Report) -> str:
    """The whole document."""
    stylesheet = resources.files("conformance.reporting").joinpath("html.css").read_text(encoding="utf-8")
    style_hash = base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    head = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(format_headline(report)[:120])}</title>\n<style>{stylesheet}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(_render_body(report)) + "\n</body>\n</html>\n"


def _render_body(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    groups = group_results(gate_result.blocking)
    yield _render_header(report)
    if groups:
        yield "<h2>What to fix first</h2>"
        yield (
            '<p class="faint">Each row is one broken rule and all operations that break it: likely one repair. '
            "Either the backend is wrong, or the line of the contract is.</p>"
        )
        yield _render_overview(report, groups)
    yield from _render_incomplete(report)
    yield "<h2>Operations and promises</h2>"
    yield _render_matrix(report)
    if groups:
        yield f"<h2>What blocks, in full ({len(gate_result.blocking)})</h2>"
    for number, group in enumerate(groups, 1):
        for index, result in enumerate(group.results):
            text = f"{number}. " if len(group.results) == 1 else f"{number}.{index + 1} "
            is_open = index == 0 and number <= MAX_UNFOLDED
            yield _render_card(report, result, _anchor_id(number, index), text, "", is_open=is_open)
    for title, text, results, anchor_prefix, css_class in (
        (
            "Contract gaps",
            "They rest on places of the contract that nothing states: backend or contract may be wrong. They block "
            "only under <code>--strict</code>. Where the answer shows what the contract lacks, the edit is proposed.",
            [result for group in group_results(gate_result.gaps) for result in group.results],
            "g",
            "gap-card",
        ),
        ("Flaky", "Broken, and not broken each time when judged again: not red.", gate_result.flaky, "f", "flaky-card"),
        (
            "Accepted",
            "Broken, and accepted by <code>--baseline</code>: not red.",
            gate_result.accepted,
            "a",
            "gap-card",
        ),
    ):
        if results:
            yield f'<h2>{title} ({len(results)})</h2>\n<p class="faint">{text}</p>'
        for number, result in enumerate(results, 1):
            yield _render_card(report, result, f"{anchor_prefix}{number}", "", css_class, is_open=False)
    yield from _render_skipped(report)
    yield from _render_coverage(report)


def _anchor_id(number: int, index: int) -> str:
    """The card of a group's outcome; `number` counts from 1, `index` from 0."""
    return f"b{number}" if index == 0 else f"b{number}.{index + 1}"


# The top ------------------------------------------------------------------------------------------------------------


def _render_header(report: Report) -> str:
    gate_result = report.gate_result
    css_class = {ExitCode.PASSED: "good", ExitCode.FAILED: "bad", ExitCode.TARGET_UNREACHABLE: "bad"}.get(
        gate_result.exit_code, ""
    )
    totals = (
        (FAILED, len(gate_result.blocking), "block"),
        (GAP, len(gate_result.gaps), "contract gaps"),
        (FLAKY, len(gate_result.flaky), "flaky"),
        *([(ACCEPTED, len(gate_result.accepted), "accepted")] if gate_result.accepted else []),
        (PASSED, gate_result.passed, "kept"),
        (SKIPPED, sum(gate_result.skip_reasons.values()), "not judged"),
    )
    items = "".join(
        f'<li class="{status.css_class}">{status.symbol} <b>{number}</b> {label}</li>'
        for status, number, label in totals
    )
    facts = (
        f"{escape(report.display_target())} against {escape(report.contract)} ({escape(report.contract_digest[:12])}) · "
        f"{escape(report.started_at)} · {report.requests} requests, {report.seconds:.0f} s · seed {report.seed}, "
        f"run {escape(report.run_id)}"
    )
    notes = "".join(f"<p>{escape(report.redaction.line(note))}</p>" for note in (*report.notes, *gate_result.warnings))
    return (
        f'<header class="verdict {css_class}">\n<h1>{escape(format_headline(report))}</h1>\n<p>{facts}</p>{notes}\n'
        f'<ul class="tally">{items}</ul>\n<p>{escape(format_counts(report))}.</p>\n</header>'
    )


def _render_overview(report: Report, groups: Sequence[ResultGroup]) -> str:
    rows = []
    for number, group in enumerate(groups[:MAX_OVERVIEW_ROWS], 1):
        requirement = group.first.requirement
        message = escape(report.redaction.line(report.message(group.first), MAX_MESSAGE_CHARS))
        omitted_note = f"<br>and {group.location_count - 1} more" if group.location_count > 1 else ""
        rows.append(
            f'<tr><td><a href="#b{number}">{number}</a></td><td>{_render_links(group, number)}<br>'
            f'<span class="faint">{escape(_format_group_rule(group))}</span></td><td>{escape(requirement.summary)}</td>'
            f'<td><span class="found">{message}</span></td>'
            f"<td><code>{escape(report.contract)}:{report.line_number(requirement)}</code>{omitted_note}</td></tr>"
        )
    headings = ("#", "operations, rule", "due", "found", "place in the contract")
    omitted = len(groups) - MAX_OVERVIEW_ROWS
    omitted_note = (
        f'<p><a href="#b{MAX_OVERVIEW_ROWS + 1}">and {omitted} more kinds, below</a></p>' if omitted > 0 else ""
    )
    return _render_table("first", headings, rows) + omitted_note


def _format_group_rule(group: ResultGroup) -> str:
    """What is broken, in a few words: the parameter that it is about, the law, how often."""
    requirement, number = group.first.requirement, len(group.results)
    parameter = requirement.parameter if len({o.requirement.parameter for o in group.results}) == 1 else ""
    count_note = f" ({number} times)" if number > len(group.operations) else ""
    return " ".join(part for part in (parameter, requirement.check) if part) + count_note


def _render_links(group: ResultGroup, number: int) -> str:
    """The operations of a group, each leading to its evidence."""
    anchors: dict[str, str] = {}
    for index, result in enumerate(group.results):
        anchors.setdefault(result.requirement.operation, _anchor_id(number, index))
    links = [f'<a href="#{anchor}"><code>{escape(operation)}</code></a>' for operation, anchor in anchors.items()]
    omitted_note = f" and {len(links) - MAX_OPERATION_LINKS} more" if len(links) > MAX_OPERATION_LINKS else ""
    return ", ".join(links[:MAX_OPERATION_LINKS]) + omitted_note


def _render_incomplete(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    if gate_result.operations_never_successful:
        yield "<h2>Never succeeded</h2>"
        pairs = (
            f"<code>{escape(operation)}</code>: {_escape_line(report, reason)}"
            for operation, reason in gate_result.operations_never_successful.items()
        )
        yield _render_list(pairs)
    if report.run.records_not_deleted:
        yield "<h2>Left over on the target</h2>"
        yield _render_list(
            _escape_line(report, f"{resource} {key}") for resource, key in report.run.records_not_deleted
        )
        yield f"<p><code>{escape(report.cleanup_command())}</code></p>"


# The matrix ---------------------------------------------------------------------------------------------------------


def _render_matrix(report: Report) -> str:
    cells: dict[tuple[str, str], list[_CellStatus]] = {}
    for status, result in _cell_results(report):
        cell_key = (result.requirement.operation, check_category(result.requirement.check))
        cells.setdefault(cell_key, []).append(status)
    operations = dict.fromkeys(operation for operation, _ in cells)
    columns = sorted(
        {column for _, column in cells}, key=lambda column: (column in (OTHER_CATEGORY, ENGINE_CATEGORY), column)
    )
    rows = [
        _render_matrix_row(operation, columns, cells)
        for operation in sorted(operations, key=lambda row_operation: _operation_severity(row_operation, cells))
    ]
    legend = " ".join(
        f'<span class="{legend_status.css_class}">{legend_status.symbol}</span> {legend_status.label};'
        for legend_status in (*CELL_STATUSES, NO_CHECK)
    ).rstrip(";")
    headings = ("operation", *columns)
    caption = f'<p class="faint">{legend}. A cell shows its worst; numbers say how many.</p>'
    return caption + _render_table("matrix", headings, rows)


def _cell_results(report: Report) -> Iterator[tuple[_CellStatus, CheckResult]]:
    gate_result = report.gate_result
    failed = ((FAILED, gate_result.blocking), (GAP, gate_result.gaps), (FLAKY, gate_result.flaky))
    for status, results in (*failed, (ACCEPTED, gate_result.accepted)):
        yield from ((status, result) for result in results)
    yield from ((PASSED, result) for result in report.run.with_status(Status.PASSED))
    yield from ((SKIPPED, result) for result in report.run.with_status(Status.SKIPPED))


def _operation_severity(operation: str, cells: Mapping[tuple[str, str], list[_CellStatus]]) -> tuple[int, str]:
    """Operations with the worst cells first."""
    severities = [
        CELL_STATUSES.index(status)
        for (row_operation, _), statuses in cells.items()
        if row_operation == operation
        for status in statuses
    ]
    return min(*severities, CELL_STATUSES.index(PASSED)), operation


def _render_matrix_row(
    operation: str, columns: Iterable[str], cells: Mapping[tuple[str, str], list[_CellStatus]]
) -> str:
    table_cells = []
    for column in columns:
        statuses = cells.get((operation, column), [])
        worst = min(statuses, key=CELL_STATUSES.index, default=NO_CHECK)
        counts = (
            ", ".join(f"{statuses.count(status)} {status.label}" for status in CELL_STATUSES if status in statuses)
            or NO_CHECK.label
        )
        number = str(statuses.count(worst)) if statuses and worst is not PASSED else ""
        title = escape(f"{operation}, {column}: {counts}")
        table_cells.append(f'<td class="{worst.css_class}" title="{title}">{worst.symbol}{number}</td>')
    return f"<tr><th><code>{escape(operation)}</code></th>{''.join(table_cells)}</tr>"


# A failure ----------------------------------------------------------------------------------------------------------


def _render_card(
    report: Report, result: CheckResult, anchor: str, number: str, css_class: str, *, is_open: bool
) -> str:
    requirement = result.requirement
    provenance_level = report.provenance_level(requirement)
    parts = [
        f"<h3>{number}<code>{escape(display_name(requirement))}</code></h3>",
        f'<dl class="pair"><dt>found</dt><dd class="found">{escape(report.message(result))}</dd>'
        f"<dt>due</dt><dd>{escape(requirement.summary)}</dd>"
        f"<dt>{'grade' if css_class else 'why red'}</dt><dd>{_render_provenance(report, result, provenance_level)}</dd></dl>",
        _render_proposal(report, result),
        _render_command(report, result),
    ]
    content = f'{_render_excerpt(report, result)}\n<div class="side">{_render_evidence(report, result)}</div>'
    open_attribute = " open" if is_open else ""
    parts.append(f"<details{open_attribute}><summary>Contract, request and answer</summary>\n{content}\n</details>")
    return f'<article id="{anchor}" class="{css_class}">\n' + "\n".join(part for part in parts if part) + "\n</article>"


def _render_provenance(report: Report, result: CheckResult, provenance_level: str) -> str:
    advice = f" {ADVICE[result.failure_kind]}" if result.failure_kind else ""
    return f"<b>{escape(provenance_level)}</b>: {escape(PROVENANCE_TEXTS.get(provenance_level, ''))} {escape(report.rerun_summary(result).capitalize())}.{advice}"


def _render_command(report: Report, result: CheckResult) -> str:
    command, replay_command = report.curl_command(result), report.replay_command(result.requirement)
    command_html = f"<h4>See it yourself</h4><pre>{escape(command)}</pre>" if command else ""
    return f"{command_html}<h4>Judge it again, from a fresh state</h4><pre>{escape(replay_command)}</pre>"


def _render_proposal(report: Report, result: CheckResult) -> str:
    proposal = report.proposal_for(result)
    if proposal is None:
        return ""
    css_classes = {"+": "plus", "-": "minus"}
    lines = [
        f'<span class="{css_classes.get(line[:1], "faint")}">{escape(line)}</span>'
        for line in proposal.diff.splitlines()
    ]
    diff_html = "<pre>" + "\n".join(lines) + "</pre>" if lines else ""
    return f"<h4>Proposed</h4><p>{escape(proposal.message)}</p>{diff_html}"


def _render_excerpt(report: Report, result: CheckResult) -> str:
    lines = []
    for number, text, is_location in report.excerpt(result.requirement):
        escaped_line = escape(f"{'▶' if is_location else ' '} {number:>5}  {text}")
        lines.append(f'<span class="here">{escaped_line}</span>' if is_location else escaped_line)
    location = escape(report.location(result.requirement))
    return f"<h4>Contract</h4><p><code>{location}</code></p>" + (
        '<pre class="wide">' + "\n".join(lines) + "</pre>" if lines else ""
    )


def _render_evidence(report: Report, result: CheckResult) -> str:
    if not result.evidence:
        return ""
    exchange = result.evidence[-1]
    earlier_count = len(result.evidence) - 1
    omitted_note = f'<p class="faint">The last of {earlier_count + 1} exchanges; the others are in the JSON report.</p>'
    return (
        f"<div><h4>Request</h4><pre>{escape(_render_request(report, result, exchange))}</pre></div>"
        f"<div><h4>Answer</h4><pre>{escape(_render_response(report, result, exchange))}</pre></div>{omitted_note if earlier_count else ''}"
    )


def _render_request(report: Report, result: CheckResult, exchange: Exchange) -> str:
    redaction = report.redaction_for(result)
    request = redaction.request(exchange.request)
    token_notes = {"self": f"token: ${report.token_env}", "other": f"token: ${report.other_token_env}"}
    head_lines = [f"{request['method']} {request['target']}", token_notes.get(request["as"], "no token of the run's")]
    head_lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    if request["body"] is None:
        return "\n".join(head_lines)
    return "\n".join([*head_lines, "", redaction.pretty(request["body"].encode("utf-8", "replace"), MAX_BODY_CHARS)])


def _render_response(report: Report, result: CheckResult, exchange: Exchange) -> str:
    redaction, response = report.redaction_for(result), exchange.response
    head_lines = [f"{response.status}  ({response.elapsed * 1000:.0f} ms)"]
    head_lines += [f"{name}: {value}" for name, value in redaction.headers(response.headers).items()]
    return "\n".join([*head_lines, "", redaction.pretty(response.content, MAX_BODY_CHARS)])


# The rest -----------------------------------------------------------------------------------------------------------


def _render_skipped(report: Report) -> Iterator[str]:
    skip_reasons = report.gate_result.skip_reasons
    if skip_reasons:
        sorted_reasons = report.gate_result.ordered_skip_reasons
        rows = [
            f"<tr><td>{count}</td><td>{_escape_line(report, skip_reason.message)}</td></tr>"
            for skip_reason, count in sorted_reasons
        ]
        yield f"<h2>Not judged ({sum(skip_reasons.values())})</h2>"
        yield _render_details(f"{len(sorted_reasons)} causes", _render_table("", ("promises", "cause"), rows))


def _render_coverage(report: Report) -> Iterator[str]:
    coverage = report.coverage
    if coverage is None:
        return
    yield "<h2>Coverage of the contract</h2>"
    rows = []
    for kind in ITEM_KINDS:
        covered_count, partial_count, total = (
            coverage.count(kind, COVERED),
            coverage.count(kind, PARTIAL),
            coverage.total(kind),
        )
        share = f"{100 * covered_count / total:.0f} %" if total else ""
        cells = (covered_count, share, partial_count, total - covered_count - partial_count, total)
        rows.append(f"<tr><th>{kind}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    yield _render_table("", ("of the contract", "exercised", "", "only reached", "never", "all"), rows)
    yield (
        '<p class="faint">Exercised: a success used or showed it. '
        "Only reached: sent and refused, or shown only as null.</p>"
    )
    if coverage.operations_never_successful:
        pairs = (
            f"<code>{escape(operation)}</code>: {_escape_line(report, reason)}"
            for operation, reason in coverage.operations_never_successful.items()
        )
        yield _render_details(
            f"{len(coverage.operations_never_successful)} operations without a success, and why", _render_list(pairs)
        )
    for kind in ITEM_KINDS:
        uncovered = coverage.uncovered(kind)
        if uncovered:
            names = [f"<code>{escape(item.name)}</code> ({item.state})" for item in uncovered[:MAX_UNCOVERED]]
            omitted_note = (
                [f"and {len(uncovered) - MAX_UNCOVERED} more, in the JSON report"]
                if len(uncovered) > MAX_UNCOVERED
                else []
            )
            yield _render_details(f"{len(uncovered)} {kind} not exercised", _render_list([*names, *omitted_note]))


def _escape_line(report: Report, text: str) -> str:
    return escape(report.redaction.line(text))


def _render_table(css_class: str, headings: Iterable[str], rows: Iterable[str]) -> str:
    header_cells = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "\n".join(rows)
    table = f'<table class="{css_class}"><thead><tr>{header_cells}</tr></thead><tbody>\n{body}\n</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _render_list(entries: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{entry}</li>" for entry in entries) + "</ul>"


def _render_details(title: str, content: str) -> str:
    return f'<details class="box"><summary>{escape(title)}</summary>{content}</details>'
