"""The file of settings: what wins over what, and what is refused with which words."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from conformance.cli.main import main
from conformance.config.commands import LINE_ONLY, WORDS
from conformance.config.options import OPTIONS
from conformance.config.settings import Settings, from_arguments
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
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, name: str = "athena-conformance.toml") -> Path:
    """A file of settings in the current folder."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def settings(*arguments: str, environment: Mapping[str, str] = ENVIRONMENT, word: str = "run") -> Settings:
    """What is read from a line, here."""
    return from_arguments([word, *arguments], environment, "0")


def refused(text: str, *arguments: str) -> str:
    """The one line by which a file is refused."""
    written(text)
    with pytest.raises(UsageError) as caught:
        settings(*arguments)
    assert "\n" not in str(caught.value)
    assert "allowed: " in str(caught.value)
    return str(caught.value)


def test_a_file_in_the_current_folder_is_read() -> None:
    written(FILE)
    found = settings()
    assert (found.base_url, found.seed, found.strict, found.timeout) == (
        "https://staging.example.com/api/v1",
        7,
        True,
        2.5,
    )
    assert found.header == (("X-One", "1"), ("X-Two", "2"))
    assert found.skip == {"listThreads": "times out; ticket 12"}
    assert found.origins["seed"] == "athena-conformance.toml"


def test_an_environments_section_wins_over_the_file_and_the_line_over_both() -> None:
    written(FILE)
    found = settings("--env", "production", "--seed", "9")
    assert (found.base_url, found.seed, found.strict) == ("https://example.com/api/v1", 9, False)
    assert found.skip == {"listThreads": "times out; ticket 12", "listAgents": "known"}
    assert found.origins["base_url"] == "athena-conformance.toml [env.production]"
    assert (found.origins["seed"], found.origins["timeout"]) == ("--seed", "athena-conformance.toml")
    assert found.origins["tag"] == "default"


def test_paths_start_where_the_file_is() -> None:
    written(FILE, "below/settings.toml")
    assert settings("--config", "below/settings.toml").report_dir == Path("below/reports")
    assert settings("--config", "below/settings.toml", "--report-dir", "x").report_dir == Path("x")


def test_a_word_takes_from_a_file_only_what_it_knows() -> None:
    written(FILE)
    found = settings("write-log.jsonl", command="cleanup")
    assert (found.base_url, found.seed, found.report_dir) == ("https://staging.example.com/api/v1", 0, None)


def test_every_option_but_those_of_the_line_may_stand_in_a_file() -> None:
    for option in (o for o in OPTIONS if o.name != "--env"):  # which is the name of the sections there
        name = option.name.removeprefix("--")
        written(f"{name} = {{}}")  # nothing that any option takes
        with pytest.raises(UsageError) as caught:
            settings("--base-url", "http://x")
        known = f"allowed: {', '.join(sorted(o.name.removeprefix('--') for o in OPTIONS if o.name not in LINE_ONLY))}"
        assert (known in str(caught.value)) == (option.name in LINE_ONLY), option.name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "bse-url = 'http://x'",
            "athena-conformance.toml: found 'bse-url'; did you mean 'base-url'?; allowed: ",
        ),
        ("base_url = 'http://x'", "did you mean 'base-url'?"),
        ("[env.a]\nsed = 1", "athena-conformance.toml [env.a]: found 'sed'; did you mean 'seed'?"),
        ("token = 'abc'", "found 'token'; allowed: no secrets: tokens come from the environment"),
        ("other_token = 'abc'", "no secrets"),
        ("[env.a]\napi_key = 'abc'", "no secrets"),
        ("header = 'X-Api-Key: abc'", "header: found 'x-api-key'; allowed: no credentials in a file"),
        ("seed = 'x'", "athena-conformance.toml: seed: found 'x'; allowed: a whole number"),
        ("seed = true", "seed: found 'True'; allowed: one text or number"),
        ("strict = 1", "strict: found '1'; allowed: true, false"),
        ("tag = [['a']]", "tag: found"),
        ("seed = [1]", "seed: found '[1]'; allowed: one text or number"),
        ("seed = 1\nseed = 2", "found no TOML"),
        ("seed = ", "found no TOML"),
        ("skip = 1", "skip: found no table; allowed"),
        ("[skip]\nlistAgents = ''", "skip.listAgents: found ''; allowed: the reason, in words"),
        ("env = 1", "env: found something else than sections"),
        ("contract = 'none.yaml'", "contract: found 'none.yaml'; allowed: an OpenAPI 3.0 file that is there"),
    ],
)
def test_what_a_file_may_not_say_is_refused(text: str, found: str) -> None:
    assert found in refused(text)


def test_a_section_or_a_file_that_there_is_not_is_refused() -> None:
    assert "--env: found 'staging'; allowed: production" in refused(FILE, "--env", "staging")
    assert "has none" in refused("seed = 1", "--env", "staging")
    assert "--config: found none.toml (No such file" in refused(FILE, "--config", "none.toml")
    Path("athena-conformance.toml").unlink()
    with pytest.raises(UsageError, match=r"--env: found 'x', and no athena-conformance\.toml here; allowed"):
        settings("--env", "x")


def test_bytes_that_are_no_text_are_refused() -> None:
    Path("athena-conformance.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="found no TOML"):
        settings()


def test_an_operation_to_skip_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    written("base-url = 'http://127.0.0.1:1'\n[skip]\nlistAgent = 'known'")
    assert main(["run"], ENVIRONMENT) == ExitCode.USAGE
    assert "skip: found 'listAgent'; did you mean 'listAgents'?; allowed: " in capsys.readouterr().err


def test_show_config_says_each_value_and_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    written(FILE)
    said = [
        "--env",
        "production",
        "--header",
        "X-Api-Key: hidden-1",
        "--token-command",
        "cat hidden-2",
        "--show-config",
    ]
    assert main(["run", "--show-config", *said], {"ATHENA_OTHER_TOKEN": "hidden-3"}) == 0
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


@pytest.mark.parametrize("word", [word.name for word in WORDS])
def test_every_word_shows_its_settings_and_needs_nothing_for_it(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    beside = ["x" for _ in next(w for w in WORDS if w.name == word).arguments]
    assert main([word, *beside, "--show-config"], {}) == 0
    assert "token" in capsys.readouterr().out


def test_a_profile_gives_the_time_unless_it_is_said() -> None:
    found = settings("--base-url", "http://x", "--profile", "smoke")
    assert (found.max_time, found.origins["max_time"]) == (60.0, "--profile smoke")
    found = settings("--base-url", "http://x", "--profile", "smoke", "--max-time", "5")
    assert (found.max_time, found.origins["max_time"]) == (5.0, "--max-time")
    assert settings("--base-url", "http://x").max_time is None
