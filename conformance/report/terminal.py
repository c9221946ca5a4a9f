"""The report on one screen: what to fix first, the same promise broken on many operations once, the rest counted.

However much is broken, it stays near forty lines: what is left out is counted, and stands in the files of --report-dir.
"""

from collections.abc import Iterable, Iterator

from conformance.outcome import CheckResult
from conformance.report import Report
from conformance.report.github import neutral
from conformance.report.groups import Group, grouped
from conformance.report.names import counts, headline
from conformance.verdict import pluralize

FULL = 2  # groups of failures that are shown in full
LINES = 6  # and in a line each
ENTRIES = 3  # groups of contract gaps
ASIDE = 1  # groups of what is neither red nor a gap
CAUSES = 3
REMARKS = 4
NAMES = 12
WIDE = 160  # signs of a line of a list


def render(report: Report) -> str:
    """The whole text, with a line end."""
    return "\n".join(neutral(line) for line in _lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    judgement = report.judgement
    yield (
        f"{report.shown_target()}  ·  {report.contract} ({report.digest[:12]})  ·  seed {report.seed}, "
        f"run {report.run_id}, {pluralize(report.requests, 'request')}, {report.seconds:.1f} s"
    )
    yield from (f"note: {report.redaction.line(note)}" for note in report.notes)
    yield ""
    yield from _blocking(report)
    yield from _section(report, "contract gaps (inferred; they do not block without --strict)", judgement.gaps, ENTRIES)
    yield from _section(report, "flaky (not broken again when judged again; not red)", judgement.flaky, ASIDE)
    yield from _section(report, "accepted by --baseline (broken; not red until they expire)", judgement.accepted, ASIDE)
    if judgement.gaps or judgement.flaky or judgement.accepted:
        yield ""
    yield from _missing(report)
    yield from (f"note: {report.redaction.line(remark)}" for remark in judgement.warnings[:REMARKS])
    if len(judgement.warnings) > REMARKS:
        yield f"and {len(judgement.warnings) - REMARKS} more notes"
    yield counts(report)
    if report.covered is not None:
        yield report.covered.summary_line()
    yield headline(report)


def _blocking(report: Report) -> Iterator[str]:
    """What blocks: the weightiest in full, some more in a line each, the rest counted."""
    groups = grouped(report.judgement.blocking)
    for group in groups[:FULL]:
        yield from _failure(report, group)
    rest = groups[FULL:]
    yield from (f"BROKEN  {_short(report, group)}" for group in rest[:LINES])
    left = sum(len(group.outcomes) for group in rest[LINES:])
    if left:
        yield f"and {pluralize(left, 'other broken promise')} of {pluralize(len(rest) - LINES, 'other kind')}"
    if groups:
        yield (
            f"all of them: {report.folder}"
            if report.folder
            else "all of them, and to judge one again: --report-dir DIR"
        )
        yield ""


def _failure(report: Report, group: Group) -> Iterator[str]:
    outcome, promise = group.first, group.first.requirement
    who = f"{promise.operation} {promise.parameter}".rstrip() + ": " if len(group.outcomes) > 1 else ""
    yield f"BROKEN  {group.title()}  [{report.grade(promise)}; {report.times(outcome)}]  {promise.id}"
    yield f"   due:   {promise.summary}"
    yield f"   found: {who}{report.said(outcome)}"
    yield f"   place: {report.place(promise)}" + (f" and {group.places - 1} more" if group.places > 1 else "")
    command = report.curl(outcome)
    yield from [f"   {command}"] if command else []
    if len(outcome.evidence) > 1:
        yield f"   (the last of {len(outcome.evidence)} requests that show it together; all of them: replay with --sh)"
    yield from [f"   {report.replay(promise)}"] if report.folder else []
    yield ""


def _short(report: Report, group: Group) -> str:
    """A group in a line."""
    promise = group.first.requirement
    said = report.redaction.line(report.said(group.first), WIDE)
    return f"{group.title()}: {said} ({report.contract}:{report.line(promise)}, {promise.id})"


def _section(report: Report, title: str, outcomes: tuple[CheckResult, ...], most: int) -> Iterator[str]:
    if not outcomes:
        return
    yield f"{title}: {len(outcomes)}"
    groups = grouped(outcomes)
    for group in groups[:most]:
        edits = [p for outcome in group.outcomes if (p := report.proposal(outcome)) is not None and p.edits]
        yield f"   {_short(report, group)}" + ("; an edit is proposed" if edits else "")
    left = sum(len(group.outcomes) for group in groups[most:])
    yield from [f"   and {left} more of {pluralize(len(groups) - most, 'other kind')}"] if left else []


def _missing(report: Report) -> Iterator[str]:
    judgement = report.judgement
    if judgement.operations_never_successful:
        yield "never succeeded:"
        items = list(judgement.operations_never_successful.items())
        yield from (f"   {who}: {report.redaction.line(why, WIDE)}" for who, why in items[:ENTRIES])
        yield from [f"   and {len(items) - ENTRIES} more"] if len(items) > ENTRIES else []
    if judgement.actions_never_successful and not report.found.target_unreachable:
        yield f"named actions that never succeeded (nothing could ask them for a success): {_names(judgement.actions_never_successful)}"
    if judgement.skip_reasons:
        yield "not judged:"
        ordered = judgement.ordered_skip_reasons
        yield from (f"   {times} x {report.redaction.line(cause.message, WIDE)}" for cause, times in ordered[:CAUSES])
        rest = sum(times for _, times in ordered[CAUSES:])
        yield from [f"   {rest} x for {pluralize(len(ordered) - CAUSES, 'other cause')}"] if rest else []
    if report.found.records_not_deleted:
        left = [f"{resource} {key}" for resource, key in report.found.records_not_deleted]
        yield f"left over on the target (the run could not delete them): {report.redaction.line(_names(left))}"
        yield f"   {report.cleaning()}"
    if (
        judgement.operations_never_successful
        or judgement.actions_never_successful
        or judgement.skip_reasons
        or report.found.records_not_deleted
    ):
        yield ""


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:NAMES]) + (f" and {len(listed) - NAMES} more" if len(listed) > NAMES else "")
