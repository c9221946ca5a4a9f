"""The report on one screen: what blocks in full, the rest counted, and the sentences that say what to do."""

from collections.abc import Iterable, Iterator

from conformance.outcome import Outcome
from conformance.report import Report
from conformance.report.github import neutral
from conformance.report.names import headline, name
from conformance.verdict import counted

FAILURES = 6
GAPS = 10
CAUSES = 8
NAMES = 12


def render(report: Report) -> str:
    """The whole text, with a line end."""
    return "\n".join(neutral(line) for line in _lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    judgement = report.judgement
    yield (
        f"{report.shown_target()}  ·  {report.contract} ({report.digest[:12]})  ·  seed {report.seed}, "
        f"run {report.run_id}, {counted(report.requests, 'request')}, {report.seconds:.1f} s"
    )
    yield from (f"note: {report.redaction.line(note)}" for note in report.notes)
    yield ""
    for outcome in judgement.blocking[:FAILURES]:
        yield from _failure(report, outcome)
    if len(judgement.blocking) > FAILURES:
        yield from (f"and {len(judgement.blocking) - FAILURES} more that block (all of them: --report-dir)", "")
    yield from _section(report, "contract gaps (inferred; they do not block without --strict)", judgement.gaps)
    yield from _section(report, "flaky (not broken again when judged again; not red)", judgement.flaky)
    yield from _section(report, "accepted by --baseline (broken; not red until they expire)", judgement.accepted)
    yield from _missing(report)
    yield from (f"note: {report.redaction.line(remark)}" for remark in judgement.remarks)
    yield (
        f"{counted(judgement.judged, 'promise')} judged: {judgement.kept} kept, "
        f"{len(judgement.blocking) + len(judgement.gaps)} broken ({len(judgement.blocking)} blocking, "
        f"{counted(len(judgement.gaps), 'contract gap')}), {len(judgement.flaky)} flaky{_accepted(report)}; "
        f"{sum(judgement.causes.values())} not judged; "
        f"{judgement.reached} of {judgement.due} that can block were judged"
    )
    if report.covered is not None:
        yield report.covered.line()
    yield headline(report)


def _accepted(report: Report) -> str:
    accepted = len(report.judgement.accepted)
    return f", {accepted} accepted" if accepted else ""


def _failure(report: Report, outcome: Outcome) -> Iterator[str]:
    promise = outcome.promise
    broken, judged = report.replays(outcome) or (1, 1)
    kind = f", {outcome.kind.value}" if outcome.kind else ""
    grade = "always" if promise.always else promise.grade
    yield f"BROKEN  {name(promise)}  [{grade}; {broken} of {judged} times{kind}]  {promise.id}"
    yield f"   due:   {promise.sentence}"
    yield f"   found: {report.said(outcome)}"
    yield f"   place: {report.place(promise)}"
    command = report.curl(outcome)
    if command:
        yield f"   {command}"
    yield ""


def _section(report: Report, title: str, outcomes: tuple[Outcome, ...]) -> Iterator[str]:
    if not outcomes:
        return
    yield f"{title}:"
    for outcome in outcomes[:GAPS]:
        said = report.redaction.line(report.said(outcome), 200)
        proposed = report.proposal(outcome)
        edit = "; an edit is proposed" if proposed is not None and proposed.edits else ""
        yield f"   {name(outcome.promise)}: {said} ({report.place(outcome.promise)}{edit})"
    if len(outcomes) > GAPS:
        yield f"   and {len(outcomes) - GAPS} more"
    yield ""


def _missing(report: Report) -> Iterator[str]:
    judgement = report.judgement
    if judgement.unsucceeded:
        yield "never succeeded:"
        items = list(judgement.unsucceeded.items())
        yield from (f"   {who}: {report.redaction.line(why, 200)}" for who, why in items[:NAMES])
        yield from [f"   and {len(items) - NAMES} more"] if len(items) > NAMES else []
    if judgement.unasked and not report.found.lost:
        yield f"not asked for a success (named actions; a later stage): {_names(judgement.unasked)}"
    if judgement.causes:
        yield "not judged:"
        ordered = sorted(judgement.causes.items(), key=lambda item: (-item[1], item[0]))
        yield from (f"   {times} x {report.redaction.line(cause, 200)}" for cause, times in ordered[:CAUSES])
        rest = sum(times for _, times in ordered[CAUSES:])
        yield from [f"   {rest} x for {counted(len(ordered) - CAUSES, 'other cause')}"] if rest else []
    if report.found.left:
        left = [f"{resource} {key}" for resource, key in report.found.left]
        yield f"left over on the target (the run could not delete them): {report.redaction.line(_names(left))}"
    if judgement.unsucceeded or judgement.unasked or judgement.causes or report.found.left:
        yield ""


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:NAMES]) + (f" and {len(listed) - NAMES} more" if len(listed) > NAMES else "")
