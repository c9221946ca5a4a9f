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

from conformance.coverage import COVERED, ITEM_KINDS, PARTIAL
from conformance.exchange import Exchange
from conformance.outcome import CheckResult, Status
from conformance.report import ADVICE, GRADES, Report
from conformance.report.groups import Group, grouped
from conformance.report.names import ENGINE, OTHER, counts, family, headline, name
from conformance.verdict import ExitCode

ROWS = 12  # of the overview: it should fit on a screen
LINKS = 6  # operations of a group that the overview names
OPEN = 3  # failures whose evidence is unfolded
BODY = 6_000  # signs of a body
FOUND = 280  # signs of what was found, in the overview
MISSED = 400  # places of one kind that coverage lists


@dataclass(frozen=True, slots=True)
class _Mark:
    """A cell of the matrix: a sign that reads without colour, its class, its word."""

    sign: str
    style: str
    word: str


BROKEN = _Mark("✗", "bad-cell", "broken, blocks")
GAP = _Mark("△", "gap-cell", "contract gap")
FLAKY = _Mark("≈", "flaky-cell", "flaky")
ACCEPTED = _Mark("◇", "gap-cell", "accepted by the baseline")
KEPT = _Mark("✓", "good-cell", "kept")
UNJUDGED = _Mark("?", "none-cell", "not judged")
NOTHING = _Mark("·", "none-cell", "no promise of this kind")
MARKS = (BROKEN, GAP, FLAKY, ACCEPTED, KEPT, UNJUDGED)  # the first that occurs is what a cell shows


def render(report: Report) -> str:
    """The whole document."""
    style = resources.files("conformance.report").joinpath("html.css").read_text(encoding="utf-8")
    mark = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{mark}'; base-uri 'none'; form-action 'none'"
    head = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(headline(report)[:120])}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(_body(report)) + "\n</body>\n</html>\n"


def _body(report: Report) -> Iterator[str]:
    judgement = report.judgement
    groups = grouped(judgement.blocking)
    yield _top(report)
    if groups:
        yield "<h2>What to fix first</h2>"
        yield (
            '<p class="faint">Each row is one broken rule and all operations that break it: likely one repair. '
            "Either the backend is wrong, or the line of the contract is.</p>"
        )
        yield _overview(report, groups)
    yield from _incomplete(report)
    yield "<h2>Operations and promises</h2>"
    yield _matrix(report)
    if groups:
        yield f"<h2>What blocks, in full ({len(judgement.blocking)})</h2>"
    for number, group in enumerate(groups, 1):
        for index, outcome in enumerate(group.outcomes):
            said = f"{number}. " if len(group.outcomes) == 1 else f"{number}.{index + 1} "
            unfolded = index == 0 and number <= OPEN
            yield _card(report, outcome, _anchor(number, index), said, "", unfolded=unfolded)
    for title, said, outcomes, letter, style in (
        (
            "Contract gaps",
            "They rest on places of the contract that nothing states: backend or contract may be wrong. They block "
            "only under <code>--strict</code>. Where the answer shows what the contract lacks, the edit is proposed.",
            [outcome for group in grouped(judgement.gaps) for outcome in group.outcomes],
            "g",
            "gap-card",
        ),
        ("Flaky", "Broken, and not broken each time when judged again: not red.", judgement.flaky, "f", "flaky-card"),
        ("Accepted", "Broken, and accepted by <code>--baseline</code>: not red.", judgement.accepted, "a", "gap-card"),
    ):
        if outcomes:
            yield f'<h2>{title} ({len(outcomes)})</h2>\n<p class="faint">{said}</p>'
        for number, outcome in enumerate(outcomes, 1):
            yield _card(report, outcome, f"{letter}{number}", "", style, unfolded=False)
    yield from _not_judged(report)
    yield from _coverage(report)


def _anchor(number: int, index: int) -> str:
    """The card of a group's outcome; `number` counts from 1, `index` from 0."""
    return f"b{number}" if index == 0 else f"b{number}.{index + 1}"


# The top ------------------------------------------------------------------------------------------------------------


def _top(report: Report) -> str:
    judgement = report.judgement
    style = {ExitCode.PASSED: "good", ExitCode.FAILED: "bad", ExitCode.TARGET_UNREACHABLE: "bad"}.get(
        judgement.exit_code, ""
    )
    tally = (
        (BROKEN, len(judgement.blocking), "block"),
        (GAP, len(judgement.gaps), "contract gaps"),
        (FLAKY, len(judgement.flaky), "flaky"),
        *([(ACCEPTED, len(judgement.accepted), "accepted")] if judgement.accepted else []),
        (KEPT, judgement.passed, "kept"),
        (UNJUDGED, sum(judgement.skip_reasons.values()), "not judged"),
    )
    told = "".join(f'<li class="{mark.style}">{mark.sign} <b>{number}</b> {word}</li>' for mark, number, word in tally)
    facts = (
        f"{escape(report.shown_target())} against {escape(report.contract)} ({escape(report.digest[:12])}) · "
        f"{escape(report.started)} · {report.requests} requests, {report.seconds:.0f} s · seed {report.seed}, "
        f"run {escape(report.run_id)}"
    )
    notes = "".join(f"<p>{escape(report.redaction.line(note))}</p>" for note in (*report.notes, *judgement.warnings))
    return (
        f'<header class="verdict {style}">\n<h1>{escape(headline(report))}</h1>\n<p>{facts}</p>{notes}\n'
        f'<ul class="tally">{told}</ul>\n<p>{escape(counts(report))}.</p>\n</header>'
    )


def _overview(report: Report, groups: Sequence[Group]) -> str:
    rows = []
    for number, group in enumerate(groups[:ROWS], 1):
        promise = group.first.requirement
        found = escape(report.redaction.line(report.said(group.first), FOUND))
        more = f"<br>and {group.places - 1} more" if group.places > 1 else ""
        rows.append(
            f'<tr><td><a href="#b{number}">{number}</a></td><td>{_links(group, number)}<br>'
            f'<span class="faint">{escape(_rule(group))}</span></td><td>{escape(promise.summary)}</td>'
            f'<td><span class="found">{found}</span></td>'
            f"<td><code>{escape(report.contract)}:{report.line(promise)}</code>{more}</td></tr>"
        )
    heads = ("#", "operations, rule", "due", "found", "place in the contract")
    left = len(groups) - ROWS
    more = f'<p><a href="#b{ROWS + 1}">and {left} more kinds, below</a></p>' if left > 0 else ""
    return _table("first", heads, rows) + more


def _rule(group: Group) -> str:
    """What is broken, in a few words: the parameter that it is about, the law, how often."""
    promise, number = group.first.requirement, len(group.outcomes)
    parameter = promise.parameter if len({o.requirement.parameter for o in group.outcomes}) == 1 else ""
    times = f" ({number} times)" if number > len(group.operations) else ""
    return " ".join(part for part in (parameter, promise.check) if part) + times


def _links(group: Group, number: int) -> str:
    """The operations of a group, each leading to its evidence."""
    first: dict[str, str] = {}
    for index, outcome in enumerate(group.outcomes):
        first.setdefault(outcome.requirement.operation, _anchor(number, index))
    told = [f'<a href="#{at}"><code>{escape(operation)}</code></a>' for operation, at in first.items()]
    more = f" and {len(told) - LINKS} more" if len(told) > LINKS else ""
    return ", ".join(told[:LINKS]) + more


def _incomplete(report: Report) -> Iterator[str]:
    judgement = report.judgement
    if judgement.operations_never_successful:
        yield "<h2>Never succeeded</h2>"
        pairs = (
            f"<code>{escape(who)}</code>: {_line(report, why)}"
            for who, why in judgement.operations_never_successful.items()
        )
        yield _list(pairs)
    if report.found.records_not_deleted:
        yield "<h2>Left over on the target</h2>"
        yield _list(_line(report, f"{resource} {key}") for resource, key in report.found.records_not_deleted)
        yield f"<p><code>{escape(report.cleaning())}</code></p>"


# The matrix ---------------------------------------------------------------------------------------------------------


def _matrix(report: Report) -> str:
    cells: dict[tuple[str, str], list[_Mark]] = {}
    for mark, outcome in _marked(report):
        at = (outcome.requirement.operation, family(outcome.requirement.check))
        cells.setdefault(at, []).append(mark)
    operations = dict.fromkeys(operation for operation, _ in cells)
    columns = sorted({one for _, one in cells}, key=lambda one: (one in (OTHER, ENGINE), one))
    rows = [_row(operation, columns, cells) for operation in sorted(operations, key=lambda o: _weight(o, cells))]
    legend = " ".join(f'<span class="{m.style}">{m.sign}</span> {m.word};' for m in (*MARKS, NOTHING)).rstrip(";")
    heads = ("operation", *columns)
    said = f'<p class="faint">{legend}. A cell shows its worst; numbers say how many.</p>'
    return said + _table("matrix", heads, rows)


def _marked(report: Report) -> Iterator[tuple[_Mark, CheckResult]]:
    judgement = report.judgement
    broken = ((BROKEN, judgement.blocking), (GAP, judgement.gaps), (FLAKY, judgement.flaky))
    for mark, outcomes in (*broken, (ACCEPTED, judgement.accepted)):
        yield from ((mark, outcome) for outcome in outcomes)
    yield from ((KEPT, outcome) for outcome in report.found.with_status(Status.PASSED))
    yield from ((UNJUDGED, outcome) for outcome in report.found.with_status(Status.SKIPPED))


def _weight(operation: str, cells: Mapping[tuple[str, str], list[_Mark]]) -> tuple[int, str]:
    """Operations with the worst cells first."""
    found = [MARKS.index(mark) for (name, _), marks in cells.items() if name == operation for mark in marks]
    return min(*found, MARKS.index(KEPT)), operation


def _row(operation: str, columns: Iterable[str], cells: Mapping[tuple[str, str], list[_Mark]]) -> str:
    told = []
    for column in columns:
        marks = cells.get((operation, column), [])
        worst = min(marks, key=MARKS.index, default=NOTHING)
        each = ", ".join(f"{marks.count(mark)} {mark.word}" for mark in MARKS if mark in marks) or NOTHING.word
        number = str(marks.count(worst)) if marks and worst is not KEPT else ""
        title = escape(f"{operation}, {column}: {each}")
        told.append(f'<td class="{worst.style}" title="{title}">{worst.sign}{number}</td>')
    return f"<tr><th><code>{escape(operation)}</code></th>{''.join(told)}</tr>"


# A failure ----------------------------------------------------------------------------------------------------------


def _card(report: Report, outcome: CheckResult, anchor: str, number: str, style: str, *, unfolded: bool) -> str:
    promise = outcome.requirement
    grade = report.grade(promise)
    parts = [
        f"<h3>{number}<code>{escape(name(promise))}</code></h3>",
        f'<dl class="pair"><dt>found</dt><dd class="found">{escape(report.said(outcome))}</dd>'
        f"<dt>due</dt><dd>{escape(promise.summary)}</dd>"
        f"<dt>{'grade' if style else 'why red'}</dt><dd>{_why(report, outcome, grade)}</dd></dl>",
        _proposed(report, outcome),
        _command(report, outcome),
    ]
    inside = f'{_excerpt(report, outcome)}\n<div class="side">{_evidence(report, outcome)}</div>'
    fold = " open" if unfolded else ""
    parts.append(f"<details{fold}><summary>Contract, request and answer</summary>\n{inside}\n</details>")
    return f'<article id="{anchor}" class="{style}">\n' + "\n".join(part for part in parts if part) + "\n</article>"


def _why(report: Report, outcome: CheckResult, grade: str) -> str:
    kind = f" {ADVICE[outcome.failure_kind]}" if outcome.failure_kind else ""
    return (
        f"<b>{escape(grade)}</b>: {escape(GRADES.get(grade, ''))} {escape(report.times(outcome).capitalize())}.{kind}"
    )


def _command(report: Report, outcome: CheckResult) -> str:
    command, again = report.curl(outcome), report.replay(outcome.requirement)
    shown = f"<h4>See it yourself</h4><pre>{escape(command)}</pre>" if command else ""
    return f"{shown}<h4>Judge it again, from a fresh state</h4><pre>{escape(again)}</pre>"


def _proposed(report: Report, outcome: CheckResult) -> str:
    proposal = report.proposal(outcome)
    if proposal is None:
        return ""
    styles = {"+": "plus", "-": "minus"}
    lines = [
        f'<span class="{styles.get(line[:1], "faint")}">{escape(line)}</span>' for line in proposal.diff.splitlines()
    ]
    shown = "<pre>" + "\n".join(lines) + "</pre>" if lines else ""
    return f"<h4>Proposed</h4><p>{escape(proposal.message)}</p>{shown}"


def _excerpt(report: Report, outcome: CheckResult) -> str:
    lines = []
    for number, text, here in report.excerpt(outcome.requirement):
        said = escape(f"{'▶' if here else ' '} {number:>5}  {text}")
        lines.append(f'<span class="here">{said}</span>' if here else said)
    place = escape(report.place(outcome.requirement))
    return f"<h4>Contract</h4><p><code>{place}</code></p>" + (
        '<pre class="wide">' + "\n".join(lines) + "</pre>" if lines else ""
    )


def _evidence(report: Report, outcome: CheckResult) -> str:
    if not outcome.evidence:
        return ""
    exchange = outcome.evidence[-1]
    earlier = len(outcome.evidence) - 1
    more = f'<p class="faint">The last of {earlier + 1} exchanges; the others are in the JSON report.</p>'
    return (
        f"<div><h4>Request</h4><pre>{escape(_request(report, outcome, exchange))}</pre></div>"
        f"<div><h4>Answer</h4><pre>{escape(_response(report, outcome, exchange))}</pre></div>{more if earlier else ''}"
    )


def _request(report: Report, outcome: CheckResult, exchange: Exchange) -> str:
    known = report.known(outcome)
    said = known.request(exchange.request)
    whose = {"self": f"token: ${report.token_env}", "other": f"token: ${report.other_token_env}"}
    head = [f"{said['method']} {said['target']}", whose.get(said["as"], "no token of the run's")]
    head += [f"{name}: {value}" for name, value in said["headers"].items()]
    if said["body"] is None:
        return "\n".join(head)
    return "\n".join([*head, "", known.pretty(said["body"].encode("utf-8", "replace"), BODY)])


def _response(report: Report, outcome: CheckResult, exchange: Exchange) -> str:
    known, response = report.known(outcome), exchange.response
    head = [f"{response.status}  ({response.elapsed * 1000:.0f} ms)"]
    head += [f"{name}: {value}" for name, value in known.headers(response.headers).items()]
    return "\n".join([*head, "", known.pretty(response.content, BODY)])


# The rest -----------------------------------------------------------------------------------------------------------


def _not_judged(report: Report) -> Iterator[str]:
    causes = report.judgement.skip_reasons
    if causes:
        ordered = report.judgement.ordered_skip_reasons
        rows = [f"<tr><td>{times}</td><td>{_line(report, cause.message)}</td></tr>" for cause, times in ordered]
        yield f"<h2>Not judged ({sum(causes.values())})</h2>"
        yield _folded(f"{len(ordered)} causes", _table("", ("promises", "cause"), rows))


def _coverage(report: Report) -> Iterator[str]:
    covered = report.covered
    if covered is None:
        return
    yield "<h2>Coverage of the contract</h2>"
    rows = []
    for kind in ITEM_KINDS:
        used, reached, total = covered.count(kind, COVERED), covered.count(kind, PARTIAL), covered.total(kind)
        share = f"{100 * used / total:.0f} %" if total else ""
        cells = (used, share, reached, total - used - reached, total)
        rows.append(f"<tr><th>{kind}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    yield _table("", ("of the contract", "exercised", "", "only reached", "never", "all"), rows)
    yield (
        '<p class="faint">Exercised: a success used or showed it. '
        "Only reached: sent and refused, or shown only as null.</p>"
    )
    if covered.operations_never_successful:
        pairs = (
            f"<code>{escape(who)}</code>: {_line(report, why)}"
            for who, why in covered.operations_never_successful.items()
        )
        yield _folded(f"{len(covered.operations_never_successful)} operations without a success, and why", _list(pairs))
    for kind in ITEM_KINDS:
        missed = covered.uncovered(kind)
        if missed:
            shown = [f"<code>{escape(one.name)}</code> ({one.state})" for one in missed[:MISSED]]
            more = [f"and {len(missed) - MISSED} more, in the JSON report"] if len(missed) > MISSED else []
            yield _folded(f"{len(missed)} {kind} not exercised", _list([*shown, *more]))


def _line(report: Report, said: str) -> str:
    return escape(report.redaction.line(said))


def _table(style: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    told = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "\n".join(rows)
    table = f'<table class="{style}"><thead><tr>{told}</tr></thead><tbody>\n{body}\n</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _list(entries: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{entry}</li>" for entry in entries) + "</ul>"


def _folded(title: str, inside: str) -> str:
    return f'<details class="box"><summary>{escape(title)}</summary>{inside}</details>'
