"""The settings of `athena-mock`, as options of click.

Each option has an environment variable, ``ATHENA_MOCK_PORT`` for ``--port``. The option takes precedence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import click

VARIABLE_PREFIX = "ATHENA_MOCK_"
MIN_BODY_BYTES, MAX_BODY_BYTES = 1024, 10 * 1024 * 1024  # a larger body would stall the event loop
MIN_JOURNAL_BYTES = 64 * 1024
MAX_EXECUTION_SECONDS = 86_400
MIN_SANDBOX_BYTES, MAX_SANDBOX_BYTES = 1024 * 1024, 1024 * 1024 * 1024 * 1024
_MAX_PORT, _MAX_SEED, _MAX_IDLE_MINUTES = 65535, 2**63 - 1, 365 * 24 * 60
_UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024, "GiB": 1024 * 1024 * 1024}


@dataclass(frozen=True, slots=True)
class SelfSignedTls:
    """TLS with a certificate that the mock creates. `folder` None: in the cache folder."""

    folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MockSettings:
    """All settings. `epoch` None: today; `contract` None: the packaged contract; `store` None: in memory.

    `tls` and `tls_cert`: at most one is set, and `tls_key` with the latter. `max_body`, `sandbox_memory`,
    `journal_memory`: bytes. `sandbox_idle`: minutes. `execution_seconds` None: 2 to 5.

    `explicit_fields`: names of the fields set by the command line or the environment.
    """

    host: str
    port: int
    seed: int
    dataset: str
    size: float
    documented_urls: bool
    epoch: datetime | None
    store: Path | None
    durability: str
    contract: Path | None
    allowed_hosts: tuple[str, ...]
    cors_origin: tuple[str, ...]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    tls: SelfSignedTls | None
    tls_cert: Path | None
    tls_key: Path | None
    max_body: int
    no_control: bool
    control_token: str | None
    require_sandbox: bool
    sandbox_memory: int
    sandbox_idle: int
    journal_memory: int
    execution_seconds: float | None
    rules: Path | None
    tokens: Path | None
    require_actions: bool
    quiet: bool
    log_level: str
    explicit_fields: frozenset[str]


def _reject(text: str, expected: str) -> NoReturn:
    raise click.BadParameter(f"{text[:100]!r} is not {expected}.")


def _parse_port(text: str | int) -> int:
    return _parse_integer(text, _MAX_PORT)


def _parse_seed(text: str | int) -> int:
    return _parse_integer(text, _MAX_SEED)


def _parse_minutes(text: str | int) -> int:
    return _parse_integer(text, _MAX_IDLE_MINUTES, minimum=1)


def _parse_integer(text: str | int, maximum: int, minimum: int = 0) -> int:
    """Parse an integer between `minimum` and `maximum`. A default of click is an integer."""
    is_integer = re.fullmatch(r"\+?[0-9]{1,19}", str(text), re.ASCII) is not None and minimum <= int(text) <= maximum
    return int(text) if is_integer else _reject(str(text), f"an integer between {minimum} and {maximum}")


def _parse_size(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    return size if 0 < size <= 100_000 else _reject(text, "a number greater than 0, at most 100000")


def _parse_seconds(text: str | float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    return seconds if 0 <= seconds <= MAX_EXECUTION_SECONDS else _reject(str(text), "a number between 0 and 86400")


def _parse_epoch(text: str) -> datetime | None:
    if text == "today":
        return None
    try:
        epoch = datetime.fromisoformat(text)
    except ValueError:
        _reject(text, "today, or a date and time, for example 2026-03-01T00:00:00Z")
    if not 1990 <= epoch.year <= 2200:
        _reject(text, "today, or a date and time between 1990 and 2200")
    return epoch.astimezone(UTC) if epoch.tzinfo else epoch.replace(tzinfo=UTC)


def _parse_store(text: str) -> Path | None:
    path = unquote(text.removeprefix("sqlite:///"))
    if text == "memory":
        return None
    if not text.startswith("sqlite:///") or not path:
        _reject(text, "memory, or sqlite:///FILE (with an absolute path: sqlite:////FILE)")
    return Path(path)


def _parse_bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})(KiB|MiB|GiB|)", text, re.ASCII)
    return int(match[1]) * _UNITS[match[2]] if match else 0


def _parse_memory(text: str) -> int:
    size = _parse_bytes(text)
    expected = "a number of bytes, KiB, MiB or GiB between 1MiB and 1024GiB, for example 512MiB"
    return size if MIN_SANDBOX_BYTES <= size <= MAX_SANDBOX_BYTES else _reject(text, expected)


def _parse_journal_memory(text: str) -> int:
    size = _parse_bytes(text)
    is_valid = text == "0" or MIN_JOURNAL_BYTES <= size <= MAX_SANDBOX_BYTES
    return size if is_valid else _reject(text, "0, or a number of bytes, KiB, MiB or GiB of at least 64KiB")


def _parse_control_token(text: str) -> str:
    expected = "a token of at least 8 printable ASCII characters without spaces"
    return text if re.fullmatch(r"[!-~]{8,200}", text, re.ASCII) else _reject("*" * len(text), expected)


def _parse_body_limit(text: str) -> int:
    limit = _parse_bytes(text)
    expected = "a number of bytes, KiB or MiB between 1KiB and 10MiB, for example 512KiB"
    return limit if MIN_BODY_BYTES <= limit <= MAX_BODY_BYTES else _reject(text, expected)


def _parse_name(text: str) -> str:
    return text or _reject(text, "a name")


def _parse_hosts(text: str) -> Sequence[str]:
    return [_parse_host(part) for part in _split(text)]


def _parse_host(text: str) -> str:
    host = text.lower()
    try:
        if host != "*" and not re.fullmatch(r"[a-z0-9_.-]+", host):
            IPv6Address(host := host.strip("[]"))
    except ValueError:
        _reject(text, "a host name without scheme, port or path, or * for any")
    return host.removesuffix(".")


def _parse_origins(text: str) -> Sequence[str]:
    for part in _split(text):
        if part != "*" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]+", part):
            _reject(part, "an origin, for example https://app.example.test, or * for any")
    return _split(text.lower())


def _parse_networks(text: str) -> Sequence[IPv4Network | IPv6Network]:
    return [network for part in _split(text) for network in _parse_network(part)]


def _parse_network(text: str) -> Sequence[IPv4Network | IPv6Network]:
    if text == "*":
        return (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    try:
        return (ip_network(text.strip("[]"), strict=False),)
    except ValueError:
        _reject(text, "an IP address or a network, for example 172.16.0.0/12, or * for any")


def _parse_tls(text: str) -> SelfSignedTls:
    kind, separator, folder = text.partition(":")
    if kind != "self-signed" or (separator and not folder):
        _reject(text, "self-signed, or self-signed:FOLDER")
    return SelfSignedTls(Path(folder) if folder else None)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _join_lists(ctx: click.Context, param: click.Parameter, values: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(item for value in values for item in value)


def _create_option(flag: str, description: str, **arguments: Any) -> click.Option:
    variable = VARIABLE_PREFIX + flag.removeprefix("--").upper().replace("-", "_")
    return click.Option([flag], help=description, envvar=variable, show_default=True, show_envvar=True, **arguments)


_HOST_HELP = "Address to listen on; the default also listens on ::1."
_EPOCH_HELP = "End of the data, start of the clock."
_CONTRACT_HELP = "OpenAPI 3.0 or 3.1 file to serve; default: the packaged contract."
_HOSTS_HELP = "Host names to accept in addition to local ones, without ports; * accepts any."
_ORIGINS_HELP = "Origins to accept in addition to local ones; * accepts any, without cookies."
_PROXIES_HELP = "Proxies whose Forwarded and X-Forwarded-* are used, in addition to this machine; * is any."
_TLS_HELP = "Serve https. self-signed: create a certificate in the cache folder; self-signed:FOLDER: in FOLDER."
_URLS_HELP = "Keep picture URLs at example.com; default: the mock serves those pictures."
_BODY_HELP = "Largest request body, at most 10MiB."
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LEVEL = click.Choice(("critical", "error", "warning", "info", "debug"), case_sensitive=False)
_DURABILITY_HELP = (
    "What an acknowledged write to a store file survives: normal: the end of the process, also by kill -9; "
    "full: also a power failure."
)
_DURABILITIES = click.Choice(("normal", "full"), case_sensitive=False)
_CONTROL_HELP = "Do not serve the test-control API below /__mock/api, nor named sandboxes."
_TOKEN_HELP = "Token that test control requires; without one it is off beyond loopback."
_REQUIRE_HELP = "Reject requests to sandboxes that do not exist; default: create them."
_MEMORY_HELP = "Memory of all named sandboxes."
_IDLE_HELP = "Minutes after which an unused sandbox is deleted."
_JOURNAL_HELP = "Memory of the recorded requests of each sandbox; 0 turns the journal off."
_EXECUTION_HELP = "Run time of a workflow execution; default: 2 to 5 seconds."
_RULES_HELP = "YAML or JSON file of rules that each sandbox starts with."
_TOKENS_HELP = (
    "File of the accepted credentials, one on each line, for a contract without accounts; default: any that does not "
    "start with `invalid` or `expired`."
)
_ACTIONS_HELP = "Reject a contract with operations that are only answered by their examples or schemas."
_LIST: dict[str, Any] = {"multiple": True, "callback": _join_lists}

# The options that determine the dataset.
DATASET_OPTIONS = (
    _create_option(
        "--dataset",
        "Name or file of a dataset; plain if the contract lacks the resources of demo.",
        type=_parse_name,
        default="demo",
        metavar="NAME",
    ),
    _create_option("--seed", "Seed of the generated data.", type=_parse_seed, default=0, metavar="N"),
    _create_option("--epoch", _EPOCH_HELP, type=_parse_epoch, default="today", metavar="TIME"),
    _create_option("--size", "Factor for the number of records.", type=_parse_size, default="1", metavar="FACTOR"),
    _create_option("--documented-urls", _URLS_HELP, is_flag=True),
    _create_option("--contract", _CONTRACT_HELP, type=_FILE, metavar="FILE"),
)
OPTIONS = (
    _create_option("--host", _HOST_HELP, type=_parse_name, default="127.0.0.1", metavar="HOST"),
    _create_option(
        "--port", "Port to listen on; 0 selects a free port.", type=_parse_port, default=8000, metavar="PORT"
    ),
    *DATASET_OPTIONS,
    _create_option("--store", "memory or sqlite:///FILE.", type=_parse_store, default="memory", metavar="URL"),
    _create_option("--durability", _DURABILITY_HELP, type=_DURABILITIES, default="normal"),
    _create_option("--allowed-hosts", _HOSTS_HELP, type=_parse_hosts, metavar="HOST,...", **_LIST),
    _create_option("--cors-origin", _ORIGINS_HELP, type=_parse_origins, metavar="ORIGIN,...", **_LIST),
    _create_option("--trusted-proxies", _PROXIES_HELP, type=_parse_networks, metavar="ADDRESS,...", **_LIST),
    _create_option("--tls", _TLS_HELP, type=_parse_tls, metavar="KIND"),
    _create_option("--tls-cert", "PEM file of a certificate, to serve https.", type=_FILE, metavar="FILE"),
    _create_option("--tls-key", "PEM file of the key of --tls-cert.", type=_FILE, metavar="FILE"),
    _create_option("--max-body", _BODY_HELP, type=_parse_body_limit, default="1MiB", metavar="SIZE"),
    _create_option("--no-control", _CONTROL_HELP, is_flag=True),
    _create_option("--control-token", _TOKEN_HELP, type=_parse_control_token, metavar="TOKEN"),
    _create_option("--require-sandbox", _REQUIRE_HELP, is_flag=True),
    _create_option("--sandbox-memory", _MEMORY_HELP, type=_parse_memory, default="1GiB", metavar="SIZE"),
    _create_option("--sandbox-idle", _IDLE_HELP, type=_parse_minutes, default=60, metavar="MINUTES"),
    _create_option("--journal-memory", _JOURNAL_HELP, type=_parse_journal_memory, default="8MiB", metavar="SIZE"),
    _create_option("--execution-seconds", _EXECUTION_HELP, type=_parse_seconds, metavar="SECONDS"),
    _create_option("--rules", _RULES_HELP, type=_FILE, metavar="FILE"),
    _create_option("--tokens", _TOKENS_HELP, type=_FILE, metavar="FILE"),
    _create_option("--require-actions", _ACTIONS_HELP, is_flag=True),
    _create_option("--quiet", "Do not print a line for each rejected request.", is_flag=True),
    _create_option("--log-level", "Level of the server's log.", type=_LEVEL, default="warning"),
)
