"""The score told: on the terminal, as Markdown, as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from conformance.redaction import plain
from conformance.score import Fate
from conformance.scores import Alarm, Scored, Tally, by

SHOWN = 12  # survivors on the terminal
OPERATIONS = 10
HEAD = ("", "mutants", "found", "", "blocking", "of", "median s")


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What the score comes to.

    `least`: the share to be found, 0 to 1. `seconds`: what it took. `how`: what was chosen, in words.
    `engine_only`: whether the stock engine judged alone.
    """

    contract: str
    how: str
    scores: Sequence[Scored]
    alarms: Sequence[Alarm]
    least: float
    seconds: float
    engine_only: bool = False

    @property
    def tally(self) -> Tally:
        """All of it counted."""
        return Tally.of(self.scores)

    @property
    def false_alarms(self) -> list[Alarm]:
        """Conforming variants that were called broken."""
        return [alarm for alarm in self.alarms if alarm.broken]

    @property
    def reasons(self) -> list[str]:
        """Why the score is too low; empty: it is not."""
        tally, found = self.tally, []
        if tally.share < self.least:
            found.append(f"{tally.share:.1%} of the mutants were found, --min {self.least:g}")
        if self.false_alarms:
            found.append(f"{len(self.false_alarms)} runs on servers that keep every promise called something broken")
        if tally.errors:
            found.append(f"{tally.errors} mutants failed by themselves")
        if not tally.counted and not self.alarms:
            found.append("there was no mutant to judge")
        return found

    @property
    def survivors(self) -> list[Scored]:
        """What nobody found, by family."""
        return sorted((s for s in self.scores if s.fate is Fate.SURVIVED), key=lambda s: s.id)


def terminal(report: ScoreReport) -> str:
    """One screen."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: ScoreReport) -> Iterator[str]:
    who = "the stock engine alone" if report.engine_only else "the gate"
    yield f"score of {who}  ·  {report.contract}  ·  {report.how}, {report.seconds:.0f} s"
    yield ""
    yield from _table([HEAD, *_rows(report)])
    yield ""
    weakest = sorted(by(report.scores, lambda s: s.operation).items(), key=lambda item: item[1].share)
    shown = [f"{name} {tally.killed}/{tally.counted}" for name, tally in weakest[:OPERATIONS] if tally.survived]
    if shown:
        yield f"weakest operations: {', '.join(shown)}"
    for one in report.survivors[:SHOWN]:
        yield f"SURVIVED  {one.id}"
        yield f"   breaks: {one.sentence}"
        yield f"   {plain(one.curl)[:400]}"
    if len(report.survivors) > SHOWN:
        yield f"and {len(report.survivors) - SHOWN} more that survived (all of them: --report-dir)"
    yield from (f"ERROR  {s.id}: {plain(s.said)}" for s in report.scores if s.fate is Fate.ERROR)
    for alarm in report.false_alarms:
        yield f"FALSE ALARM  {alarm.variant}, seed {alarm.seed}: {plain(alarm.broken[0])}"
    if report.alarms:
        told = f"{len(report.alarms) - len(report.false_alarms)} of {len(report.alarms)}"
        yield f"{told} runs on servers that keep every promise: nothing called broken"
    yield _verdict(report)


def _verdict(report: ScoreReport) -> str:
    tally = report.tally
    said = (
        f"{tally.killed} of {tally.counted} found ({tally.share:.1%}); of {tally.can_block} that can block, "
        f"{tally.blocked} did; of {tally.always} that always block, {tally.always_blocked} did; "
        f"{tally.equivalent} equivalent, {tally.errors} errors"
    )
    return f"{said}\n{'TOO LOW: ' + '; '.join(report.reasons) if report.reasons else 'HIGH ENOUGH'}"


def _rows(report: ScoreReport) -> Iterator[tuple[str, ...]]:
    yield from (_row(family, tally) for family, tally in by(report.scores, lambda s: s.family).items())
    yield _row("all", report.tally)


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    return (
        name,
        str(tally.counted),
        str(tally.killed),
        f"{tally.share:.0%}",
        str(tally.blocked),
        str(tally.can_block),
        f"{tally.median:.2f}",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(len(first)), *rest])


def markdown(report: ScoreReport) -> str:
    """For a pull request: the table, the survivors with their witnesses, false alarms."""
    parts = [f"# Score: {report.tally.share:.1%}", "", _verdict(report).replace("\n", ". "), ""]
    parts += [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    parts += [f"| {' | '.join(row)} |" for row in _rows(report)]
    parts += ["", "## By operation", "", "| operation | found | of |", "|---|--:|--:|"]
    parts += [f"| {name} | {t.killed} | {t.counted} |" for name, t in by(report.scores, lambda s: s.operation).items()]
    if report.survivors:
        parts += ["", "## What nobody found", ""]
    for one in report.survivors:
        fence = "`" * 4
        parts += [f"- **{one.id}**: {one.sentence}", "", f"  {fence}", f"  {plain(one.curl)}", f"  {fence}", ""]
    if report.alarms:
        parts += [
            "",
            "## Servers that keep every promise",
            "",
            "| variant | seed | kept | called broken |",
            "|---|--:|--:|--:|",
        ]
        parts += [f"| {a.variant} | {a.seed} | {a.kept} | {len(a.broken)} |" for a in report.alarms]
    return "\n".join(parts) + "\n"


def as_json(report: ScoreReport) -> str:
    """For programs: `version` 1, the tally, every mutant and every variant."""

    def told(one: Scored) -> dict[str, Any]:
        return {**asdict(one), "fate": one.fate.value}

    tally = report.tally
    said = {
        "version": 1,
        "contract": report.contract,
        "choice": report.how,
        "engine_only": report.engine_only,
        "seconds": round(report.seconds, 1),
        "least": report.least,
        "reasons": report.reasons,
        "share": round(tally.share, 4),
        "counts": asdict(tally),
        "families": {name: asdict(one) for name, one in by(report.scores, lambda s: s.family).items()},
        "mutants": [told(one) for one in sorted(report.scores, key=lambda s: s.id)],
        "variants": [asdict(alarm) for alarm in report.alarms],
    }
    return json.dumps(said, indent=1, ensure_ascii=False) + "\n"
