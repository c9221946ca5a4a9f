"""Equal seeds send equal requests in the same order in any process; another seed sends others."""

import os
import subprocess
import sys

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.slow  # each test runs the suite in new processes

SOME = ("listAgents", "createAgent", "updateAgent", "deleteThread", "createMessage")


def recorded(run_id: str, hashes: str, seed: int, operations: tuple[str, ...], *, engine: bool = False) -> list[str]:
    """The requests of a run in a new process with its own hash seed."""
    command = (
        sys.executable,
        "-m",
        "tests.conformance.recorded",
        *(["--engine"] if engine else []),
        run_id,
        str(seed),
        *operations,
    )
    around = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, env=around, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("operations", "engine"),
    [
        pytest.param(SOME, False, id="some"),
        pytest.param((), True, marks=pytest.mark.slow, id="all-with-the-engine"),
    ],
)
def test_equal_seeds_send_equal_requests(operations: tuple[str, ...], engine: bool) -> None:
    both = (("aaaa1111", "1"), ("bbbb2222", "2"))
    one, other = (recorded(run_id, hashes, 5, operations, engine=engine) for run_id, hashes in both)
    assert len(one) > 100
    for number, (line, same) in enumerate(zip(one, other, strict=False)):
        assert line == same, f"request {number} differs, after {one[number - 1]}"
    assert len(one) == len(other)


def test_other_seed_sends_other_requests() -> None:
    assert recorded("aaaa1111", "1", 5, SOME) != recorded("aaaa1111", "1", 6, SOME)
