"""Report for the terminal: the most severe failures in full, some in one line each, the rest counted.

The output stays at about forty lines; the files of --report-dir contain everything.
"""

from collections.abc import Iterator, Mapping

from conformance.gate.verdict import join_names, pluralize
from conformance.reporting.github import neutralize_command
from conformance.reporting.model import Report
from conformance.reporting.names import (
    ResultGroup,
    format_counts,
    format_earlier_requests,
    format_headline,
    format_request_line,
    format_unchecked_operations,
    group_results,
)
from conformance.results import CheckResult

MAX_FULL_GROUPS = 2  # groups of blocking failures shown in full
MAX_SHORT_GROUPS = 4  # groups of blocking failures shown in one line each
MAX_SUBJECTS = 8
MAX_LIST_ENTRIES = 3
MAX_OTHER_GROUPS = 1  # groups of flaky and of accepted failures
MAX_SKIP_REASONS = 3
MAX_WARNINGS = 4
MAX_NAMES = 12
MAX_LINE_CHARS = 160
GAPS_TITLE = "contract gaps (inferred requirements; they block only with --fail-on inferred)"
PROVENANCE_NOTE = (
    "[documented, published]: a page of the vendor states the requirement; [confirmed]: a backend showed it; "
    "[contradiction]: two responses contradict each other; [inferred]: the contract assumes it; "
    "[always]: it holds for every API"
)


def render(report: Report) -> str:
    return "\n".join(neutralize_command(line) for line in _render_lines(report)) + "\n"


def _render_lines(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    yield (
        f"{report.display_target()}  ·  {report.contract} ({report.contract_digest[:12]})  ·  seed {report.seed}, "
        f"run {report.run_id}, {pluralize(report.requests, 'request')}, {report.seconds:.1f} s"
    )
    yield from (f"note: {report.redaction.redact_line(note)}" for note in report.notes)
    yield from report.comparison_lines()
    yield ""
    yield from _render_blocking(report)
    for title, results, limit in (
        (GAPS_TITLE, gate_result.gaps, MAX_LIST_ENTRIES),
        ("flaky (did not fail again when rerun; they do not block)", gate_result.flaky, MAX_OTHER_GROUPS),
        ("accepted by --baseline (failed; they block when they expire)", gate_result.accepted, MAX_OTHER_GROUPS),
    ):
        yield from _render_section(report, title, results, limit)
    if gate_result.gaps or gate_result.flaky or gate_result.accepted:
        yield ""
    incomplete = list(_render_incomplete(report))
    yield from [*incomplete, ""] if incomplete else []
    yield from (f"warning: {report.redaction.redact_line(warning)}" for warning in gate_result.warnings[:MAX_WARNINGS])
    if len(gate_result.warnings) > MAX_WARNINGS:
        yield f"and {pluralize(len(gate_result.warnings) - MAX_WARNINGS, 'other warning')}"
    yield from map(report.redaction.redact_line, gate_result.history_notes)
    yield format_counts(report)
    if report.coverage is not None and report.coverage.items:
        yield report.coverage.summary_line()
    unchecked = format_unchecked_operations(report)
    yield from [unchecked] if unchecked else []
    yield format_headline(report)


def _render_blocking(report: Report) -> Iterator[str]:
    groups = group_results(report.gate_result.blocking)
    if not groups:
        return
    for group in groups[:MAX_FULL_GROUPS]:
        yield from _render_failure(report, group)
    rest = groups[MAX_FULL_GROUPS:]
    yield from (f"FAILED  {_render_group_line(report, group)}" for group in rest[:MAX_SHORT_GROUPS])
    omitted = sum(len(group.results) for group in rest[MAX_SHORT_GROUPS:])
    if omitted:
        kinds = pluralize(len(rest) - MAX_SHORT_GROUPS, "other check")
        yield f"and {pluralize(omitted, 'other failure')} of {kinds}"
    yield PROVENANCE_NOTE
    yield f"all failures: {report.report_dir or '--report-dir DIR writes reports that `replay` can rerun'}"
    yield ""


def _render_failure(report: Report, group: ResultGroup) -> Iterator[str]:
    result, requirement = group.first, group.first.requirement
    provenance = f"[{report.provenance_level(result)}; {report.rerun_summary(result)}]"
    subject = f"{requirement.operation} {requirement.parameter}".rstrip() + ": " if len(group.results) > 1 else ""
    other_locations = f" and {group.location_count - 1} more" if group.location_count > 1 else ""
    yield f"FAILED  {group.title()}  {provenance}  {requirement.id}"
    request = format_request_line(report, result)
    yield from [f"   {request}"] if request else []
    yield f"   requirement: {requirement.summary}"
    yield f"   message:     {subject}{report.message(result)}"
    subjects = dict.fromkeys(f"{r.requirement.operation} {r.requirement.parameter}".rstrip() for r in group.results[1:])
    if subjects:
        yield f"   also:        {join_names(tuple(subjects), MAX_SUBJECTS)}"
    yield f"   location:    {report.location(requirement)}{other_locations}"
    basis = report.basis(requirement)
    yield from [f"   contract:    {basis}"] if basis else []
    yield from _render_earlier_requests(report, result)
    command = report.curl_command(result)
    ids = report.request_ids(result)
    yield from [f"   sent:        {ids}"] if ids else []
    yield from [f"   {report.replay_command(requirement)}"] if report.report_dir else []
    yield from [f"   {command}"] if command else []
    yield ""


def _render_earlier_requests(report: Report, result: CheckResult) -> Iterator[str]:
    """Render the requests before the last one, which the curl command shows, with their statuses."""
    yield from (f"   request:     {line}" for line in format_earlier_requests(report, result))


def _render_group_line(report: Report, group: ResultGroup) -> str:
    requirement = group.first.requirement
    message = report.short_message(group.first, MAX_LINE_CHARS)
    return f"{group.title()}: {message} ({report.source(requirement)}, {requirement.id})"


def _render_section(report: Report, title: str, results: tuple[CheckResult, ...], limit: int) -> Iterator[str]:
    if not results:
        return
    yield f"{title}: {len(results)}"
    groups = group_results(results)
    for group in groups[:limit]:
        proposals = (report.proposal_for(result) for result in group.results)
        has_edits = any(proposal is not None and proposal.edits for proposal in proposals)
        yield f"   {_render_group_line(report, group)}" + ("; an edit is proposed" if has_edits else "")
    omitted = sum(len(group.results) for group in groups[limit:])
    yield from [f"   and {omitted} more of {pluralize(len(groups) - limit, 'other check')}"] if omitted else []


def _render_operations(report: Report, title: str, reasons: Mapping[str, str]) -> Iterator[str]:
    """`reasons`: by operationId."""
    if not reasons:
        return
    yield f"{title}:"
    items = list(reasons.items())
    for name, reason in items[:MAX_LIST_ENTRIES]:
        yield f"   {name}: {report.redaction.redact_line(reason, MAX_LINE_CHARS)}"
    yield from [f"   and {len(items) - MAX_LIST_ENTRIES} more"] if len(items) > MAX_LIST_ENTRIES else []


def _render_incomplete(report: Report) -> Iterator[str]:
    gate_result, redact = report.gate_result, report.redaction.redact_line
    yield from _render_operations(report, "operations that never succeeded", gate_result.operations_never_successful)
    title = "operations whose checks were all skipped because of their responses"
    yield from _render_operations(report, title, gate_result.operations_not_evaluated)
    if gate_result.actions_never_successful and not report.run.target_unreachable:
        yield f"named actions that never succeeded: {join_names(gate_result.actions_never_successful, MAX_NAMES)}"
    if gate_result.skip_reasons:
        yield "skipped:"
        reasons = gate_result.ordered_skip_reasons
        for reason, count in reasons[:MAX_SKIP_REASONS]:
            yield f"   {count} x {redact(reason.message, MAX_LINE_CHARS)}"
        omitted = sum(count for _, count in reasons[MAX_SKIP_REASONS:])
        if omitted:
            reason_count = pluralize(len(reasons) - MAX_SKIP_REASONS, "other reason")
            yield f"   and {pluralize(omitted, 'other check')} for {reason_count}"
    if report.run.records_not_deleted:
        names = [f"{resource} {key}" for resource, key in report.run.records_not_deleted]
        yield f"records not deleted from the target: {redact(join_names(names, MAX_NAMES))}"
        yield f"   {report.cleanup_command()}"
