"""`--show-config`: each setting of a command, its value and its source. Secrets are shown as `set` or `not set`."""

from collections.abc import Iterator
from typing import Any

from conformance.cli.stdout import format_table, make_printable, write_stdout
from conformance.config.options import OPTIONS
from conformance.config.settings import Settings

NOT_SET = "not set"


def command(settings: Settings, checks: object = None) -> int:
    """Print the settings and return 0."""
    write_stdout(format_table(list(_rows(settings))))
    return 0


def _rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(name, value, source)."""
    for option in OPTIONS:
        if settings.command in option.commands and option.key != "show-config":
            value = _format_setting(option.key, getattr(settings, option.setting_name))
            yield option.key, value, settings.origins.get(option.setting_name, "")
    for operation, reason in settings.skip.items():
        yield f"skip.{operation}", make_printable(reason), settings.origins[f"skip.{operation}"]
    for check, rule in settings.checks.items():
        until = f" until {rule.expires}" if rule.expires else ""
        yield f"checks.{check}", make_printable(f"{rule.severity}{until}: {rule.reason}"), rule.location
    has_token_command = settings.token_command is not None
    origin = "token-command" if has_token_command else f"${settings.token_env}"
    yield "token", "set" if has_token_command or settings.token else NOT_SET, origin
    yield "other token", "set" if settings.other_token else NOT_SET, f"${settings.other_token_env}"
    yield "member token", "set" if settings.member_token else NOT_SET, f"${settings.member_token_env}"
    yield "login", "set" if settings.login else NOT_SET, f"${settings.login_env}"
    yield "password", "set" if settings.password else NOT_SET, f"${settings.password_env}"


def _format_setting(key: str, value: Any) -> str:
    if value in (None, (), ""):
        return NOT_SET
    if key == "token-command":  # may contain a secret
        return "set"
    if key == "header":
        return make_printable(", ".join(f"{name}: ..." for name, _ in value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return make_printable(", ".join("=".join(item) if isinstance(item, tuple) else str(item) for item in value))
    return make_printable(f"{value:g}" if isinstance(value, float) else str(value))
