"""The score told: on the terminal, as Markdown, as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from conformance.mutation.evaluate import MutantStatus
from conformance.mutation.parallel import MutantSummary, MutationTotals, VariantResult, group_totals
from conformance.transport.redaction import plain

MAX_SURVIVORS = 12  # survivors on the terminal
MAX_OPERATIONS = 10
TABLE_HEADER = ("", "mutants", "found", "", "blocking", "of", "median s")


@dataclass(frozen=True, slots=True)
class MutationReport:
    """What the score comes to.

    `min_score`: the share to be found, 0 to 1. `seconds`: what it took. `selection`: what was chosen, in words.
    `engine_only`: whether the stock engine judged alone.
    """

    contract: str
    selection: str
    mutants: Sequence[MutantSummary]
    variants: Sequence[VariantResult]
    min_score: float
    seconds: float
    engine_only: bool = False

    @property
    def totals(self) -> MutationTotals:
        """All of it counted."""
        return MutationTotals.from_summaries(self.mutants)

    @property
    def false_positives(self) -> list[VariantResult]:
        """Conforming variants that were called broken."""
        return [variant for variant in self.variants if variant.false_positives]

    @property
    def reasons(self) -> list[str]:
        """Why the score is too low; empty: it is not."""
        totals, reasons = self.totals, []
        if totals.mutation_score < self.min_score:
            reasons.append(f"{totals.mutation_score:.1%} of the mutants were found, --min {self.min_score:g}")
        if self.false_positives:
            reasons.append(
                f"{len(self.false_positives)} runs on servers that keep every promise called something broken"
            )
        if totals.errors:
            reasons.append(f"{totals.errors} mutants failed by themselves")
        if not totals.total and not self.variants:
            reasons.append("there was no mutant to judge")
        return reasons

    @property
    def survivors(self) -> list[MutantSummary]:
        """What nobody found, by family."""
        return sorted(
            (mutant for mutant in self.mutants if mutant.status is MutantStatus.SURVIVED), key=lambda mutant: mutant.id
        )


def render_terminal(report: MutationReport) -> str:
    """One screen."""
    return "\n".join(_render_lines(report)) + "\n"


def _render_lines(report: MutationReport) -> Iterator[str]:
    detector = "the stock engine alone" if report.engine_only else "the gate"
    yield f"score of {detector}  ·  {report.contract}  ·  {report.selection}, {report.seconds:.0f} s"
    yield ""
    yield from _render_table([TABLE_HEADER, *_build_rows(report)])
    yield ""
    weakest = sorted(
        group_totals(report.mutants, lambda mutant: mutant.operation).items(), key=lambda item: item[1].mutation_score
    )
    weakest_labels = [
        f"{name} {totals.killed}/{totals.total}" for name, totals in weakest[:MAX_OPERATIONS] if totals.survived
    ]
    if weakest_labels:
        yield f"weakest operations: {', '.join(weakest_labels)}"
    for survivor in report.survivors[:MAX_SURVIVORS]:
        yield f"SURVIVED  {survivor.id}"
        yield f"   breaks: {survivor.requirement}"
        yield f"   {plain(survivor.curl)[:400]}"
    if len(report.survivors) > MAX_SURVIVORS:
        yield f"and {len(report.survivors) - MAX_SURVIVORS} more that survived (all of them: --report-dir)"
    yield from (
        f"ERROR  {mutant.id}: {plain(mutant.message)}"
        for mutant in report.mutants
        if mutant.status is MutantStatus.ERROR
    )
    for variant in report.false_positives:
        yield f"FALSE ALARM  {variant.variant}, seed {variant.seed}: {plain(variant.false_positives[0])}"
    if report.variants:
        clean_runs = f"{len(report.variants) - len(report.false_positives)} of {len(report.variants)}"
        yield f"{clean_runs} runs on servers that keep every promise: nothing called broken"
    yield _format_verdict(report)


def _format_verdict(report: MutationReport) -> str:
    totals = report.totals
    summary = (
        f"{totals.killed} of {totals.total} found ({totals.mutation_score:.1%}); of {totals.can_block} that can block, "
        f"{totals.blocked} did; of {totals.provenance_independent} that always block, {totals.provenance_independent_blocked} did; "
        f"{totals.equivalent} equivalent, {totals.errors} errors"
    )
    return f"{summary}\n{'TOO LOW: ' + '; '.join(report.reasons) if report.reasons else 'HIGH ENOUGH'}"


def _build_rows(report: MutationReport) -> Iterator[tuple[str, ...]]:
    yield from (
        _build_row(family, totals)
        for family, totals in group_totals(report.mutants, lambda mutant: mutant.family).items()
    )
    yield _build_row("all", report.totals)


def _build_row(name: str, totals: MutationTotals) -> tuple[str, ...]:
    return (
        name,
        str(totals.total),
        str(totals.killed),
        f"{totals.mutation_score:.0%}",
        str(totals.blocked),
        str(totals.can_block),
        f"{totals.median_seconds:.2f}",
    )


def _render_table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first_cell, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([row[0].ljust(len(first_cell)), *rest])


def render_markdown(report: MutationReport) -> str:
    """For a pull request: the table, the survivors with their witnesses, false alarms."""
    parts = [f"# Score: {report.totals.mutation_score:.1%}", "", _format_verdict(report).replace("\n", ". "), ""]
    parts += [f"| {' | '.join(TABLE_HEADER)} |", f"|{'---|' * len(TABLE_HEADER)}"]
    parts += [f"| {' | '.join(row)} |" for row in _build_rows(report)]
    parts += ["", "## By operation", "", "| operation | found | of |", "|---|--:|--:|"]
    parts += [
        f"| {name} | {totals.killed} | {totals.total} |"
        for name, totals in group_totals(report.mutants, lambda mutant: mutant.operation).items()
    ]
    if report.survivors:
        parts += ["", "## What nobody found", ""]
    for survivor in report.survivors:
        fence = "`" * 4
        parts += [
            f"- **{survivor.id}**: {survivor.requirement}",
            "",
            f"  {fence}",
            f"  {plain(survivor.curl)}",
            f"  {fence}",
            "",
        ]
    if report.variants:
        parts += [
            "",
            "## Servers that keep every promise",
            "",
            "| variant | seed | kept | called broken |",
            "|---|--:|--:|--:|",
        ]
        parts += [
            f"| {variant.variant} | {variant.seed} | {variant.passed} | {len(variant.false_positives)} |"
            for variant in report.variants
        ]
    return "\n".join(parts) + "\n"


def render_json(report: MutationReport) -> str:
    """For programs: `version` 1, the tally, every mutant and every variant."""

    def build_mutant_document(entry: MutantSummary) -> dict[str, Any]:
        return {**asdict(entry), "status": entry.status.value}

    totals = report.totals
    document = {
        "version": 1,
        "contract": report.contract,
        "choice": report.selection,
        "engine_only": report.engine_only,
        "seconds": round(report.seconds, 1),
        "least": report.min_score,
        "reasons": report.reasons,
        "share": round(totals.mutation_score, 4),
        "counts": asdict(totals),
        "families": {
            name: asdict(entry) for name, entry in group_totals(report.mutants, lambda mutant: mutant.family).items()
        },
        "mutants": [build_mutant_document(entry) for entry in sorted(report.mutants, key=lambda mutant: mutant.id)],
        "variants": [asdict(variant) for variant in report.variants],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
