"""Reports of mutation tests: terminal, Markdown, JSON."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter

from conformance.mutation.evaluate import MutantStatus, MutantSummary
from conformance.mutation.parallel import VariantResult
from spec.redaction import remove_unsafe_chars

MAX_SURVIVORS = 12  # on the terminal
MAX_OPERATIONS = 10
FENCE = "````"
# "blocked": mutants of a blocking requirement that fail a blocking check, of all mutants of a blocking requirement
TABLE_HEADER = ("family", "mutants", "killed", "score", "blocked", "median s")


@dataclass(frozen=True, slots=True)
class MutationTotals:
    """Counts of mutants.

    A requirement blocks the gate by default unless it depends on an inferred fact. `can_block`: the mutants, killed or
    not, that violate a blocking requirement. `blocked`: those of them for which a check failed that blocks by default,
    so that the gate rejects the server. `killed` counts every failed check, blocking or not.
    """

    killed: int
    survived: int
    equivalent: int
    errors: int
    can_block: int
    blocked: int
    provenance_independent: int
    provenance_independent_blocked: int
    median_seconds: float

    @classmethod
    def from_summaries(cls, summaries: Iterable[MutantSummary]) -> "MutationTotals":
        """Count the results of mutants."""
        items = list(summaries)
        counts = Counter(item.status for item in items)
        killed = [item for item in items if item.status is MutantStatus.KILLED]
        decided = (MutantStatus.KILLED, MutantStatus.SURVIVED)
        blocking = [item for item in items if item.can_block and item.status in decided]
        independent = [item for item in blocking if item.provenance_independent]
        return cls(
            killed=len(killed),
            survived=counts[MutantStatus.SURVIVED],
            equivalent=counts[MutantStatus.EQUIVALENT],
            errors=counts[MutantStatus.ERROR],
            can_block=len(blocking),
            blocked=sum(item.is_blocked for item in blocking),
            provenance_independent=len(independent),
            provenance_independent_blocked=sum(item.is_blocked for item in independent),
            median_seconds=statistics.median(item.seconds for item in killed) if killed else 0.0,
        )

    @property
    def total(self) -> int:
        """The mutants that count: all but equivalent ones and errors."""
        return self.killed + self.survived

    @property
    def mutation_score(self) -> float:
        """Killed mutants divided by the total: 0 to 1."""
        return self.killed / self.total if self.total else 1.0


@dataclass(frozen=True, slots=True)
class MutationReport:
    """The results of a mutation test.

    `min_score`: required mutation score, 0 to 1. `selection`: a description of the selected mutants. `detector`: which
    part of the suite ran.
    """

    contract: str
    selection: str
    mutants: Sequence[MutantSummary]
    variants: Sequence[VariantResult]
    min_score: float
    seconds: float
    detector: str = "gate"

    @property
    def totals(self) -> MutationTotals:
        """The totals of all mutants."""
        return MutationTotals.from_summaries(self.mutants)

    @property
    def false_positives(self) -> list[VariantResult]:
        """Runs on conforming variants with failed checks."""
        return [variant for variant in self.variants if variant.false_positives]

    @property
    def reasons(self) -> list[str]:
        """Why the mutation test failed; empty when it passed."""
        totals, reasons = self.totals, []
        if totals.mutation_score < self.min_score:
            reasons.append(f"mutation score {totals.mutation_score:.1%} is below --min {self.min_score:g}")
        if self.false_positives:
            reasons.append(f"{len(self.false_positives)} runs on conforming variants had false positives")
        if totals.errors:
            reasons.append(f"{totals.errors} mutants raised an error")
        if not totals.total and not self.variants:
            reasons.append("no mutant to evaluate")
        return reasons

    @property
    def survivors(self) -> list[MutantSummary]:
        """The surviving mutants, sorted by id."""
        survivors = (mutant for mutant in self.mutants if mutant.status is MutantStatus.SURVIVED)
        return sorted(survivors, key=lambda mutant: mutant.id)

    def totals_by(self, field: str) -> Mapping[str, MutationTotals]:
        """The totals for each value of a field of the mutants, sorted."""
        groups: dict[str, list[MutantSummary]] = {}
        for mutant in self.mutants:
            groups.setdefault(getattr(mutant, field), []).append(mutant)
        return {name: MutationTotals.from_summaries(groups[name]) for name in sorted(groups)}


def render_terminal(report: MutationReport) -> str:
    """Render the report for the terminal."""
    return "\n".join(_render_lines(report)) + "\n"


def _render_lines(report: MutationReport) -> Iterator[str]:
    yield f"mutation test ({report.detector})  ·  {report.contract}  ·  {report.selection}, {report.seconds:.0f} s"
    yield ""
    yield from _render_table([TABLE_HEADER, *_build_rows(report)])
    yield ""
    weakest = sorted(report.totals_by("operation").items(), key=lambda item: item[1].mutation_score)[:MAX_OPERATIONS]
    labels = [f"{name} {totals.killed}/{totals.total}" for name, totals in weakest if totals.survived]
    if labels:
        yield f"lowest scores: {', '.join(labels)}"
    for survivor in report.survivors[:MAX_SURVIVORS]:
        yield f"SURVIVED  {survivor.id}"
        yield f"   violates: {survivor.requirement}"
        yield f"   {remove_unsafe_chars(survivor.curl)[:400]}"
    if len(report.survivors) > MAX_SURVIVORS:
        yield f"and {len(report.survivors) - MAX_SURVIVORS} more survivors (all: --report-dir)"
    errors = (mutant for mutant in report.mutants if mutant.status is MutantStatus.ERROR)
    yield from (f"ERROR  {mutant.id}: {remove_unsafe_chars(mutant.message)}" for mutant in errors)
    for variant in report.false_positives:
        message = remove_unsafe_chars(variant.false_positives[0])
        yield f"FALSE POSITIVE  {variant.variant}, seed {variant.seed}: {message}"
    if report.variants:
        clean_runs = f"{len(report.variants) - len(report.false_positives)} of {len(report.variants)}"
        yield f"{clean_runs} runs on conforming variants without false positives"
    yield _format_verdict(report)


def _format_verdict(report: MutationReport) -> str:
    totals = report.totals
    independent = f"{totals.provenance_independent_blocked} of {totals.provenance_independent} provenance-independent"
    summary = (
        f"{totals.killed} of {totals.total} mutants killed ({totals.mutation_score:.1%}); the gate blocks "
        f"{totals.blocked} of {totals.can_block} that violate a blocking requirement, {independent}; "
        f"{totals.equivalent} equivalent, {totals.errors} errors"
    )
    return f"{summary}\n{'FAILED: ' + '; '.join(report.reasons) if report.reasons else 'PASSED'}"


def _build_rows(report: MutationReport) -> Iterator[tuple[str, ...]]:
    for name, totals in {**report.totals_by("family"), "all": report.totals}.items():
        blocked, score = f"{totals.blocked} of {totals.can_block}", f"{totals.mutation_score:.0%}"
        yield name, str(totals.total), str(totals.killed), score, blocked, f"{totals.median_seconds:.2f}"


def _render_table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first_cell, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(len(first_cell)), *rest])


def render_markdown(report: MutationReport) -> str:
    """Render the report for a pull request."""
    verdict = _format_verdict(report).replace("\n", ". ")
    parts = [f"# Mutation score: {report.totals.mutation_score:.1%}", "", verdict, ""]
    parts += [f"| {' | '.join(TABLE_HEADER)} |", f"|{'---|' * len(TABLE_HEADER)}"]
    parts += [f"| {' | '.join(row)} |" for row in _build_rows(report)]
    parts += ["", "## By operation", "", "| operation | killed | mutants |", "|---|--:|--:|"]
    totals_by_operation = report.totals_by("operation").items()
    parts += [f"| {name} | {totals.killed} | {totals.total} |" for name, totals in totals_by_operation]
    if report.survivors:
        parts += ["", "## Survivors", ""]
    for survivor in report.survivors:
        parts += [f"- **{survivor.id}**: {survivor.requirement}", ""]
        parts += [f"  {line}" for line in (FENCE, remove_unsafe_chars(survivor.curl), FENCE)] + [""]
    if report.variants:
        parts += ["", "## Conforming variants", "", "| variant | seed | passed | failed |", "|---|--:|--:|--:|"]
        rows = ((item.variant, item.seed, item.passed, len(item.false_positives)) for item in report.variants)
        parts += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(parts) + "\n"


def render_json(report: MutationReport) -> str:
    """Render the report as JSON, `version` 2."""
    totals = report.totals
    document = {
        "version": 2,
        "contract": report.contract,
        "selection": report.selection,
        "detector": report.detector,
        "seconds": round(report.seconds, 1),
        "min_score": report.min_score,
        "reasons": report.reasons,
        "mutation_score": round(totals.mutation_score, 4),
        "totals": asdict(totals),
        "families": {name: asdict(entry) for name, entry in report.totals_by("family").items()},
        "mutants": [{**asdict(m), "status": m.status.value} for m in sorted(report.mutants, key=attrgetter("id"))],
        "variants": [asdict(variant) for variant in report.variants],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
