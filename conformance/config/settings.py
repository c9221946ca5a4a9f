"""The settings of one call of `athena-conformance`: read once, then frozen.

Each value comes from the line, else from the file of settings (`conformance.config.file`: its chosen section before its own
lines), else it is what it is by default. Tokens come from the environment or from a command, never from a line or a
file.

There is one kind of settings for all words (`conformance.config.commands`): what reaches a target, chooses operations and takes
secrets out of texts works for most of them, and would need a kind of its own for each set of options that they share.
"""

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from conformance.config import file as config
from conformance.config.commands import LINE_ONLY, WORDS, Word
from conformance.config.file import ConfigFile
from conformance.config.options import OPTIONS, OptionSpec
from conformance.config.profiles import get_profile
from conformance.errors import UsageError

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
    are not the run's and may be written to. `skip`: operationId -> why it is not sent. `origins`: setting, and
    ``skip.`` with an operationId, -> where its value comes from.

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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        word = next((w for w in WORDS if self.prog.endswith(f" {w.name}")), None)
        known = [w.name for w in WORDS] if word is None else [f"{word.name} with --help", *word.flags]
        message = message.partition(" (choose from ")[0]  # the same names follow
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
            epilog=_codes(word),
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


def _codes(word: Word) -> str:
    """What its exit codes mean, for --help."""
    said = "".join(f"  {code}  {means}\n" for code, means in word.codes.items())
    return f"exit codes:\n{said}" if said else CODES


def _add(parser: argparse.ArgumentParser, option: OptionSpec) -> None:
    shown = (option.help + (f" (default: {option.default})" if option.default else "")).replace("%", "%%")
    if option.is_flag:
        parser.add_argument(option.name, action="append_const", const="1", help=shown)
    else:
        parser.add_argument(option.name, action="append", metavar=option.metavar, help=shown)


def from_arguments(arguments: Sequence[str], environment: Mapping[str, str], version: str) -> Settings:
    """The settings that line, file and environment say. Raises UsageError; SystemExit after --help."""
    known, unknown = parser(version).parse_known_args(list(arguments))
    sent = vars(known)
    word = next(word for word in WORDS if word.name == sent["word"])
    if unknown:
        allowed = ", ".join((f"{word.name} with --help", *word.flags))
        like = config.suggest(unknown[0].partition("=")[0], word.flags)
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}{like}; allowed: {allowed}")
    line = {o.setting_name: o.parse_texts(texts) for o in OPTIONS if (texts := sent.get(o.setting_name))}
    names = [o.name.removeprefix("--") for o in OPTIONS if o.name not in LINE_ONLY]
    file = config.load(line.get("config"), line.get("env"), names)
    values, origins = _gathered(word, line, file)
    offline = values["show_config"] or (word.name == "run" and values["dry_run"])
    if values["base_url"] is None and word.needs_target and not offline:
        raise UsageError("--base-url: found nothing; allowed: the target's address, like http://127.0.0.1:8000/api/v1")
    values["base_url"] = values["base_url"] or ""
    for role in ("token", "other_token"):
        name = values[f"{role}_env"]
        explicit = origins[f"{role}_env"] != DEFAULT and not values["show_config"]
        values[role] = _token(environment, name, explicit=explicit and not values["token_command"])
    values |= _credentials(environment, values, origins)
    origins |= {f"{config.SKIP_TABLE}.{operation}": place for operation, place in file.skip_locations.items()}
    values |= {"word": word.name, "arguments": _beside(word, sent), "skip": file.skip, "origins": origins}
    return Settings(**{f.name: values[f.name] for f in fields(Settings)})


def _gathered(word: Word, line: Mapping[str, Any], file: ConfigFile) -> tuple[dict[str, Any], dict[str, str]]:
    """(each setting's value, where it comes from); what the word does not take is what it is by default."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        said = file.values.get(option.name.removeprefix("--"))
        values[option.setting_name], origins[option.setting_name] = option.default, DEFAULT
        if said is not None:
            value = option.parse_config_value(said, file.folder)  # read, so refused when wrong, whatever wins
            if option.name in word.flags:
                values[option.setting_name], origins[option.setting_name] = value, said.location
        if option.setting_name in line:
            values[option.setting_name], origins[option.setting_name] = line[option.setting_name], option.name
    chosen = get_profile(values["profile"])
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
