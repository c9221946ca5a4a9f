"""`athena-conformance mutation-test`: counts the broken servers that the suite detects."""

import os
import sys
import time
from collections.abc import Sequence
from random import Random

from conformance.cli.mutation_html import render_html
from conformance.cli.reports import create_folder
from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import contract_path, display_path
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.files import write_text
from conformance.mutation.conforming_variants import VARIANTS
from conformance.mutation.evaluate import Detectors, MutantSummary
from conformance.mutation.parallel import VariantResult, evaluate_all, select_mutants
from conformance.mutation.report import MutationReport, render_json, render_markdown, render_terminal
from spec.loader import load_contract

VARIANT_SEEDS = 3
SAMPLE_VARIANTS = 4  # conforming variants that run with a sample, in addition to the first


def command(settings: Settings, checks: object = None) -> int:
    """Run the mutants; 1 if the score is below --min or a conforming server failed, else 0. Raises UsageError."""
    path = contract_path(settings)
    contract = load_contract(path)
    numbers = select_mutants(contract, settings.family, settings.operation, settings.sample, settings.seed)
    if not numbers:
        raise UsageError("mutation-test: no mutant of that family and operation (expected names of its report)")
    _validate_patterns(settings.check)
    started = time.monotonic()
    results: list[MutantSummary] = []
    false_positives: list[VariantResult] = []
    workers = settings.workers or os.cpu_count() or 1
    for item in evaluate_all(
        path, numbers, _variant_runs(settings), workers, patterns=settings.check, fuzzing_only=settings.fuzzing_only
    ):
        if isinstance(item, VariantResult):
            false_positives.append(item)
        else:
            results.append(item)
        if sys.stderr.isatty():
            counts = f"{len(results)} of {len(numbers)} mutants, {len(false_positives)} conforming servers"
            sys.stderr.write(f"\r\x1b[K{counts}")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    description = f"{len(numbers)} mutants" + (f" drawn by seed {settings.seed}" if settings.sample is not None else "")
    seconds = time.monotonic() - started
    detector = "fuzzing only" if settings.fuzzing_only else ", ".join(settings.check) or "gate"
    report = MutationReport(display_path(path), description, results, false_positives, settings.min, seconds, detector)
    write_stdout(render_terminal(report))
    if settings.report_dir is not None:
        folder = create_folder(settings.report_dir)
        write_text("--report-dir", folder / "score.json", render_json(report))
        write_text("--report-dir", folder / "score.md", render_markdown(report))
        write_text("--report-dir", folder / "score.html", render_html(report))
    return 1 if report.reasons else 0


def _validate_patterns(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if not Detectors.select([pattern], fuzzing_only=False).checks:
            raise UsageError(f"--check {pattern}: no such check (expected an id of a report, or a pattern: 'model-*')")


def _variant_runs(settings: Settings) -> list[tuple[int, int]]:
    """(number, seed) of the conforming variants: all with three seeds, or a few with a sample, or none."""
    if settings.family or settings.operation or settings.check or settings.fuzzing_only:
        return []
    numbers = range(len(VARIANTS))
    if settings.sample is None:
        return [(number, settings.seed + offset) for offset in range(VARIANT_SEEDS) for number in numbers]
    return [(number, settings.seed) for number in {0, *Random(settings.seed).sample(numbers, SAMPLE_VARIANTS)}]
