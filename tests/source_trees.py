"""What the tests of the source code share: made-up trees, and failures that list every offender."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.source_tree import SourceFile, read_files


def write_tree(root: Path, files: Mapping[str, str]) -> list[SourceFile]:
    """Write `files` (path -> text) below `root` and read them."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return read_files(root)


def fail_with(lines: list[str]) -> None:
    """Fail with `lines` as the message, unless there are none."""
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
