"""`athena-conformance traffic`: recorded traffic held to the contract, with the reports and exit codes of a run."""

import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from conformance import har, traffic
from conformance.commands.run import publish
from conformance.connection import contract_of, shown
from conformance.errors import UsageError
from conformance.laws.law import Law
from conformance.redaction import Redaction
from conformance.report import Report
from conformance.routes import base_of
from conformance.run import Run
from conformance.second_validator import SecondValidator
from conformance.settings import Settings
from conformance.verdict import Demands, counted, judge
from spec.contract import Contract
from spec.document import find_line_numbers
from spec.schemas import SchemaValidators

LOOKED_AT = 2_000  # entries by which the API's address is found
NAMED = 12  # operations that a note names


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Judge recordings; the exit status. `laws`: none are asked here. Raises UsageError, ContractError."""
    started, clock = datetime.now(UTC), time.monotonic()
    entries = [entry for file in settings.arguments for entry in har.read(Path(file))]
    contract = contract_of(settings)
    base = _base(settings, contract, entries)
    judged = traffic.judge(
        contract, SecondValidator(contract, SchemaValidators.from_document(contract.document)), entries, base
    )
    found = Run(outcomes=judged.outcomes())
    demands = Demands(settings.strict, settings.min_reached, read_only=True)
    report = Report(
        base,
        shown(Path(contract.document.name)),
        contract.document.digest,
        secrets.token_hex(4),
        settings.seed,
        started.isoformat(timespec="seconds"),
        time.monotonic() - clock,
        judged.entries,
        settings.strict,
        True,
        settings.token_env,
        settings.other_token_env,
        tuple(_notes(contract, judged, entries)),
        found,
        judge(found, contract, (), judged.seen, demands),
        Redaction.of(contract, judged.secrets),
        find_line_numbers(contract.document.content),
        judged.seen,
    )
    return publish(settings, report)


def _base(settings: Settings, contract: Contract, entries: list[har.Entry]) -> str:
    """The API's address: the one that is given, or else the most common one in the recording. Raises UsageError."""
    if settings.base_url:
        given = settings.base_url
        return given if given.count("/") > 2 else given + contract.base_path
    asked = ((har.origin_of(entry.url), entry.url) for entry in entries[:LOOKED_AT])
    found = base_of(contract, ((origin, url) for origin, url in asked if origin))
    if found is None:
        hosts = sorted({har.origin_of(entry.url) for entry in entries} - {""})
        said = ", ".join(hosts[:5]) or "nothing that was asked over HTTP"
        raise UsageError(
            f"{' '.join(settings.arguments)}: found {said}, and no path of the contract; "
            "allowed: a recording of the API, or its address as --base-url"
        )
    return found


def _notes(contract: Contract, judged: traffic.TrafficFindings, entries: list[har.Entry]) -> Iterator[str]:
    yield f"recorded traffic: {counted(judged.entries, 'exchange')} judged of {len(entries)}; nothing was sent"
    yield from (f"not judged: {times} {why}" for why, times in sorted(judged.skipped.items()))
    used = {operation for operation, _ in judged.seen}
    missing = [name for name in contract.operations if name not in used]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    yield f"{len(used)} of {len(contract.operations)} operations are in it" + (
        f"; not: {', '.join(missing[:NAMED])}{more}" if missing else ""
    )
