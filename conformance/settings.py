"""The words of `athena-conformance` and their options: read once, then frozen.

Each value comes from the line, else from the file of settings (`conformance.config`: its chosen section before its own
lines), else it is what it is by default. Tokens come from the environment or from a command, never from a line or a
file. A wrong option is told in one line that names what was found and what is allowed.
"""

import argparse
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from conformance import config
from conformance.config import Config, Said
from conformance.errors import UsageError
from conformance.profile import PROFILES, profile
from spec.words import GRADES

TOKEN = "ATHENA_TOKEN"
OTHER_TOKEN = "ATHENA_OTHER_TOKEN"
LOGIN = "ATHENA_LOGIN"
PASSWORD = "ATHENA_PASSWORD"
DEFAULT = "default"

CODES = """exit codes:
  0  every promise that was judged is kept, and enough were judged
  1  broken promises that block a release
  2  an option or the contract cannot be used
  3  the target cannot be reached, does not speak HTTP, is no API, or was lost in mid-run
  4  nothing was tested
  5  incomplete: an operation never succeeded, fewer promises than --min-reached were judged, or the run was cut short
  6  unstable: more failures went away when asked again than --flaky-limit allows
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """All options of all words; those that a word does not take are what they are by default.

    `word`: what is to be done (`WORDS`). `arguments`: what stands beside the options. `max_time`, `timeout`,
    `wait_ready`: seconds. `min_reached`: per cent. `rate_limit`: a second. `sacrifice`: (resource, key) of records that
    are not the run's and may be written to. `skip`: operationId -> why it is not sent. `origins`: setting -> where its
    value comes from.

    `token`, `other_token`: what the environment holds under `token_env`, `other_token_env`; None: nothing. `login` and
    `password`, from `login_env` and `password_env`: both, or neither.
    """

    word: str
    arguments: tuple[str, ...]
    base_url: str
    token_env: str
    other_token_env: str
    login_env: str
    password_env: str
    contract: Path | None
    seed: int
    operation: tuple[str, ...]
    tag: tuple[str, ...]
    only: tuple[str, ...]
    read_only: bool
    strict: bool
    no_engine: bool
    max_time: float | None
    max_requests: int | None
    timeout: float
    rate_limit: float | None
    header: tuple[tuple[str, str], ...]
    report_dir: Path | None
    ledger: Path | None
    github: bool
    allow_writes_to: tuple[str, ...]
    allow_effects: bool
    min_reached: float
    wait_ready: float
    profile: str | None
    token_command: str | None
    ca_file: Path | None
    workspace: str | None
    sacrifice: tuple[tuple[str, str], ...]
    max_expensive: int
    flaky_limit: float
    settle: float
    baseline: Path | None
    update_baseline: bool
    ratchet: Path | None
    update_ratchet: bool
    family: tuple[str, ...]
    sample: int | None
    workers: int | None
    engine_only: bool
    min: float
    output: Path | None
    dry_run: bool
    gaps: bool
    sh: bool
    config: Path | None
    env: str | None
    show_config: bool
    skip: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    other_token: str | None = field(default=None, repr=False)
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

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


def _key(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("the key of a record")
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


def _file(what: str) -> Callable[[str], Path]:
    def read(text: str) -> Path:
        path = Path(text)
        if not path.is_file():
            raise ValueError(f"{what} that is there")
        return path

    return read


def _profile(text: str) -> str:
    if text not in PROFILES:
        raise ValueError(", ".join(PROFILES))
    return text


def _sacrifice(text: str) -> tuple[str, str]:
    resource, equals, key = (part.strip() for part in text.partition("="))
    if not (resource and equals and key and key.isprintable()):
        raise ValueError("RESOURCE=KEY, like Folder=7f2c0b1e-0000-4000-8000-000000000000")
    return resource, key


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

    @property
    def switch(self) -> bool:
        """Whether it takes no value."""
        return self.read is _yes

    @property
    def is_path(self) -> bool:
        """Whether its value is a path: in a file of settings, one from that file's folder."""
        return self.metavar in ("FILE", "DIR")

    def value(self, texts: Sequence[str], where: str = "") -> Any:
        """Its value; `where`: the place that says it, the line itself by default. Raises UsageError."""
        parts = [part.strip() for text in texts for part in (text.split(",") if self.commas else [text])]
        try:
            return tuple(self.read(part) for part in parts if part) if self.many else self.read(parts[-1])
        except ValueError as error:
            raise UsageError(f"{where or self.flag}: found {_shown(texts[-1])}; allowed: {error}") from None

    def said(self, said: Said, folder: Path) -> Any:
        """Its value as a file of settings says it. Raises UsageError."""
        name = self.flag.removeprefix("--")
        where, value = f"{said.place}: {name}", said.value
        if self.switch:
            if not isinstance(value, bool):
                raise UsageError(f"{where}: found {_shown(str(value))}; allowed: true, false")
            return value
        values = value if isinstance(value, list) and self.many else [value]
        if not all(isinstance(one, (str, int, float)) and not isinstance(one, bool) for one in values):
            allowed = "a text or number, or a list of them" if self.many else "one text or number"
            raise UsageError(f"{where}: found {_shown(str(value))}; allowed: {allowed}")
        if self.field == "header":
            _refuse_credentials(where, values)
        texts = [str(folder / str(one)) if self.is_path else str(one) for one in values]
        return self.value(texts, where) if texts else self.default


def _refuse_credentials(where: str, headers: Sequence[object]) -> None:
    for header in headers:
        name = str(header).partition(":")[0].strip().lower()
        if any(part in name for part in config.SECRET):
            raise UsageError(
                f"{where}: found {_shown(name)}; allowed: no credentials in a file: give them on the command line"
            )


def _shown(text: str) -> str:
    return ascii(text) if len(text) < 100 else ascii(text[:100]) + "..."


OPTIONS = (
    Option("--base-url", None, _url, "where the contract's paths are; its own base path if none is said", "URL"),
    Option("--token-env", TOKEN, _name, "environment variable that holds the token", "NAME"),
    Option("--other-token-env", OTHER_TOKEN, _name, "the same of a user of another workspace", "NAME"),
    Option("--login-env", LOGIN, _name, "environment variable that holds the login to judge signing in with", "NAME"),
    Option("--password-env", PASSWORD, _name, "the same of its password", "NAME"),
    Option("--token-command", None, _name, "a command that prints the token, at start and when it expires", "CMD"),
    Option("--contract", None, _file("an OpenAPI 3.0 file"), "another contract than the packaged one", "FILE"),
    Option("--seed", 0, _integer(0, 2**63 - 1), "same seed, same cases in the same order", "N"),
    Option("--operation", (), _name, "judge this operation only (operationId); may be given again", "ID", True, True),
    Option("--tag", (), _name, "judge this tag's operations only; may be given again", "T", True),
    Option("--only", (), _grade, "judge operations of these grades only", "GRADE,...", True, True),
    Option("--read-only", False, _yes, "write nothing"),
    Option("--strict", False, _yes, "broken inferred facts block too"),
    Option("--profile", None, _profile, "smoke, gate or deep: what fits into about 1, 5, 30 minutes", "NAME"),
    Option("--no-engine", False, _yes, "judge by our laws alone, without the stock engine"),
    Option("--max-time", None, _number(0.1, 1e6, "seconds, a number"), "stop judging after this time", "S"),
    Option("--max-requests", None, _integer(1, 10**9), "stop judging after so many requests", "N"),
    Option("--timeout", 10.0, _number(0.05, 3600, "seconds, a number"), "wait so long for an answer", "S"),
    Option("--rate-limit", None, _rate, "send no more requests a second", "N"),
    Option("--header", (), _header, "a header of every request; may be given again", "'N: V'", True),
    Option("--ca-file", None, _file("a PEM file"), "trust these certificates instead of the system's", "FILE"),
    Option("--workspace", None, _key, "the tenant to work in, where the contract lets it be said", "KEY"),
    Option("--report-dir", None, Path, "write the reports (JSON, JUnit, Markdown, HTML, SARIF) and the ledger", "DIR"),
    Option("--github", False, _yes, "print annotations for GitHub's checks too"),
    Option("--ledger", None, Path, "note every write there before it is sent", "FILE"),
    Option("--allow-writes-to", (), _host, "a host beside loopback that may be written to", "HOST", True, True),
    Option("--allow-effects", False, _yes, "use operations that call models, send mail or webhooks"),
    Option("--max-expensive", 1, _integer(0, 10**6), "calls of each operation that uses a model", "N"),
    Option("--sacrifice", (), _sacrifice, "a record that may be changed, then is restored; again", "RES=KEY", True),
    Option("--min-reached", 90.0, _number(0, 100, "per cent, a number"), "blocking promises to be judged", "PERCENT"),
    Option("--flaky-limit", 0.5, _number(0, 100, "per cent, a number"), "flaky failures, of all requests", "PERCENT"),
    Option("--settle", 5.0, _number(0, 600, "seconds, a number"), "a write may be seen so much later", "S"),
    Option("--baseline", None, Path, "accepted failures, which are not red", "FILE"),
    Option("--update-baseline", False, _yes, "accept what is broken now: write it to --baseline"),
    Option("--ratchet", None, Path, "what an earlier run kept: to break it blocks", "FILE"),
    Option("--update-ratchet", False, _yes, "record what is kept now: write it to --ratchet, if the run ends with 0"),
    Option("--family", (), _name, "score mutants of this family only; may be given again", "NAME", True, True),
    Option("--sample", None, _integer(1, 10**6), "score so many mutants, drawn by --seed", "N"),
    Option("--engine-only", False, _yes, "score the stock engine alone, without our laws"),
    Option("--min", 0.95, _number(0, 1, "a share, a number"), "the share of mutants that has to be found", "SHARE"),
    Option("--workers", None, _integer(1, 256), "processes that score; as many as processors by default", "N"),
    Option("--wait-ready", 0.0, _number(0, 3600, "seconds, a number"), "wait so long for the target to answer", "S"),
    Option("--output", None, Path, "write the edited contract there, and leave the one that is read as it is", "FILE"),
    Option("--dry-run", False, _yes, "write nothing; print what would change as a unified diff"),
    Option("--gaps", False, _yes, "apply what the report proposes for contract gaps too"),
    Option("--sh", False, _yes, "send nothing; write the requests as a script for sh and curl to standard output"),
    Option("--config", None, Path, f"the file of settings (default: {config.FILE}, where it is there)", "FILE"),
    Option("--env", None, _name, "the section of that file that counts", "NAME"),
    Option("--show-config", False, _yes, "print each setting and where it comes from, and do nothing"),
)
# What says where settings are read from cannot be read from there.
LINE_ONLY = ("--config", "--env", "--show-config")


@dataclass(frozen=True, slots=True)
class Word:
    """What the command can be asked to do.

    `flags`: of these options. `arguments`: what stands beside them, by name, one ending in ``...`` once or more often;
    `rest`: and any number of others, by one name. `needs_target`: whether it has to be told the target's address.
    """

    name: str
    help: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    rest: str = ""
    needs_target: bool = True

    @property
    def options(self) -> tuple[Option, ...]:
        """The options that it takes, in the order of all."""
        return tuple(option for option in OPTIONS if option.flag in self.flags)


# Options of other words than `run`.
OF_SCORE = ("--family", "--sample", "--workers", "--min", "--engine-only")
OF_PROMOTE = ("--output", "--dry-run", "--gaps")
RUNNING = tuple(option.flag for option in OPTIONS if option.flag not in (*OF_SCORE, *OF_PROMOTE, "--sh"))
# How a target is reached, and as whom.
REACHING = (
    *("--base-url", "--token-env", "--token-command", "--contract", "--timeout", "--rate-limit", "--header"),
    *("--ca-file", "--allow-writes-to", *LINE_ONLY),
)
# As whom else, and with what of theirs.
BESIDE = (
    *("--other-token-env", "--login-env", "--password-env", "--workspace", "--sacrifice", "--ledger"),
    *("--allow-effects", "--max-expensive", "--settle", "--wait-ready"),
)
# What of a contract a run asks, and how much.
CHOOSING = (
    *("--operation", "--tag", "--only", "--read-only", "--profile", "--max-time", "--max-requests"),
    *("--allow-effects", "--max-expensive"),
)
WORDS = (
    Word("run", "send requests, judge the answers, report", RUNNING),
    Word(
        "items",
        "the same as pytest's items, law[operation]; what stands behind -- is pytest's: -k, -x, --junitxml ...",
        tuple(flag for flag in RUNNING if flag not in ("--report-dir", "--github", "--min-reached", "--no-engine")),
        rest="pytest",
    ),
    Word(
        "plan",
        "send nothing; print how many requests, writes and dear calls a run would take, and how long at least",
        (*REACHING, *CHOOSING, "--no-engine"),
        needs_target=False,
    ),
    Word(
        "replay",
        "judge one failure of a report (conformance.json) again, from a fresh state: 1 reproduced, 0 not reproduced",
        (*REACHING, *BESIDE, "--sh"),
        ("report", "id"),
        needs_target=False,
    ),
    Word(
        "traffic",
        "judge recorded traffic (HAR files), with nothing sent",
        ("--base-url", "--contract", "--strict", "--min-reached", "--report-dir", "--github", *LINE_ONLY),
        ("file...",),
        needs_target=False,
    ),
    Word(
        "promote",
        "edit the contract: what is inferred and was kept in a run (its conformance.json) is confirmed",
        ("--contract", *OF_PROMOTE, *LINE_ONLY),
        ("report",),
        needs_target=False,
    ),
    Word(
        "clean",
        "take away what a run left behind that was killed: what its ledger tells, and what carries its marker",
        REACHING,
        ("ledger_file",),
        needs_target=False,
    ),
    Word(
        "score",
        "count the broken servers that the gate catches, and the sound ones that it calls broken",
        ("--contract", "--operation", "--seed", "--report-dir", *OF_SCORE, *LINE_ONLY),
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
            plain = name.removesuffix("...")
            more: dict[str, Any] = {"nargs": "+"} if plain != name else {}
            below.add_argument(plain, metavar=plain.upper().replace("_", "-"), **more)
        if word.rest:
            below.add_argument(word.rest, metavar=word.rest.upper(), nargs="*")
        for option in word.options:
            _add(below, option)
    return top


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    shown = (option.help + (f" (default: {option.default})" if option.default else "")).replace("%", "%%")
    if option.switch:
        parser.add_argument(option.flag, action="append_const", const="1", help=shown)
    else:
        parser.add_argument(option.flag, action="append", metavar=option.metavar, help=shown)


def from_arguments(arguments: Sequence[str], environment: Mapping[str, str], version: str) -> Settings:
    """The settings that line, file and environment say. Raises UsageError; SystemExit after --help."""
    known, unknown = parser(version).parse_known_args(list(arguments))
    sent = vars(known)
    word = next(word for word in WORDS if word.name == sent["word"])
    if unknown:
        allowed = ", ".join((f"{word.name} with --help", *word.flags))
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}; allowed: {allowed}")
    line = {o.field: o.value(texts) for o in OPTIONS if (texts := sent.get(o.field))}
    names = [o.flag.removeprefix("--") for o in OPTIONS if o.flag not in LINE_ONLY]
    file = config.load(line.get("config"), line.get("env"), names)
    values, origins = _gathered(word, line, file)
    if values["base_url"] is None and word.needs_target and not values["show_config"]:
        raise UsageError("--base-url: found nothing; allowed: the target's address, like http://127.0.0.1:8000/api/v1")
    values["base_url"] = values["base_url"] or ""
    for role in ("token", "other_token"):
        name = values[f"{role}_env"]
        explicit = origins[f"{role}_env"] != DEFAULT and not values["show_config"]
        values[role] = _token(environment, name, explicit=explicit and not values["token_command"])
    values |= _credentials(environment, values, origins)
    values |= {"word": word.name, "arguments": _beside(word, sent), "skip": file.skip, "origins": origins}
    return Settings(**{f.name: values[f.name] for f in fields(Settings)})


def _gathered(word: Word, line: Mapping[str, Any], file: Config) -> tuple[dict[str, Any], dict[str, str]]:
    """(each setting's value, where it comes from); what the word does not take is what it is by default."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        said = file.said.get(option.flag.removeprefix("--"))
        values[option.field], origins[option.field] = option.default, DEFAULT
        if said is not None:
            value = option.said(said, file.folder)  # read, so refused when wrong, whatever wins
            if option.flag in word.flags:
                values[option.field], origins[option.field] = value, said.place
        if option.field in line:
            values[option.field], origins[option.field] = line[option.field], option.flag
    chosen = profile(values["profile"])
    if values["max_time"] is None and chosen.max_time is not None:
        values["max_time"], origins["max_time"] = chosen.max_time, f"--profile {chosen.name}"
    return values, origins


def _beside(word: Word, sent: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands beside the options."""
    found: list[str] = []
    for name in word.arguments:
        value = sent[name.removesuffix("...")]
        found += value if isinstance(value, list) else [value]
    return (*found, *(sent[word.rest] if word.rest else ()))


def _credentials(
    environment: Mapping[str, str], values: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, str | None]:
    """Login and password, both or neither. Raises UsageError."""
    found = {name: environment.get(values[f"{name}_env"], "") or None for name in ("login", "password")}
    if values["show_config"]:
        return found
    for name, value in found.items():
        wanted = any(found.values()) or origins[f"{name}_env"] != DEFAULT
        if value is None and wanted:
            raise UsageError(
                f"${values[f'{name}_env']}: found no {name} in the environment; "
                f"allowed: login and password, both (--login-env, --password-env), or neither"
            )
    return found


def _token(environment: Mapping[str, str], name: str, *, explicit: bool) -> str | None:
    token = environment.get(name, "").strip()
    if explicit and not token:
        raise UsageError(f"${name}: found no token in the environment; allowed: a variable that holds one")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"${name}: found a token with spaces or signs beyond ASCII; allowed: what follows `Bearer `")
    return token or None
