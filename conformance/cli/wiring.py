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

from conformance.config.file import suggest
from conformance.config.settings import Settings, is_loopback
from conformance.errors import UsageError
from conformance.session.coverage import Coverage
from conformance.session.mutable_records import MutableRecords
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.tenant import TenantScope, parse_key
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget, Target
from conformance.transport.redaction import MIN_ENCODED_SECRET_CHARS, Redactor
from conformance.transport.token_refresh import TokenCommand, TokenRefreshingTarget
from spec.loader import Contract, Operation, load_contract
from spec.provenance import get_provenance
from spec.validators import SchemaValidators


def resolve_token(settings: Settings) -> tuple[Settings, TokenCommand | None]:
    """The settings with the token that --token-command prints, and the command. Raises UsageError."""
    if settings.token_command is None:
        return settings, None
    token_command = TokenCommand(settings.token_command)
    return replace(settings, token=token_command.token()), token_command


def missing_token_error(settings: Settings) -> UsageError:
    """What is wrong when there is no token."""
    expected = "allowed: a valid token there, or --token-command"
    return UsageError(f"${settings.token_env}: found no token in the environment; {expected}")


def resolve_contract(settings: Settings) -> Contract:
    """The contract that is judged by: the packaged one, or another. Raises ContractError."""
    return load_contract(settings.contract or Path(str(resources.files("spec") / "openapi.yaml")))


def resolve_scope(settings: Settings, contract: Contract) -> tuple[list[Operation], list[str]]:
    """The operations that are asked for, those to be skipped too, and what a reader has to know. Raises UsageError."""
    operations = select_operations(settings, contract)
    if settings.token is None and any(operation.security for operation in operations):
        raise missing_token_error(settings)
    notes = [] if settings.other_token else [f"no ${settings.other_token_env}: other tenants' sight is not judged"]
    if settings.read_only:
        notes.append("the run is read-only: promises about writes are not judged")
    elif not settings.writes_allowed:
        notes.append(f"the run is read-only: writing to {settings.host} needs --allow-writes-to {settings.host}")
    if settings.skip:
        notes.append(f"not sent, as the file of settings says: {', '.join(settings.skip)}")
    return operations, [*notes, *_tenant_notes(settings, contract, operations)]


def select_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The selected operations, once every option is checked that can be checked without a target.

    Raises UsageError. Neither a token nor an address is required.
    """
    operations = filter_operations(settings, contract)
    _check_names(settings, contract)
    if settings.token is not None and settings.token == settings.other_token:
        message = f"${settings.other_token_env}: found the token of ${settings.token_env}"
        raise UsageError(f"{message}; allowed: one of a user of another tenant, or none")
    writes_not_allowed = bool(settings.base_url) and not settings.read_only and not settings.writes_allowed
    if writes_not_allowed and operations and all(operation.method != "get" for operation in operations):
        raise UsageError(
            f"--allow-writes-to: found no {settings.host}, and all that is asked for writes; "
            f"allowed: --allow-writes-to {settings.host}"
        )
    return operations


def _check_names(settings: Settings, contract: Contract) -> None:
    """Refuse what names no operation or resource of the contract. Raises UsageError."""
    _require_known("skip", list(settings.skip), list(contract.operations))
    _require_known("--mutable-record", [resource for resource, _ in settings.mutable_record], list(contract.resources))
    if settings.tenant is not None and contract.tenant_resource is None:
        raise UsageError("--tenant: found one, and a contract without tenants; allowed: none")


def _tenant_notes(settings: Settings, contract: Contract, operations: Sequence[Operation]) -> Iterator[str]:
    """What a reader has to know of the tenant that the run works in."""
    if settings.tenant is None or contract.tenant_resource is None:
        return
    tenant_scope = TenantScope.from_option(contract, settings.tenant)
    unscoped = [
        operation.id
        for operation in operations
        if tenant_scope.applies_to(operation)
        and not tenant_scope.filter_parameter(operation)
        and not tenant_scope.create_field(operation)
    ]
    if unscoped:
        yield f"no {contract.tenant_resource.name} can be said to {', '.join(unscoped)}: the token decides where they work"


def filter_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The operations that --operation, --tag and --provenance leave. Raises UsageError."""
    all_operations = contract.operations.values()
    _require_known("--operation", settings.operation, [operation.id for operation in all_operations])
    _require_known("--tag", settings.tag, sorted({operation.tag for operation in all_operations}))
    return [
        operation
        for operation in all_operations
        if (not settings.operation or operation.id in settings.operation)
        and (not settings.tag or operation.tag in settings.tag)
        and (not settings.provenance or get_provenance(contract.document, operation.pointer) in settings.provenance)
    ]


def _require_known(option: str, names: Sequence[str], known_names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known_names]
    if unknown:
        suggestion = suggest(unknown[0], known_names)
        raise UsageError(f"{option}: found {unknown[0][:100]!a}{suggestion}; allowed: {', '.join(known_names)}")


def resolve_base_url(settings: Settings, contract: Contract) -> str:
    """The address that the contract's paths are put behind."""
    return settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path


def open_session(
    settings: Settings, contract: Contract, run_id: str, token_command: TokenCommand | None = None
) -> tuple[Session, HttpTarget]:
    """A session on the target, and the target, which is to be closed in the end. Raises UsageError."""
    read_only = settings.read_only or not settings.writes_allowed
    base_url = resolve_base_url(settings, contract)
    deadline = None if settings.max_time is None else time.monotonic() + settings.max_time
    tokens = {"self": settings.token, "other": settings.other_token}
    target = _build_target(settings, base_url, tokens, Budget(settings.max_requests, deadline), read_only)
    session_target: Target = target
    if token_command is not None:
        session_target = TokenRefreshingTarget(
            target, token_command.token, lambda resource_name: contract.operations[resource_name].requires_auth
        )
    session = Session(
        contract,
        SchemaValidators.from_document(contract.document),
        session_target,
        _open_write_log(settings, run_id, base_url),
        PayloadFactory(contract, run_marker(run_id), Random(settings.seed)),
        read_only=read_only,
        allow_effects=settings.allow_effects,
        max_effect_calls=settings.max_effect_calls,
        credentials=_login_fields(settings, contract),
        skipped_operations=settings.skip,
        tenant=None if settings.tenant is None else TenantScope.from_option(contract, settings.tenant),
        mutable_records=MutableRecords(
            {resource_name: parse_key(contract, resource_name, key) for resource_name, key in settings.mutable_record}
        ),
        consistency_timeout=settings.consistency_timeout,
        coverage=Coverage(contract),
    )
    return session, target


def _login_fields(settings: Settings, contract: Contract) -> Mapping[str, str]:
    """The account's own properties to sign in with; nothing where there are none, or the contract has no account."""
    account = contract.account_resource.credentials if contract.account_resource else None
    if account is None or settings.login is None or settings.password is None:
        return {}
    return {account.login: settings.login, account.secret: settings.password}


def build_redactor(settings: Settings, contract: Contract, token_command: TokenCommand | None = None) -> Redactor:
    """What reports leave out: tokens, the password, and what --header gives.

    A password that stands in the contract itself is none: to take it out would garble what the contract says.
    """
    header_values = [value for _, value in settings.header if len(value) >= MIN_ENCODED_SECRET_CHARS]
    is_published = (settings.password or "").encode() in contract.document.content
    secrets = [settings.token, settings.other_token, None if is_published else settings.password, *header_values]
    return Redactor.from_contract(contract, [*secrets, *(token_command.printed_tokens if token_command else ())])


def _build_target(
    settings: Settings, base_url: str, tokens: Mapping[str, str | None], budget: Budget, read_only: bool
) -> HttpTarget:
    """The target; proxies of the environment are asked for all but this machine's own addresses. Raises UsageError."""
    try:
        return HttpTarget(
            base_url,
            {actor: token for actor, token in tokens.items() if token},
            budget,
            dict(settings.header),
            settings.timeout,
            interval=1 / settings.rate_limit if settings.rate_limit else 0.0,
            read_only=read_only,
            verify=_load_ca_file(settings.ca_file),
            trust_env=not is_loopback(settings.host),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        expected = "allowed: addresses like http://proxy.example.com:3128 in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY"
        raise UsageError(f"the environment's proxy: found one that cannot be used ({error}); {expected}") from None


def _load_ca_file(path: Path | None) -> ssl.SSLContext | bool:
    if path is None:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        message = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no certificate"
        raise UsageError(f"--ca-file: found {path} ({message}); allowed: certificates in PEM") from None


def run_marker(run_id: str) -> str:
    """What stands in every text that a run writes."""
    return f"conformance-{run_id}"


def write_log_path(settings: Settings) -> Path | None:
    """Where a run notes what it writes; None: nowhere but in its own memory."""
    return settings.write_log or (settings.report_dir / "write-log.jsonl" if settings.report_dir else None)


def _open_write_log(settings: Settings, run_id: str, base_url: str) -> WriteLog:
    path = write_log_path(settings)
    try:
        return WriteLog(run_id) if path is None else WriteLog.create(run_id, path, base_url, run_marker(run_id))
    except OSError as error:
        raise UsageError(f"--write-log: found {path} ({error.strerror}); allowed: a file that can be written") from None


def display_path(path: Path) -> str:
    """A path as reports name it: from where the command runs, where that is above it."""
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return path.as_posix()
