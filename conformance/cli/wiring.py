"""Builds from the settings what the commands work with: the contract, the selected operations, a session."""

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx

from conformance import interrupts
from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.cli.stdout import write_error
from conformance.config.file import suggest
from conformance.config.options import EXPLORATION_SEQUENCES
from conformance.config.settings import Settings, is_loopback
from conformance.errors import SuiteError, UsageError
from conformance.gate.severities import Severities
from conformance.har.requirements import REQUIREMENTS
from conformance.session.coverage import Coverage
from conformance.session.credentials import resolve_credentials
from conformance.session.mutable_records import MutableRecords
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.tenant import TenantScope, parse_key
from conformance.session.write_log import WriteLog, run_marker
from conformance.transport.access_watch import AccessWatch
from conformance.transport.body import MIB
from conformance.transport.client import Budget, HttpTarget, Target
from conformance.transport.credentials import CredentialFormat, OperationCredentials, derive_invalid_tokens
from conformance.transport.messages import Actor
from conformance.transport.redaction import Redactor
from conformance.transport.request_ids import RequestIdFactory
from conformance.transport.retry import Retrier
from conformance.transport.token_refresh import TokenCommand, TokenRefreshingTarget
from spec.extensions import format_ignored_extensions
from spec.loader import load_contract
from spec.model import Contract, Operation
from spec.provenance import get_provenance
from spec.redaction import MIN_ENCODED_SECRET_CHARS
from spec.validators import SchemaValidators


def resolve_token(settings: Settings) -> tuple[Settings, TokenCommand | None]:
    """The settings with the token that --token-command prints, and the command. Raises UsageError."""
    if settings.token_command is None:
        return settings, None
    token_command = TokenCommand(settings.token_command)
    return replace(settings, token=token_command.token()), token_command


def missing_token_error(settings: Settings) -> UsageError:
    expected = "a valid token, or --token-command"
    return UsageError(f"${settings.token_env}: no token in the environment (expected {expected})")


def contract_path(settings: Settings) -> Path:
    """The path of --contract, else of the packaged contract."""
    return settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))


def resolve_contract(settings: Settings) -> Contract:
    """Load the contract, and list the extensions of other tools in it. Raises ContractError."""
    contract = load_contract(contract_path(settings))
    if contract.ignored_extensions:
        write_error(format_ignored_extensions(contract.ignored_extensions), 0)
    return contract


def resolve_scope(settings: Settings, contract: Contract) -> tuple[list[Operation], list[str]]:
    """The selected operations, including the skipped ones, and notes for the report. Raises UsageError."""
    operations = select_operations(settings, contract)
    _, credentials = resolve_credentials(settings, contract)
    notes_on_credentials = list(_note_missing_credentials(credentials, operations))
    if settings.token is None and any(o.security and credentials.needs_token(o.id) for o in operations):
        raise missing_token_error(settings)
    notes = [] if settings.other_token else [f"${settings.other_token_env} is not set: tenant isolation is not checked"]
    if not settings.member_token and contract.tenant_resource is not None:
        notes.append(f"${settings.member_token_env} is not set: the access of members of a tenant is not checked")
    if settings.read_only:
        notes.append("the run is read-only: writes are not checked")
    elif not settings.writes_allowed:
        notes.append(f"the run is read-only: writes to {settings.host} require --allow-writes-to {settings.host}")
    if settings.skip:
        notes.append(f"skipped by the settings file: {', '.join(settings.skip)}")
    return operations, [*notes, *notes_on_credentials, *_tenant_notes(settings, contract, operations)]


def _note_missing_credentials(credentials: OperationCredentials, operations: Sequence[Operation]) -> Iterator[str]:
    """The operations that lack credentials. Raises UsageError if no selected operation can be called."""
    problems = {o.id: credentials.problems[o.id] for o in operations if o.id in credentials.problems}
    if operations and len(problems) == len(operations):
        raise UsageError(f"--credential: missing values: {next(iter(problems.values()))}")
    names: dict[str, list[str]] = {}
    for operation_id, problem in problems.items():
        names.setdefault(problem, []).append(operation_id)
    for problem, ids in names.items():
        shown = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
        yield f"{shown} skipped: {problem}"


def select_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The selected operations, after validating all options that can be validated without a target.

    Raises UsageError. Neither a token nor an address is required.
    """
    operations = filter_operations(settings, contract)
    _require_known("skip", list(settings.skip), list(contract.operations))
    _require_known("--mutable-record", [resource for resource, _ in settings.mutable_record], list(contract.resources))
    _require_known("--credential", [scheme for scheme, _ in settings.credential], list(contract.security_schemes))
    for scheme, _ in settings.credential:
        if CredentialFormat.from_scheme(contract.security_schemes[scheme]) is None:
            raise UsageError(
                f"--credential: invalid scheme {scheme!a} (expected one whose credential is in the request)"
            )
    if settings.tenant is not None and contract.tenant_resource is None:
        raise UsageError("--tenant: the contract has no tenants (expected no --tenant)")
    if settings.token is not None and settings.token == settings.other_token:
        message = f"${settings.other_token_env}: same token as ${settings.token_env}"
        raise UsageError(f"{message} (expected the token of a user of another tenant, or none)")
    for env, token in ((settings.token_env, settings.token), (settings.other_token_env, settings.other_token)):
        if settings.member_token is not None and settings.member_token == token:
            message = f"${settings.member_token_env}: same token as ${env}"
            raise UsageError(f"{message} (expected the token of another member of the tenant, or none)")
    writes_not_allowed = bool(settings.base_url) and not settings.read_only and not settings.writes_allowed
    if writes_not_allowed and operations and all(operation.method != "get" for operation in operations):
        message = f"--allow-writes-to: no writes to {settings.host}, and all selected operations write"
        raise UsageError(f"{message} (expected --allow-writes-to {settings.host})")
    return operations


def resolve_severities(settings: Settings, checks: Sequence[Check] = CHECKS) -> Severities:
    """The severities of checks in the settings file, which all commands read.

    Raises UsageError for a check that no command has. `checks`: further ones.
    """
    known_checks = {*(check.id for check in (*CHECKS, *checks)), *REQUIREMENTS}
    return Severities.create(settings.checks, known_checks, datetime.now(UTC).date())


def filter_operations(settings: Settings, contract: Contract) -> list[Operation]:
    """The operations selected by --operation, --tag and --provenance. Raises UsageError."""
    operations = contract.operations.values()
    _require_known("--operation", settings.operation, [op.id for op in operations])
    _require_known("--tag", settings.tag, sorted({op.tag for op in operations}))
    return [
        op
        for op in operations
        if (not settings.operation or op.id in settings.operation)
        and (not settings.tag or op.tag in settings.tag)
        and (not settings.provenance or get_provenance(contract.document, op.pointer) in settings.provenance)
    ]


def _require_known(option: str, names: Sequence[str], known_names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known_names]
    if unknown:
        message = f"{option}: unknown name {unknown[0][:100]!a}{suggest(unknown[0], known_names)}"
        raise UsageError(f"{message} (expected {', '.join(known_names)})")


def _tenant_notes(settings: Settings, contract: Contract, operations: Sequence[Operation]) -> Iterator[str]:
    """The operations to which --tenant cannot be applied."""
    if settings.tenant is None or contract.tenant_resource is None:
        return
    scope = TenantScope.from_option(contract, settings.tenant)
    candidates = filter(scope.applies_to, operations)
    unscoped = [op.id for op in candidates if not scope.query_filter(op) and not scope.create_fields(op)]
    if unscoped:
        name = contract.tenant_resource.name
        yield f"{', '.join(unscoped)}: no parameter or field for the {name}, so the token determines it"


def open_session(
    settings: Settings,
    contract: Contract,
    run_id: str,
    token_command: TokenCommand | None = None,
    write_log: WriteLog | None = None,
) -> tuple[Session, HttpTarget]:
    """A session, and its target, which the caller closes. Raises UsageError."""
    read_only = settings.read_only or not settings.writes_allowed
    base_url = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    headers, credentials = resolve_credentials(settings, contract)
    target = _build_target(settings, base_url, run_id, dict(headers), credentials, read_only=read_only)
    session_target: Target = target
    if token_command is not None:
        operations = contract.operations

        def needs_token(name: str) -> bool:
            return operations[name].requires_auth and credentials.needs_token(name)

        session_target = TokenRefreshingTarget(target, token_command.token, needs_token)
    describe_credentials = partial(credentials.describe, token_env=settings.token_env)
    session_target = AccessWatch(session_target, partial(_find_secured_method, contract), describe_credentials)
    mutable_records = {resource: parse_key(contract, resource, key) for resource, key in settings.mutable_record}
    schemas = SchemaValidators.from_document(contract.document)
    session = Session.create(
        contract,
        schemas,
        session_target,
        write_log or _open_write_log(settings, run_id, base_url),
        PayloadFactory(contract, run_marker(run_id), Random(settings.seed), schemas),
        RunOptions(
            read_only=read_only,
            allow_effects=settings.allow_effects,
            max_effect_calls=settings.max_effect_calls,
            calls_static_writes=settings.allow_effects or is_loopback(settings.host),
            credentials=_login_fields(settings, contract),
            consistency_timeout=settings.consistency_timeout,
            skipped_operations={**credentials.problems, **settings.skip},
            concurrency=settings.concurrency,
            exploration_sequences=EXPLORATION_SEQUENCES[settings.profile],
        ),
        coverage=Coverage(contract),
        tenant=None if settings.tenant is None else TenantScope.from_option(contract, settings.tenant),
        mutable_records=MutableRecords(mutable_records),
        retrier=Retrier(target.pause),
        credentials=credentials,
        sleep=target.pause,
    )
    return session, target


def _find_secured_method(contract: Contract, operation_id: str) -> str | None:
    """The method of an operation that requires a token; None of any other."""
    operation = contract.operations.get(operation_id)
    return operation.method if operation is not None and operation.requires_auth else None


def clean_up(session: Session) -> list[tuple[str, object]]:
    """Delete the created records; return the ones that remain."""
    try:
        with interrupts.interruptible():
            return session.clean_up()
    except (SuiteError, KeyboardInterrupt):
        return list(session.write_log.list_remaining())


def _login_fields(settings: Settings, contract: Contract) -> Mapping[str, str]:
    """Field -> value of the sign-in request; empty without credentials or without an account resource."""
    account = contract.account_resource.credentials if contract.account_resource else None
    if account is None or settings.login is None or settings.password is None:
        return {}
    return {account.login: settings.login, account.secret: settings.password}


def build_redactor(settings: Settings, contract: Contract, token_command: TokenCommand | None = None) -> Redactor:
    """The redactor of tokens, password and header values.

    A password that the contract contains is not redacted: that would garble texts of the contract.
    """
    header_values = [value for _, value in settings.header if len(value) >= MIN_ENCODED_SECRET_CHARS]
    is_published = (settings.password or "").encode() in contract.document.content
    header_values += settings.credential_values.values()
    derived = derive_invalid_tokens(settings.token).values() if settings.token else ()
    secrets = [
        settings.token,
        settings.other_token,
        settings.member_token,
        None if is_published else settings.password,
        *header_values,
    ]
    secrets += [token for token in derived if len(token) >= MIN_ENCODED_SECRET_CHARS]
    return Redactor.from_contract(contract, [*secrets, *(token_command.printed_tokens if token_command else ())])


def _build_target(
    settings: Settings,
    base_url: str,
    run_id: str,
    headers: Mapping[str, str],
    credentials: OperationCredentials,
    *,
    read_only: bool,
) -> HttpTarget:
    """The target; loopback targets ignore the proxies of the environment. Raises UsageError."""
    deadline = None if settings.max_time is None else time.monotonic() + settings.max_time
    tokens = {
        Actor.OWNER: settings.token,
        Actor.OTHER_TENANT: settings.other_token,
        Actor.MEMBER: settings.member_token,
    }
    try:
        return HttpTarget(
            base_url,
            {actor: token for actor, token in tokens.items() if token},
            Budget(settings.max_requests, deadline),
            headers,
            settings.timeout,
            int(settings.max_response_size * MIB),
            interval=1 / settings.rate_limit if settings.rate_limit else 0.0,
            read_only=read_only,
            verify=_load_ca_file(settings.ca_file),
            trust_env=not is_loopback(settings.host),
            request_ids=RequestIdFactory(run_id),
            credentials=credentials,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        expected = "a URL like http://proxy.example.com:3128 in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY"
        raise UsageError(f"invalid proxy in the environment: {error} (expected {expected})") from None


def _load_ca_file(path: Path | None) -> ssl.SSLContext | bool:
    if path is None:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        message = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no certificate"
        raise UsageError(f"--ca-file: cannot load {path}: {message} (expected certificates in PEM)") from None


def write_log_path(settings: Settings) -> Path | None:
    """The file of the write log; None: it is in memory only."""
    return settings.write_log or (settings.report_dir / "write-log.jsonl" if settings.report_dir else None)


def _open_write_log(settings: Settings, run_id: str, base_url: str) -> WriteLog:
    path = write_log_path(settings)
    try:
        return WriteLog(run_id) if path is None else WriteLog.create(run_id, path, base_url, run_marker(run_id))
    except OSError as error:
        raise UsageError(f"--write-log: cannot write {path}: {error.strerror} (expected a writable file)") from None


def display_path(path: Path) -> str:
    """A path as reports show it: relative to the current folder if it is below it."""
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return path.as_posix()
