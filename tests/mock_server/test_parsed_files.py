"""The cache of large YAML files."""

from pathlib import Path
from typing import Any

import pytest

from mock_server import image_cache, parsed_files
from spec import document
from spec.errors import ContractError

TEXT = b"a: [1, two]\nb: {c: null}\n"
VALUE = {"a": [1, "two"], "b": {"c": None}}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Use an empty cache folder for files of any size; returns the names of the files that were parsed."""
    names: list[str] = []

    def load(content: bytes, name: str, load: Any = document.load_mapping) -> dict[str, Any]:
        names.append(name)
        result: dict[str, Any] = load(content, name)
        return result

    monkeypatch.setattr(document, "load_mapping", load)
    monkeypatch.setattr(image_cache, "find_cache_folder", lambda: tmp_path)
    monkeypatch.setattr(parsed_files, "MIN_BYTES", 10)
    return names


def test_large_file_is_parsed_once(parsed: list[str]) -> None:
    assert [parsed_files.load_mapping(TEXT, name) for name in ("one", "two")] == [VALUE, VALUE]
    assert parsed == ["one"]


def test_changed_file_is_parsed_again(parsed: list[str]) -> None:
    parsed_files.load_mapping(TEXT, "one")
    assert parsed_files.load_mapping(TEXT + b"d: 1\n", "two") == {**VALUE, "d": 1}
    assert parsed == ["one", "two"]


def test_damaged_cache_is_not_used(parsed: list[str], tmp_path: Path) -> None:
    parsed_files.load_mapping(TEXT, "one")
    (path,) = tmp_path.glob("*.parsed")
    path.write_bytes(path.read_bytes().replace(b"two", b"six"))
    assert parsed_files.load_mapping(TEXT, "two") == VALUE
    assert parsed == ["one", "two"]


@pytest.mark.parametrize("text", [b'{"a": [1, "two"], "b": {"c": null}}', b"a: 1"])
def test_json_and_small_files_are_not_cached(parsed: list[str], tmp_path: Path, text: bytes) -> None:
    for name in ("one", "two"):
        parsed_files.load_mapping(text, name)
    assert (parsed, list(tmp_path.iterdir())) == (["one", "two"], [])


def test_invalid_file_is_not_cached(parsed: list[str], tmp_path: Path) -> None:
    with pytest.raises(ContractError):
        parsed_files.load_mapping(TEXT + b"a: 1\n", "one")
    assert list(tmp_path.iterdir()) == []


def test_oldest_files_are_deleted(parsed: list[str], tmp_path: Path) -> None:
    for number in range(parsed_files.MAX_CACHED_FILES + 2):
        parsed_files.load_mapping(TEXT + b"d: %d\n" % number, "one")
    assert len(list(tmp_path.iterdir())) == parsed_files.MAX_CACHED_FILES


def test_cache_that_cannot_be_written_is_not_used(
    parsed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "find_cache_folder", lambda: tmp_path / "missing")
    assert [parsed_files.load_mapping(TEXT, name) for name in ("one", "two")] == [VALUE, VALUE]
    assert parsed == ["one", "two"]
