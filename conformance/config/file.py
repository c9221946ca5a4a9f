"""The settings file `athena-conformance.toml`.

    base-url = "https://staging.example.com/api/v1"   # any option except secrets, by its name
    [skip]
    listThings = "times out; ticket 12"               # an operation that is not called, and why
    [checks.unknown-path-is-404]                      # how failures of a check count
    severity = "warn"                                 # error: they block; warn: they do not; off: it does not run
    reason = "the gateway answers 403"
    expires = 2030-01-31                              # optional: from this day on the severity is the usual one
    [env.production]                                  # selected by --env production; overrides the values above
    base-url = "https://example.com/api/v1"
    [env.production.skip]
    ...

The values are converted by the options (`conformance.config.options`).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from conformance.errors import UsageError

CONFIG_FILE_NAME = "athena-conformance.toml"
ENV_TABLE, SKIP_TABLE, CHECKS_TABLE = "env", "skip", "checks"
SECTION_TABLES = (SKIP_TABLE, CHECKS_TABLE)
TABLE_NAMES = (*SECTION_TABLES, ENV_TABLE)
SEVERITIES = ("error", "warn", "off")
SECRET_NAME_PARTS = (
    *("token", "secret", "password", "passwd", "credential", "authorization", "api-key", "apikey", "cookie"),
)


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """The TOML value of an option, and its location for messages."""

    value: Any
    location: str


@dataclass(frozen=True, slots=True)
class CheckSeverity:
    """The severity of a check: one of `SEVERITIES`. `expires`: the first day on which it does not apply."""

    severity: str
    reason: str
    expires: Date | None
    location: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The settings of a file. `folder`: what its paths are relative to. `values`: option name -> value.

    `skip`: operationId -> why it is not called. `checks`: check -> severity.
    """

    folder: Path = Path()
    values: Mapping[str, ConfigValue] = field(default_factory=dict)
    skip: Mapping[str, ConfigValue] = field(default_factory=dict)
    checks: Mapping[str, CheckSeverity] = field(default_factory=dict)


def load(path: Path | None, env: str | None, option_names: Sequence[str]) -> ConfigFile:
    """Load a file; without a path, `CONFIG_FILE_NAME` in the current folder if it exists.

    `env`: the selected section. `option_names`: the options that the file may contain. Raises UsageError.
    """
    file = path or Path(CONFIG_FILE_NAME)
    if path is None and not file.is_file():
        if env is not None:
            raise UsageError(f"--env: invalid value {env!a} (expected --config FILE, or {CONFIG_FILE_NAME} here)")
        return ConfigFile()
    root = _read_toml(file)
    sections = _env_sections(file, root)
    if env is not None and env not in sections:
        expected = ", ".join(sections) or f"a section of {file}, which has none"
        raise UsageError(f"--env: invalid value {env!a} (expected {expected})")
    values: dict[str, ConfigValue] = {}
    skip: dict[str, ConfigValue] = {}
    checks: dict[str, CheckSeverity] = {}
    tables: list[tuple[str | None, Mapping[str, Any]]] = [(None, root), *sections.items()]
    for name, table in tables:
        location = str(file) if name is None else f"{file} [{ENV_TABLE}.{name}]"
        _check_names(location, table, option_names, TABLE_NAMES if name is None else SECTION_TABLES)
        if name in (None, env):
            values |= {key: ConfigValue(value, location) for key, value in table.items() if key not in TABLE_NAMES}
            skip |= _parse_skips(location, table.get(SKIP_TABLE, {}))
            checks |= _parse_checks(location, table.get(CHECKS_TABLE, {}))
    return ConfigFile(file.parent, values, skip, checks)


def suggest(name: str, known_names: Sequence[str]) -> str:
    """``, did you mean 'x'?`` if a known name is similar, else ""."""
    matches = get_close_matches(name, known_names, 1, 0.6)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _read_toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config: cannot read {file}: {error.strerror} (expected a TOML file)") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise UsageError(f"{file}: invalid TOML: {error} (expected a TOML file in UTF-8)") from None


def _env_sections(file: Path, root: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    sections = root.get(ENV_TABLE, {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise UsageError(f"{file}: {ENV_TABLE}: invalid value (expected sections [{ENV_TABLE}.NAME])")
    return sections


def _check_names(
    location: str, table: Mapping[str, Any], option_names: Sequence[str], table_names: Sequence[str]
) -> None:
    """Reject unknown names, and names of secrets."""
    for name in table:
        if name in option_names or name in table_names:
            continue
        normalized = name.lower().replace("_", "-")
        if any(part in normalized for part in SECRET_NAME_PARTS) and normalized not in option_names:
            options = (
                "token-env, other-token-env, login-env and password-env to environment variables, or token-command"
            )
            raise UsageError(f"{location}: invalid name {name[:60]!a} (expected no secrets: set {options})")
        expected = ", ".join([*sorted(option_names), *(f"[{table}]" for table in table_names)])
        suggestion = suggest(normalized, option_names)
        raise UsageError(f"{location}: unknown name {name[:60]!a}{suggestion} (expected {expected})")


def _parse_skips(location: str, table: Any) -> dict[str, ConfigValue]:
    if not isinstance(table, dict):
        raise UsageError(f"{location}: {SKIP_TABLE}: not a table (expected lines like operationId = 'reason')")
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            problem = f"invalid value {str(reason)[:60]!a} (expected a reason, as text)"
            raise UsageError(f"{location}: {SKIP_TABLE}.{name}: {problem}")
    return {name: ConfigValue(" ".join(reason.split()), location) for name, reason in table.items()}


def _parse_checks(location: str, table: Any) -> dict[str, CheckSeverity]:
    if not isinstance(table, dict):
        raise UsageError(f"{location}: {CHECKS_TABLE}: not a table (expected sections [{CHECKS_TABLE}.ID])")
    return {name: _parse_check(f"{location}: {CHECKS_TABLE}.{name}", section) for name, section in table.items()}


def _parse_check(location: str, section: Any) -> CheckSeverity:
    expected = "severity, reason, and optionally expires"
    if not isinstance(section, dict):
        raise UsageError(f"{location}: not a table (expected {expected})")
    unknown = [key for key in section if key not in ("severity", "reason", "expires")]
    if unknown:
        raise UsageError(f"{location}: unknown name {unknown[0][:60]!a} (expected {expected})")
    severity, reason, expires = (section.get(key) for key in ("severity", "reason", "expires"))
    if severity not in SEVERITIES:
        problem = f"invalid value {str(severity)[:60]!a} (expected {', '.join(SEVERITIES)})"
        raise UsageError(f"{location}.severity: {problem}")
    if not isinstance(reason, str) or not reason.strip():
        raise UsageError(f"{location}.reason: invalid value {str(reason)[:60]!a} (expected a reason, as text)")
    if expires is not None and (not isinstance(expires, Date) or isinstance(expires, datetime)):
        raise UsageError(f"{location}.expires: invalid value {str(expires)[:60]!a} (expected a date like 2030-01-31)")
    return CheckSeverity(severity, " ".join(reason.split()), expires, location)
