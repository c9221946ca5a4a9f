"""The greeting names only what there is."""

import re

from mock_server.cli.startup_banner import build_banner
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from tests.mock_server.library import app, library, schemas, world


def tokens(of: Sandbox) -> list[str]:
    """The tokens that the greeting of a world names."""
    return re.findall(r"^  (\S+-token) ", build_banner(app(of=of), of, "http://h", colour=False), re.MULTILINE)


def test_a_token_is_named_when_it_has_a_user() -> None:
    assert tokens(world()) == ["demo-token", "expired-token"]


def test_where_there_are_no_users_there_are_no_tokens() -> None:
    nobody = Sandbox(library(), schemas(), Store.create(library()), world().clock, 0)
    said = build_banner(app(of=nobody), nobody, "http://h", colour=False)
    assert "Tokens" not in said
    assert tokens(nobody) == []
