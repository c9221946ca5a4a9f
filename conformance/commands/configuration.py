"""`--show-config`: each setting of a word, its value, and where that comes from. Secrets are said to be set, or not."""

from collections.abc import Iterator
from typing import Any

from conformance.options import Option
from conformance.output import say
from conformance.settings import Settings
from conformance.words import WORDS

HIDDEN = ("token_command",)  # a command may name a secret
NOT_SET = "not set"


def command(settings: Settings, laws: object = None) -> int:
    """Print it; the exit status."""
    rows = list(_rows(settings))
    width = max(len(name) for name, _, _ in rows)
    values = min(60, max(len(value) for _, value, _ in rows))
    for name, value, origin in rows:
        say(f"{name:{width}}  {value:{values}}  {origin}".rstrip() + "\n")
    return 0


def _rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(name, value, where it comes from)."""
    word = next(word for word in WORDS if word.name == settings.word)
    for option in word.options:
        if option.flag != "--show-config":
            value = getattr(settings, option.field)
            yield option.flag.removeprefix("--"), _shown(option, value), settings.origins.get(option.field, "")
    for operation, reason in settings.skip.items():
        yield f"skip.{operation}", _plain(reason), settings.origins[f"skip.{operation}"]
    commanded = settings.token_command is not None
    origin = "token-command" if commanded else f"${settings.token_env}"
    yield "token", "set" if commanded or settings.token else NOT_SET, origin
    yield "other token", "set" if settings.other_token else NOT_SET, f"${settings.other_token_env}"
    yield "login", "set" if settings.login else NOT_SET, f"${settings.login_env}"
    yield "password", "set" if settings.password else NOT_SET, f"${settings.password_env}"


def _shown(option: Option, value: Any) -> str:
    if value in (None, (), ""):
        return NOT_SET
    if option.field in HIDDEN:
        return "set"
    if option.field == "header":
        return _plain(", ".join(f"{name}: ..." for name, _ in value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return _plain(", ".join("=".join(one) if isinstance(one, tuple) else str(one) for one in value))
    return _plain(f"{value:g}" if isinstance(value, float) else str(value))


def _plain(text: str) -> str:
    """A text that moves no cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
