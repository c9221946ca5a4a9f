"""The options of `athena-conformance`, each declared once for the command line and for the settings file."""

from collections.abc import Callable, Sequence
from datetime import date as Date
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import click

from conformance.config.file import CONFIG_FILE_NAME, SECRET_NAME_PARTS, ConfigValue
from conformance.errors import UsageError
from spec.extensions import PROVENANCE_LEVELS

RUN = ("run", "pytest")
SESSION = (*RUN, "replay")  # commands that create records on the target
TARGET = (*SESSION, "cleanup")  # commands that send requests
ALL = (*TARGET, "accept", "traffic", "confirm", "mutation-test")
REPORTING = ("run", "traffic")

FAIL_ON_LEVELS = ("documented", "consistent", "inferred")  # `conformance.results.FailOn`, whose import takes long
REPEATED: Final = "repeated"  # one value each time the option is given
COMMAS: Final = "commas"  # the same, or several values separated by commas
# Profile -> seconds after which no check starts. It also selects a depth of `conformance.schemathesis_engine.DEPTHS`.
PROFILES = {"smoke": 60.0, "gate": 300.0, "deep": 1800.0}
# Profile -> sequences of requests that the model explores for each resource.
EXPLORATION_SEQUENCES = {"smoke": 1, "gate": 3, "deep": 100, None: 3}


class ValueType(click.ParamType[Any]):
    """A type of option values. `parse` reads a text; the message of its ValueError describes what is expected."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self.parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.parse(value) if isinstance(value, str) else value
        except ValueError as error:
            return self.fail(f"invalid value {quote(value)} (expected {error})", param, ctx)


class ChoiceType(click.Choice[str]):
    """`click.Choice` with the message format of `ValueType`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            self.fail(f"invalid value {quote(str(value))} (expected {', '.join(self.choices)})", param, ctx)
        return str(value)


class FileType(click.Path):
    """A path, which a settings file gives relative to itself. `existing`: the kind of file that has to exist, or ""."""

    def __init__(self, metavar: str, existing: str = "") -> None:
        super().__init__(path_type=Path)
        self.name, self.existing = metavar, existing

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if self.existing and not Path(value).is_file():
            self.fail(f"invalid value {quote(str(value))} (expected an existing {self.existing})", param, ctx)
        return Path(value)


class SuiteOption(click.Option):
    """An option that the settings file may contain, too.

    `commands`: the commands that accept it. `split`: how several values are given; None: there is one value.
    """

    def __init__(
        self,
        flag: str,
        value_type: click.ParamType[Any] | type[bool],
        help: str,
        commands: Sequence[str],
        default: Any = None,
        split: Literal["repeated", "commas"] | None = None,
    ) -> None:
        self.key = flag.removeprefix("--")
        self.setting_name = self.key.replace("-", "_")
        self.commands, self.split = commands, split
        self.setting_default = False if value_type is bool else () if split else default
        super().__init__(
            [flag],
            type=value_type,
            help=help,
            default=self.setting_default,
            multiple=split is not None,
            is_flag=value_type is bool,
            show_default=True,
        )

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Split at the commas, drop empty parts of options that may be repeated, and convert."""
        if self.multiple and value:
            parts = [part for text in value for part in (text.split(",") if self.split == COMMAS else [text])]
            value = [part.strip() for part in parts if part.strip()]
        return super().type_cast_value(ctx, value)

    def parse_file_value(self, ctx: click.Context, config_value: ConfigValue, folder: Path) -> Any:
        """Convert the value of a settings file. `folder`: what its paths are relative to. Raises UsageError."""
        location, value = f"{config_value.location}: {self.key}", config_value.value
        if self.is_flag:
            if not isinstance(value, bool):
                raise UsageError(f"{location}: invalid value {quote(str(value))} (expected true, false)")
            return value
        values = value if isinstance(value, list) and self.multiple else [value]
        if not all(isinstance(item, (str, int, float)) and not isinstance(item, bool) for item in values):
            expected = "a string or number, or a list of them" if self.multiple else "one string or number"
            raise UsageError(f"{location}: invalid value {quote(str(value))} (expected {expected})")
        if self.key == "header":
            _reject_credentials(location, values)
        texts = [str(folder / str(item)) if isinstance(self.type, FileType) else str(item) for item in values]
        try:
            return self.type_cast_value(ctx, texts if self.multiple else texts[0])
        except click.BadParameter as error:
            raise UsageError(f"{location}: {error.message}") from None


def quote(text: str) -> str:
    """A text as messages show it: ASCII, at most 100 characters."""
    return ascii(text) if len(text) < 100 else ascii(text[:100]) + "..."


def _reject_credentials(location: str, headers: Sequence[object]) -> None:
    for header in headers:
        name = str(header).partition(":")[0].strip().lower()
        if any(part in name for part in SECRET_NAME_PARTS):
            expected = "no credentials in the settings file: pass them on the command line"
            raise UsageError(f"{location}: invalid header {quote(name)} (expected {expected})")


def _parse_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_valid = False
    has_extras = is_valid and (parts.query or parts.fragment or parts.username is not None)
    if not is_valid or has_extras or not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("a URL like https://staging.example.com/api/v1, without query and credentials")
    return text.rstrip("/")


def _integer(minimum: int, maximum: int) -> ValueType:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and minimum <= int(text) <= maximum):
            raise ValueError(f"an integer between {minimum} and {maximum}")
        return int(text)

    return ValueType("N", parse)


def _number(unit: str, minimum: float, maximum: float, suffix: str = "") -> ValueType:
    def parse(text: str) -> float:
        try:
            value = float(text.removesuffix(suffix))
        except ValueError:
            value = -1.0
        if not minimum <= value <= maximum:  # also refuses NaN
            raise ValueError(f"{unit}: a number between {minimum:g} and {maximum:g}")
        return value

    return ValueType("N", parse)


def _text(metavar: str, description: str, *, is_printable: bool = False) -> ValueType:
    def parse(text: str) -> str:
        if not text or (is_printable and not text.isprintable()):
            raise ValueError(description)
        return text

    return ValueType(metavar, parse)


def _parse_host(text: str) -> str:
    if not text or "/" in text or text == "*":
        raise ValueError("the target's host name, without scheme, port and path")
    return text.lower().strip("[]")


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    header_name = name.strip()
    is_valid = header_name.isascii() and all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in header_name)
    if not (colon and header_name and is_valid and value.isascii() and value.strip().isprintable()):
        raise ValueError("'Name: value' in printable ASCII")
    if header_name.lower() == "authorization":
        raise ValueError("any header except Authorization: the token is read from --token-env")
    return header_name, value.strip()


def _parse_credential(text: str) -> tuple[str, str]:
    scheme, equals, variable = (part.strip() for part in text.rpartition("="))
    if not (scheme and equals and variable.isascii() and variable.isidentifier()):
        raise ValueError("SCHEME=VARIABLE, like apiKey=API_KEY: a security scheme and an environment variable")
    return scheme, variable


def _parse_mutable_record(text: str) -> tuple[str, str]:
    resource, equals, key = (part.strip() for part in text.partition("="))
    if not (resource and equals and key and key.isprintable()):
        raise ValueError("RESOURCE=KEY, like Folder=7f2c0b1e-0000-4000-8000-000000000000")
    return resource, key


def _parse_date(text: str) -> Date:
    try:
        return Date.fromisoformat(text)
    except ValueError:
        raise ValueError("a date like 2027-01-31") from None


NAME, LEVEL = _text("NAME", "a name"), ChoiceType(PROVENANCE_LEVELS)
PERCENT, RATE = _number("percent", 0, 100), _number("requests per second", 0.01, 1e5, "/s")
HEADER, HOST = ValueType("'NAME: VALUE'", _parse_header), ValueType("HOST", _parse_host)
CREDENTIAL = ValueType("SCHEME=VARIABLE", _parse_credential)
RECORD = ValueType("RESOURCE=KEY", _parse_mutable_record)
KEY = _text("KEY", "the key of a record", is_printable=True)
FILE, DIRECTORY = FileType("FILE"), FileType("DIR")
OPTIONS = (
    SuiteOption("--base-url", ValueType("URL", _parse_url), "address of the target", (*TARGET, "traffic")),
    SuiteOption("--token-env", NAME, "environment variable with the token", TARGET, "ATHENA_TOKEN"),
    SuiteOption("--other-token-env", NAME, "the same for a user of another tenant", SESSION, "ATHENA_OTHER_TOKEN"),
    SuiteOption(
        "--member-token-env", NAME, "the same for another member of the tenant", SESSION, "ATHENA_MEMBER_TOKEN"
    ),
    SuiteOption("--login-env", NAME, "environment variable with the login of an account", SESSION, "ATHENA_LOGIN"),
    SuiteOption("--password-env", NAME, "environment variable with its password", SESSION, "ATHENA_PASSWORD"),
    SuiteOption(
        "--credential",
        CREDENTIAL,
        "security scheme, and the environment variable with its credential; repeatable",
        TARGET,
        split=REPEATED,
    ),
    SuiteOption("--token-command", _text("CMD", "a name"), "command that prints the token", TARGET),
    SuiteOption("--contract", FileType("FILE", "OpenAPI 3.0 or 3.1 file"), "contract instead of the packaged one", ALL),
    SuiteOption("--seed", _integer(0, 2**63 - 1), "seed of the generated requests", (*RUN, "mutation-test"), 0),
    SuiteOption("--operation", NAME, "operationId to check; repeatable", (*RUN, "mutation-test"), split=COMMAS),
    SuiteOption("--tag", NAME, "tag whose operations to check; repeatable", RUN, split=REPEATED),
    SuiteOption("--provenance", LEVEL, "check operations with these levels only", RUN, split=COMMAS),
    SuiteOption("--read-only", bool, "send no writes", RUN),
    SuiteOption("--fail-on", ChoiceType(FAIL_ON_LEVELS), "failures that fail the run", (*RUN, "traffic"), "consistent"),
    SuiteOption("--strict", bool, "the same as --fail-on inferred", (*RUN, "traffic")),
    SuiteOption("--profile", ChoiceType(tuple(PROFILES)), "limit the run to about 1, 5 or 30 minutes", RUN),
    SuiteOption("--no-fuzzing", bool, "run the checks only, without Schemathesis", ("run",)),
    SuiteOption("--max-time", _number("seconds", 0.1, 1e6), "seconds after which the run stops and cleans up", RUN),
    SuiteOption("--max-requests", _integer(1, 10**9), "number of requests after which the run stops", RUN),
    SuiteOption("--concurrency", bool, "also send requests at once: updates, creates, deletes", RUN),
    SuiteOption("--timeout", _number("seconds", 0.05, 3600), "seconds until a response must be complete", TARGET, 10),
    SuiteOption("--max-response-size", _number("MiB", 0.01, 1024), "MiB of a response body, decompressed", TARGET, 32),
    SuiteOption("--rate-limit", RATE, "maximum number of requests per second", TARGET),
    SuiteOption("--header", HEADER, "header to add to each request; repeatable", TARGET, split=REPEATED),
    SuiteOption("--ca-file", FileType("FILE", "PEM file"), "certificates to trust instead of the system's", TARGET),
    SuiteOption("--tenant", KEY, "key of the tenant to work in", SESSION),
    SuiteOption("--report-dir", DIRECTORY, "folder for the reports", (*REPORTING, "mutation-test")),
    SuiteOption("--github", bool, "print annotations for GitHub checks", REPORTING),
    SuiteOption("--write-log", FILE, "file for the write log, which `cleanup` reads", SESSION),
    SuiteOption("--allow-writes-to", HOST, "host to which writes are allowed; repeatable", TARGET, split=COMMAS),
    SuiteOption("--allow-effects", bool, "call operations with effects: models, mail, webhooks", SESSION),
    SuiteOption("--max-effect-calls", _integer(0, 10**6), "calls of each operation with effects", SESSION, 1),
    SuiteOption(
        "--mutable-record",
        RECORD,
        "existing record that the run may update, and restores; repeatable",
        SESSION,
        split=REPEATED,
    ),
    SuiteOption("--min-coverage", PERCENT, "percentage of the blocking checks that must run", REPORTING, 90),
    SuiteOption("--flaky-limit", PERCENT, "allowed failures that do not recur, per 100 requests", RUN, 0.5),
    SuiteOption(
        "--consistency-timeout", _number("seconds", 0, 600), "seconds until a write must be visible", SESSION, 5
    ),
    SuiteOption("--compare", FILE, "conformance.json of an earlier run: report what is new, known and fixed", ("run",)),
    SuiteOption("--baseline", FILE, "file of accepted failures", (*RUN, "accept")),
    SuiteOption("--reason", _text("TEXT", "a reason"), "why the failure is accepted", ("accept",)),
    SuiteOption("--expires", ValueType("DATE", _parse_date), "day from which it blocks again", ("accept",)),
    SuiteOption("--owner", _text("NAME", "a name"), "who fixes it", ("accept",)),
    SuiteOption("--update-baseline", bool, "write the current failures to the baseline", RUN),
    SuiteOption("--ratchet", FILE, "file of requirements that passed in an earlier run", RUN),
    SuiteOption("--update-ratchet", bool, "write the passed requirements to the ratchet if the run passed", RUN),
    SuiteOption("--family", NAME, "family of mutants; repeatable", ("mutation-test",), split=COMMAS),
    SuiteOption("--sample", _integer(1, 10**6), "number of mutants, selected by the seed", ("mutation-test",)),
    SuiteOption("--check", NAME, "only these checks, no Schemathesis; repeatable", ("mutation-test",), split=COMMAS),
    SuiteOption("--fuzzing-only", bool, "use Schemathesis only, without our checks", ("mutation-test",)),
    SuiteOption("--min", _number("a share", 0, 1), "share of mutants that must be detected", ("mutation-test",), 0.95),
    SuiteOption("--workers", _integer(1, 256), "processes; as many as processors if not set", ("mutation-test",)),
    SuiteOption("--wait-ready", _number("seconds", 0, 3600), "seconds to wait for the target", SESSION, 0),
    SuiteOption("--output", FILE, "write the edited contract to this file", ("confirm",)),
    SuiteOption("--dry-run", bool, "change nothing: print what would be sent or edited", ("run", "confirm")),
    SuiteOption("--apply-proposals", bool, "also apply the edits proposed for contract gaps", ("confirm",)),
    SuiteOption("--format", ChoiceType(("sh",)), "print the requests as a shell script instead", ("replay",)),
    SuiteOption("--config", FILE, f"settings file  [default: {CONFIG_FILE_NAME}]", ALL),
    SuiteOption("--env", NAME, "section of the settings file", ALL),
    SuiteOption("--show-config", bool, "print each setting and its source, and exit", ALL),
)
# They select what is read from the settings file, or describe one failure.
COMMAND_LINE_ONLY = ("config", "env", "show-config", "reason", "expires", "owner")
FILE_KEYS = tuple(option.key for option in OPTIONS if option.key not in COMMAND_LINE_ONLY)
