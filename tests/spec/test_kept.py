"""What a text says is kept from one start to the next, and what is kept is never believed when it may be wrong."""

import hashlib
import marshal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import document
from spec.contract import load
from spec.document import Document, from_bytes, read, value_of
from spec.errors import ContractError
from spec.kept import KEPT, SUFFIX, Kept

TEXT = b"a: [1, 2.5, true, null, x]\nb: &b {c: d}\ne: *b\n"
SAID = {"a": [1, 2.5, True, None, "x"], "b": {"c": "d"}, "e": {"c": "d"}}
CONTRACT = Path(document.__file__).with_name("openapi.yaml")


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that were parsed."""
    found: list[bytes] = []
    plain: Callable[..., Any] = document._loaded

    def noted(text: bytes, *more: Any) -> Any:
        found.append(text)
        return plain(text, *more)

    monkeypatch.setattr(document, "_loaded", noted)
    return found


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_was_read_once_is_not_parsed_again(tmp_path: Path, parses: list[bytes]) -> None:
    for _ in range(3):
        assert from_bytes(TEXT, "x", Kept(tmp_path)) == Document("x", TEXT, SAID)
    assert parses == [TEXT]


def test_the_contract_says_the_same_kept_as_read(tmp_path: Path) -> None:
    plain = load(CONTRACT)
    for _ in range(2):
        assert load(CONTRACT, Kept(tmp_path)) == plain


def test_another_text_is_another_value(tmp_path: Path, parses: list[bytes]) -> None:
    assert from_bytes(b"a: 1", "x", Kept(tmp_path)).root == {"a": 1}
    assert from_bytes(b"a: 2", "x", Kept(tmp_path)).root == {"a": 2}
    assert len(parses) == 2


def test_a_contract_and_a_plain_value_of_the_same_text_are_told_apart(tmp_path: Path) -> None:
    """In a contract every key is a text."""
    kept = Kept(tmp_path)
    assert from_bytes(b"200: a", "x", kept).root == {"200": "a"}
    assert value_of(b"200: a", "x", kept) == {200: "a"}
    assert from_bytes(b"200: a", "x", kept).root == {"200": "a"}


def test_what_another_reader_kept_is_not_believed(tmp_path: Path, parses: list[bytes]) -> None:
    from_bytes(TEXT, "x", Kept(tmp_path, b"one"))
    from_bytes(TEXT, "x", Kept(tmp_path, b"other"))
    assert len(parses) == 2


@pytest.mark.parametrize("what", ["code", "python"])
def test_a_reader_is_the_code_and_the_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    before = Kept(tmp_path).reader
    if what == "python":
        monkeypatch.setattr(sys, "version", "3.99")
    else:
        monkeypatch.setattr(Path, "read_bytes", lambda path: b"other code")
    assert Kept(tmp_path).reader != before


def cut(whole: bytes) -> bytes:
    return whole[:-3]


def empty(whole: bytes) -> bytes:
    return b""


def changed(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def other(whole: bytes) -> bytes:
    return marshal.dumps({"a": "not said"})


@pytest.mark.parametrize("broken", [cut, empty, changed, other])
def test_a_broken_file_is_made_anew_without_a_word(
    tmp_path: Path, broken: Callable[[bytes], bytes], parses: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    from_bytes(TEXT, "x", Kept(tmp_path))
    [file] = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(broken(whole))
    assert from_bytes(TEXT, "x", Kept(tmp_path)).root == SAID
    assert file.read_bytes() == whole
    assert len(parses) == 2
    assert capfd.readouterr() == ("", "")


def test_a_kept_file_begins_with_the_digest_of_the_rest(tmp_path: Path) -> None:
    from_bytes(TEXT, "x", Kept(tmp_path))
    whole = files(tmp_path)[0].read_bytes()
    assert whole[:32] == hashlib.sha256(whole[32:]).digest()


def test_a_folder_that_cannot_be_written_to_costs_nothing_but_time(tmp_path: Path) -> None:
    there = tmp_path / "file"
    there.write_text("no folder")
    for folder in (there, tmp_path / "missing"):
        assert from_bytes(TEXT, "x", Kept(folder)).root == SAID
    assert files(tmp_path) == [there]


def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ContractError, match="second time"):
            from_bytes(b"a: 1\na: 2", "x", Kept(tmp_path))
    assert files(tmp_path) == []


def test_the_name_in_an_error_is_the_file_that_is_read_now(tmp_path: Path) -> None:
    for name in ("one.yaml", "other.yaml"):
        (tmp_path / name).write_bytes(TEXT)
        assert read(tmp_path / name, Kept(tmp_path)).name == str(tmp_path / name)


def test_only_the_newest_files_stay(tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        from_bytes(b"a: %d" % number, "x", Kept(tmp_path))
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == KEPT == len(files(tmp_path))


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=8,
)


@given(value=json)
def test_any_value_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    kept = Kept(tmp_path_factory.mktemp("kept"))
    assert repr(kept.value(b"text", "kind", lambda: value)) == repr(value)
    assert repr(kept.value(b"text", "kind", lambda: "made again")) == repr(value)
