"""The words of `athena-conformance` and their options: read once, then frozen.

Tokens come from the environment, never from a line. A wrong option is told in one line that names what was found and
what is allowed.
"""

import argparse
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from conformance.errors import UsageError
from spec.words import GRADES

TOKEN = "ATHENA_TOKEN"
OTHER_TOKEN = "ATHENA_OTHER_TOKEN"

CODES = """exit codes:
  0  every promise that was judged is kept, and enough were judged
  1  broken promises that block a release
  2  an option or the contract cannot be used
  3  the target cannot be reached, does not speak HTTP, is no API, or was lost in mid-run
  4  nothing was tested
  5  incomplete: an operation never succeeded, or fewer promises than --min-reached were judged
  6  (kept free for: unstable)
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """All options of all words; those that a word does not take are what they are by default.

    `word`: what is to be done (`WORDS`). `arguments`: what stands beside the options. `max_time`, `timeout`,
    `wait_ready`: seconds. `min_reached`: per cent. `rate_limit`: a second.

    `token`, `other_token`: what the environment holds under `token_env`, `other_token_env`; None: nothing.
    """

    word: str
    arguments: tuple[str, ...]
    base_url: str
    token_env: str
    other_token_env: str
    contract: Path | None
    seed: int
    operation: tuple[str, ...]
    tag: tuple[str, ...]
    only: tuple[str, ...]
    read_only: bool
    strict: bool
    max_time: float | None
    max_requests: int | None
    timeout: float
    rate_limit: float | None
    header: tuple[tuple[str, str], ...]
    report_dir: Path | None
    ledger: Path | None
    allow_writes_to: tuple[str, ...]
    allow_effects: bool
    min_reached: float
    wait_ready: float
    family: tuple[str, ...]
    sample: int | None
    min: float
    workers: int | None
    output: Path | None
    dry_run: bool
    gaps: bool
    sh: bool
    token: str | None = field(default=None, repr=False)
    other_token: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The target's host, lower case."""
        return (urlsplit(self.base_url).hostname or "").lower()

    @property
    def writes_allowed(self) -> bool:
        """Whether the target's host may be written to: it is loopback, or was named."""
        return is_loopback(self.host) or self.host in self.allow_writes_to


def is_loopback(host: str) -> bool:
    """Whether a host's name is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(text: str) -> str:
    allowed = "an address like https://staging.example.com/api/v1, without query and credentials"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None or not text.isprintable():
        raise ValueError(allowed)
    if not text.isascii() or " " in text:
        raise ValueError(allowed)
    return text.rstrip("/")


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def _number(low: float, high: float, what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"{what} from {low:g} to {high:g}")
        return value

    return read


def _rate(text: str) -> float:
    return _number(0.01, 100_000, "requests a second, a number")(text.removesuffix("/s"))


def _name(text: str) -> str:
    if not text:
        raise ValueError("a name")
    return text


def _host(text: str) -> str:
    if not text or "/" in text or text == "*":
        raise ValueError("the target's host name, without scheme, port and path")
    return text.lower().strip("[]")


def _grade(text: str) -> str:
    if text not in GRADES:
        raise ValueError(", ".join(GRADES))
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    token = name.strip()
    usable = token.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in token)
    if not (colon and token and usable and value.isascii() and value.strip().isprintable()):
        raise ValueError("'Name: value' in plain ASCII")
    if token.lower() == "authorization":
        raise ValueError("any header but Authorization: the token comes from --token-env")
    return token, value.strip()


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("an OpenAPI 3.0 file that is there")
    return path


def _yes(text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how it is spelled, what it is without being given, how a text is read as its value.

    `many`: may be given again; `commas`: and with commas between.
    """

    flag: str
    default: Any
    read: Callable[[str], Any]
    help: str
    metavar: str = ""
    many: bool = False
    commas: bool = False

    @property
    def field(self) -> str:
        """The name of its setting."""
        return self.flag.removeprefix("--").replace("-", "_")

    def value(self, texts: Sequence[str]) -> Any:
        """Its value. Raises UsageError."""
        parts = [part.strip() for text in texts for part in (text.split(",") if self.commas else [text])]
        try:
            return tuple(self.read(part) for part in parts if part) if self.many else self.read(parts[-1])
        except ValueError as error:
            raise UsageError(f"{self.flag}: found {_shown(texts[-1])}; allowed: {error}") from None


def _shown(text: str) -> str:
    return ascii(text) if len(text) < 100 else ascii(text[:100]) + "..."


OPTIONS = (
    Option("--base-url", None, _url, "where the contract's paths are; its own base path if none is said", "URL"),
    Option("--token-env", TOKEN, _name, "environment variable that holds the token", "NAME"),
    Option("--other-token-env", OTHER_TOKEN, _name, "the same of a user of another workspace", "NAME"),
    Option("--contract", None, _file, "another contract than the packaged one", "FILE"),
    Option("--seed", 0, _integer(0, 2**63 - 1), "same seed, same cases in the same order", "N"),
    Option("--operation", (), _name, "judge this operation only (operationId); may be given again", "ID", True, True),
    Option("--tag", (), _name, "judge this tag's operations only; may be given again", "T", True),
    Option("--only", (), _grade, "judge operations of these grades only", "GRADE,...", True, True),
    Option("--read-only", False, _yes, "write nothing"),
    Option("--strict", False, _yes, "broken inferred facts block too"),
    Option("--max-time", None, _number(0.1, 1e6, "seconds, a number"), "stop judging after this time", "S"),
    Option("--max-requests", None, _integer(1, 10**9), "stop judging after so many requests", "N"),
    Option("--timeout", 10.0, _number(0.05, 3600, "seconds, a number"), "wait so long for an answer", "S"),
    Option("--rate-limit", None, _rate, "send no more requests a second", "N"),
    Option("--header", (), _header, "a header of every request; may be given again", "'N: V'", True),
    Option("--report-dir", None, Path, "write the reports (JSON, JUnit, Markdown, HTML, SARIF) and the ledger", "DIR"),
    Option("--ledger", None, Path, "note every write there before it is sent", "FILE"),
    Option("--allow-writes-to", (), _host, "a host beside loopback that may be written to", "HOST", True, True),
    Option("--allow-effects", False, _yes, "use operations that call models, send mail or webhooks"),
    Option("--min-reached", 90.0, _number(0, 100, "per cent, a number"), "blocking promises to be judged", "PERCENT"),
    Option("--family", (), _name, "score mutants of this family only; may be given again", "NAME", True, True),
    Option("--sample", None, _integer(1, 10**6), "score so many mutants, drawn by --seed", "N"),
    Option("--min", 0.95, _number(0, 1, "a share, a number"), "the share of mutants that has to be found", "SHARE"),
    Option("--workers", None, _integer(1, 256), "processes that score; as many as processors by default", "N"),
    Option("--wait-ready", 0.0, _number(0, 3600, "seconds, a number"), "wait so long for the target to answer", "S"),
    Option("--output", None, Path, "write the edited contract there, and leave the one that is read as it is", "FILE"),
    Option("--dry-run", False, _yes, "write nothing; print what would change as a unified diff"),
    Option("--gaps", False, _yes, "apply what the report proposes for contract gaps too"),
    Option("--sh", False, _yes, "send nothing; write the requests as a script for sh and curl to standard output"),
)
# Options of other words than `run`.
ELSEWHERE = (
    *("--sh", "--output", "--dry-run", "--gaps"),
    *("--family", "--sample", "--min", "--workers"),
)
# What it takes to reach a target.
CONNECTION = (
    *("--base-url", "--token-env", "--other-token-env", "--contract", "--timeout", "--rate-limit", "--header"),
    *("--ledger", "--allow-writes-to", "--allow-effects", "--wait-ready"),
)


@dataclass(frozen=True, slots=True)
class Word:
    """What the command can be asked to do. `arguments`: what stands beside its options, by name; the last one ends in
    ``...`` where it may be given again. `flags`: of these. `needs_target`: whether --base-url has to be given."""

    name: str
    help: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    needs_target: bool = True

    @property
    def options(self) -> tuple[Option, ...]:
        """The options that it takes, in the order of all."""
        return tuple(option for option in OPTIONS if option.flag in self.flags)


SCORE = ("--contract", "--seed", "--operation", "--family", "--sample", "--min", "--workers", "--report-dir")
WORDS = (
    Word(
        "run",
        "send requests, judge the answers, report",
        tuple(option.flag for option in OPTIONS if option.flag not in ELSEWHERE),
    ),
    Word("score", "count the broken servers that the gate catches, and the sound ones that it calls broken", SCORE),
    Word(
        "replay",
        "judge one failure of a report (conformance.json) again, from a fresh state: 1 reproduced, 0 not reproduced",
        (*CONNECTION, "--sh"),
        ("report", "id"),
        needs_target=False,
    ),
    Word(
        "traffic",
        "judge recorded traffic (HAR files), with nothing sent",
        ("--base-url", "--contract", "--strict", "--min-reached", "--report-dir"),
        ("file...",),
        needs_target=False,
    ),
    Word(
        "promote",
        "edit the contract: what is inferred and was kept in a run (its conformance.json) is confirmed",
        ("--contract", "--output", "--dry-run", "--gaps"),
        ("report",),
        needs_target=False,
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        word = next((w for w in WORDS if self.prog.endswith(f" {w.name}")), None)
        known = [w.name for w in WORDS] if word is None else [f"{word.name} with --help", *word.flags]
        raise UsageError(f"{message}; allowed: {', '.join(known)}")


def parser(version: str) -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = _Parser(
        "athena-conformance",
        description="Judges whether a backend keeps what the contract promises.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"athena-conformance {version}")
    words = top.add_subparsers(dest="word", required=True, metavar="WORD", parser_class=_Parser)
    for word in WORDS:
        below = words.add_parser(
            word.name,
            help=word.help,
            description=word.help,
            epilog=CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for name in word.arguments:
            several = name.endswith("...")
            below.add_argument(
                name.removesuffix("..."), metavar=name.removesuffix("...").upper(), nargs="+" if several else 1
            )
        for option in word.options:
            _add(below, option)
    return top


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    shown = (option.help + (f" (default: {option.default})" if option.default else "")).replace("%", "%%")
    if option.read is _yes:
        parser.add_argument(option.flag, action="append_const", const="1", help=shown)
    else:
        parser.add_argument(option.flag, action="append", metavar=option.metavar, help=shown)


def from_arguments(arguments: Sequence[str], environment: Mapping[str, str], version: str) -> Settings:
    """The settings that the command line and the environment say. Raises UsageError; SystemExit after --help."""
    known, unknown = parser(version).parse_known_args(list(arguments))
    sent = vars(known)
    word = next(word for word in WORDS if word.name == sent["word"])
    if unknown:
        allowed = ", ".join((f"{word.name} with --help", *word.flags))
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}; allowed: {allowed}")
    values: dict[str, Any] = {o.field: o.value(sent[o.field]) if sent.get(o.field) else o.default for o in OPTIONS}
    if values["base_url"] is None and word.needs_target and "--base-url" in word.flags:
        raise UsageError("--base-url: found nothing; allowed: the target's address, like http://127.0.0.1:8000/api/v1")
    for role in ("token", "other_token"):
        values[role] = _token(environment, values[f"{role}_env"], explicit=bool(sent.get(f"{role}_env")))
    values["base_url"] = values["base_url"] or ""
    values |= {
        "word": word.name,
        "arguments": tuple(one for name in word.arguments for one in sent[name.removesuffix("...")]),
    }
    return Settings(**{f.name: values[f.name] for f in fields(Settings)})


def _token(environment: Mapping[str, str], name: str, *, explicit: bool) -> str | None:
    token = environment.get(name, "").strip()
    if explicit and not token:
        raise UsageError(f"${name}: found no token in the environment; allowed: a variable that holds one")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"${name}: found a token with spaces or signs beyond ASCII; allowed: what follows `Bearer `")
    return token or None
