"""`athena-conformance traffic`: checks recorded traffic, with the reports and exit codes of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance.cli import wiring
from conformance.cli.reports import ReportBuilder, publish
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate.verdict import GatePolicy, GateResult, join_names, pluralize
from conformance.har.audit import TrafficAudit
from conformance.har.format import read_har
from conformance.har.openapi_core_adapter import OpenapiCoreValidator
from conformance.har.routes import find_base_url, url_origin
from conformance.runner.runner import RunResult
from conformance.transport.redaction import Redactor
from spec.model import Contract
from spec.validators import SchemaValidators

MAX_BASE_URL_ENTRIES = 2_000  # entries from which the API's address is derived
MAX_LISTED_OPERATIONS = 12


def command(settings: Settings, checks: object = None) -> int:
    """Check the recordings and return the exit code. Raises UsageError, ContractError."""
    recordings = [read_har(Path(file)) for file in settings.arguments]
    entries = [entry for recording in recordings for entry in recording.entries]
    invalid_entries = [message for recording in recordings for message in recording.invalid_entries]
    contract = wiring.resolve_contract(settings)
    severities = wiring.resolve_severities(settings)
    builder = ReportBuilder(settings, contract)
    base_url = _resolve_base_url(settings, contract, [entry.url for entry in entries])
    validator = OpenapiCoreValidator(contract, SchemaValidators.from_document(contract.document))
    traffic = TrafficAudit(validator, base_url)
    traffic.check(entries)
    results = [result for result in traffic.results() if not severities.is_off(result.requirement.check)]
    run_result = RunResult(results=results)
    policy = replace(GatePolicy.from_settings(settings, read_only=True), severities=severities)
    gate_result = GateResult(run_result, contract, (), traffic.call_counts, policy)
    redaction = Redactor.from_contract(contract, traffic.secrets)
    notes = [*_notes(contract, traffic, len(entries), invalid_entries), *severities.notes]
    return publish(settings, builder.build(base_url, traffic.entries, gate_result, redaction, notes=notes))


def _resolve_base_url(settings: Settings, contract: Contract, urls: list[str]) -> str:
    """The API's address: --base-url, else the most frequent one in the recordings. Raises UsageError."""
    if settings.base_url:
        has_path = settings.base_url.count("/") > 2
        return settings.base_url if has_path else settings.base_url + contract.base_path
    base_url = find_base_url(contract, urls[:MAX_BASE_URL_ENTRIES])
    if base_url is None:
        origins = ", ".join(sorted(set(map(url_origin, urls)) - {""})[:5]) or "nothing over HTTP"
        expected = "a recording of the API, or its address as --base-url"
        raise UsageError(f"{' '.join(settings.arguments)}: no path of the contract in {origins} (expected {expected})")
    return base_url


def _notes(contract: Contract, traffic: TrafficAudit, total: int, invalid_entries: Sequence[str]) -> Iterator[str]:
    yield f"recorded traffic: {traffic.entries} of {pluralize(total, 'exchange')} checked; no request was sent"
    yield from (f"skipped: {count} {reason}" for reason, count in sorted(traffic.skipped.items()))
    if invalid_entries:
        noun = "entry" if len(invalid_entries) == 1 else "entries"
        yield f"skipped: {len(invalid_entries)} invalid {noun}, the first: {invalid_entries[0]}"
    for (part, problem), count in sorted(traffic.uninspected_bodies.items()):
        noun = "body" if count == 1 else "bodies"
        yield f"not inspected: {count} {part} {noun} ({problem})"
    called = {operation for operation, _ in traffic.call_counts}
    missing = [name for name in contract.operations if name not in called]
    names = f"; missing: {join_names(missing, MAX_LISTED_OPERATIONS)}" if missing else ""
    yield f"{len(called)} of {len(contract.operations)} operations were called{names}"
