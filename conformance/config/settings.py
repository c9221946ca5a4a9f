"""The settings of one call of `athena-conformance`: read once, then frozen.

A value comes from the command line, else from the settings file (the section of --env first), else it is the default.
Tokens and passwords come from the environment or from a command, never from the command line or the settings file.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date as Date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from conformance.config import file as config
from conformance.config.file import CheckSeverity
from conformance.config.options import FILE_KEYS, OPTIONS, PROFILES
from conformance.errors import UsageError

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of all commands; those that a command does not accept have their defaults.

    `arguments`: the positional arguments. `max_time`, `timeout`, `wait_ready`, `consistency_timeout`: seconds.
    `max_response_size`: MiB. `min_coverage`, `flaky_limit`: percent. `rate_limit`: requests per second.
    `mutable_record`: (resource, key). `credential`: (security scheme, environment variable with its credential).
    `skip`: operationId -> why it is not called. `checks`: check -> its severity.
    `origins`: setting (``skip.`` and an operationId too) -> its source.
    `token`, `other_token`, `member_token`: None if the environment has none. `login`, `password`: both or neither.
    `credential_values`: security scheme -> its credential.
    """

    command: str
    arguments: tuple[str, ...]
    base_url: str
    token_env: str
    other_token_env: str
    member_token_env: str
    login_env: str
    password_env: str
    contract: Path | None
    seed: int
    operation: tuple[str, ...]
    tag: tuple[str, ...]
    provenance: tuple[str, ...]
    read_only: bool
    fail_on: str
    strict: bool
    no_fuzzing: bool
    max_time: float | None
    concurrency: bool
    max_requests: int | None
    timeout: float
    max_response_size: float
    rate_limit: float | None
    header: tuple[tuple[str, str], ...]
    credential: tuple[tuple[str, str], ...]
    report_dir: Path | None
    write_log: Path | None
    github: bool
    allow_writes_to: tuple[str, ...]
    allow_effects: bool
    min_coverage: float
    wait_ready: float
    profile: str | None
    token_command: str | None
    ca_file: Path | None
    tenant: str | None
    mutable_record: tuple[tuple[str, str], ...]
    max_effect_calls: int
    flaky_limit: float
    consistency_timeout: float
    baseline: Path | None
    compare: Path | None
    update_baseline: bool
    reason: str | None
    expires: Date | None
    owner: str | None
    ratchet: Path | None
    update_ratchet: bool
    family: tuple[str, ...]
    sample: int | None
    workers: int | None
    check: tuple[str, ...]
    fuzzing_only: bool
    min: float
    output: Path | None
    dry_run: bool
    apply_proposals: bool
    format: str | None
    config: Path | None
    env: str | None
    show_config: bool
    skip: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, CheckSeverity] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    other_token: str | None = field(default=None, repr=False)
    member_token: str | None = field(default=None, repr=False)
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    credential_values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """The target's host, lower case."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def writes_allowed(self) -> bool:
        """Whether writes to the target are allowed: its host is loopback, or --allow-writes-to names it."""
        return is_loopback(self.host) or self.host in self.allow_writes_to


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def build_settings(ctx: click.Context, environment: Mapping[str, str]) -> Settings:
    """Merge the parsed command line with the settings file and the environment. Raises UsageError."""
    command = ctx.command.name or ""
    file = config.load(ctx.params["config"], ctx.params["env"], FILE_KEYS)
    values, origins = _merge_sources(ctx, command, file)
    is_offline = values["show_config"] or values["dry_run"]
    if values["base_url"] is None and command in ("run", "pytest") and not is_offline:
        raise UsageError("--base-url: no value (expected the target's address, like http://127.0.0.1:8000/api/v1)")
    values["base_url"] = values["base_url"] or ""
    for role in ("token", "other_token", "member_token"):
        is_explicit = origins[f"{role}_env"] != DEFAULT and not values["show_config"] and not values["token_command"]
        values[role] = _read_token(environment, values[f"{role}_env"], is_required=is_explicit)
    values |= _read_credentials(environment, values, origins)
    values["credential_values"] = _read_scheme_credentials(environment, values)
    origins |= {f"{config.SKIP_TABLE}.{operation}": reason.location for operation, reason in file.skip.items()}
    skip = {operation: reason.value for operation, reason in file.skip.items()}
    arguments: list[str] = []
    for parameter in ctx.command.params:
        if isinstance(parameter, click.Argument):
            value = ctx.params[parameter.name or ""]
            arguments += [value] if isinstance(value, str) else value
    return Settings(
        command=command, arguments=tuple(arguments), skip=skip, checks=file.checks, origins=origins, **values
    )


def _merge_sources(ctx: click.Context, command: str, file: config.ConfigFile) -> tuple[dict[str, Any], dict[str, str]]:
    """(setting -> value, setting -> source). Values of the file are also validated where they have no effect."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        value, origin = option.setting_default, DEFAULT
        config_value = file.values.get(option.key)
        if config_value is not None:
            file_value = option.parse_file_value(ctx, config_value, file.folder)
            if command in option.commands:
                value, origin = file_value, config_value.location
        if ctx.get_parameter_source(option.setting_name) is ParameterSource.COMMANDLINE:
            value, origin = ctx.params[option.setting_name], option.opts[0]
        values[option.setting_name], origins[option.setting_name] = value, origin
    if values["strict"]:
        values["fail_on"], origins["fail_on"] = "inferred", origins["strict"]
    profile = values["profile"]
    if values["max_time"] is None and profile is not None:
        values["max_time"], origins["max_time"] = PROFILES[profile], f"--profile {profile}"
    return values, origins


def _read_credentials(
    environment: Mapping[str, str], values: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, str | None]:
    """Login and password, both or neither. Raises UsageError."""
    credentials = {name: environment.get(values[f"{name}_env"], "") or None for name in ("login", "password")}
    for name, value in credentials.items():
        is_required = any(credentials.values()) or origins[f"{name}_env"] != DEFAULT
        if value is None and is_required and not values["show_config"]:
            expected = "login and password, both (--login-env, --password-env), or neither"
            raise UsageError(f"${values[f'{name}_env']}: no {name} in the environment (expected {expected})")
    return credentials


def _read_scheme_credentials(environment: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Security scheme -> its credential. Raises UsageError."""
    credentials: dict[str, str] = {}
    for scheme, variable in values["credential"]:
        value = environment.get(variable, "").strip()
        if not value and not values["show_config"]:
            expected = f"a variable that contains the credential of {scheme}"
            raise UsageError(f"--credential: no value in ${variable} (expected {expected})")
        if not value.isascii() or not value.isprintable():
            raise UsageError(f"${variable}: invalid credential (expected printable ASCII)")
        credentials[scheme] = value
    return credentials


def _read_token(environment: Mapping[str, str], name: str, *, is_required: bool) -> str | None:
    token = environment.get(name, "").strip()
    if is_required and not token:
        raise UsageError(f"${name}: no token in the environment (expected a variable that contains one)")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"${name}: invalid token (expected printable ASCII without spaces, as after `Bearer `)")
    return token or None
