"""The same suite as pytest items: one for each law on each operation, named ``law[operationId]``.

A plugin object that `conformance.cli.pytest` hands to pytest: the only module that knows pytest. A broken promise
that blocks is a failing test whose message is what a report says of it; a contract gap, and what is not judged, is
skipped with the reason. All items share one session, which is cleaned when pytest is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.support.check import Case
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult


class CheckFailed(Exception):
    """A broken promise that blocks; its message is for people."""


@dataclass(slots=True)
class ConformancePlugin:
    """What pytest runs. `contract_path`: the contract's, which stands for all items. `run_case`: what becomes of a case;
    `describe_failure`: a broken outcome of it, for people; `is_blocking`: whether one is red. `abort_reason`: why the suite ended, or ""."""

    contract_path: Path
    cases: list[Case]
    run_case: Callable[[Case], RunResult]
    describe_failure: Callable[[RunResult, CheckResult], str]
    is_blocking: Callable[[CheckResult], bool]
    abort_reason: str = ""
    target_unreachable: bool = False
    failed: list[str] = field(default_factory=list)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "ContractFile | None":
        """The contract is a file of items; no other is."""
        if file_path != self.contract_path:
            return None
        contract_file: ContractFile = ContractFile.from_parent(parent, path=file_path)
        contract_file.plugin = self
        return contract_file


class ContractFile(pytest.File):
    """All items."""

    plugin: ConformancePlugin

    def collect(self) -> Iterator["CheckItem"]:
        """One for each case, in the order in which a run judges them."""
        for case in self.plugin.cases:
            item: CheckItem = CheckItem.from_parent(self, name=f"{case.check.id}[{case.operation.id}]")
            item.plugin, item.case = self.plugin, case
            yield item


class CheckItem(pytest.Item):
    """One law on one operation."""

    plugin: ConformancePlugin
    case: Case

    def runtest(self) -> None:
        """Judge it. Raises Broken; skips what is not judged."""
        if self.plugin.abort_reason:
            pytest.skip(f"not reached: {self.plugin.abort_reason}")
        run_result = self.plugin.run_case(self.case)
        self.plugin.abort_reason, self.plugin.target_unreachable = (
            run_result.abort_reason,
            run_result.target_unreachable,
        )
        failures = [
            failure
            for failure in run_result.with_status(Status.FAILED)
            if failure.requirement.check == self.case.check.id
        ]
        messages = [
            self.plugin.describe_failure(run_result, result) for result in failures if self.plugin.is_blocking(result)
        ]
        if messages:
            raise CheckFailed("\n\n".join(messages))
        if failures:
            pytest.skip(
                "contract gap: "
                + "; ".join(
                    self.plugin.describe_failure(run_result, failure).replace("\n", " ") for failure in failures
                )
            )
        skip_messages = [result.message for result in run_result.with_status(Status.SKIPPED)]
        if skip_messages and not list(run_result.with_status(Status.PASSED)):
            pytest.skip(f"not judged: {skip_messages[0]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The words of a broken promise, without a traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, CheckFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands, for pytest."""
        return self.path, None, self.name
