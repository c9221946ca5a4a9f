"""The settings: an option wins over its variable, and a wrong value is told in one line with what is allowed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mock_server.cli.settings import OPTIONS, Settings, SettingsError, parse_settings
from mock_server.web.hosts_and_cors import parse_host
from tests.mock_server.library import LIBRARY

TODAY = datetime(2026, 5, 4, tzinfo=UTC)


def read(*arguments: str, **environment: str) -> Settings:
    return parse_settings(arguments, environment, "1.2.3")


def test_nothing_said_is_the_defaults() -> None:
    settings = read()
    assert (settings.host, settings.port, settings.seed, settings.dataset) == ("127.0.0.1", 8000, 0, "demo")
    assert (settings.size, settings.store, settings.contract, settings.quiet) == (1.0, "memory", None, False)
    assert (settings.allowed_hosts, settings.cors_origins, settings.log_level) == ((), (), "warning")
    assert settings.resolve_epoch(datetime(2026, 5, 4, 13, 14, 15, 16, tzinfo=UTC)) == TODAY


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_each_setting_is_a_variable_too_and_the_option_wins(option: object) -> None:
    values: Mapping[str, tuple[str, str]] = {
        "host": ("::1", "0.0.0.0"),
        "port": ("1", "2"),
        "seed": ("3", "4"),
        "dataset": ("empty", "heavy"),
        "size": ("0.5", "10"),
        "epoch": ("2026-03-01T00:00:00Z", "2025-03-01"),
        "store": ("sqlite:///a.db", "sqlite:////b/c.db"),
        "contract": (str(LIBRARY), str(Path(__file__))),
        "allowed_hosts": ("a.test,b.test", "c.test"),
        "cors_origins": ("http://a.test, http://b.test", "*"),
        "quiet": ("1", "0"),
        "log_level": ("info", "DEBUG"),
    }
    field, flag, variable = option.field, option.flag, option.variable  # type: ignore[attr-defined]
    first, second = values[field]
    by_variable = getattr(read(**{variable: first}), field)
    other = getattr(read(**{variable: second}), field)
    assert by_variable != other
    said = (flag,) if field == "quiet" else (flag, first)
    assert getattr(read(*said, **{variable: second}), field) == by_variable


def test_lists_are_given_with_commas_or_again() -> None:
    settings = read("--cors-origin", "http://A.test,http://b.test", "--cors-origin", "*", "--allowed-hosts", "[::7], H")
    assert settings.cors_origins == ("http://a.test", "http://b.test", "*")
    assert settings.allowed_hosts == ("::7", "h")


@pytest.mark.parametrize(
    ("text", "host"), [("A.test.", "a.test"), ("*", "*"), ("10.0.0.7", "10.0.0.7"), ("a_b-c", "a_b-c")]
)
def test_a_host_is_read_as_a_request_names_it(text: str, host: str) -> None:
    assert read("--allowed-hosts", text).allowed_hosts == (host,)
    assert text == "*" or parse_host(f"{text}:8000") == host


@pytest.mark.parametrize("text", ["2026-03-01T00:00:00Z", "2026-03-01", "2026-03-01T02:00:00+02:00"])
def test_an_epoch_is_an_instant_in_utc(text: str) -> None:
    assert read("--epoch", text).epoch == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_blank_variable_is_none() -> None:
    assert read(ATHENA_MOCK_PORT=" ", ATHENA_MOCK_QUIET="").port == 8000


@pytest.mark.parametrize(
    ("arguments", "found", "allowed"),
    [
        (("--port", "x"), "--port: found 'x'", "a whole number from 0 to 65535"),
        (("--port", "65536"), "--port: found '65536'", "a whole number from 0 to 65535"),
        (("--port", "\u0661"), "--port: found '\\u0661'", "a whole number"),
        (("--seed", "-1"), "--seed: found '-1'", "a whole number"),
        (("--seed", "9" * 5000), "--seed: found '999", "a whole number"),
        (("--size", "0"), "--size: found '0'", "a number above 0"),
        (("--size", "nan"), "--size: found 'nan'", "a number above 0"),
        (("--epoch", "tomorrow"), "--epoch: found 'tomorrow'", "today, or an instant"),
        (("--epoch", "0001-01-01"), "--epoch: found '0001-01-01'", "1990"),
        (("--store", "postgres://x"), "--store: found 'postgres://x'", "memory, or sqlite:///FILE"),
        (("--contract", "no/such.yaml"), "--contract: found 'no/such.yaml'", "an OpenAPI 3.0 file that is there"),
        (("--allowed-hosts", "http://x"), "--allowed-hosts: found 'http://x'", "without scheme"),
        (("--allowed-hosts", "x.test:8000"), "--allowed-hosts: found 'x.test:8000'", "without scheme, port"),
        (("--allowed-hosts", "[::7]:80"), "--allowed-hosts: found '[::7]:80'", "without scheme, port"),
        (("--allowed-hosts", "\u00e9.test"), "--allowed-hosts: found ", "without scheme, port"),
        (("--cors-origin", "x.test"), "--cors-origin: found 'x.test'", "origins like"),
        (("--log-level", "loud"), "--log-level: found 'loud'", "critical, error, warning, info, debug"),
        (("--prot", "1"), "--prot", "--port"),
        (("--port",), "--port", "--quiet"),
        (("stray",), "stray", "--port"),
        (("--cors-origin", "x\n\x1b"), r"--cors-origin: found 'x\n\x1b'", "origins like"),
        (("--dataset", ""), "--dataset: found ''", "a name"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(arguments: tuple[str, ...], found: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(*arguments)
    line = str(error.value)
    assert line.isprintable()
    assert len(line) < 500
    assert found in line
    assert "allowed: " in line
    assert allowed in line


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="ATHENA_MOCK_PORT: found 'x'; allowed: a whole number"):
        read(ATHENA_MOCK_PORT="x")
    with pytest.raises(SettingsError, match=r"ATHENA_MOCK_PROT: .* allowed: .*ATHENA_MOCK_PORT"):
        read(ATHENA_MOCK_PROT="1")
    assert read(OTHER_PORT="x").port == 8000


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read("--version")
    assert (stop.value.code, capsys.readouterr().out) == (0, "athena-mock 1.2.3\n")


def test_the_help_names_every_option_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read("--help")
    text = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert option.flag in text
        assert option.variable in text
        assert option.default in text
