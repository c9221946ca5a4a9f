"""`athena-conformance score`: how many broken servers the gate catches, and how many sound ones it calls broken."""

import os
import sys
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from random import Random

from conformance.connection import shown
from conformance.errors import UsageError
from conformance.mutants.variants import variants
from conformance.output import say
from conformance.report.scored import ScoreReport, as_json, markdown, terminal
from conformance.scores import Alarm, Choice, Scored, examine
from conformance.settings import Settings
from spec.contract import load_contract

VARIANT_SEEDS = 3
FEW = 4  # sound servers beside a sample, and the first


def command(settings: Settings, laws: object = None) -> int:
    """Judge them; 0, or 1 when the score is under --min or something sound was called broken. Raises UsageError."""
    path = settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))
    contract = load_contract(path)
    choice = Choice(settings.family, settings.operation, settings.sample, settings.seed)
    numbers = choice.of(contract)
    if not numbers:
        raise UsageError("score: found no mutant of that family and operation; allowed: names that the score prints")
    started = time.monotonic()
    scores: list[Scored] = []
    alarms: list[Alarm] = []
    workers = settings.workers or os.cpu_count() or 1
    for one in examine(path, numbers, _sound(settings), workers, engine_only=settings.engine_only):
        if isinstance(one, Alarm):
            alarms.append(one)
        else:
            scores.append(one)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{len(scores)} of {len(numbers)} mutants, {len(alarms)} sound servers")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    how = f"{len(numbers)} mutants" + (f" drawn by seed {settings.seed}" if settings.sample is not None else "")
    report = ScoreReport(
        shown(path), how, scores, alarms, settings.min, time.monotonic() - started, settings.engine_only
    )
    say(terminal(report))
    if settings.report_dir is not None:
        _write(settings.report_dir, {"score.json": as_json(report), "score.md": markdown(report)})
    return 1 if report.reasons else 0


def _sound(settings: Settings) -> list[tuple[int, int]]:
    """(number, seed) of the sound servers to judge: all with three seeds, a few beside a sample, else none."""
    if settings.family or settings.operation or settings.engine_only:
        return []
    every = range(len(tuple(variants())))
    if settings.sample is None:
        return [(number, settings.seed + more) for more in range(VARIANT_SEEDS) for number in every]
    return [(number, settings.seed) for number in {0, *Random(settings.seed).sample(every, FEW)}]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--report-dir: found {folder} ({error.strerror}); allowed: a folder to write to") from None
