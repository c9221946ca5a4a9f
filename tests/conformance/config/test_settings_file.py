"""The settings file: precedence of its values, and messages about invalid ones."""

from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from conformance.cli.commands import COMMANDS, parse_settings
from conformance.cli.main import main
from conformance.config.options import COMMAND_LINE_ONLY, FILE_KEYS, OPTIONS
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate.verdict import ExitCode

ENVIRONMENT = {"ATHENA_TOKEN": "a-token"}
FILE = """
base-url = "https://staging.example.com/api/v1"
seed = 7
strict = true
header = ["X-One: 1", "X-Two: 2"]
report-dir = "reports"
timeout = 2.5

[skip]
listThreads = "times out; ticket 12"

[env.production]
base-url = "https://example.com/api/v1"
strict = false

[env.production.skip]
listAgents = "known"
"""


@pytest.fixture(autouse=True)
def current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_config(text: str, name: str = "athena-conformance.toml") -> Path:
    """Write a settings file in the current folder."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def settings(*arguments: str, environment: Mapping[str, str] = ENVIRONMENT, command: str = "run") -> Settings:
    """The settings of a command line in the current folder."""
    return parse_settings([command, *arguments], environment)


def usage_error(text: str, *arguments: str) -> str:
    """The message about an invalid file, which is one line."""
    write_config(text)
    with pytest.raises(UsageError) as caught:
        settings(*arguments)
    assert "\n" not in str(caught.value)
    assert "(expected " in str(caught.value)
    return str(caught.value)


def test_file_in_the_current_folder_is_read() -> None:
    write_config(FILE)
    parsed = settings()
    assert (parsed.base_url, parsed.seed, parsed.strict, parsed.timeout) == (
        "https://staging.example.com/api/v1",
        7,
        True,
        2.5,
    )
    assert parsed.header == (("X-One", "1"), ("X-Two", "2"))
    assert parsed.skip == {"listThreads": "times out; ticket 12"}
    assert parsed.origins["seed"] == "athena-conformance.toml"


def test_command_line_overrides_section_and_section_overrides_file() -> None:
    write_config(FILE)
    parsed = settings("--env", "production", "--seed", "9")
    assert (parsed.base_url, parsed.seed, parsed.strict) == ("https://example.com/api/v1", 9, False)
    assert parsed.skip == {"listThreads": "times out; ticket 12", "listAgents": "known"}
    assert parsed.origins["base_url"] == "athena-conformance.toml [env.production]"
    assert (parsed.origins["seed"], parsed.origins["timeout"]) == ("--seed", "athena-conformance.toml")
    assert parsed.origins["tag"] == "default"


def test_paths_are_relative_to_the_file() -> None:
    write_config(FILE, "below/settings.toml")
    assert settings("--config", "below/settings.toml").report_dir == Path("below/reports")
    assert settings("--config", "below/settings.toml", "--report-dir", "x").report_dir == Path("x")


def test_command_ignores_file_values_of_other_commands() -> None:
    write_config(FILE)
    parsed = settings("write-log.jsonl", command="cleanup")
    assert (parsed.base_url, parsed.seed, parsed.report_dir) == ("https://staging.example.com/api/v1", 0, None)


def test_file_accepts_every_option_that_is_not_for_the_command_line_only() -> None:
    for option in (option for option in OPTIONS if option.key != "env"):  # the name of the sections
        write_config(f"{option.key} = {{}}")  # not a valid value of any option
        with pytest.raises(UsageError) as caught:
            settings("--base-url", "http://x")
        is_unknown = f"(expected {', '.join(sorted(FILE_KEYS))}" in str(caught.value)
        assert is_unknown == (option.key in COMMAND_LINE_ONLY), option.key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "bse-url = 'http://x'",
            "athena-conformance.toml: unknown name 'bse-url', did you mean 'base-url'? (expected ",
        ),
        ("base_url = 'http://x'", "did you mean 'base-url'?"),
        ("[env.a]\nsed = 1", "athena-conformance.toml [env.a]: unknown name 'sed', did you mean 'seed'?"),
        ("token = 'abc'", "invalid name 'token' (expected no secrets: set token-env"),
        ("other_token = 'abc'", "no secrets"),
        ("[env.a]\napi_key = 'abc'", "no secrets"),
        (
            "header = 'X-Api-Key: abc'",
            "header: invalid header 'x-api-key' (expected no credentials in the settings file",
        ),
        (
            "seed = 'x'",
            "athena-conformance.toml: seed: invalid value 'x' (expected an integer between 0 and 9223372036854775807)",
        ),
        ("seed = true", "seed: invalid value 'True' (expected one string or number)"),
        ("strict = 1", "strict: invalid value '1' (expected true, false)"),
        ("tag = [['a']]", "tag: invalid value"),
        ("seed = [1]", "seed: invalid value '[1]' (expected one string or number)"),
        ("seed = 1\nseed = 2", "invalid TOML"),
        ("seed = ", "invalid TOML"),
        ("skip = 1", "skip: not a table (expected"),
        ("[skip]\nlistAgents = ''", "skip.listAgents: invalid value '' (expected a reason, as text)"),
        ("env = 1", "env: invalid value (expected sections [env.NAME])"),
        ("contract = 'a.yaml'", "contract: invalid value 'a.yaml' (expected an existing OpenAPI 3.0 or 3.1 file)"),
    ],
)
def test_invalid_file_is_rejected(text: str, message: str) -> None:
    assert message in usage_error(text)


def test_unknown_section_and_missing_file_are_rejected() -> None:
    assert "--env: invalid value 'staging' (expected production)" in usage_error(FILE, "--env", "staging")
    assert "which has none" in usage_error("seed = 1", "--env", "staging")
    assert "--config: cannot read none.toml: No such file" in usage_error(FILE, "--config", "none.toml")
    Path("athena-conformance.toml").unlink()
    with pytest.raises(
        UsageError, match=r"--env: invalid value 'x' \(expected --config FILE, or athena-conformance\.toml here\)"
    ):
        settings("--env", "x")


def test_file_that_is_not_utf_8_is_rejected() -> None:
    Path("athena-conformance.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="invalid TOML"):
        settings()


def test_unknown_operation_to_skip_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    write_config("base-url = 'http://127.0.0.1:1'\n[skip]\nlistAgent = 'known'")
    assert main(["run"], ENVIRONMENT) == ExitCode.USAGE
    assert "skip: unknown name 'listAgent', did you mean 'listAgents'? (expected " in capsys.readouterr().err


def test_show_config_prints_each_value_and_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    write_config(FILE)
    arguments = [
        "--env",
        "production",
        "--header",
        "X-Api-Key: hidden-1",
        "--token-command",
        "cat hidden-2",
        "--show-config",
    ]
    assert main(["run", "--show-config", *arguments], {"ATHENA_OTHER_TOKEN": "hidden-3"}) == 0
    out = capsys.readouterr().out
    rows = {line.split("  ", 1)[0]: " ".join(line.split("  ", 1)[1].split()) for line in out.splitlines()}
    assert rows["base-url"] == "https://example.com/api/v1 athena-conformance.toml [env.production]"
    assert rows["timeout"] == "2.5 athena-conformance.toml"
    assert rows["header"] == "X-Api-Key: ... --header"
    assert rows["rate-limit"] == "not set default"
    assert rows["token"] == "set token-command"
    assert rows["other token"] == "set $ATHENA_OTHER_TOKEN"
    assert rows["skip.listAgents"] == "known athena-conformance.toml [env.production]"
    assert rows["skip.listThreads"] == "times out; ticket 12 athena-conformance.toml"
    assert "hidden" not in out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_shows_its_settings_without_target_and_token(
    command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["x" for parameter in command.params if isinstance(parameter, click.Argument)]
    assert main([command.name or "", *arguments, "--show-config"], {}) == 0
    assert "token" in capsys.readouterr().out


def test_profile_sets_max_time_unless_the_option_does() -> None:
    parsed = settings("--base-url", "http://x", "--profile", "smoke")
    assert (parsed.max_time, parsed.origins["max_time"]) == (60.0, "--profile smoke")
    parsed = settings("--base-url", "http://x", "--profile", "smoke", "--max-time", "5")
    assert (parsed.max_time, parsed.origins["max_time"]) == (5.0, "--max-time")
    assert settings("--base-url", "http://x").max_time is None
