"""`athena-conformance score`: how many broken servers the gate catches, and how many sound ones it calls broken."""

import os
import sys
import time
from importlib import resources
from pathlib import Path

from conformance.connection import shown
from conformance.errors import UsageError
from conformance.report.scored import ScoreReport, as_json, markdown, terminal
from conformance.scores import Alarm, Choice, Scored, examine
from conformance.settings import Settings
from spec.contract import load

VARIANT_SEEDS = 3


def command(settings: Settings, laws: object = None) -> int:
    """Judge them; 0, or 1 when the score is under --min or something sound was called broken. Raises UsageError."""
    path = settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))
    contract = load(path)
    choice = Choice(settings.family, settings.operation, settings.sample, settings.seed)
    numbers = choice.of(contract)
    if not numbers:
        raise UsageError("score: found no mutant of that family and operation; allowed: names that the score prints")
    seeds = [settings.seed + n for n in range(VARIANT_SEEDS if settings.sample is None else 1)]
    started = time.monotonic()
    scores: list[Scored] = []
    alarms: list[Alarm] = []
    narrowed = bool(settings.family or settings.operation)
    for one in examine(path, numbers, [] if narrowed else seeds, settings.workers or os.cpu_count() or 1):
        if isinstance(one, Alarm):
            alarms.append(one)
        else:
            scores.append(one)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{len(scores)} of {len(numbers)} mutants, {len(alarms)} sound servers")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    how = f"{len(numbers)} mutants" + (f" drawn by seed {settings.seed}" if settings.sample is not None else "")
    report = ScoreReport(shown(path), how, scores, alarms, settings.min, time.monotonic() - started)
    sys.stdout.write(terminal(report))
    if settings.report_dir is not None:
        settings.report_dir.mkdir(parents=True, exist_ok=True)
        (settings.report_dir / "score.json").write_text(as_json(report), encoding="utf-8")
        (settings.report_dir / "score.md").write_text(markdown(report), encoding="utf-8")
    return 1 if report.reasons else 0
