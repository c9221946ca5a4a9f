"""Shell scripts of operations whose requests are not JSON below the base path of the contract."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conformance.config.settings import Settings
from conformance.past_runs.report_reader import ReportedResult
from conformance.past_runs.shell_script import build_script
from conformance.trace.sequence import from_json
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract

FAILURE = SimpleNamespace(operation="add", parameter="", check="c", id="1", requirement="", message="", location="")

SETTINGS = SimpleNamespace(
    base_url="http://localhost:1/v1",
    header=(),
    credential=(),
    credential_values={},
    token=None,
    token_env="TOKEN",
    other_token_env="OTHER",
    member_token_env="MEMBER",
)


@pytest.fixture
def contract() -> Contract:
    form = {"type": "object", "properties": {"name": {"type": "string"}}}
    operation = {
        "operationId": "add",
        "servers": [{"url": "https://example.com/files"}],
        "parameters": [{"name": "id", "in": "path", "required": True, "style": "matrix", "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {"204": {"description": "Added"}},
    }
    root = {
        "openapi": "3.0.3",
        "info": {"title": "Files", "version": "1"},
        "servers": [{"url": "https://example.com/v1"}],
        "paths": {"/x/{id}": {"post": operation}},
    }
    return parse_contract(parse_document(json.dumps(root).encode(), "files"))


def test_script_has_media_type_and_base_path_of_the_operation(contract: Contract, tmp_path: Path) -> None:
    request: dict[str, Any] = {"path": {"id": "7"}, "query": [], "body": {"name": "a b"}, "raw": None, "headers": {}}
    step: dict[str, Any] = {"operation": "add", "method": "post", "actor": "anonymous", "status": 204}
    step |= {"evidence": True, "request": json.dumps(request)}
    sequence = from_json({"marker": "m", "steps": [step], "identifiers": []}, contract)
    script = tmp_path / "replay.sh"
    script.write_text(build_script(sequence, contract, cast(ReportedResult, FAILURE), cast(Settings, SETTINGS)))
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nfor argument; do echo "$argument" >> "${0%/*}/arguments"; done\nprintf 204\n')
    curl.chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", str(script)], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=False
    )
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert result.returncode == 0
    assert arguments[-1] == "http://localhost:1/files/x/;id=7"
    assert "Content-Type: application/x-www-form-urlencoded" in arguments
    assert "name=a+b" in arguments
