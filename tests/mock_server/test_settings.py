"""Tests the settings: options, environment variables, defaults and error messages."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import click
import pytest
from click.shell_completion import ShellComplete

from mock_server.cli.main import athena_mock, main, parse_settings
from mock_server.cli.settings import OPTIONS, MockSettings
from mock_server.web.host_names import parse_host
from spec.version import format_version
from tests.mock_server.library_contract import LIBRARY

INVALID_PORT = "Invalid value for '--port' (env var: 'ATHENA_MOCK_PORT')"


def read(*arguments: str, **environment: str) -> MockSettings:
    with patch.dict("os.environ", environment):
        return parse_settings(arguments)


def test_settings_have_their_defaults() -> None:
    settings = read()
    assert (settings.host, settings.port, settings.seed, settings.dataset) == ("127.0.0.1", 8000, 0, "demo")
    assert (settings.size, settings.store, settings.contract, settings.quiet) == (1.0, None, None, False)
    assert (settings.allowed_hosts, settings.cors_origin, settings.log_level) == ((), (), "warning")
    assert settings.epoch is None


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_option_takes_precedence_over_environment_variable(option: click.Option) -> None:
    values: Mapping[str, tuple[str, str]] = {
        "host": ("::1", "0.0.0.0"),
        "port": ("1", "2"),
        "seed": ("3", "4"),
        "dataset": ("empty", "heavy"),
        "size": ("0.5", "10"),
        "epoch": ("2026-03-01T00:00:00Z", "2025-03-01"),
        "store": ("sqlite:///a.db", "sqlite:////b/c.db"),
        "durability": ("normal", "full"),
        "contract": (str(LIBRARY), str(Path(__file__))),
        "allowed_hosts": ("a.test,b.test", "c.test"),
        "max_body": ("512KiB", "2048"),
        "cors_origin": ("http://a.test, http://b.test", "*"),
        "trusted_proxies": ("10.0.0.0/8, ::1", "*"),
        "tls": ("self-signed", "self-signed:folder"),
        "tls_cert": (str(LIBRARY), str(Path(__file__))),
        "tls_key": (str(LIBRARY), str(Path(__file__))),
        "documented_urls": ("1", "0"),
        "no_control": ("1", "0"),
        "control_token": ("a-secret-token", "another-token"),
        "require_sandbox": ("1", "0"),
        "sandbox_memory": ("512MiB", "1048576"),
        "sandbox_idle": ("5", "90"),
        "journal_memory": ("0", "64KiB"),
        "execution_seconds": ("0.5", "60"),
        "rules": (str(LIBRARY), str(Path(__file__))),
        "tokens": (str(LIBRARY), str(Path(__file__))),
        "require_actions": ("1", "0"),
        "quiet": ("1", "0"),
        "log_level": ("info", "DEBUG"),
    }
    field, flag, variable = option.name, option.opts[0], str(option.envvar)
    first, second = values[field]
    counterpart = {"tls_cert": "ATHENA_MOCK_TLS_KEY", "tls_key": "ATHENA_MOCK_TLS_CERT"}.get(field)
    required = {counterpart: str(LIBRARY)} if counterpart else {}
    by_variable = getattr(read(**{variable: first}, **required), field)
    other = getattr(read(**{variable: second}, **required), field)
    assert by_variable != other
    arguments = (flag,) if option.is_flag else (flag, first)
    assert getattr(read(*arguments, **{variable: second}, **required), field) == by_variable


def test_lists_are_comma_separated_or_repeated() -> None:
    settings = read("--cors-origin", "http://A.test,http://b.test", "--cors-origin", "*", "--allowed-hosts", "[::7], H")
    assert settings.cors_origin == ("http://a.test", "http://b.test", "*")
    assert settings.allowed_hosts == ("::7", "h")


@pytest.mark.parametrize(
    ("text", "host"), [("A.test.", "a.test"), ("*", "*"), ("10.0.0.7", "10.0.0.7"), ("a_b-c", "a_b-c")]
)
def test_host_is_parsed_like_a_host_header(text: str, host: str) -> None:
    assert read("--allowed-hosts", text).allowed_hosts == (host,)
    parsed_host = parse_host(f"{text}:8000")
    assert text == "*" or (parsed_host is not None and parsed_host.name == host)


def test_proxy_is_an_address_or_a_network() -> None:
    networks = read("--trusted-proxies", "10.0.0.7, 192.168.1.9/16,[fd00::1]", "--trusted-proxies", "*").trusted_proxies
    assert list(map(str, networks)) == ["10.0.0.7/32", "192.168.0.0/16", "fd00::1/128", "0.0.0.0/0", "::/0"]


def test_origin_may_have_the_scheme_of_an_app() -> None:
    assert read("--cors-origin", "capacitor://App.test").cors_origin == ("capacitor://app.test",)


@pytest.mark.parametrize("text", ["2026-03-01T00:00:00Z", "2026-03-01", "2026-03-01T02:00:00+02:00"])
def test_epoch_is_converted_to_utc(text: str) -> None:
    assert read("--epoch", text).epoch == datetime(2026, 3, 1, tzinfo=UTC)


def test_store_url_may_contain_encoded_spaces() -> None:
    assert read("--store", "sqlite:///a%20b.db").store == Path("a b.db")


def test_blank_environment_variable_is_ignored() -> None:
    assert read(ATHENA_MOCK_PORT="", ATHENA_MOCK_QUIET="").port == 8000


@pytest.mark.parametrize(
    ("arguments", "value", "expected"),
    [
        (("--port", "x"), "'x'", "'x' is not an integer between 0 and 65535."),
        (("--port", "65536"), "65536", "an integer between 0 and 65535"),
        (("--seed", "-1"), "-1", "an integer between 0 and 9223372036854775807"),
        (("--seed", "9" * 5000), "'999", "--seed"),
        (("--sandbox-idle", "0"), "'0'", "an integer between 1 and 525600"),
        (("--sandbox-idle", "525601"), "'525601'", "an integer between 1 and 525600"),
        (("--size", "0"), "'0'", "a number greater than 0"),
        (("--size", "nan"), "'nan'", "a number greater than 0"),
        (("--epoch", "tomorrow"), "'tomorrow'", "today, or a date and time"),
        (("--epoch", "0001-01-01"), "'0001-01-01'", "1990"),
        (("--store", "postgres://x"), "'postgres://x'", "memory, or sqlite:///FILE"),
        (("--store", "sqlite:///"), "'sqlite:///'", "memory, or sqlite:///FILE"),
        (("--store", "/tmp/x.db"), "'/tmp/x.db'", "memory, or sqlite:///FILE"),
        (("--contract", "no/such.yaml"), "'no/such.yaml'", "does not exist"),
        (("--allowed-hosts", "http://x"), "'http://x'", "without scheme"),
        (("--allowed-hosts", "x.test:8000"), "'x.test:8000'", "without scheme, port"),
        (("--allowed-hosts", "[::7]:80"), "'[::7]:80'", "without scheme, port"),
        (("--allowed-hosts", "\u00e9.test"), "", "without scheme, port"),
        (("--cors-origin", "x.test"), "'x.test'", "an origin, for example"),
        (("--cors-origin", "http://x.test/"), "'http://x.test/'", "an origin, for example"),
        (("--cors-origin", "http://"), "'http://'", "an origin, for example"),
        (("--trusted-proxies", "10.0.0.0/8,proxy"), "'proxy'", "an IP address or a network, for example"),
        (("--trusted-proxies", "10.0.0.0/33"), "'10.0.0.0/33'", "an IP address or a network, for example"),
        (("--log-level", "loud"), "'loud'", "'critical', 'error', 'warning', 'info', 'debug'"),
        (("--prot", "1"), "--prot", "--port"),
        (("--port",), "--port", "requires an argument"),
        (("serve", "stray"), "stray", "unexpected extra argument"),
        (("--cors-origin", "x\n\x1b"), r"'x\n\x1b'", "an origin, for example"),
        (("--dataset", ""), "''", "a name"),
    ],
)
def test_invalid_option_is_an_error(
    arguments: tuple[str, ...], value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    line = capsys.readouterr().err.removesuffix("\n")
    assert line.isprintable()
    assert len(line) < 500
    assert arguments[0] in line or arguments[0] == "serve"
    assert value in line
    assert expected in line


def test_invalid_environment_variable_is_named_in_the_error() -> None:
    with pytest.raises(click.BadParameter) as error:
        read(ATHENA_MOCK_PORT="x")
    assert error.value.format_message() == f"{INVALID_PORT}: 'x' is not an integer between 0 and 65535."
    with pytest.raises(click.UsageError, match=r"ATHENA_MOCK_PROT\. Did you mean ATHENA_MOCK_PORT\?"):
        read(ATHENA_MOCK_PROT="1")
    with pytest.raises(click.BadParameter) as error:
        read(ATHENA_MOCK_QUIET="x")
    assert "ATHENA_MOCK_QUIET" in error.value.format_message()
    assert read(OTHER_PORT="x").port == 8000


def test_explicit_fields_are_those_of_command_line_and_environment() -> None:
    assert read("--seed", "0", ATHENA_MOCK_SIZE="1").explicit_fields == {"seed", "size"}


def test_version_option_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["serve", "--version"], ["--port", "1", "--tls", "self-signed", "--version"]):
        assert (main(arguments), capsys.readouterr().out) == (0, f"{format_version('athena-mock')}\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--port", "x"), f"athena-mock: {INVALID_PORT}: 'x' is not an integer between 0 and 65535.\n"),
        (("serve", "--port", "x"), f"athena-mock: {INVALID_PORT}: 'x' is not an integer between 0 and 65535.\n"),
        (("serv",), "athena-mock: No such command 'serv'. Did you mean 'serve'?\n"),
        (("build-image", "a", "b"), "athena-mock: Got unexpected extra argument (b)\n"),
        (("--por\n\x1b",), "athena-mock: No such option '--por\\n\\x1b'. Did you mean '--port'?\n"),
    ],
)
def test_usage_error_is_one_line_with_exit_status_2(
    arguments: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (main(arguments), capsys.readouterr()) == (2, ("", error))


@pytest.mark.parametrize(("incomplete", "item"), [("--po", "--port"), ("bu", "build-image"), ("--vers", "--version")])
def test_shell_completion_has_options_of_the_default_command_and_commands(incomplete: str, item: str) -> None:
    completion = ShellComplete(athena_mock, {}, "athena-mock", "_ATHENA_MOCK_COMPLETE")
    assert [candidate.value for candidate in completion.get_completions([], incomplete)] == [item]


def test_help_shows_every_option_environment_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(part in text for part in ("build-image", "Examples:", "Exit status:"))
    for option in OPTIONS:
        assert option.opts[0] in text
        assert str(option.envvar) in text
        if isinstance(option.default, str | int) and not option.is_flag:
            assert f"default: {option.default}" in text
