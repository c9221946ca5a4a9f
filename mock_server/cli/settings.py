"""The settings of `athena-mock`: a table of options, and how their texts are parsed.

Each option has an environment variable, ``ATHENA_MOCK_PORT`` for ``--port``. The option takes precedence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

VARIABLE_PREFIX = "ATHENA_MOCK_"
IN_MEMORY_STORE = "memory"
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


@dataclass(frozen=True, slots=True)
class MockSettings:
    """All settings. `epoch` None: today; `contract` None: the packaged contract.

    `explicit_fields`: names of the fields set by the command line or the environment.
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
        """Return the epoch; default: the day of `now`, 00:00 UTC."""
        return self.epoch or now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Option:
    """A command-line option. `parse` raises ValueError with a description of the expected values."""

    field: str
    flag: str
    default: str
    parse: Callable[[str], Any]
    help: str
    metavar: str = ""
    is_list: bool = False
    is_flag: bool = False
    shapes_dataset: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return VARIABLE_PREFIX + self.flag.removeprefix("--").upper().replace("-", "_")


def _parse_integer(low: int, high: int, text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise ValueError(f"an integer between {low} and {high}")
    return int(text)


def _parse_size(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size <= 100_000:
        raise ValueError("a number greater than 0, at most 100000")
    return size


def _parse_epoch(text: str) -> datetime | None:
    if text == "today":
        return None
    try:
        epoch = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("today, or a date and time, for example 2026-03-01T00:00:00Z") from None
    if not 1990 <= epoch.year <= 2200:
        raise ValueError("today, or a date and time between 1990 and 2200")
    return epoch.astimezone(UTC) if epoch.tzinfo else epoch.replace(tzinfo=UTC)


def _parse_store(text: str) -> str:
    if text != IN_MEMORY_STORE and not (text.startswith("sqlite:///") and len(text) > 10):
        raise ValueError("memory, or sqlite:///FILE (with an absolute path: sqlite:////FILE)")
    return text


def _parse_contract(text: str) -> Path | None:
    if text and not Path(text).is_file():
        raise ValueError("an existing OpenAPI 3.0 file")
    return Path(text) if text else None


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
        raise ValueError("comma-separated host names without scheme, port or path, or * for any") from None
    return host.removesuffix(".")


def _parse_origin(text: str) -> str:
    if text != "*" and not (text.startswith(("http://", "https://")) and text.count("/") == 2):
        raise ValueError("comma-separated origins, for example https://app.example.test, or * for any")
    return text.lower()


def _parse_flag(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise ValueError("1 or 0")
    return text.lower() in ("1", "true", "yes")


def _parse_log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(", ".join(LOG_LEVELS))
    return text.lower()


_PORT, _SEED = partial(_parse_integer, 0, 65535), partial(_parse_integer, 0, 2**63 - 1)
_HOST_HELP = "Address to listen on; the default also listens on ::1."
_EPOCH_HELP = "End of the data, start of the clock."
_HOSTS_HELP = "Host names to accept in addition to loopback names, without ports; * accepts any."
_ORIGINS_HELP = "Origins to accept in addition to loopback origins; * accepts any, without cookies."

OPTIONS = (
    Option("host", "--host", "127.0.0.1", _parse_name, _HOST_HELP, "HOST"),
    Option("port", "--port", "8000", _PORT, "Port to listen on; 0 selects a free port.", "PORT"),
    Option("dataset", "--dataset", "demo", _parse_name, "Name or file of a dataset.", "NAME", shapes_dataset=True),
    Option("seed", "--seed", "0", _SEED, "Seed of the generated data.", "N", shapes_dataset=True),
    Option("epoch", "--epoch", "today", _parse_epoch, _EPOCH_HELP, "TIME", shapes_dataset=True),
    Option("size", "--size", "1", _parse_size, "Factor for the number of records.", "FACTOR", shapes_dataset=True),
    Option("store", "--store", IN_MEMORY_STORE, _parse_store, "memory or sqlite:///FILE.", "URL"),
    Option("contract", "--contract", "", _parse_contract, "OpenAPI 3.0 file to serve.", "FILE", shapes_dataset=True),
    Option("allowed_hosts", "--allowed-hosts", "", _parse_host, _HOSTS_HELP, "HOST,...", is_list=True),
    Option("cors_origins", "--cors-origin", "", _parse_origin, _ORIGINS_HELP, "ORIGIN,...", is_list=True),
    Option("quiet", "--quiet", "0", _parse_flag, "Do not print a line for each rejected request.", is_flag=True),
    Option("log_level", "--log-level", "warning", _parse_log_level, f"{', '.join(LOG_LEVELS)}.", "LEVEL"),
)
