"""The documents of the project, and their code blocks."""

import re
from functools import cache

from tests.mock_process import ROOT

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md", "conformance/README.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def code_blocks(document: str) -> list[tuple[str, str]]:
    """(language, content) of each code block of a document."""
    return find_code_blocks(read(document))


def find_code_blocks(text: str) -> list[tuple[str, str]]:
    return _BLOCK.findall(text)


def without_code_blocks(document: str) -> str:
    return _BLOCK.sub("", read(document))


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)
