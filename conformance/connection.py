"""From settings to what a word of the command works with: the contract, what is in scope, a session on the target."""

import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from conformance.bodies import Bodies
from conformance.coverage import Coverage
from conformance.errors import UsageError
from conformance.ledger import Ledger
from conformance.session import Session
from conformance.settings import Settings
from conformance.target import Budget, HttpTarget
from spec.contract import Contract, Operation, load
from spec.provenance import grade
from spec.schemas import Schemas


def contract_of(settings: Settings) -> Contract:
    """The contract that is judged by: the packaged one, or another. Raises ContractError."""
    return load(settings.contract or Path(str(resources.files("spec") / "openapi.yaml")))


def scope(settings: Settings, contract: Contract) -> tuple[list[Operation], list[str]]:
    """The operations that are asked for, and what a reader has to know. Raises UsageError."""
    chosen = chosen_operations(settings, contract)
    if settings.token is None and any(o.security for o in chosen):
        raise UsageError(f"${settings.token_env}: found no token in the environment; allowed: a valid token there")
    if settings.token is not None and settings.token == settings.other_token:
        found = f"${settings.other_token_env}: found the token of ${settings.token_env}"
        raise UsageError(f"{found}; allowed: one of a user of another tenant, or none")
    notes = [] if settings.other_token else [f"no ${settings.other_token_env}: other tenants' sight is not judged"]
    if settings.read_only:
        notes.append("the run is read-only: promises about writes are not judged")
    elif not settings.writes_allowed:
        if chosen and all(o.method != "get" for o in chosen):
            raise UsageError(
                f"--allow-writes-to: found no {settings.host}, and all that is asked for writes; "
                f"allowed: --allow-writes-to {settings.host}"
            )
        notes.append(f"the run is read-only: writing to {settings.host} needs --allow-writes-to {settings.host}")
    return chosen, notes


def chosen_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The operations that --operation, --tag and --only leave. Raises UsageError."""
    known = contract.operations.values()
    _check_known("--operation", settings.operation, [o.id for o in known])
    _check_known("--tag", settings.tag, sorted({o.tag for o in known}))
    return [
        o
        for o in known
        if (not settings.operation or o.id in settings.operation)
        and (not settings.tag or o.tag in settings.tag)
        and (not settings.only or grade(contract.document, o.pointer) in settings.only)
    ]


def _check_known(flag: str, asked: Sequence[str], known: Sequence[str]) -> None:
    unknown = [one for one in asked if one not in known]
    if unknown:
        raise UsageError(f"{flag}: found {unknown[0][:100]!a}; allowed: {', '.join(known)}")


def session_of(settings: Settings, contract: Contract, run_id: str) -> tuple[Session, HttpTarget]:
    """A session on the target, and the target, which is to be closed in the end. Raises UsageError."""
    read_only = settings.read_only or not settings.writes_allowed
    base = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    until = None if settings.max_time is None else time.monotonic() + settings.max_time
    tokens = {"self": settings.token, "other": settings.other_token}
    target = HttpTarget(
        base,
        {who: token for who, token in tokens.items() if token},
        Budget(settings.max_requests, until),
        dict(settings.header),
        settings.timeout,
        interval=1 / settings.rate_limit if settings.rate_limit else 0.0,
        read_only=read_only,
    )
    session = Session(
        contract,
        Schemas.of(contract.document),
        target,
        _ledger(settings, run_id),
        Bodies(contract, f"conformance-{run_id}", Random(settings.seed)),
        read_only=read_only,
        effects=settings.allow_effects,
        settle=settings.settle,
        coverage=Coverage(contract),
    )
    return session, target


def _ledger(settings: Settings, run_id: str) -> Ledger:
    path = settings.ledger or (settings.report_dir / "ledger.jsonl" if settings.report_dir else None)
    try:
        return Ledger(run_id) if path is None else Ledger.at(run_id, path)
    except OSError as error:
        raise UsageError(f"--ledger: found {path} ({error.strerror}); allowed: a file that can be written") from None


def shown(path: Path) -> str:
    """A path as reports name it: from where the command runs, where that is above it."""
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return path.as_posix()
