"""`--show-config`: each setting of a word, its value, and where that comes from. Secrets are said to be set, or not."""

from collections.abc import Iterator
from typing import Any

from conformance.cli.stdout import write_stdout
from conformance.config.commands import WORDS
from conformance.config.options import OptionSpec
from conformance.config.settings import Settings

SECRET_SETTINGS = ("token_command",)  # a command may name a secret
NOT_SET = "not set"


def command(settings: Settings, checks: object = None) -> int:
    """Print it; the exit status."""
    rows = list(_rows(settings))
    width = max(len(name) for name, _, _ in rows)
    values = min(60, max(len(value) for _, value, _ in rows))
    for name, value, origin in rows:
        write_stdout(f"{name:{width}}  {value:{values}}  {origin}".rstrip() + "\n")
    return 0


def _rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(name, value, where it comes from)."""
    command_spec = next(command_spec for command_spec in WORDS if command_spec.name == settings.word)
    for option in command_spec.options:
        if option.name != "--show-config":
            value = getattr(settings, option.setting_name)
            yield (
                option.name.removeprefix("--"),
                _format_setting(option, value),
                settings.origins.get(option.setting_name, ""),
            )
    for operation, reason in settings.skip.items():
        yield f"skip.{operation}", _printable(reason), settings.origins[f"skip.{operation}"]
    has_token_command = settings.token_command is not None
    origin = "token-command" if has_token_command else f"${settings.token_env}"
    yield "token", "set" if has_token_command or settings.token else NOT_SET, origin
    yield "other token", "set" if settings.other_token else NOT_SET, f"${settings.other_token_env}"
    yield "login", "set" if settings.login else NOT_SET, f"${settings.login_env}"
    yield "password", "set" if settings.password else NOT_SET, f"${settings.password_env}"


def _format_setting(option: OptionSpec, value: Any) -> str:
    if value in (None, (), ""):
        return NOT_SET
    if option.setting_name in SECRET_SETTINGS:
        return "set"
    if option.setting_name == "header":
        return _printable(", ".join(f"{name}: ..." for name, _ in value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return _printable(", ".join("=".join(item) if isinstance(item, tuple) else str(item) for item in value))
    return _printable(f"{value:g}" if isinstance(value, float) else str(value))


def _printable(text: str) -> str:
    """A text that moves no cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)
