"""The report on one screen: what to fix first, the same promise broken on many operations once, the rest counted.

However much is broken, it stays near forty lines: what is left out is counted, and stands in the files of --report-dir.
"""

from collections.abc import Iterable, Iterator

from conformance.gate.verdict import pluralize
from conformance.reporting import Report
from conformance.reporting.github import neutralize_command
from conformance.reporting.groups import ResultGroup, group_results
from conformance.reporting.names import format_counts, format_headline
from conformance.results import CheckResult

MAX_FULL_GROUPS = 2  # groups of failures that are shown in full
MAX_SHORT_GROUPS = 6  # and in a line each
MAX_LIST_ENTRIES = 3  # groups of contract gaps
MAX_OTHER_GROUPS = 1  # groups of what is neither red nor a gap
MAX_SKIP_REASONS = 3
MAX_WARNINGS = 4
MAX_NAMES = 12
MAX_LINE_CHARS = 160  # signs of a line of a list


def render(report: Report) -> str:
    """The whole text, with a line end."""
    return "\n".join(neutralize_command(line) for line in _render_lines(report)) + "\n"


def _render_lines(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    yield (
        f"{report.display_target()}  ·  {report.contract} ({report.contract_digest[:12]})  ·  seed {report.seed}, "
        f"run {report.run_id}, {pluralize(report.requests, 'request')}, {report.seconds:.1f} s"
    )
    yield from (f"note: {report.redaction.line(note)}" for note in report.notes)
    yield ""
    yield from _render_blocking(report)
    yield from _render_section(
        report, "contract gaps (inferred; they do not block without --strict)", gate_result.gaps, MAX_LIST_ENTRIES
    )
    yield from _render_section(
        report, "flaky (not broken again when judged again; not red)", gate_result.flaky, MAX_OTHER_GROUPS
    )
    yield from _render_section(
        report, "accepted by --baseline (broken; not red until they expire)", gate_result.accepted, MAX_OTHER_GROUPS
    )
    if gate_result.gaps or gate_result.flaky or gate_result.accepted:
        yield ""
    yield from _render_incomplete(report)
    yield from (f"note: {report.redaction.line(warning)}" for warning in gate_result.warnings[:MAX_WARNINGS])
    if len(gate_result.warnings) > MAX_WARNINGS:
        yield f"and {len(gate_result.warnings) - MAX_WARNINGS} more notes"
    yield format_counts(report)
    if report.coverage is not None:
        yield report.coverage.summary_line()
    yield format_headline(report)


def _render_blocking(report: Report) -> Iterator[str]:
    """What blocks: the weightiest in full, some more in a line each, the rest counted."""
    groups = group_results(report.gate_result.blocking)
    for group in groups[:MAX_FULL_GROUPS]:
        yield from _render_failure(report, group)
    rest = groups[MAX_FULL_GROUPS:]
    yield from (f"BROKEN  {_render_group_line(report, group)}" for group in rest[:MAX_SHORT_GROUPS])
    omitted = sum(len(group.results) for group in rest[MAX_SHORT_GROUPS:])
    if omitted:
        yield f"and {pluralize(omitted, 'other broken promise')} of {pluralize(len(rest) - MAX_SHORT_GROUPS, 'other kind')}"
    if groups:
        yield (
            f"all of them: {report.report_dir}"
            if report.report_dir
            else "all of them, and to judge one again: --report-dir DIR"
        )
        yield ""


def _render_failure(report: Report, group: ResultGroup) -> Iterator[str]:
    result, requirement = group.first, group.first.requirement
    subject = f"{requirement.operation} {requirement.parameter}".rstrip() + ": " if len(group.results) > 1 else ""
    yield f"BROKEN  {group.title()}  [{report.provenance_level(requirement)}; {report.rerun_summary(result)}]  {requirement.id}"
    yield f"   due:   {requirement.summary}"
    yield f"   found: {subject}{report.message(result)}"
    yield f"   place: {report.location(requirement)}" + (
        f" and {group.location_count - 1} more" if group.location_count > 1 else ""
    )
    command = report.curl_command(result)
    yield from [f"   {command}"] if command else []
    if len(result.evidence) > 1:
        yield f"   (the last of {len(result.evidence)} requests that show it together; all of them: replay with --sh)"
    yield from [f"   {report.replay_command(requirement)}"] if report.report_dir else []
    yield ""


def _render_group_line(report: Report, group: ResultGroup) -> str:
    """A group in a line."""
    requirement = group.first.requirement
    message = report.redaction.line(report.message(group.first), MAX_LINE_CHARS)
    return f"{group.title()}: {message} ({report.contract}:{report.line_number(requirement)}, {requirement.id})"


def _render_section(report: Report, title: str, results: tuple[CheckResult, ...], max_groups: int) -> Iterator[str]:
    if not results:
        return
    yield f"{title}: {len(results)}"
    groups = group_results(results)
    for group in groups[:max_groups]:
        edits = [p for result in group.results if (p := report.proposal_for(result)) is not None and p.edits]
        yield f"   {_render_group_line(report, group)}" + ("; an edit is proposed" if edits else "")
    omitted = sum(len(group.results) for group in groups[max_groups:])
    yield from [f"   and {omitted} more of {pluralize(len(groups) - max_groups, 'other kind')}"] if omitted else []


def _render_incomplete(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    if gate_result.operations_never_successful:
        yield "never succeeded:"
        items = list(gate_result.operations_never_successful.items())
        yield from (
            f"   {operation}: {report.redaction.line(reason, MAX_LINE_CHARS)}"
            for operation, reason in items[:MAX_LIST_ENTRIES]
        )
        yield from [f"   and {len(items) - MAX_LIST_ENTRIES} more"] if len(items) > MAX_LIST_ENTRIES else []
    if gate_result.actions_never_successful and not report.run.target_unreachable:
        yield f"named actions that never succeeded (nothing could ask them for a success): {_join_names(gate_result.actions_never_successful)}"
    if gate_result.skip_reasons:
        yield "not judged:"
        sorted_reasons = gate_result.ordered_skip_reasons
        yield from (
            f"   {count} x {report.redaction.line(skip_reason.message, MAX_LINE_CHARS)}"
            for skip_reason, count in sorted_reasons[:MAX_SKIP_REASONS]
        )
        omitted = sum(count for _, count in sorted_reasons[MAX_SKIP_REASONS:])
        yield from (
            [f"   {omitted} x for {pluralize(len(sorted_reasons) - MAX_SKIP_REASONS, 'other cause')}"]
            if omitted
            else []
        )
    if report.run.records_not_deleted:
        leftovers = [f"{resource} {key}" for resource, key in report.run.records_not_deleted]
        yield f"left over on the target (the run could not delete them): {report.redaction.line(_join_names(leftovers))}"
        yield f"   {report.cleanup_command()}"
    if (
        gate_result.operations_never_successful
        or gate_result.actions_never_successful
        or gate_result.skip_reasons
        or report.run.records_not_deleted
    ):
        yield ""


def _join_names(names: Iterable[str]) -> str:
    name_list = list(names)
    return ", ".join(name_list[:MAX_NAMES]) + (
        f" and {len(name_list) - MAX_NAMES} more" if len(name_list) > MAX_NAMES else ""
    )
