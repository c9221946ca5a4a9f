"""`athena-conformance score`: how many broken servers the gate catches, and how many sound ones it calls broken."""

import os
import sys
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from random import Random

from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import display_path
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.mutation.conforming_variants import build_variants
from conformance.mutation.parallel import MutantSelection, MutantSummary, VariantResult, evaluate_all
from conformance.mutation.report import MutationReport, render_json, render_markdown, render_terminal
from spec.loader import load_contract

VARIANT_SEEDS = 3
SAMPLE_VARIANTS = 4  # sound servers beside a sample, and the first


def command(settings: Settings, checks: object = None) -> int:
    """Judge them; 0, or 1 when the score is under --min or something sound was called broken. Raises UsageError."""
    path = settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))
    contract = load_contract(path)
    selection = MutantSelection(settings.family, settings.operation, settings.sample, settings.seed)
    numbers = selection.select(contract)
    if not numbers:
        raise UsageError("score: found no mutant of that family and operation; allowed: names that the score prints")
    started = time.monotonic()
    results: list[MutantSummary] = []
    false_positives: list[VariantResult] = []
    workers = settings.workers or os.cpu_count() or 1
    for item in evaluate_all(path, numbers, _variant_runs(settings), workers, engine_only=settings.fuzzing_only):
        if isinstance(item, VariantResult):
            false_positives.append(item)
        else:
            results.append(item)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{len(results)} of {len(numbers)} mutants, {len(false_positives)} sound servers")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    description = f"{len(numbers)} mutants" + (f" drawn by seed {settings.seed}" if settings.sample is not None else "")
    report = MutationReport(
        display_path(path),
        description,
        results,
        false_positives,
        settings.min,
        time.monotonic() - started,
        settings.fuzzing_only,
    )
    write_stdout(render_terminal(report))
    if settings.report_dir is not None:
        _write_files(settings.report_dir, {"score.json": render_json(report), "score.md": render_markdown(report)})
    return 1 if report.reasons else 0


def _variant_runs(settings: Settings) -> list[tuple[int, int]]:
    """(number, seed) of the sound servers to judge: all with three seeds, a few beside a sample, else none."""
    if settings.family or settings.operation or settings.fuzzing_only:
        return []
    variant_numbers = range(len(tuple(build_variants())))
    if settings.sample is None:
        return [(number, settings.seed + offset) for offset in range(VARIANT_SEEDS) for number in variant_numbers]
    return [(number, settings.seed) for number in {0, *Random(settings.seed).sample(variant_numbers, SAMPLE_VARIANTS)}]


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--report-dir: found {folder} ({error.strerror}); allowed: a folder to write to") from None
