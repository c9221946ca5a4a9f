"""The file of settings, `athena-conformance.toml`: what a line of options would say, written down once.

    base-url = "https://staging.example.com/api/v1"   # any option but secrets, by its name
    [skip]
    listThings = "times out; ticket 12"               # an operation that is not sent, and why
    [env.production]                                  # chosen by --env production; wins over what stands above
    base-url = "https://example.com/api/v1"
    [env.production.skip]
    ...

It says nothing of what a value means: `conformance.config.settings` reads it as it reads a line's.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from conformance.errors import UsageError

CONFIG_FILE_NAME = "athena-conformance.toml"
ENV_TABLE, SKIP_TABLE = "env", "skip"
SECRET_NAME_PARTS = (
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "authorization",
    "api-key",
    "apikey",
    "cookie",
)
TABLE_NAMES = (SKIP_TABLE, ENV_TABLE)


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """What a file says of an option: the value as TOML has it, and where it stands (for people)."""

    value: Any
    location: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file of settings. `folder`: where its paths start. `values`: option's name -> value, the environment's before the
    file's own. `skip`: operationId -> why it is not sent. `skip_locations`: operationId -> where that stands."""

    folder: Path = Path()
    values: Mapping[str, ConfigValue] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    skip_locations: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None, env: str | None, option_names: Sequence[str]) -> ConfigFile:
    """The settings of a file: the one named, or `CONFIG_FILE_NAME` of the current folder where there is one.

    `env`: which section counts. `option_names`: names of the options that may stand there. Raises UsageError.
    """
    file = path or Path(CONFIG_FILE_NAME)
    if path is None and not file.is_file():
        if env is not None:
            raise UsageError(
                f"--env: found {env!a}, and no {CONFIG_FILE_NAME} here; allowed: with --config FILE, or with {CONFIG_FILE_NAME}"
            )
        return ConfigFile()
    root = _read_toml(file)
    sections = _env_sections(file, root)
    tables: list[tuple[str, Mapping[str, Any]]] = [(str(file), root)]
    if env is not None:
        if env not in sections:
            allowed = ", ".join(sections) or f"a section that {file} has; it has none"
            raise UsageError(f"--env: found {env!a}; allowed: {allowed}")
        tables.append((f"{file} [{ENV_TABLE}.{env}]", sections[env]))
    for name, section in sections.items():
        _check_names(f"{file} [{ENV_TABLE}.{name}]", section, option_names, (SKIP_TABLE,))
    _check_names(str(file), root, option_names, TABLE_NAMES)
    values: dict[str, ConfigValue] = {}
    skips: dict[str, str] = {}
    skip_locations: dict[str, str] = {}
    for location, table in tables:
        values |= {name: ConfigValue(value, location) for name, value in table.items() if name not in TABLE_NAMES}
        table_skips = dict(_parse_skips(location, table.get(SKIP_TABLE, {})))
        skips |= table_skips
        skip_locations |= dict.fromkeys(table_skips, location)
    return ConfigFile(file.parent, values, skips, skip_locations)


def suggest(name: str, allowed_names: Sequence[str]) -> str:
    """``; did you mean 'x'?`` where a known name is like the one found, else ""."""
    matches = get_close_matches(name, allowed_names, 1, 0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _read_toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config: found {file} ({error.strerror}); allowed: a TOML file that can be read") from None
    except (ValueError, RecursionError) as error:  # no UTF-8 is a ValueError too
        raise UsageError(f"{file}: found no TOML ({error}); allowed: a TOML file in UTF-8") from None


def _env_sections(file: Path, root: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    sections = root.get(ENV_TABLE, {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise UsageError(f"{file}: {ENV_TABLE}: found something else than sections; allowed: [{ENV_TABLE}.NAME]")
    return sections


def _check_names(
    location: str, table: Mapping[str, Any], option_names: Sequence[str], table_names: Sequence[str]
) -> None:
    """Refuse what is no option, and what looks like a secret."""
    for name in table:
        if name in option_names or name in table_names:
            continue
        normalized = name.lower().replace("_", "-")
        if any(part in normalized for part in SECRET_NAME_PARTS) and normalized not in option_names:
            raise UsageError(
                f"{location}: found {name[:60]!a}; allowed: no secrets: tokens come from the environment "
                "(token-env, other-token-env, login-env, password-env), or from a command (token-command)"
            )
        allowed = [*sorted(option_names), *(f"[{table}]" for table in table_names)]
        raise UsageError(
            f"{location}: found {name[:60]!a}{suggest(normalized, option_names)}; allowed: {', '.join(allowed)}"
        )


def _parse_skips(location: str, table: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(table, dict):
        raise UsageError(
            f"{location}: {SKIP_TABLE}: found no table; allowed: [{SKIP_TABLE}] with lines like operationId = 'reason'"
        )
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise UsageError(
                f"{location}: {SKIP_TABLE}.{name}: found {str(reason)[:60]!a}; allowed: the reason, in words"
            )
        yield name, " ".join(reason.split())
