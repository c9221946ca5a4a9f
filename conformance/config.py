"""The file of settings, `athena-conformance.toml`: what a line of options would say, written down once.

    base-url = "https://staging.example.com/api/v1"   # any option but secrets, by its name
    [skip]
    listThings = "times out; ticket 12"               # an operation that is not sent, and why
    [env.production]                                  # chosen by --env production; wins over what stands above
    base-url = "https://example.com/api/v1"
    [env.production.skip]
    ...

It says nothing of what a value means: `conformance.settings` reads it as it reads a line's.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from conformance.errors import UsageError

FILE = "athena-conformance.toml"
ENV, SKIP = "env", "skip"
SECRET = ("token", "secret", "password", "passwd", "credential", "authorization", "api-key", "apikey", "cookie")
TABLES = (SKIP, ENV)


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of an option: the value as TOML has it, and where it stands (for people)."""

    value: Any
    place: str


@dataclass(frozen=True, slots=True)
class Config:
    """A file of settings. `folder`: where its paths start. `said`: option's name -> value, the environment's before the
    file's own. `skip`: operationId -> why it is not sent. `places`: operationId -> where that stands."""

    folder: Path = Path()
    said: Mapping[str, Said] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def load(path: Path | None, env: str | None, known: Sequence[str]) -> Config:
    """The settings of a file: the one named, or `FILE` of the current folder where there is one.

    `env`: which section counts. `known`: names of the options that may stand there. Raises UsageError.
    """
    file = path or Path(FILE)
    if path is None and not file.is_file():
        if env is not None:
            raise UsageError(f"--env: found {env!a}, and no {FILE} here; allowed: with --config FILE, or with {FILE}")
        return Config()
    root = _read(file)
    sections = _sections(file, root)
    chosen: list[tuple[str, Mapping[str, Any]]] = [(str(file), root)]
    if env is not None:
        if env not in sections:
            allowed = ", ".join(sections) or f"a section that {file} has; it has none"
            raise UsageError(f"--env: found {env!a}; allowed: {allowed}")
        chosen.append((f"{file} [{ENV}.{env}]", sections[env]))
    for name, section in sections.items():
        _check(f"{file} [{ENV}.{name}]", section, known, (SKIP,))
    _check(str(file), root, known, TABLES)
    said: dict[str, Said] = {}
    skip: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, table in chosen:
        said |= {name: Said(value, place) for name, value in table.items() if name not in TABLES}
        skipped = dict(_skipped(place, table.get(SKIP, {})))
        skip |= skipped
        places |= dict.fromkeys(skipped, place)
    return Config(file.parent, said, skip, places)


def near(found: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` where a known name is like the one found, else ""."""
    like = get_close_matches(found, known, 1, 0.6)
    return f"; did you mean {like[0]!r}?" if like else ""


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config: found {file} ({error.strerror}); allowed: a TOML file that can be read") from None
    except (ValueError, RecursionError) as error:  # no UTF-8 is a ValueError too
        raise UsageError(f"{file}: found no TOML ({error}); allowed: a TOML file in UTF-8") from None


def _sections(file: Path, root: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found = root.get(ENV, {})
    if not isinstance(found, dict) or not all(isinstance(section, dict) for section in found.values()):
        raise UsageError(f"{file}: {ENV}: found something else than sections; allowed: [{ENV}.NAME]")
    return found


def _check(place: str, table: Mapping[str, Any], known: Sequence[str], tables: Sequence[str]) -> None:
    """Refuse what is no option, and what looks like a secret."""
    for name in table:
        if name in known or name in tables:
            continue
        plain = name.lower().replace("_", "-")
        if any(part in plain for part in SECRET) and plain not in known:
            raise UsageError(
                f"{place}: found {name[:60]!a}; allowed: no secrets: tokens come from the environment "
                "(token-env, other-token-env, login-env, password-env), or from a command (token-command)"
            )
        allowed = [*sorted(known), *(f"[{table}]" for table in tables)]
        raise UsageError(f"{place}: found {name[:60]!a}{near(plain, known)}; allowed: {', '.join(allowed)}")


def _skipped(place: str, table: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(table, dict):
        raise UsageError(f"{place}: {SKIP}: found no table; allowed: [{SKIP}] with lines like operationId = 'reason'")
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise UsageError(f"{place}: {SKIP}.{name}: found {str(reason)[:60]!a}; allowed: the reason, in words")
        yield name, " ".join(reason.split())
