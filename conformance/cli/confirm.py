"""`athena-conformance promote`: writes into the contract what a run has confirmed. Comments and order stay."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.checks.support.check import Check
from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import display_path, resolve_contract
from conformance.config.settings import Settings
from conformance.contract_edits.yaml_patch import Edit, EditError, apply_edits
from conformance.errors import UsageError
from conformance.gate.verdict import ExitCode, pluralize
from conformance.past_runs import report_reader
from conformance.past_runs.promotion import Confirmation, build_confirmation, proposal_edits
from spec.document import parse_document
from spec.errors import ContractError
from spec.loader import Contract, parse_contract


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Edit the contract; 0. `checks`: none are asked here. Raises UsageError, ContractError."""
    contract = resolve_contract(settings)
    file = Path(contract.document.name)
    report = report_reader.read_report(Path(settings.arguments[0]))
    difference = report_reader.contract_difference(report, contract)
    if difference:
        raise UsageError(f"{report.file}: found that {difference}; allowed: a report on this contract as it is")
    confirmation = build_confirmation(contract, report)
    gap_edits = _proposal_edits(report) if settings.apply_proposals else []
    edited = _edit_contract(contract, [*gap_edits, *confirmation.edits])
    original = contract.document.content.decode()
    if settings.dry_run:
        lines = difflib.unified_diff(
            original.splitlines(True), edited.splitlines(True), f"a/{display_path(file)}", f"b/{display_path(file)}"
        )
        write_stdout(
            "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        )
        sys.stderr.write(_summary(confirmation, len(gap_edits), "nothing was written"))
        return ExitCode.PASSED
    output = settings.output or file
    if edited != original or settings.output is not None:
        _write(output, edited)
    write_stdout(_summary(confirmation, len(gap_edits), f"written to {display_path(output)}"))
    return ExitCode.PASSED


def _proposal_edits(report: report_reader.PastReport) -> list[Edit]:
    try:
        return list(proposal_edits(report))
    except EditError as error:
        raise UsageError(f"{report.file}: {error}") from None


def _edit_contract(contract: Contract, edits: Sequence[Edit]) -> str:
    """The contract's text with the edits; it is a contract still. Raises UsageError."""
    try:
        edited = apply_edits(contract.document.content.decode(), edits)
        parse_contract(parse_document(edited.encode(), contract.document.name))
    except (EditError, ContractError, UnicodeDecodeError) as error:
        raise UsageError(f"the contract cannot be edited so, and stays as it is: {error}") from None
    return edited


def _write(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(f"--output: found {path} ({error.strerror}); allowed: a file that can be written") from None


def _summary(confirmation: Confirmation, gap_count: int, destination: str) -> str:
    gap_text = f", {pluralize(gap_count, 'edit')} for gaps" if gap_count else ""
    excluded_text = "".join(
        f"   {count} kept, and left inferred: {reason}\n"
        for reason, count in sorted(confirmation.excluded_counts.items())
    )
    return f"{pluralize(confirmation.confirmed_count, 'place')} confirmed{gap_text}; {destination}\n{excluded_text}"
