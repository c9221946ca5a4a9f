"""The command `athena-mock` as a user starts it: a process with an address and a greeting."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALLED = Path(sys.executable).with_name("athena-mock")
MODULE = (sys.executable, "-m", "mock_server")


def environment(cache: Path) -> dict[str, str]:
    """This process's environment, with no settings of the mock in it and an own folder for what it keeps."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ATHENA_MOCK_")}
    return kept | {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}


@contextmanager
def running(command: tuple[str, ...], around: Mapping[str, str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A mock that has greeted, and its greeting; it is ended afterwards."""
    pipe = subprocess.PIPE
    mock = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=dict(around))
    try:
        assert mock.stdout is not None
        greeting = ""
        while "# 422" not in greeting:
            line = mock.stdout.readline()
            if not line:
                raise AssertionError(greeting + mock.communicate()[1])
            greeting += line
        yield mock, greeting
    finally:
        mock.kill()
        mock.communicate()
