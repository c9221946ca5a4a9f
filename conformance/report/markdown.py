"""The report as Markdown, for a comment on a pull request: the verdict first, then what blocks, then the rest.

All that a target or a contract says stands in code spans and fences longer than any run of backticks in it, where
GitHub reads no HTML, no mention, no issue number and no link. Blocks are kept whole; what does not fit is left out at
the end, with a sentence.
"""

import re
from collections.abc import Iterable, Iterator

from conformance.coverage import COVERED, ITEM_KINDS, PARTIAL
from conformance.outcome import CheckResult
from conformance.report import ADVICE, GRADES, Report
from conformance.report.groups import Group, grouped
from conformance.report.names import counts, headline, name

LIMIT = 60_000  # bytes; GitHub refuses a comment of more than 65,536 characters
ROWS = 25  # of the table of what blocks
FOUND = 240  # signs of what was found, in a table
CAUSES = 15
OTHERS = 20  # of a group, by name
_TICKS = re.compile("`+")


def render(report: Report) -> str:
    """The whole text, with a line end; at most `LIMIT` bytes."""
    blocks = list(_blocks(report))
    room = LIMIT - 200
    kept: list[str] = []
    for block in blocks:
        room -= len(block.encode("utf-8", "replace")) + 2
        if room < 0:
            kept.append(f"*Cut here: {len(blocks) - len(kept)} more parts are in the other reports of this run.*")
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def code(said: str) -> str:
    """A text as a code span that it cannot leave, also in a table."""
    said = " ".join(said.split())
    if not said:
        return ""
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(said)), default=0))
    pad = " " if said[0] == "`" or said[-1] == "`" else ""
    return f"{ticks}{pad}{said}{pad}{ticks}".replace("|", "\\|")


def fence(said: str, language: str = "") -> str:
    """A text as a code block that it cannot leave."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(said)), default=0))
    return f"{ticks}{language}\n{said}\n{ticks}"


def _blocks(report: Report) -> Iterator[str]:
    judgement = report.judgement
    yield f"**athena-conformance: {_verdict(report)}**"
    facts = f"{report.requests} requests in {report.seconds:.0f} s, seed {report.seed}, run {code(report.run_id)}"
    yield f"{code(report.shown_target())} against {code(report.contract)} ({code(report.digest[:12])}): {facts}."
    yield f"{counts(report)}."
    if judgement.warnings:
        yield _list(code(report.redaction.line(remark)) for remark in judgement.warnings)
    if judgement.blocking:
        groups = grouped(judgement.blocking)
        yield "### What blocks"
        yield _table(report, groups)
        for number, group in enumerate(groups, 1):
            yield _failure(report, number, group)
    if judgement.gaps:
        yield f"### Contract gaps ({len(judgement.gaps)})"
        yield "They rest on inferred places: backend or contract may be wrong. They block only under `--strict`."
        yield from (_gap(report, outcome) for group in grouped(judgement.gaps) for outcome in group.outcomes)
    if judgement.flaky:
        yield f"### Flaky ({len(judgement.flaky)})"
        yield _list(_short(report, outcome) for outcome in judgement.flaky)
    if judgement.accepted:
        yield f"### Accepted by --baseline ({len(judgement.accepted)})"
        yield _list(_short(report, outcome) for outcome in judgement.accepted)
    yield from _missing(report)
    yield from _coverage(report)


def _verdict(report: Report) -> str:
    word, _, reasons = headline(report).partition(": ")
    return word + (f": {code(reasons)}" if reasons else "")


def _short(report: Report, outcome: CheckResult) -> str:
    said = report.redaction.line(report.said(outcome), FOUND)
    return f"{code(name(outcome.requirement))}: {code(said)} ({report.times(outcome)}; {code(outcome.requirement.id)})"


def _table(report: Report, groups: tuple[Group, ...]) -> str:
    rows = ["| # | what | found | due | place |", "| --- | --- | --- | --- | --- |"]
    for number, group in enumerate(groups[:ROWS], 1):
        outcome, promise = group.first, group.first.requirement
        found = code(report.redaction.line(report.said(outcome), FOUND))
        place = code(f"{report.contract}:{report.line(promise)}")
        rows.append(f"| {number} | {code(group.title())} | {found} | {code(promise.summary)} | {place} |")
    left = len(groups) - ROWS
    return "\n".join(rows) + (f"\n\nand {left} more" if left > 0 else "")


def _failure(report: Report, number: int, group: Group) -> str:
    """One of a group in full, the others by name."""
    outcome, promise = group.first, group.first.requirement
    grade = report.grade(promise)
    kind = f" {ADVICE[outcome.failure_kind]}" if outcome.failure_kind else ""
    parts = [
        f"**{number}. {code(group.title())}** ({report.times(outcome)})",
        f"- due: {code(promise.summary)}\n- found: {code(report.said(outcome))}\n"
        f"- place: {code(report.place(promise))}\n- {grade}: {GRADES.get(grade, '')}{kind}",
    ]
    others = [f"{code(name(o.requirement))} ({code(o.requirement.id)})" for o in group.outcomes[1:]]
    more = f" and {len(others) - OTHERS} more" if len(others) > OTHERS else ""
    also = [f"Also: {', '.join(others[:OTHERS])}{more}"] if others else []
    return "\n\n".join([*parts, *_acts(report, outcome), *also])


def _gap(report: Report, outcome: CheckResult) -> str:
    said = (
        f"{code(name(outcome.requirement))}: {code(report.said(outcome))} ({code(report.place(outcome.requirement))})"
    )
    return "\n\n".join([said, *_acts(report, outcome)])


def _acts(report: Report, outcome: CheckResult) -> Iterator[str]:
    """What is proposed, and the commands that show it again."""
    proposal = report.proposal(outcome)
    if proposal is not None:
        yield code(proposal.message)
        yield from [fence(proposal.diff, "diff")] if proposal.diff else []
    command = report.curl(outcome)
    yield fence("\n".join(filter(None, (command, report.replay(outcome.requirement)))), "sh")


def _missing(report: Report) -> Iterator[str]:
    judgement = report.judgement
    line = report.redaction.line
    if judgement.operations_never_successful:
        yield "### Never succeeded"
        yield _list(
            f"{code(who)}: {code(line(why, FOUND))}" for who, why in judgement.operations_never_successful.items()
        )
    if judgement.skip_reasons:
        yield f"### Not judged ({sum(judgement.skip_reasons.values())})"
        ordered = judgement.ordered_skip_reasons
        left = sum(times for _, times in ordered[CAUSES:])
        shown = [f"{times} x {code(line(cause.message, FOUND))}" for cause, times in ordered[:CAUSES]]
        yield _list([*shown, *([f"{left} x for {len(ordered) - CAUSES} other causes"] if left else [])])
    if report.found.records_not_deleted:
        yield "### Left over on the target"
        yield _list(code(line(f"{resource} {key}")) for resource, key in report.found.records_not_deleted[:CAUSES])
        yield code(report.cleaning())


def _coverage(report: Report) -> Iterator[str]:
    covered = report.covered
    if covered is None:
        return
    rows = ["| of the contract | exercised | only reached | never | all |", "| --- | --- | --- | --- | --- |"]
    for kind in ITEM_KINDS:
        used, reached, total = covered.count(kind, COVERED), covered.count(kind, PARTIAL), covered.total(kind)
        rows.append(f"| {kind} | {used} | {reached} | {total - used - reached} | {total} |")
    yield "### Coverage of the contract"
    yield "\n".join(rows)


def _list(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)
