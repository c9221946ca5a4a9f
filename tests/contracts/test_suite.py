"""`athena-conformance run --strict` passes on the mock of every small contract file.

The mock accepts only the two credentials of the run (`--tokens`). Without them it accepts any, as documented, and
checks of the authentication fail.
"""

from pathlib import Path

import pytest

from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from tests.conformance.support.http_server import run_http_server
from tests.contracts.served_contract import ServedContract
from tests.contracts.test_contracts import FOLDERS, SERVED, get_id

TOKENS = ("demo-token", "other-token")
LOGINS = ("demo:password", "other:password")
BASIC = ("basic.yaml", "alternatives-and-combinations.yaml")
SAMPLE = [next(path for path in SERVED if path.parent.name == folder) for folder in FOLDERS]


def run_suite(path: Path) -> int:
    """Run the suite on the mock of a contract file and return its exit code."""
    served = ServedContract.create(path, accepted_tokens=frozenset((*TOKENS, *LOGINS)))
    token, other_token = LOGINS if path.name in BASIC else TOKENS
    environment = {"ATHENA_TOKEN": token, "ATHENA_OTHER_TOKEN": other_token}
    with run_http_server(served.app) as address:
        base_url = address + served.contract.base_path
        arguments = ("run", "--contract", str(path), "--base-url", base_url, "--profile", "smoke", "--strict")
        return main(arguments, environment)


@pytest.mark.parametrize("path", SAMPLE, ids=get_id)
def test_suite_passes_on_one_contract_of_each_folder(path: Path) -> None:
    assert run_suite(path) == ExitCode.PASSED


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in SERVED if path not in SAMPLE], ids=get_id)
def test_suite_passes_on_all_other_contracts(path: Path) -> None:
    assert run_suite(path) == ExitCode.PASSED
