"""`athena-conformance confirm`: writes what a run confirmed into the contract, preserving comments and order."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import display_path, resolve_contract
from conformance.config.settings import Settings
from conformance.contract_edits.yaml_patch import Edit, EditError, apply_edits
from conformance.errors import UsageError
from conformance.files import write_atomically
from conformance.gate.verdict import ExitCode, pluralize
from conformance.past_runs import report_reader
from conformance.past_runs.promotion import Confirmation, build_confirmation, proposal_edits
from spec.document import parse_document
from spec.errors import ContractError
from spec.loader import parse_contract
from spec.model import Contract


def command(settings: Settings, checks: object = None) -> int:
    """Edit the contract and return 0. Raises UsageError, ContractError."""
    contract = resolve_contract(settings)
    file = Path(contract.document.name)
    report = report_reader.read_report(Path(settings.arguments[0]))
    difference = report_reader.contract_difference(report, contract)
    if difference:
        raise UsageError(f"{report.file}: {difference} (expected a report of a run with this contract)")
    confirmation = build_confirmation(contract, report)
    try:
        edits = list(proposal_edits(report)) if settings.apply_proposals else []
    except EditError as error:
        raise UsageError(f"{report.file}: {error}") from None
    edited = _edit_contract(contract, [*edits, *confirmation.edits])
    original = contract.document.content.decode()
    if settings.dry_run:
        names = f"a/{display_path(file)}", f"b/{display_path(file)}"
        lines = difflib.unified_diff(original.splitlines(True), edited.splitlines(True), *names)
        no_newline = "\n\\ No newline at end of file\n"
        write_stdout("".join(line if line.endswith("\n") else f"{line}{no_newline}" for line in lines))
        sys.stderr.write(_summary(confirmation, len(edits), "nothing was written"))
        return ExitCode.PASSED
    output = settings.output or file
    if edited != original or settings.output is not None:
        _write(output, edited)
    write_stdout(_summary(confirmation, len(edits), f"written to {display_path(output)}"))
    return ExitCode.PASSED


def _edit_contract(contract: Contract, edits: Sequence[Edit]) -> str:
    """The edited text, which is a valid contract. Raises UsageError."""
    try:
        edited = apply_edits(contract.document.content.decode(), edits)
        parse_contract(parse_document(edited.encode(), contract.document.name))
    except (EditError, ContractError, UnicodeDecodeError) as error:
        raise UsageError(f"the edits cannot be applied, the contract is unchanged: {error}") from None
    return edited


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"--output: cannot write {path}: {error.strerror} (expected a writable file)") from None


def _summary(confirmation: Confirmation, edit_count: int, destination: str) -> str:
    edits = f", {pluralize(edit_count, 'edit')} of proposals" if edit_count else ""
    counts = sorted(confirmation.excluded_counts.items())
    excluded = "".join(f"   {count} passed, but remain inferred: {reason}\n" for reason, count in counts)
    return f"{pluralize(confirmation.confirmed_count, 'location')} confirmed{edits}; {destination}\n{excluded}"
