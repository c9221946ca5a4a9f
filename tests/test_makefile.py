"""Tests of the settings that `make mock` passes to `athena-mock`: those of its command line, if not empty."""

import os
import re
import shlex
import shutil
import subprocess

import pytest

from mock_server.cli.settings import OPTIONS
from tests.mock_process import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def mock_arguments(*settings: str, **env: str) -> list[str]:
    """The arguments that make would pass to athena-mock."""
    command = ("make", "--dry-run", "mock", *settings)
    variables = {name: text for name, text in os.environ.items() if not _is_make_variable(name)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables | env, check=True)
    (line,) = [line for line in result.stdout.splitlines() if "bin/athena-mock" in line and line.startswith("exec")]
    return shlex.split(line)[2:]


def _is_make_variable(name: str) -> bool:
    """Whether a make that runs these tests may have set the variable."""
    return name.startswith(("MAKE", "MFLAGS", "GNUMAKEFLAGS")) or name == "ARGS"


def test_settings_of_an_outer_make_are_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGS", "--durations=9")
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=--durations=9")
    assert mock_arguments() == []


@pytest.mark.parametrize("flag", [option.opts[0] for option in OPTIONS if not option.is_flag])
def test_a_setting_of_the_command_line_is_passed(flag: str) -> None:
    name = flag.removeprefix("--").upper().replace("-", "_")
    assert mock_arguments(f"{name}=it's $$(x)") == [flag, "it's $(x)"]
    assert mock_arguments(**{name: "x"}) == []
    assert mock_arguments(f"{name}=") == mock_arguments(f"{name}= ") == []


@pytest.mark.parametrize("flag", [option.opts[0] for option in OPTIONS if option.is_flag])
@pytest.mark.parametrize(("value", "is_set"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_flag_has_no_value(flag: str, value: str, is_set: bool) -> None:
    name = flag.removeprefix("--").upper().replace("-", "_")
    assert mock_arguments(f"{name}={value}") == ([flag] if is_set else [])
    assert mock_arguments(**{name: "1"}) == []


@pytest.mark.parametrize("name", ["PROT", "port"])
def test_unknown_setting_of_the_command_line_is_an_error(name: str) -> None:
    command = ("make", "--dry-run", "mock", "SEED=7", f"{name}=8129")
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 2
    known = [option.opts[0].removeprefix("--").upper().replace("-", "_") for option in OPTIONS]
    message = re.search(rf"unknown setting {name} \(expected ([A-Z_, ]+)\)", result.stderr)
    assert message is not None, result.stderr
    assert sorted(message[1].split(", ")) == sorted([*known, "ARGS"])


def test_no_settings_pass_no_arguments() -> None:
    assert mock_arguments() == []
