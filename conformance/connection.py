"""From settings to what a word of the command works with: the contract, what is in scope, a session on the target."""

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx

from conformance.bodies import Bodies
from conformance.config import near
from conformance.coverage import Coverage
from conformance.errors import UsageError
from conformance.ledger import Ledger
from conformance.redaction import LONG, Redaction
from conformance.sacrifice import Sacrifices
from conformance.session import Session
from conformance.settings import Settings, is_loopback
from conformance.target import Budget, HttpTarget, Target
from conformance.tenant import Tenant, key_of
from conformance.token import Renewing, TokenCommand
from spec.contract import Contract, Operation, load_contract
from spec.provenance import get_provenance
from spec.schemas import SchemaValidators


def signed_in(settings: Settings) -> tuple[Settings, TokenCommand | None]:
    """The settings with the token that --token-command prints, and the command. Raises UsageError."""
    if settings.token_command is None:
        return settings, None
    command = TokenCommand(settings.token_command)
    return replace(settings, token=command.token()), command


def no_token(settings: Settings) -> UsageError:
    """What is wrong when there is no token."""
    allowed = "allowed: a valid token there, or --token-command"
    return UsageError(f"${settings.token_env}: found no token in the environment; {allowed}")


def contract_of(settings: Settings) -> Contract:
    """The contract that is judged by: the packaged one, or another. Raises ContractError."""
    return load_contract(settings.contract or Path(str(resources.files("spec") / "openapi.yaml")))


def scope(settings: Settings, contract: Contract) -> tuple[list[Operation], list[str]]:
    """The operations that are asked for, those to be skipped too, and what a reader has to know. Raises UsageError."""
    chosen = usable_operations(settings, contract)
    if settings.token is None and any(o.security for o in chosen):
        raise no_token(settings)
    notes = [] if settings.other_token else [f"no ${settings.other_token_env}: other tenants' sight is not judged"]
    if settings.read_only:
        notes.append("the run is read-only: promises about writes are not judged")
    elif not settings.writes_allowed:
        notes.append(f"the run is read-only: writing to {settings.host} needs --allow-writes-to {settings.host}")
    if settings.skip:
        notes.append(f"not sent, as the file of settings says: {', '.join(settings.skip)}")
    return chosen, [*notes, *_of_tenant(settings, contract, chosen)]


def usable_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The selected operations, once every option is checked that can be checked without a target.

    Raises UsageError. Neither a token nor an address is required.
    """
    chosen = chosen_operations(settings, contract)
    _check_records(settings, contract)
    if settings.token is not None and settings.token == settings.other_token:
        found = f"${settings.other_token_env}: found the token of ${settings.token_env}"
        raise UsageError(f"{found}; allowed: one of a user of another tenant, or none")
    refused = bool(settings.base_url) and not settings.read_only and not settings.writes_allowed
    if refused and chosen and all(o.method != "get" for o in chosen):
        raise UsageError(
            f"--allow-writes-to: found no {settings.host}, and all that is asked for writes; "
            f"allowed: --allow-writes-to {settings.host}"
        )
    return chosen


def _check_records(settings: Settings, contract: Contract) -> None:
    """Refuse what names no operation or resource of the contract. Raises UsageError."""
    _check_known("skip", list(settings.skip), list(contract.operations))
    _check_known("--sacrifice", [resource for resource, _ in settings.sacrifice], list(contract.resources))
    if settings.workspace is not None and contract.tenant_resource is None:
        raise UsageError("--workspace: found one, and a contract without tenants; allowed: none")


def _of_tenant(settings: Settings, contract: Contract, chosen: Sequence[Operation]) -> Iterator[str]:
    """What a reader has to know of the tenant that the run works in."""
    if settings.workspace is None or contract.tenant_resource is None:
        return
    mine = Tenant.of(contract, settings.workspace)
    unsaid = [o.id for o in chosen if mine.concerns(o) and not mine.narrows(o) and not mine.named_by(o)]
    if unsaid:
        yield f"no {contract.tenant_resource.name} can be said to {', '.join(unsaid)}: the token decides where they work"


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
        and (not settings.only or get_provenance(contract.document, o.pointer) in settings.only)
    ]


def _check_known(flag: str, asked: Sequence[str], known: Sequence[str]) -> None:
    unknown = [one for one in asked if one not in known]
    if unknown:
        like = near(unknown[0], known)
        raise UsageError(f"{flag}: found {unknown[0][:100]!a}{like}; allowed: {', '.join(known)}")


def base_of(settings: Settings, contract: Contract) -> str:
    """The address that the contract's paths are put behind."""
    return settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path


def session_of(
    settings: Settings, contract: Contract, run_id: str, command: TokenCommand | None = None
) -> tuple[Session, HttpTarget]:
    """A session on the target, and the target, which is to be closed in the end. Raises UsageError."""
    read_only = settings.read_only or not settings.writes_allowed
    base = base_of(settings, contract)
    until = None if settings.max_time is None else time.monotonic() + settings.max_time
    tokens = {"self": settings.token, "other": settings.other_token}
    target = _target(settings, base, tokens, Budget(settings.max_requests, until), read_only)
    through: Target = target
    if command is not None:
        through = Renewing(target, command.token, lambda name: contract.operations[name].requires_auth)
    session = Session(
        contract,
        SchemaValidators.from_document(contract.document),
        through,
        _ledger(settings, run_id, base),
        Bodies(contract, marker(run_id), Random(settings.seed)),
        read_only=read_only,
        effects=settings.allow_effects,
        max_expensive=settings.max_expensive,
        credentials=_credentials(settings, contract),
        skipped=settings.skip,
        tenant=None if settings.workspace is None else Tenant.of(contract, settings.workspace),
        sacrifices=Sacrifices({name: key_of(contract, name, key) for name, key in settings.sacrifice}),
        settle=settings.settle,
        coverage=Coverage(contract),
    )
    return session, target


def _credentials(settings: Settings, contract: Contract) -> Mapping[str, str]:
    """The account's own properties to sign in with; nothing where there are none, or the contract has no account."""
    account = contract.account_resource.credentials if contract.account_resource else None
    if account is None or settings.login is None or settings.password is None:
        return {}
    return {account.login: settings.login, account.secret: settings.password}


def redaction_of(settings: Settings, contract: Contract, command: TokenCommand | None = None) -> Redaction:
    """What reports leave out: tokens, the password, and what --header gives.

    A password that stands in the contract itself is none: to take it out would garble what the contract says.
    """
    given = [value for _, value in settings.header if len(value) >= LONG]
    published = (settings.password or "").encode() in contract.document.content
    secrets = [settings.token, settings.other_token, None if published else settings.password, *given]
    return Redaction.of(contract, [*secrets, *(command.given if command else ())])


def _target(
    settings: Settings, base: str, tokens: Mapping[str, str | None], budget: Budget, read_only: bool
) -> HttpTarget:
    """The target; proxies of the environment are asked for all but this machine's own addresses. Raises UsageError."""
    try:
        return HttpTarget(
            base,
            {who: token for who, token in tokens.items() if token},
            budget,
            dict(settings.header),
            settings.timeout,
            interval=1 / settings.rate_limit if settings.rate_limit else 0.0,
            read_only=read_only,
            verify=_certificates(settings.ca_file),
            trust_env=not is_loopback(settings.host),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        allowed = "allowed: addresses like http://proxy.example.com:3128 in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY"
        raise UsageError(f"the environment's proxy: found one that cannot be used ({error}); {allowed}") from None


def _certificates(file: Path | None) -> ssl.SSLContext | bool:
    if file is None:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no certificate"
        raise UsageError(f"--ca-file: found {file} ({said}); allowed: certificates in PEM") from None


def marker(run_id: str) -> str:
    """What stands in every text that a run writes."""
    return f"conformance-{run_id}"


def ledger_file(settings: Settings) -> Path | None:
    """Where a run notes what it writes; None: nowhere but in its own memory."""
    return settings.ledger or (settings.report_dir / "ledger.jsonl" if settings.report_dir else None)


def _ledger(settings: Settings, run_id: str, base: str) -> Ledger:
    path = ledger_file(settings)
    try:
        return Ledger(run_id) if path is None else Ledger.at(run_id, path, base, marker(run_id))
    except OSError as error:
        raise UsageError(f"--ledger: found {path} ({error.strerror}); allowed: a file that can be written") from None


def shown(path: Path) -> str:
    """A path as reports name it: from where the command runs, where that is above it."""
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return path.as_posix()
