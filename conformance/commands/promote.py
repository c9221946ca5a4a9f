"""`athena-conformance promote`: writes into the contract what a run has confirmed. Comments and order stay."""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from conformance import reported
from conformance.connection import contract_of, shown
from conformance.edits import CannotEdit, Edit, apply
from conformance.errors import UsageError
from conformance.laws.law import Law
from conformance.output import say
from conformance.promotion import Promotion, of_gaps, promotion
from conformance.settings import Settings
from conformance.verdict import Code, counted
from spec.contract import Contract, parse_contract
from spec.document import parse_document
from spec.errors import ContractError


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Edit the contract; 0. `laws`: none are asked here. Raises UsageError, ContractError."""
    contract = contract_of(settings)
    file = Path(contract.document.name)
    said = reported.read(Path(settings.arguments[0]))
    other = reported.differs(said, contract)
    if other:
        raise UsageError(f"{said.file}: found that {other}; allowed: a report on this contract as it is")
    found = promotion(contract, said)
    gaps = _gaps(said) if settings.gaps else []
    after = _edited(contract, [*gaps, *found.edits])
    before = contract.document.content.decode()
    if settings.dry_run:
        lines = difflib.unified_diff(
            before.splitlines(True), after.splitlines(True), f"a/{shown(file)}", f"b/{shown(file)}"
        )
        say("".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines))
        sys.stderr.write(_told(found, len(gaps), "nothing was written"))
        return Code.KEPT
    target = settings.output or file
    if after != before or settings.output is not None:
        _write(target, after)
    say(_told(found, len(gaps), f"written to {shown(target)}"))
    return Code.KEPT


def _gaps(said: reported.Reported) -> list[Edit]:
    try:
        return list(of_gaps(said))
    except CannotEdit as error:
        raise UsageError(f"{said.file}: {error}") from None


def _edited(contract: Contract, edits: Sequence[Edit]) -> str:
    """The contract's text with the edits; it is a contract still. Raises UsageError."""
    try:
        after = apply(contract.document.content.decode(), edits)
        parse_contract(parse_document(after.encode(), contract.document.name))
    except (CannotEdit, ContractError, UnicodeDecodeError) as error:
        raise UsageError(f"the contract cannot be edited so, and stays as it is: {error}") from None
    return after


def _write(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(f"--output: found {path} ({error.strerror}); allowed: a file that can be written") from None


def _told(found: Promotion, gaps: int, end: str) -> str:
    admitted = f", {counted(gaps, 'edit')} for gaps" if gaps else ""
    left = "".join(f"   {times} kept, and left inferred: {why}\n" for why, times in sorted(found.left.items()))
    return f"{counted(found.confirmed, 'place')} confirmed{admitted}; {end}\n{left}"
