"""Tests the startup banner."""

import json
import re
import ssl
from pathlib import Path

from mock_server.cli.certificates import TlsSetup
from mock_server.cli.startup_banner import build_banner
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from spec.document import parse_document
from spec.loader import parse_contract
from tests.mock_server.library_contract import create_sandbox, library, schemas


def list_tokens(sandbox: Sandbox) -> list[str]:
    """Return the tokens in the banner of a sandbox."""
    return re.findall(r"^  (\S+-token) ", build_banner(sandbox, "http://h", colour=False), re.MULTILINE)


def test_banner_lists_tokens_of_existing_users() -> None:
    assert list_tokens(create_sandbox()) == ["demo-token", "expired-token"]


def test_banner_has_no_tokens_without_users() -> None:
    empty = Sandbox(library(), schemas(), Store.create(library()), create_sandbox().clock, 0)
    banner = build_banner(empty, "http://h", colour=False)
    assert "Tokens" not in banner
    assert list_tokens(empty) == []


def test_banner_lists_the_console_unless_it_is_off() -> None:
    sandbox = create_sandbox()
    for has_console in (True, False):
        lines = build_banner(sandbox, "http://h", colour=False, has_console=has_console).splitlines()
        assert ("  http://h/__mock/" in lines) == has_console


def test_banner_names_the_certificate_to_trust() -> None:
    tls = TlsSetup(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Path("/my certs/ca.pem"), is_created=True)
    lines = build_banner(create_sandbox(), "https://h", colour=False, tls=tls).splitlines()
    assert lines[lines.index("Certificate for clients to trust") + 1] == "  /my certs/ca.pem"
    commands = [line for line in lines if line.startswith("  curl ")]
    assert len(commands) == 2
    assert all(command.startswith("  curl --cacert '/my certs/ca.pem' -H ") for command in commands)


def test_banner_names_the_documented_status_of_invalid_input() -> None:
    for responses, status in ((("201", "422"), 422), (("201", "400"), 400), (("201", "default"), 400), (("201",), 422)):
        root = json.loads(json.dumps(library().document.root))
        for path in ("/authors", "/books"):
            create = root["paths"][path]["post"]
            create["responses"] = dict.fromkeys(responses, create["responses"]["201"])
        contract = parse_contract(parse_document(json.dumps(root).encode(), "x.json"))
        sandbox = Sandbox(contract, schemas(), Store.create(contract), create_sandbox().clock, 0)
        assert build_banner(sandbox, "http://h", colour=False).rstrip().endswith(f"   # {status}")
