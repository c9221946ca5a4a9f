"""The settings of the command `athena-mock`: each an option and an environment variable, read once, then frozen.

An option wins over its variable, ``ATHENA_MOCK_PORT`` for ``--port``. A wrong value is told in one line that names what
was found and what is allowed.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NoReturn

VARIABLE_PREFIX = "ATHENA_MOCK_"
IN_MEMORY_STORE = "memory"  # the store that is no file
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
_TRUE_VALUES, _FALSE_VALUES = ("1", "true", "yes"), ("0", "false", "no")


class SettingsError(Exception):
    """A setting that cannot be used: its name, what was found, what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `epoch` None: today. `contract` None: the packaged one. `size`: 10 makes ten times as many.

    `explicit_fields`: the names of those that the command line or the environment says.
    """

    host: str
    port: int
    seed: int
    dataset: str
    size: float
    epoch: datetime | None
    store: str
    contract: Path | None
    allowed_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    quiet: bool
    log_level: str
    explicit_fields: frozenset[str]

    def resolve_epoch(self, now: datetime) -> datetime:
        """The epoch; without one that was given it is the day of `now`, 00:00 UTC."""
        return self.epoch or now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: how it is spelled, what it is without being given, how a text is read as its value."""

    field: str
    flag: str
    default: str
    convert: Callable[[str], Any]
    help: str
    metavar: str = ""
    is_list: bool = False

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return VARIABLE_PREFIX + self.flag.removeprefix("--").upper().replace("-", "_")

    def parse(self, texts: Sequence[str], name: str) -> Any:
        """Its value. Raises SettingsError, which calls it `name`."""
        try:
            if self.is_list:
                parts = (part.strip() for text in texts for part in text.split(","))
                return tuple(self.convert(part) for part in parts if part)
            return self.convert(texts[-1].strip())
        except ValueError as error:
            displayed = ascii(texts[-1]) if len(texts[-1]) < 100 else ascii(texts[-1][:100]) + "..."
            raise SettingsError(f"{name}: found {displayed}; allowed: {error}") from None


def _parse_integer(low: int, high: int, text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise ValueError(f"a whole number from {low} to {high}")
    return int(text)


def _parse_size(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size <= 100_000:
        raise ValueError("a number above 0, up to 100000 (10 makes ten times as many records)")
    return size


def _parse_epoch(text: str) -> datetime | None:
    if text == "today":
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("today, or an instant like 2026-03-01T00:00:00Z") from None
    if not 1990 <= instant.year <= 2200:
        raise ValueError("today, or an instant from 1990 to 2200")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _parse_store(text: str) -> str:
    if text != IN_MEMORY_STORE and not (text.startswith("sqlite:///") and len(text) > 10):
        raise ValueError("memory, or sqlite:///FILE (sqlite:////FILE for a path from the root)")
    return text


def _parse_contract(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if not path.is_file():
        raise ValueError("an OpenAPI 3.0 file that is there")
    return path


def _parse_name(text: str) -> str:
    if not text:
        raise ValueError("a name")
    return text


def _parse_host(text: str) -> str:
    host = text.lower()
    try:
        if host != "*" and not re.fullmatch(r"[a-z0-9_.-]+", host):
            IPv6Address(host := host.strip("[]"))
    except ValueError:
        raise ValueError("host names without scheme, port or path, with commas between; * for any") from None
    return host.removesuffix(".")


def _parse_origin(text: str) -> str:
    if text != "*" and not (text.startswith(("http://", "https://")) and text.count("/") == 2):
        raise ValueError("origins like https://app.example.test, with commas between; * for any")
    return text.lower()


def _parse_flag(text: str) -> bool:
    if text.lower() not in (*_TRUE_VALUES, *_FALSE_VALUES):
        raise ValueError("1 or 0")
    return text.lower() in _TRUE_VALUES


def _parse_log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(", ".join(LOG_LEVELS))
    return text.lower()


OPTIONS = (
    Option("host", "--host", "127.0.0.1", _parse_name, "address to listen on; the default serves ::1 too", "H"),
    Option("port", "--port", "8000", lambda t: _parse_integer(0, 65535, t), "port; 0 takes a free one", "P"),
    Option("seed", "--seed", "0", lambda t: _parse_integer(0, 2**63 - 1, t), "another seed, other data", "N"),
    Option("dataset", "--dataset", "demo", _parse_name, "the named world that is served, or a dataset's file", "D"),
    Option("size", "--size", "1", _parse_size, "how many times the dataset's records", "X"),
    Option(
        "epoch", "--epoch", "today", _parse_epoch, "what the data lead up to, and where the clock starts", "ISO|today"
    ),
    Option(
        "store", "--store", IN_MEMORY_STORE, _parse_store, "where records are kept: memory, or sqlite:///FILE", "URL"
    ),
    Option("contract", "--contract", "", _parse_contract, "another contract than the packaged one", "FILE"),
    Option(
        "allowed_hosts",
        "--allowed-hosts",
        "",
        _parse_host,
        "hosts served beside loopback names, without ports",
        "H,...",
        True,
    ),
    Option(
        "cors_origins",
        "--cors-origin",
        "",
        _parse_origin,
        "origins beside loopback that may read; * (any) may not send cookies",
        "O,...",
        True,
    ),
    Option("quiet", "--quiet", "0", _parse_flag, "no line for each refused request"),
    Option("log_level", "--log-level", "warning", _parse_log_level, ", ".join(LOG_LEVELS), "L"),
)


class _SettingsParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        flags = ", ".join(("--help", "--version", *(option.flag for option in OPTIONS)))
        raise SettingsError(f"{message}; allowed: {flags}")


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str], version: str) -> Settings:
    """The settings that the command line and the environment say. Raises SettingsError.

    SystemExit after --help and --version.
    """
    parser = _SettingsParser("athena-mock", description="Serves the contract's API on real data.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"athena-mock {version}")
    for option in OPTIONS:
        help_text = f"{option.help} (default: {option.default or 'none'}; {option.variable})".replace("%", "%%")
        if option.convert is _parse_flag:
            parser.add_argument(option.flag, dest=option.field, action="append_const", const="1", help=help_text)
        else:
            parser.add_argument(option.flag, dest=option.field, action="append", metavar=option.metavar, help=help_text)
    _check_variable_names(environment)
    parsed = vars(parser.parse_args(list(arguments)))
    values: dict[str, Any] = {}
    explicit_fields = set()
    for option in OPTIONS:
        texts = parsed[option.field]
        if texts:
            values[option.field] = option.parse(texts, option.flag)
        elif environment.get(option.variable, "").strip():
            values[option.field] = option.parse([environment[option.variable]], option.variable)
        else:
            values[option.field] = option.parse([option.default], option.flag)
            continue
        explicit_fields.add(option.field)
    return Settings(**values, explicit_fields=frozenset(explicit_fields))


def _check_variable_names(environment: Mapping[str, str]) -> None:
    """Refuse a variable that means nothing: it was surely meant to."""
    variables = [option.variable for option in OPTIONS]
    for name in environment:
        if name.startswith(VARIABLE_PREFIX) and name not in variables:
            raise SettingsError(f"{name}: found a variable that is no setting; allowed: {', '.join(variables)}")
