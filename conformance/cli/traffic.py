"""`athena-conformance traffic`: recorded traffic held to the contract, with the reports and exit codes of a run."""

import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from conformance.checks.support.check import Check
from conformance.cli.run import publish
from conformance.cli.wiring import display_path, resolve_contract
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate.verdict import GatePolicy, evaluate, pluralize
from conformance.har import audit, format
from conformance.har.openapi_core_adapter import OpenapiCoreValidator
from conformance.har.routes import find_base_url
from conformance.reporting import Report
from conformance.runner.runner import RunResult
from conformance.transport.redaction import Redactor
from spec.document import find_line_numbers
from spec.loader import Contract
from spec.validators import SchemaValidators

MAX_BASE_URL_ENTRIES = 2_000  # entries by which the API's address is found
MAX_LISTED_OPERATIONS = 12  # operations that a note names


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Judge recordings; the exit status. `checks`: none are asked here. Raises UsageError, ContractError."""
    started, start_time = datetime.now(UTC), time.monotonic()
    entries = [entry for file in settings.arguments for entry in format.read_har(Path(file))]
    contract = resolve_contract(settings)
    base_url = _resolve_base_url(settings, contract, entries)
    traffic_result = audit.audit(
        contract, OpenapiCoreValidator(contract, SchemaValidators.from_document(contract.document)), entries, base_url
    )
    run_result = RunResult(results=traffic_result.results())
    policy = GatePolicy(settings.strict, settings.min_coverage, read_only=True)
    report = Report(
        target=base_url,
        contract=display_path(Path(contract.document.name)),
        contract_digest=contract.document.digest,
        run_id=secrets.token_hex(4),
        seed=settings.seed,
        started_at=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - start_time,
        requests=traffic_result.entries,
        strict=settings.strict,
        read_only=True,
        token_env=settings.token_env,
        other_token_env=settings.other_token_env,
        notes=tuple(_notes(contract, traffic_result, entries)),
        run=run_result,
        gate_result=evaluate(run_result, contract, (), traffic_result.call_counts, policy),
        redaction=Redactor.from_contract(contract, traffic_result.secrets),
        line_numbers=find_line_numbers(contract.document.content),
        response_counts=traffic_result.call_counts,
    )
    return publish(settings, report)


def _resolve_base_url(settings: Settings, contract: Contract, entries: list[format.HarEntry]) -> str:
    """The API's address: the one that is given, or else the most common one in the recording. Raises UsageError."""
    if settings.base_url:
        base_url = settings.base_url
        return base_url if base_url.count("/") > 2 else base_url + contract.base_path
    entry_urls = ((format.url_origin(entry.url), entry.url) for entry in entries[:MAX_BASE_URL_ENTRIES])
    most_common = find_base_url(contract, ((origin, url) for origin, url in entry_urls if origin))
    if most_common is None:
        origins = sorted({format.url_origin(entry.url) for entry in entries} - {""})
        description = ", ".join(origins[:5]) or "nothing that was asked over HTTP"
        raise UsageError(
            f"{' '.join(settings.arguments)}: found {description}, and no path of the contract; "
            "allowed: a recording of the API, or its address as --base-url"
        )
    return most_common


def _notes(contract: Contract, traffic_result: audit.TrafficResult, entries: list[format.HarEntry]) -> Iterator[str]:
    yield f"recorded traffic: {pluralize(traffic_result.entries, 'exchange')} judged of {len(entries)}; nothing was sent"
    yield from (f"not judged: {count} {reason}" for reason, count in sorted(traffic_result.skipped.items()))
    called_operations = {operation for operation, _ in traffic_result.call_counts}
    missing = [name for name in contract.operations if name not in called_operations]
    suffix = f" and {len(missing) - MAX_LISTED_OPERATIONS} more" if len(missing) > MAX_LISTED_OPERATIONS else ""
    yield f"{len(called_operations)} of {len(contract.operations)} operations are in it" + (
        f"; not: {', '.join(missing[:MAX_LISTED_OPERATIONS])}{suffix}" if missing else ""
    )
