"""`athena-conformance clean LEDGER`: takes away what a killed run left behind, and says what it could not.

It ends with 0 when nothing is left, with 5 when something is or may be, with 3 when the target is lost.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from conformance.connection import contract_of, no_token, session_of, signed_in
from conformance.errors import TargetLost, UsageError
from conformance.ledger import Entry, Ledger, entries
from conformance.leftovers import Leftovers
from conformance.output import say
from conformance.settings import Settings
from conformance.verdict import Code, counted
from spec.contract import Contract


def command(settings: Settings, laws: object = None) -> int:
    """Clean; the exit status. Raises UsageError, ContractError."""
    path = Path(settings.arguments[0])
    found = entries(path)
    settings = replace(settings, base_url=settings.base_url or found[0].target)
    _check(settings, path, found)
    settings, _ = signed_in(settings)
    if settings.token is None:
        raise no_token(settings)
    contract = contract_of(settings)
    codes = [_cleaned(settings, contract, path, entry) for entry in found]
    return max(codes, key=[Code.KEPT, Code.INCOMPLETE, Code.LOST].index)


def _check(settings: Settings, path: Path, found: list[Entry]) -> None:
    for entry in found:
        if _place(entry.target) != _place(settings.base_url):
            raise UsageError(
                f"{path}: found the ledger of a run on {_place(entry.target)!a}; allowed: one on "
                f"{_place(settings.base_url)}, which --base-url names"
            )
    if not settings.writes_allowed:
        raise UsageError(f"--allow-writes-to: found no {settings.host}; allowed: --allow-writes-to {settings.host}")


def _place(base: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(base)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _cleaned(settings: Settings, contract: Contract, path: Path, entry: Entry) -> Code:
    """Take away what one run left, and say what became of it."""
    session, target = session_of(settings, contract, entry.run)
    try:
        session.ledger = Ledger.resumed(entry, path)
    except OSError as error:
        raise UsageError(f"LEDGER: found {path} ({error.strerror}); allowed: a file that can be written") from None
    leftovers = Leftovers(session, entry)
    try:
        left = leftovers.clean()
    except TargetLost as error:
        _say(f"run {entry.run}: {error}; {counted(len(session.ledger.made), 'record')} may be left")
        return Code.LOST
    finally:
        target.close()
    gone = len(entry.made) + leftovers.found - len(session.ledger.made)
    noted = f", {leftovers.found} of them found by the marker {entry.marker}" if leftovers.found else ""
    _say(f"run {entry.run}: {counted(gone, 'record')} taken away{noted}; {len(left) or 'nothing'} left")
    for resource, key in left:
        _say(f"   left: {resource} {key}")
    for said in leftovers.unseen:
        _say(f"   {said}")
    return Code.INCOMPLETE if left or leftovers.unseen else Code.KEPT


def _say(line: str) -> None:
    say("".join(sign if sign.isprintable() else "?" for sign in line) + "\n")
