"""Contracts that `athena-mock` rejects: all problems on stderr, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from mock_server.actions import ACTIONS, KNOWN_ACTIONS, check_actions
from mock_server.cli.main import main
from spec.errors import ContractError
from spec.loader import load_contract
from tests.mock_server.library_contract import LIBRARY

TEXT = """openapi: 3.0.0
info: {title: A, version: 1}
paths:
  /a:
    get:
      x-action: fly
      x-tags: [1]
      responses: {200: {description: OK}}
  /b:
    get: {responses: {200: {description: OK}}}
  /c:
    get: {x-action: static, responses: {200: {description: OK}}}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "api.yaml"
    path.write_text(TEXT)
    return path


def serve(contract: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mock_server", "--contract", str(contract), "--dataset", "plain", "--port", "0"]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)


def test_all_problems_are_printed_with_their_lines(contract: Path) -> None:
    contract.write_text(TEXT.replace("title: A", 'title: "A\\e"').replace("x-tags", "x-sources"))
    result = serve(contract)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"athena-mock: 3 problems in {contract}:",
        "  line 2: #/info/title: invalid value 'A\\x1b' (expected printable characters)",
        "  line 7: #/paths/~1a/get/x-sources: unknown extension 'x-sources' (expected an extension of the mock; "
        "did you mean x-source?)",
        f"  line 6: #/paths/~1a/get/x-action: invalid value 'fly' (expected one of {', '.join(sorted(KNOWN_ACTIONS))})",
    ]


@pytest.mark.slow
def test_unknown_action_is_rejected_with_the_known_ones(contract: Path) -> None:
    result = serve(contract)
    assert result.returncode == 2
    start, _, names = result.stderr.strip().partition(" (expected one of ")
    assert start == f"athena-mock: {contract}, line 6: #/paths/~1a/get/x-action: invalid value 'fly'"
    assert set(names.removesuffix(")").split(", ")) == {*ACTIONS, "static"}


@pytest.mark.slow
def test_missing_actions_are_rejected_on_request(contract: Path) -> None:
    contract.write_text(TEXT.replace("      x-action: fly\n", ""))
    loaded = load_contract(contract)
    check_actions(loaded)
    with pytest.raises(ContractError) as error:
        check_actions(loaded, requires_actions=True)
    problems = [(problem.location, problem.problem) for problem in error.value.problems]
    assert problems == [
        ("#/paths/~1a/get", "no action for GET /a"),
        ("#/paths/~1b/get", "no action for GET /b"),
    ]
    result = serve(contract, "--require-actions")
    assert result.returncode == 2
    assert [line.partition(" (")[0] for line in result.stderr.splitlines()] == [
        f"athena-mock: 2 problems in {contract}:",
        "  line 5: #/paths/~1a/get: no action for GET /a",
        "  line 9: #/paths/~1b/get: no action for GET /b",
    ]


def test_contract_with_an_action_for_each_operation_is_accepted() -> None:
    check_actions(load_contract(LIBRARY), requires_actions=True)


def test_build_image_prints_all_problems(contract: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract.write_text(TEXT.replace("200", "ok"))
    assert main(["build-image", "--contract", str(contract)]) == 2
    assert capsys.readouterr().err.startswith(f"athena-mock: 3 problems in {contract}:\n  line 8: ")
