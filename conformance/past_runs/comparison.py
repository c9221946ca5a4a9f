"""Reads the failures of an earlier report, to compare a run with them."""

from pathlib import Path

from conformance.gate.verdict import GateResult
from conformance.past_runs.report_reader import read_report
from conformance.reporting.comparison import FailureComparison, PastFailure


def compare_with_report(path: Path, gate_result: GateResult) -> FailureComparison:
    """Compare a run with the report of an earlier one. Raises UsageError."""
    report = read_report(path)
    past_run = f"run {report.run_id}, {report.started[:10]}"
    past = [
        PastFailure(
            failure.fingerprint,
            f"{' '.join(filter(None, (failure.operation, failure.parameter, failure.check)))} ({failure.id})",
            failure.since or past_run,
        )
        for failure in report.failures()
        if failure.is_recurring
    ]
    return FailureComparison.create(past_run, past, gate_result)
