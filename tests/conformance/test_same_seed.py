"""The same seed sends the same cases in the same order, in any process; another seed sends others."""

import os
import subprocess
import sys

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.slow  # each case is many requests to a mock that is served anew

SOME = ("listAgents", "createAgent", "updateAgent", "deleteThread", "createMessage")


def recorded(run_id: str, hashes: str, seed: int, operations: tuple[str, ...], *, engine: bool = False) -> list[str]:
    """The traffic of a run of its own process, whose sets are in an order of their own."""
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
def test_the_same_seed_sends_the_same_cases_in_the_same_order(operations: tuple[str, ...], engine: bool) -> None:
    both = (("aaaa1111", "1"), ("bbbb2222", "2"))
    one, other = (recorded(run_id, hashes, 5, operations, engine=engine) for run_id, hashes in both)
    assert len(one) > 100
    for number, (line, same) in enumerate(zip(one, other, strict=False)):
        assert line == same, f"request {number} differs, after {one[number - 1]}"
    assert len(one) == len(other)


def test_another_seed_sends_other_cases() -> None:
    assert recorded("aaaa1111", "1", 5, SOME) != recorded("aaaa1111", "1", 6, SOME)
