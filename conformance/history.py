"""What a run knows of earlier ones, by its files: accepted failures, and what was kept."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from conformance import baseline, ratchet
from conformance.baseline import Baseline
from conformance.errors import UsageError
from conformance.outcome import Verdict
from conformance.ratchet import Ratchet
from conformance.run import Run
from conformance.settings import Settings
from conformance.verdict import Code, Judgement
from spec.contract import Contract


@dataclass(frozen=True, slots=True)
class History:
    """The files of a run; a path None: not asked for. `accept`, `record`: whether the run writes them anew."""

    accepted: Path | None = None
    accept: bool = False
    recorded: Path | None = None
    record: bool = False
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)

    @classmethod
    def of(cls, settings: Settings, today: date) -> "History":
        """What stands in the files, before a request is sent. Raises UsageError."""
        _there(baseline.FLAG, settings.baseline, new=settings.update_baseline)
        _there(ratchet.FLAG, settings.ratchet, new=settings.update_ratchet)
        return cls(
            settings.baseline,
            settings.update_baseline,
            settings.ratchet,
            settings.update_ratchet,
            None if settings.baseline is None else Baseline.load(settings.baseline, today),
            Ratchet() if settings.ratchet is None else Ratchet.load(settings.ratchet),
        )

    def judgement(self, found: Run, contract: Contract, judge: Callable[["History"], Judgement]) -> Judgement:
        """The judgement, after the files are written anew where that was asked for. Raises UsageError."""
        said = judge(self)
        if self.accept and self.accepted is not None and self.baseline is not None and not found.lost:
            updated = self.baseline.updated((*said.blocking, *said.accepted), found.of(Verdict.KEPT))
            updated.save(self.accepted)
            said = judge(replace(self, baseline=updated))
        if self.record and self.recorded is not None:
            if said.code is not Code.KEPT:
                remark = f"{ratchet.FLAG} {self.recorded}: left as it is, as the run ended with {int(said.code)}"
                return replace(said, remarks=(*said.remarks, remark))
            self.ratchet.updated(found.of(Verdict.KEPT), contract.operations).save(self.recorded)
        return said


def _there(flag: str, path: Path | None, *, new: bool) -> None:
    """Refuse a file that is not there and is not to be made, and to make one that is not named. Raises UsageError."""
    update = f"--update-{flag.removeprefix('--')}"
    if path is None and new:
        raise UsageError(f"{update}: found no {flag}; allowed: with {flag} FILE")
    if path is not None and not path.is_file() and not new:
        raise UsageError(f"{flag}: found no file {path}; allowed: one that is there, or {update}, which makes it")
    if path is not None and new and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise UsageError(f"{flag}: found {path}, in a folder that cannot be written to; allowed: one that can")
