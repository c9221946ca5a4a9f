"""The same suite as pytest items: one for each law on each operation, named ``law[operationId]``.

A plugin object that `conformance.commands.items` hands to pytest: the only module that knows pytest. A broken promise
that blocks is a failing test whose message is what a report says of it; a contract gap, and what is not judged, is
skipped with the reason. All items share one session, which is cleaned when pytest is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.laws.law import Case
from conformance.outcome import Outcome, Verdict
from conformance.run import Run


class Broken(Exception):
    """A broken promise that blocks; its message is for people."""


@dataclass(slots=True)
class Suite:
    """What pytest runs. `file`: the contract's, which stands for all items. `judge`: what becomes of a case;
    `tell`: a broken outcome of it, for people; `blocks`: whether one is red. `ended`: why the suite ended, or ""."""

    file: Path
    cases: list[Case]
    judge: Callable[[Case], Run]
    tell: Callable[[Run, Outcome], str]
    blocks: Callable[[Outcome], bool]
    ended: str = ""
    lost: bool = False
    failed: list[str] = field(default_factory=list)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "Laws | None":
        """The contract is a file of items; no other is."""
        if file_path != self.file:
            return None
        found: Laws = Laws.from_parent(parent, path=file_path)
        found.suite = self
        return found


class Laws(pytest.File):
    """All items."""

    suite: Suite

    def collect(self) -> Iterator["Promise"]:
        """One for each case, in the order in which a run judges them."""
        for case in self.suite.cases:
            item: Promise = Promise.from_parent(self, name=f"{case.law.id}[{case.operation.id}]")
            item.suite, item.case = self.suite, case
            yield item


class Promise(pytest.Item):
    """One law on one operation."""

    suite: Suite
    case: Case

    def runtest(self) -> None:
        """Judge it. Raises Broken; skips what is not judged."""
        if self.suite.ended:
            pytest.skip(f"not reached: {self.suite.ended}")
        found = self.suite.judge(self.case)
        self.suite.ended, self.suite.lost = found.ended, found.lost
        broken = [o for o in found.of(Verdict.BROKEN) if o.promise.law == self.case.law.id]
        red = [self.suite.tell(found, outcome) for outcome in broken if self.suite.blocks(outcome)]
        if red:
            raise Broken("\n\n".join(red))
        if broken:
            pytest.skip("contract gap: " + "; ".join(self.suite.tell(found, o).replace("\n", " ") for o in broken))
        missed = [outcome.said for outcome in found.of(Verdict.NOT_JUDGED)]
        if missed and not list(found.of(Verdict.KEPT)):
            pytest.skip(f"not judged: {missed[0]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The words of a broken promise, without a traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, Broken) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands, for pytest."""
        return self.path, None, self.name
