"""Every small contract file is served as it documents, or refused with the expected problems.

The files are in the folders next to this module, one construct each. `invariant` states what is checked.
"""

from pathlib import Path

import pytest

from mock_server.cli.main import main
from tests.contracts.invariant import InvariantCheck

HERE = Path(__file__).parent
FOLDERS = ("bodies", "extensions", "parameters", "reading", "responses", "schemas", "security", "servers")
SERVED = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.*"))]
REFUSED = sorted(path for path in (HERE / "refused").glob("*.*") if path.suffix != ".txt")
MIN_FILES, MAX_LINES = 60, 40


def get_id(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", SERVED, ids=get_id)
def test_contract_is_served_as_it_documents(path: Path) -> None:
    check = InvariantCheck.create(path)
    assert check.run() == []
    assert check.samples.failures == {}


@pytest.mark.parametrize("path", REFUSED, ids=get_id)
def test_all_problems_of_a_contract_are_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The expected lines are in the file of the same name with the suffix `.txt`."""
    status = main(["--contract", str(path), "--dataset", "plain", "--port", "0"])
    output = capsys.readouterr()
    assert (status, output.out) == (2, "")
    printed = output.err.replace(f"{HERE}/", "").splitlines()
    assert printed == path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_files_are_many_and_small() -> None:
    assert len(SERVED) + len(REFUSED) >= MIN_FILES
    lengths = {path.name: len(path.read_bytes().splitlines()) for path in (*SERVED, *REFUSED)}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
