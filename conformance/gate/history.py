"""What a run knows of earlier ones, by its files: accepted failures, and what was kept."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate import baseline, ratchet
from conformance.gate.baseline import Baseline
from conformance.gate.ratchet import Ratchet
from conformance.gate.verdict import ExitCode, GateResult
from conformance.results import Status
from conformance.runner.runner import RunResult
from spec.loader import Contract


@dataclass(frozen=True, slots=True)
class History:
    """The files of a run; a path None: not asked for. `update_baseline`, `update_ratchet`: whether the run writes them anew."""

    baseline_path: Path | None = None
    update_baseline: bool = False
    ratchet_path: Path | None = None
    update_ratchet: bool = False
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)

    @classmethod
    def from_settings(cls, settings: Settings, today: date) -> "History":
        """What stands in the files, before a request is sent. Raises UsageError."""
        _check_file(baseline.OPTION, settings.baseline, is_created=settings.update_baseline)
        _check_file(ratchet.OPTION, settings.ratchet, is_created=settings.update_ratchet)
        return cls(
            settings.baseline,
            settings.update_baseline,
            settings.ratchet,
            settings.update_ratchet,
            None if settings.baseline is None else Baseline.load(settings.baseline, today),
            Ratchet() if settings.ratchet is None else Ratchet.load(settings.ratchet),
        )

    def evaluate(
        self, run_result: RunResult, contract: Contract, evaluate_gate: Callable[["History"], GateResult]
    ) -> GateResult:
        """The judgement, after the files are written anew where that was asked for. Raises UsageError."""
        gate_result = evaluate_gate(self)
        if (
            self.update_baseline
            and self.baseline_path is not None
            and self.baseline is not None
            and not run_result.target_unreachable
        ):
            updated_baseline = self.baseline.with_results(
                (*gate_result.blocking, *gate_result.accepted), run_result.with_status(Status.PASSED)
            )
            updated_baseline.save(self.baseline_path)
            gate_result = evaluate_gate(replace(self, baseline=updated_baseline))
        if self.update_ratchet and self.ratchet_path is not None:
            if gate_result.exit_code is not ExitCode.PASSED:
                warning = f"{ratchet.OPTION} {self.ratchet_path}: left as it is, as the run ended with {int(gate_result.exit_code)}"
                return replace(gate_result, warnings=(*gate_result.warnings, warning))
            self.ratchet.with_results(run_result.with_status(Status.PASSED), contract.operations).save(
                self.ratchet_path
            )
        return gate_result


def _check_file(option: str, path: Path | None, *, is_created: bool) -> None:
    """Refuse a file that is not there and is not to be made, and to make one that is not named. Raises UsageError."""
    update_option = f"--update-{option.removeprefix('--')}"
    if path is None and is_created:
        raise UsageError(f"{update_option}: found no {option}; allowed: with {option} FILE")
    if path is not None and not path.is_file() and not is_created:
        raise UsageError(
            f"{option}: found no file {path}; allowed: one that is there, or {update_option}, which makes it"
        )
    if path is not None and is_created and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise UsageError(f"{option}: found {path}, in a folder that cannot be written to; allowed: one that can")
