"""Every small contract file is served as it documents, or refused with the expected problems.

The files are in the folders next to this module, one construct each. `invariant` states what is checked.
"""

import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.invariant import InvariantCheck
from tests.mock_process import MODULE, ROOT, build_environment

HERE = Path(__file__).parent
FOLDERS = ("bodies", "extensions", "parameters", "reading", "responses", "schemas", "security", "servers")
SERVED = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.*"))]
REFUSED = sorted(path for path in (HERE / "refused").glob("*.*") if path.suffix != ".txt")
# The fast tests read these files only.
SAMPLE = [next(path for path in SERVED if path.parent.name == folder) for folder in FOLDERS]
REFUSED_SAMPLE = [HERE / "refused" / f"{name}.yaml" for name in ("several-problems", "misspelled-extension")]
MIN_FILES, MAX_LINES = 60, 40


def get_id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def mark_slow(paths: Iterable[Path], sample: Collection[Path]) -> list[Any]:
    """Return the paths as parameters of a test that is slow except for a sample."""
    return [pytest.param(path, id=get_id(path), marks=() if path in sample else pytest.mark.slow) for path in paths]


@pytest.mark.parametrize("path", mark_slow(SERVED, SAMPLE))
def test_contract_is_served_as_it_documents(path: Path) -> None:
    check = InvariantCheck.create(path)
    assert check.run() == []
    assert check.samples.failures == {}


@pytest.mark.parametrize("path", mark_slow(REFUSED, REFUSED_SAMPLE))
def test_all_problems_of_a_contract_are_printed(path: Path, tmp_path: Path) -> None:
    """The expected lines are in the file of the same name with the suffix `.txt`."""
    command = (*MODULE, "--contract", str(path), "--dataset", "plain", "--port", "0")
    env = build_environment(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    printed = done.stderr.replace(f"{HERE}/", "").splitlines()
    expected = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in expected if line not in printed] == []


def test_files_are_many_and_small() -> None:
    assert len(SERVED) + len(REFUSED) >= MIN_FILES
    lengths = {path.name: len(path.read_bytes().splitlines()) for path in (*SERVED, *REFUSED)}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
