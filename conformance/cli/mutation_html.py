"""Report of a mutation test as one HTML file: operations by families, and the survivors. It has no script."""

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from conformance.mutation.evaluate import MutantStatus, MutantSummary
from conformance.mutation.report import MutationReport
from conformance.reporting.templating import render_template
from spec.redaction import remove_unsafe_chars


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """The mutants of a family at an operation. `survivors`: their ids."""

    killed: int
    total: int
    survivors: tuple[str, ...]

    @property
    def css_class(self) -> str:
        """The class of the table cell."""
        if not self.total:
            return "none-cell"
        return "bad-cell" if self.survivors else "good-cell"

    @property
    def text(self) -> str:
        """``3`` if all three mutants are killed, ``2 of 3`` if one survived, a dot without mutants."""
        if not self.total:
            return "·"
        return f"{self.killed} of {self.total}" if self.survivors else str(self.total)


def render_html(report: MutationReport) -> str:
    """Render the report. Texts of the target are escaped; the policy of the page allows its style sheet only."""
    stylesheet = resources.files("conformance.reporting").joinpath("templates", "report.css").read_text("utf-8")
    return render_template(
        "score.html.j2",
        report=report,
        totals=report.totals,
        families=list(report.totals_by("family")),
        rows=_build_rows(report),
        clean=remove_unsafe_chars,
        format_command=_format_command,
        stylesheet=stylesheet,
        style_hash=base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode(),
    )


def _build_rows(report: MutationReport) -> list[tuple[str, list[ScoreCell]]]:
    """Return the operations with a cell for each family; those with the most survivors first."""
    groups: dict[str, dict[str, list[MutantSummary]]] = {}
    for mutant in report.mutants:
        groups.setdefault(mutant.operation, {}).setdefault(mutant.family, []).append(mutant)
    families = list(report.totals_by("family"))
    rows = [(operation, _build_cells(families, groups[operation])) for operation in sorted(groups)]
    return sorted(rows, key=lambda row: -sum(len(cell.survivors) for cell in row[1]))


def _build_cells(families: Sequence[str], mutants: Mapping[str, Sequence[MutantSummary]]) -> list[ScoreCell]:
    return [_build_cell(mutants.get(family, ())) for family in families]


def _build_cell(mutants: Sequence[MutantSummary]) -> ScoreCell:
    killed = sum(mutant.status is MutantStatus.KILLED for mutant in mutants)
    survivors = tuple(sorted(mutant.id for mutant in mutants if mutant.status is MutantStatus.SURVIVED))
    return ScoreCell(killed, killed + len(survivors), survivors)


def _format_command(mutant: MutantSummary) -> str:
    """Return the command that evaluates the mutants of this family at this operation again."""
    words = ["athena-conformance", "mutation-test", "--family", mutant.family, "--operation", mutant.operation]
    return shlex.join(words)
