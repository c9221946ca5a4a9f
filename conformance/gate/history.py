"""The baseline and ratchet files of a run."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate import baseline, ratchet
from conformance.gate.baseline import Baseline
from conformance.gate.ratchet import Ratchet
from conformance.gate.verdict import ExitCode, GateResult, pluralize

MAX_LISTED_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class History:
    """The content of the files. `baseline_output`, `ratchet_output`: the files that the run writes, or None."""

    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)
    baseline_output: Path | None = None
    ratchet_output: Path | None = None

    @classmethod
    def from_settings(cls, settings: Settings, today: date) -> "History":
        """Read the files. Raises UsageError."""
        _check_file(baseline.OPTION, settings.baseline, is_created=settings.update_baseline)
        _check_file(ratchet.OPTION, settings.ratchet, is_created=settings.update_ratchet)
        return cls(
            None if settings.baseline is None else Baseline.load(settings.baseline, today),
            Ratchet() if settings.ratchet is None else Ratchet.load(settings.ratchet),
            settings.baseline if settings.update_baseline else None,
            settings.ratchet if settings.update_ratchet else None,
        )

    def update(self, gate_result: GateResult) -> GateResult:
        """Update the files if the options say so, and return the result with the new content. Raises UsageError."""
        is_reachable = not gate_result.run_result.target_unreachable
        if self.baseline_output is not None and self.baseline is not None and is_reachable:
            failed = (*gate_result.blocking, *gate_result.accepted)
            updated = self.baseline.with_results(failed, gate_result.passed)
            updated.save(self.baseline_output)
            notes = tuple(_describe_update(self.baseline_output, self.baseline, updated))
            policy = replace(gate_result.policy, baseline=updated)
            gate_result = replace(gate_result, policy=policy, history_notes=notes)
        if self.ratchet_output is None:
            return gate_result
        if gate_result.exit_code is not ExitCode.PASSED:
            code = int(gate_result.exit_code)
            warning = f"{ratchet.OPTION} {self.ratchet_output}: not updated, because the run exits with {code}"
            return replace(gate_result, history_warnings=(warning,))
        updated_ratchet = self.ratchet.with_results(gate_result.passed, gate_result.contract.operations)
        updated_ratchet.save(self.ratchet_output)
        return gate_result


def _describe_update(path: Path, before: Baseline, after: Baseline) -> Iterator[str]:
    """List the entries that an update added to a baseline and removed from it."""
    added = [entry for name, entry in after.entries.items() if name not in before.entries]
    renewed = [e for name, e in after.entries.items() if name in before.entries and before.entries[name] != e]
    removed = [entry for name, entry in before.entries.items() if name not in after.entries]
    count = pluralize(len(after.entries), "accepted failure")
    yield f"{baseline.OPTION} {path}: {count}; {len(added)} added, {len(renewed)} renewed, {len(removed)} removed"
    for change, entries in (("added", added), ("renewed", renewed), ("removed", removed)):
        for entry in entries[:MAX_LISTED_ENTRIES]:
            yield f"{change}: {entry.fingerprint}" + (f": {entry.message}" if entry.message else "")
        if len(entries) > MAX_LISTED_ENTRIES:
            yield f"and {len(entries) - MAX_LISTED_ENTRIES} more {change}"


def _check_file(option: str, path: Path | None, *, is_created: bool) -> None:
    """Reject a missing file that the run does not create, and an update without a file. Raises UsageError."""
    update_option = f"--update-{option.removeprefix('--')}"
    if path is None and is_created:
        raise UsageError(f"{update_option}: no file (expected {option} FILE too)")
    if path is not None and not path.is_file() and not is_created:
        raise UsageError(f"{option}: no file {path} (expected an existing file, or {update_option}, which creates it)")
    if path is not None and is_created and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise UsageError(f"{option}: cannot create {path} (expected a writable folder)")
