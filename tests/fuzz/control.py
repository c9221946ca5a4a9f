"""Run Schemathesis with default settings against the control API of the mock, except for two checks.

    python -m tests.fuzz.control [SEED] [-- further options of `schemathesis run`]

Starts a mock on a free loopback port. The exit code is that of Schemathesis, which prints the seed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import run_mock

DOCUMENT_PATH = "/__mock/api/openapi.json"
# The schema of a condition cannot state which paths the contract has: a generated one is rejected.
# DELETE of the requests or rules empties the list, which can be read afterwards: for Schemathesis, a use after free.
# Own tests retrieve each kind of record after its deletion.
CONFIGURATION = """
[checks]
use_after_free.enabled = false

[[operations]]
include-path-regex = "/requests/(count|find|verify)$|/rules$"
checks.positive_data_acceptance.enabled = false
"""


def main(arguments: list[str]) -> int:
    """Run Schemathesis and return the exit code."""
    seed = arguments[0] if arguments and arguments[0] != "--" else "1"
    options = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    with tempfile.TemporaryDirectory() as name, run_mock(Path(name)) as base:
        Path(name, "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", base + DOCUMENT_PATH]
        command += ["--workers", "1", "--seed", seed, *options]
        return subprocess.run(command, cwd=name).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
