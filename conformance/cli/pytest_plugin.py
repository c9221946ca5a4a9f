"""The pytest plugin of `conformance.cli.pytest`: one item ``check[operationId]`` per check and operation.

A blocking failure is a failing test with the message of the report. A contract gap or a skipped check is a skipped
test with the reason. All items share one session.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.support.check import Case
from conformance.gate.policy import GatePolicy
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult, run


class CheckFailed(Exception):
    """A blocking failure, with the message of the report."""


@dataclass(slots=True)
class ConformancePlugin:
    """`contract_path`: the file whose items are collected. `describe_failure`: a failure as the report shows it.
    `abort_reason`: why the run was aborted, or "". `executed`: number of items that ran. `run_result`: of all of
    them."""

    contract_path: Path
    cases: list[Case]
    describe_failure: Callable[[RunResult, CheckResult], str]
    policy: GatePolicy
    abort_reason: str = ""
    target_unreachable: bool = False
    executed: int = 0
    run_result: RunResult = field(default_factory=RunResult)

    def add(self, run_result: RunResult) -> None:
        """Add the results of one item to those of the run."""
        self.executed += 1
        self.run_result.results += run_result.results
        self.run_result.flaky += run_result.flaky
        self.run_result.reruns |= run_result.reruns
        self.run_result.transient_failures = run_result.transient_failures
        self.run_result.is_interrupted |= run_result.is_interrupted

    def blocks(self, failure: CheckResult) -> bool:
        """Whether a failure fails its item."""
        if self.policy.accepts(failure) or self.policy.never_blocks(failure):
            return False
        return self.policy.requires(failure) or self.policy.has_expired(failure)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> "ContractFile | None":
        """Collect the contract and no other file."""
        if file_path != self.contract_path:
            return None
        contract_file: ContractFile = ContractFile.from_parent(parent, path=file_path)
        contract_file.plugin = self
        return contract_file


class ContractFile(pytest.File):
    """The collector of all items."""

    plugin: ConformancePlugin

    def collect(self) -> Iterator["CheckItem"]:
        """One item per case, in the order of `run`."""
        for case in self.plugin.cases:
            item: CheckItem = CheckItem.from_parent(self, name=f"{case.check.id}[{case.operation.id}]")
            item.plugin, item.case = self.plugin, case
            yield item


class CheckItem(pytest.Item):
    """One check on one operation."""

    plugin: ConformancePlugin
    case: Case

    def runtest(self) -> None:
        """Run the check. Raises CheckFailed."""
        plugin = self.plugin
        if plugin.abort_reason:
            pytest.skip(f"not reached: {plugin.abort_reason}")
        session, checks, operations = self.case.session, [self.case.check], [self.case.operation]
        run_result = run(session, checks, operations, lambda result: None, clean_up=False)
        plugin.abort_reason, plugin.target_unreachable = run_result.abort_reason, run_result.target_unreachable
        skipped = list(run_result.with_status(Status.SKIPPED))
        plugin.add(run_result)
        failures = list(run_result.with_status(Status.FAILED))
        blocking = [failure for failure in failures if plugin.blocks(failure)]
        messages = [plugin.describe_failure(run_result, failure) for failure in blocking]
        if messages:
            raise CheckFailed("\n\n".join(messages))
        if failures:
            gaps = [plugin.describe_failure(run_result, failure).replace("\n", " ") for failure in failures]
            pytest.skip(f"contract gap: {'; '.join(gaps)}")
        if skipped and not list(run_result.with_status(Status.PASSED)):
            pytest.skip(f"skipped: {skipped[0].message}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failed check without a traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, CheckFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
