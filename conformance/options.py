"""Every option of `athena-conformance`, declared once: its spelling, its default, and how a text is read as its value.

A text that cannot be read is told in one line that names what was found and what is allowed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conformance import config
from conformance.config import Said
from conformance.errors import UsageError
from conformance.profile import PROFILES
from spec.words import PROVENANCE_LEVELS

TOKEN = "ATHENA_TOKEN"
OTHER_TOKEN = "ATHENA_OTHER_TOKEN"
LOGIN = "ATHENA_LOGIN"
PASSWORD = "ATHENA_PASSWORD"


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
    if text not in PROVENANCE_LEVELS:
        raise ValueError(", ".join(PROVENANCE_LEVELS))
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
    Option("--dry-run", False, _yes, "change nothing: run prints what it would send, promote the edits as a diff"),
    Option("--gaps", False, _yes, "apply what the report proposes for contract gaps too"),
    Option("--sh", False, _yes, "send nothing; write the requests as a script for sh and curl to standard output"),
    Option("--config", None, Path, f"the file of settings (default: {config.FILE}, where it is there)", "FILE"),
    Option("--env", None, _name, "the section of that file that counts", "NAME"),
    Option("--show-config", False, _yes, "print each setting and where it comes from, and do nothing"),
)
