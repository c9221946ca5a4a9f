"""The baseline and ratchet files of a run."""

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
from spec.model import Contract


@dataclass(frozen=True, slots=True)
class History:
    """The files and their content. A path is None without the option. `update_...`: whether the run writes the file."""

    baseline_path: Path | None = None
    update_baseline: bool = False
    ratchet_path: Path | None = None
    update_ratchet: bool = False
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)

    @classmethod
    def from_settings(cls, settings: Settings, today: date) -> "History":
        """Read the files. Raises UsageError."""
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
        """Evaluate the gate, and update the files if the options say so. Raises UsageError."""
        gate_result = evaluate_gate(self)
        passed = list(run_result.with_status(Status.PASSED))
        updates_baseline = self.update_baseline and not run_result.target_unreachable
        if updates_baseline and self.baseline_path is not None and self.baseline is not None:
            updated = self.baseline.with_results((*gate_result.blocking, *gate_result.accepted), passed)
            updated.save(self.baseline_path)
            gate_result = evaluate_gate(replace(self, baseline=updated))
        if self.update_ratchet and self.ratchet_path is not None:
            if gate_result.exit_code is not ExitCode.PASSED:
                code = int(gate_result.exit_code)
                warning = f"{ratchet.OPTION} {self.ratchet_path}: not updated, because the run exits with {code}"
                return replace(gate_result, warnings=(*gate_result.warnings, warning))
            self.ratchet.with_results(passed, contract.operations).save(self.ratchet_path)
        return gate_result


def _check_file(option: str, path: Path | None, *, is_created: bool) -> None:
    """Reject a missing file that the run does not create, and an update without a file. Raises UsageError."""
    update_option = f"--update-{option.removeprefix('--')}"
    if path is None and is_created:
        raise UsageError(f"{update_option}: no file (expected {option} FILE too)")
    if path is not None and not path.is_file() and not is_created:
        raise UsageError(f"{option}: no file {path} (expected an existing file, or {update_option}, which creates it)")
    if path is not None and is_created and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise UsageError(f"{option}: cannot create {path} (expected a writable folder)")
