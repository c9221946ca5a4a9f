"""What `make mock` hands on to `athena-mock`: every setting that its command line says, none that is empty."""

import os
import shlex
import shutil
import subprocess

import pytest

from mock_server.cli.settings import OPTIONS
from tests.running import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def handed_on(*said: str, **around: str) -> list[str]:
    """The arguments of athena-mock, as make would run it."""
    command = ("make", "--dry-run", "mock", *said)
    kept = {name: text for name, text in os.environ.items() if not _of_make(name)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=kept | around, check=True)
    (line,) = [line for line in done.stdout.splitlines() if "bin/athena-mock" in line and line.startswith("exec")]
    return shlex.split(line)[2:]


def _of_make(name: str) -> bool:
    """Whether a make that runs these tests may have said it: its command line reaches them by the environment."""
    return name.startswith(("MAKE", "MFLAGS", "GNUMAKEFLAGS")) or name == "ARGS"


def test_what_a_make_around_it_was_told_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGS", "--durations=9")
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=--durations=9")
    assert handed_on() == []


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.flag != "--quiet"], ids=lambda option: option.field)
def test_a_setting_of_the_command_line_is_handed_on(option: object) -> None:
    flag = option.flag  # type: ignore[attr-defined]
    name = flag.removeprefix("--").upper().replace("-", "_")
    assert handed_on(f"{name}=it's $$(x)") == [flag, "it's $(x)"]
    assert handed_on(**{name: "x"}) == []
    assert handed_on(f"{name}=") == handed_on(f"{name}= ") == []


@pytest.mark.parametrize(("said", "arguments"), [("1", ["--quiet"]), ("yes", ["--quiet"]), ("0", []), ("", [])])
def test_quiet_has_no_value(said: str, arguments: list[str]) -> None:
    assert handed_on(f"QUIET={said}") == arguments
    assert handed_on(QUIET="1") == []


def test_nothing_said_is_nothing_handed_on() -> None:
    assert handed_on() == []
