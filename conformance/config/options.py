"""Every option of `athena-conformance`, declared once: its spelling, its default, and how a text is read as its value.

A text that cannot be read is told in one line that names what was found and what is allowed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conformance.config import file
from conformance.config.file import ConfigValue
from conformance.config.profiles import PROFILES
from conformance.errors import UsageError
from spec.extensions import PROVENANCE_LEVELS

TOKEN_VARIABLE = "ATHENA_TOKEN"
OTHER_TOKEN_VARIABLE = "ATHENA_OTHER_TOKEN"
LOGIN_VARIABLE = "ATHENA_LOGIN"
PASSWORD_VARIABLE = "ATHENA_PASSWORD"


def _parse_url(text: str) -> str:
    expected = "an address like https://staging.example.com/api/v1, without query and credentials"
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.query or parts.fragment or parts.username is not None or not text.isprintable():
        raise ValueError(expected)
    if not text.isascii() or " " in text:
        raise ValueError(expected)
    return text.rstrip("/")


def _integer_parser(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and minimum <= int(text) <= maximum):
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def _number_parser(minimum: float, maximum: float, description: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not minimum <= value <= maximum:
            raise ValueError(f"{description} from {minimum:g} to {maximum:g}")
        return value

    return parse


def _parse_rate(text: str) -> float:
    return _number_parser(0.01, 100_000, "requests a second, a number")(text.removesuffix("/s"))


def _parse_name(text: str) -> str:
    if not text:
        raise ValueError("a name")
    return text


def _parse_key(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("the key of a record")
    return text


def _parse_host(text: str) -> str:
    if not text or "/" in text or text == "*":
        raise ValueError("the target's host name, without scheme, port and path")
    return text.lower().strip("[]")


def _parse_provenance(text: str) -> str:
    if text not in PROVENANCE_LEVELS:
        raise ValueError(", ".join(PROVENANCE_LEVELS))
    return text


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    header_name = name.strip()
    is_valid = header_name.isascii() and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in header_name)
    if not (colon and header_name and is_valid and value.isascii() and value.strip().isprintable()):
        raise ValueError("'Name: value' in plain ASCII")
    if header_name.lower() == "authorization":
        raise ValueError("any header but Authorization: the token comes from --token-env")
    return header_name, value.strip()


def _file_parser(description: str) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = Path(text)
        if not path.is_file():
            raise ValueError(f"{description} that is there")
        return path

    return parse


def _parse_profile(text: str) -> str:
    if text not in PROFILES:
        raise ValueError(", ".join(PROFILES))
    return text


def _parse_mutable_record(text: str) -> tuple[str, str]:
    resource, equals, key = (part.strip() for part in text.partition("="))
    if not (resource and equals and key and key.isprintable()):
        raise ValueError("RESOURCE=KEY, like Folder=7f2c0b1e-0000-4000-8000-000000000000")
    return resource, key


def _parse_flag(text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option: how it is spelled, what it is without being given, how a text is read as its value.

    `is_multiple`: may be given again; `is_comma_separated`: and with commas between.
    """

    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    metavar: str = ""
    is_multiple: bool = False
    is_comma_separated: bool = False

    @property
    def setting_name(self) -> str:
        """The name of its setting."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.parse is _parse_flag

    @property
    def is_path(self) -> bool:
        """Whether its value is a path: in a file of settings, one from that file's folder."""
        return self.metavar in ("FILE", "DIR")

    def parse_texts(self, texts: Sequence[str], location: str = "") -> Any:
        """Its value; `location`: the place that says it, the line itself by default. Raises UsageError."""
        parts = [part.strip() for text in texts for part in (text.split(",") if self.is_comma_separated else [text])]
        try:
            return tuple(self.parse(part) for part in parts if part) if self.is_multiple else self.parse(parts[-1])
        except ValueError as error:
            raise UsageError(f"{location or self.name}: found {_quote_value(texts[-1])}; allowed: {error}") from None

    def parse_config_value(self, config_value: ConfigValue, folder: Path) -> Any:
        """Its value as a file of settings says it. Raises UsageError."""
        option_name = self.name.removeprefix("--")
        location, value = f"{config_value.location}: {option_name}", config_value.value
        if self.is_flag:
            if not isinstance(value, bool):
                raise UsageError(f"{location}: found {_quote_value(str(value))}; allowed: true, false")
            return value
        values = value if isinstance(value, list) and self.is_multiple else [value]
        if not all(isinstance(item, (str, int, float)) and not isinstance(item, bool) for item in values):
            expected = "a text or number, or a list of them" if self.is_multiple else "one text or number"
            raise UsageError(f"{location}: found {_quote_value(str(value))}; allowed: {expected}")
        if self.setting_name == "header":
            _reject_credentials(location, values)
        texts = [str(folder / str(item)) if self.is_path else str(item) for item in values]
        return self.parse_texts(texts, location) if texts else self.default


def _reject_credentials(location: str, headers: Sequence[object]) -> None:
    for header in headers:
        name = str(header).partition(":")[0].strip().lower()
        if any(part in name for part in file.SECRET_NAME_PARTS):
            raise UsageError(
                f"{location}: found {_quote_value(name)}; allowed: no credentials in a file: give them on the command line"
            )


def _quote_value(text: str) -> str:
    return ascii(text) if len(text) < 100 else ascii(text[:100]) + "..."


OPTIONS = (
    OptionSpec(
        "--base-url", None, _parse_url, "where the contract's paths are; its own base path if none is said", "URL"
    ),
    OptionSpec("--token-env", TOKEN_VARIABLE, _parse_name, "environment variable that holds the token", "NAME"),
    OptionSpec(
        "--other-token-env", OTHER_TOKEN_VARIABLE, _parse_name, "the same of a user of another workspace", "NAME"
    ),
    OptionSpec(
        "--login-env",
        LOGIN_VARIABLE,
        _parse_name,
        "environment variable that holds the login to judge signing in with",
        "NAME",
    ),
    OptionSpec("--password-env", PASSWORD_VARIABLE, _parse_name, "the same of its password", "NAME"),
    OptionSpec(
        "--token-command", None, _parse_name, "a command that prints the token, at start and when it expires", "CMD"
    ),
    OptionSpec(
        "--contract", None, _file_parser("an OpenAPI 3.0 file"), "another contract than the packaged one", "FILE"
    ),
    OptionSpec("--seed", 0, _integer_parser(0, 2**63 - 1), "same seed, same cases in the same order", "N"),
    OptionSpec(
        "--operation", (), _parse_name, "judge this operation only (operationId); may be given again", "ID", True, True
    ),
    OptionSpec("--tag", (), _parse_name, "judge this tag's operations only; may be given again", "T", True),
    OptionSpec("--only", (), _parse_provenance, "judge operations of these grades only", "GRADE,...", True, True),
    OptionSpec("--read-only", False, _parse_flag, "write nothing"),
    OptionSpec("--strict", False, _parse_flag, "broken inferred facts block too"),
    OptionSpec("--profile", None, _parse_profile, "smoke, gate or deep: what fits into about 1, 5, 30 minutes", "NAME"),
    OptionSpec("--no-engine", False, _parse_flag, "judge by our laws alone, without the stock engine"),
    OptionSpec("--max-time", None, _number_parser(0.1, 1e6, "seconds, a number"), "stop judging after this time", "S"),
    OptionSpec("--max-requests", None, _integer_parser(1, 10**9), "stop judging after so many requests", "N"),
    OptionSpec("--timeout", 10.0, _number_parser(0.05, 3600, "seconds, a number"), "wait so long for an answer", "S"),
    OptionSpec("--rate-limit", None, _parse_rate, "send no more requests a second", "N"),
    OptionSpec("--header", (), _parse_header, "a header of every request; may be given again", "'N: V'", True),
    OptionSpec(
        "--ca-file", None, _file_parser("a PEM file"), "trust these certificates instead of the system's", "FILE"
    ),
    OptionSpec("--workspace", None, _parse_key, "the tenant to work in, where the contract lets it be said", "KEY"),
    OptionSpec(
        "--report-dir", None, Path, "write the reports (JSON, JUnit, Markdown, HTML, SARIF) and the ledger", "DIR"
    ),
    OptionSpec("--github", False, _parse_flag, "print annotations for GitHub's checks too"),
    OptionSpec("--ledger", None, Path, "note every write there before it is sent", "FILE"),
    OptionSpec(
        "--allow-writes-to", (), _parse_host, "a host beside loopback that may be written to", "HOST", True, True
    ),
    OptionSpec("--allow-effects", False, _parse_flag, "use operations that call models, send mail or webhooks"),
    OptionSpec("--max-expensive", 1, _integer_parser(0, 10**6), "calls of each operation that uses a model", "N"),
    OptionSpec(
        "--sacrifice",
        (),
        _parse_mutable_record,
        "a record that may be changed, then is restored; again",
        "RES=KEY",
        True,
    ),
    OptionSpec(
        "--min-reached", 90.0, _number_parser(0, 100, "per cent, a number"), "blocking promises to be judged", "PERCENT"
    ),
    OptionSpec(
        "--flaky-limit", 0.5, _number_parser(0, 100, "per cent, a number"), "flaky failures, of all requests", "PERCENT"
    ),
    OptionSpec("--settle", 5.0, _number_parser(0, 600, "seconds, a number"), "a write may be seen so much later", "S"),
    OptionSpec("--baseline", None, Path, "accepted failures, which are not red", "FILE"),
    OptionSpec("--update-baseline", False, _parse_flag, "accept what is broken now: write it to --baseline"),
    OptionSpec("--ratchet", None, Path, "what an earlier run kept: to break it blocks", "FILE"),
    OptionSpec(
        "--update-ratchet", False, _parse_flag, "record what is kept now: write it to --ratchet, if the run ends with 0"
    ),
    OptionSpec(
        "--family", (), _parse_name, "score mutants of this family only; may be given again", "NAME", True, True
    ),
    OptionSpec("--sample", None, _integer_parser(1, 10**6), "score so many mutants, drawn by --seed", "N"),
    OptionSpec("--engine-only", False, _parse_flag, "score the stock engine alone, without our laws"),
    OptionSpec(
        "--min", 0.95, _number_parser(0, 1, "a share, a number"), "the share of mutants that has to be found", "SHARE"
    ),
    OptionSpec(
        "--workers", None, _integer_parser(1, 256), "processes that score; as many as processors by default", "N"
    ),
    OptionSpec(
        "--wait-ready", 0.0, _number_parser(0, 3600, "seconds, a number"), "wait so long for the target to answer", "S"
    ),
    OptionSpec(
        "--output", None, Path, "write the edited contract there, and leave the one that is read as it is", "FILE"
    ),
    OptionSpec(
        "--dry-run", False, _parse_flag, "change nothing: run prints what it would send, promote the edits as a diff"
    ),
    OptionSpec("--gaps", False, _parse_flag, "apply what the report proposes for contract gaps too"),
    OptionSpec(
        "--sh", False, _parse_flag, "send nothing; write the requests as a script for sh and curl to standard output"
    ),
    OptionSpec(
        "--config", None, Path, f"the file of settings (default: {file.CONFIG_FILE_NAME}, where it is there)", "FILE"
    ),
    OptionSpec("--env", None, _parse_name, "the section of that file that counts", "NAME"),
    OptionSpec("--show-config", False, _parse_flag, "print each setting and where it comes from, and do nothing"),
)
