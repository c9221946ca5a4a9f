"""`athena-conformance run --dry-run`: prints what a run would send, from the checks and the operations alone.

No request is sent, so neither an address nor a token is required.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.checks.unused_extensions import find_unused_extensions, format_unused_extensions
from conformance.cli.stdout import format_table, write_stdout
from conformance.cli.wiring import display_path, resolve_contract, select_operations
from conformance.config.settings import Settings
from conformance.gate.history import History
from conformance.gate.verdict import pluralize
from conformance.schemathesis_engine import DEPTHS
from conformance.schemathesis_engine.write_guard import get_exclusion_reason
from spec.model import Contract, Operation

LINE_WIDTH = 120
NO_EFFECTS = "--allow-effects is not set"
HEADER = ("Operation", "Method", "Writes", "Checks", "Schemathesis", "Effects")


@dataclass(frozen=True, slots=True)
class DryRunRow:
    """One operation. `checks`: the checks that would run on it. `is_fuzzed`: Schemathesis would send requests to it."""

    operation: Operation
    checks: tuple[Check, ...]
    is_fuzzed: bool


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Print the dry run and return 0. `checks`: all by default. Raises UsageError, ContractError."""
    contract = resolve_contract(settings)
    selected = select_operations(settings, contract)
    History.from_settings(settings, datetime.now(UTC).date())  # rejects invalid baseline and ratchet files
    checks = CHECKS if checks is None else checks
    operations = [op for op in selected if op.id not in settings.skip]
    included = [check for check in checks if not _check_exclusion(settings, check)]
    rows: list[DryRunRow] = []
    for op in operations:
        applicable = tuple(check for check in included if check.applies_to(contract, op))
        rows.append(DryRunRow(op, applicable, not _fuzzing_exclusion(settings, contract, op)))
    write_stdout(f"Dry run with {display_path(Path(contract.document.name))}: no request is sent.\n\n")
    write_stdout(format_table([HEADER, *(_cells(settings, row) for row in rows)]))
    skips: dict[tuple[str, str], list[str]] = {}  # (reason, kind) -> names
    for reason, kind, name in _skips(settings, contract, selected, checks):
        skips.setdefault((reason, kind), []).append(name)
    unused = format_unused_extensions(find_unused_extensions(contract))
    write_stdout("".join(f"{line}\n" for line in _lines(settings, rows, skips, unused)))
    return 0


def _skips(
    settings: Settings, contract: Contract, selected: Sequence[Operation], checks: Sequence[Check]
) -> Iterator[tuple[str, str, str]]:
    """(reason, kind, name) of what a run would leave out."""
    yield from ((settings.skip[op.id], "operations", op.id) for op in selected if op.id in settings.skip)
    operations = [op for op in selected if op.id not in settings.skip]
    for check in checks:
        reason = _check_exclusion(settings, check)
        number = sum(check.applies_to(contract, op) for op in operations) if reason else 0
        if number:
            yield reason, "checks", f"{check.id} ({pluralize(number, 'operation')})"
    if not settings.allow_effects:
        yield from ((NO_EFFECTS, "successful calls of", op.id) for op in operations if op.effects)
    for op in operations:
        reason = _fuzzing_exclusion(settings, contract, op)
        if reason and not settings.no_fuzzing:
            yield reason, "Schemathesis on", op.id


def _write_exclusion(settings: Settings) -> str:
    """Why the run may not write, or "". Without an address, writes are assumed to be allowed."""
    if settings.read_only or not settings.base_url or settings.writes_allowed:
        return "--read-only" if settings.read_only else ""
    return f"read-only without --allow-writes-to {settings.host}"


def _check_exclusion(settings: Settings, check: Check) -> str:
    """Why a check would run on no operation, or ""."""
    if check.writes and (reason := _write_exclusion(settings)):
        return reason
    if check.is_concurrent and not settings.concurrency:
        return "requests at once need --concurrency"
    if check.needs_member_token and settings.member_token is None:
        return f"no token of another member (${settings.member_token_env} is not set)"
    needs_token = check.needs_second_token and settings.other_token is None
    return f"no second token (${settings.other_token_env} is not set)" if needs_token else ""


def _fuzzing_exclusion(settings: Settings, contract: Contract, operation: Operation) -> str:
    """Why Schemathesis would not send requests to an operation, or ""."""
    if settings.no_fuzzing:
        return "--no-fuzzing"
    if operation.is_write and (reason := _write_exclusion(settings)):
        return reason
    if operation.effects and not settings.allow_effects:
        return NO_EFFECTS
    return str(get_exclusion_reason(contract, operation, read_only=False, effects=True) or "")


def _lines(
    settings: Settings,
    rows: Sequence[DryRunRow],
    skips: Mapping[tuple[str, str], Sequence[str]],
    unused_extensions: Sequence[str],
) -> Iterator[str]:
    yield from ("", "Checks by operation")
    for row in rows:
        yield from _wrap(f"{row.operation.id}: {', '.join(check.id for check in row.checks) or 'none'}")
    if skips:
        yield from ("", "Skipped")
    for (reason, kind), names in skips.items():
        yield from _wrap(f"{kind} {', '.join(names)}: {reason}")
    if unused_extensions:
        yield from ("", "Extensions without a check")
    for line in unused_extensions:
        yield from _wrap(line)
    yield from ("", "Totals")
    yield from (f"  {line}" for line in _totals(settings, rows))


def _wrap(text: str) -> list[str]:
    return wrap(text, LINE_WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _cells(settings: Settings, row: DryRunRow) -> tuple[str, ...]:
    op = row.operation
    effects = ", ".join(op.effects) or "-"
    if op.effects and settings.allow_effects:
        effects += f" (at most {pluralize(settings.max_effect_calls, 'call')})"
    writes, fuzzed = ("yes" if flag else "no" for flag in (op.is_write, row.is_fuzzed))
    return op.id, op.method.upper(), writes, str(len(row.checks)), fuzzed, effects


def _totals(settings: Settings, rows: Sequence[DryRunRow]) -> Iterator[str]:
    writing_count = sum(row.operation.is_write for row in rows)
    yield f"{pluralize(len(rows), 'operation')}, {writing_count} of them writing"
    cases = [check for row in rows for check in row.checks]
    counts = f"{pluralize(len({check.id for check in cases}), 'check')} in {pluralize(len(cases), 'run')}"
    yield f"{counts}, {sum(check.writes for check in cases)} of them writing"
    phases = "--no-fuzzing" if settings.no_fuzzing else f"phases: {', '.join(DEPTHS[settings.profile].phases)}"
    yield f"Schemathesis on {pluralize(sum(row.is_fuzzed for row in rows), 'operation')} ({phases})"
    with_effects = [row.operation for row in rows if row.operation.effects and settings.allow_effects]
    number = sum(not (op.is_write and _write_exclusion(settings)) for op in with_effects)
    yield f"calls with external effects: at most {number * settings.max_effect_calls}"
    if settings.max_requests is not None:
        yield f"requests: at most {settings.max_requests} ({settings.origins['max_requests']})"
    if settings.max_time is not None:
        yield f"time: no check starts after {settings.max_time:g} s ({settings.origins['max_time']})"
    if settings.rate_limit is not None:
        yield f"rate: at most {settings.rate_limit:g} requests per second ({settings.origins['rate_limit']})"
