"""Tests the cache folder of images: its choice, its files, and what is built again."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mock_server.image_cache import MAX_CACHED_IMAGES, find_cache_folder, get_or_build_image
from mock_server.images import ImageError
from tests.mock_server.museum_images import ROOT


@pytest.fixture
def temporary_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private folder in a shared one; the user has no cache folder."""
    if not hasattr(os, "getuid"):
        pytest.skip("folders have no owners here")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"athena-mock-{os.getuid()}"


def test_cache_folder_falls_back_to_a_temporary_folder(temporary_cache: Path) -> None:
    assert [find_cache_folder(), find_cache_folder()] == [temporary_cache, temporary_cache]
    assert stat.S_IMODE(temporary_cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("form", ["open to others", "another's", "a link"])
def test_folder_writable_by_others_is_not_used(
    temporary_cache: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "a link":
        (temporary_cache.parent / "elsewhere").mkdir(mode=0o700)
        temporary_cache.symlink_to(temporary_cache.parent / "elsewhere")
    else:
        temporary_cache.mkdir()
        temporary_cache.chmod(0o777 if form == "open to others" else 0o700)
    if form == "another's":
        temporary_cache.rename(temporary_cache.with_name("athena-mock-4711"))
        monkeypatch.setattr(os, "getuid", lambda: 4711)
    result = find_cache_folder()
    assert result.name.startswith("athena-mock-")
    assert result not in (temporary_cache, temporary_cache.with_name("athena-mock-4711"))
    assert stat.S_IMODE(result.stat().st_mode) == 0o700


def test_image_is_built_once(tmp_path: Path) -> None:
    built_paths: list[Path] = []

    def build_file(path: Path) -> None:
        built_paths.append(path)
        path.write_bytes(b"image")

    assert [get_or_build_image(tmp_path, "k", build_file).read_bytes() for _ in range(2)] == [b"image", b"image"]
    assert len(built_paths) == 1


@pytest.mark.parametrize("content", [b"", b"imagf", b"image and more"])
def test_altered_image_is_built_again(tmp_path: Path, content: bytes) -> None:
    def build_file(path: Path) -> None:
        path.write_bytes(b"image")

    first = get_or_build_image(tmp_path, "k", build_file)
    first.write_bytes(content)
    assert get_or_build_image(tmp_path, "k", build_file).read_bytes() == b"image"
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_image_of_another_key_is_not_used(tmp_path: Path) -> None:
    other = get_or_build_image(tmp_path, "k1", Path.touch)
    assert get_or_build_image(tmp_path, "k", Path.touch) != other


def test_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match=r"/file: Not a directory \(XDG_CACHE_HOME selects another cache folder\)"):
        get_or_build_image(tmp_path / "file", "k", Path.touch)


def test_failed_build_leaves_no_file(tmp_path: Path) -> None:
    def build_file(path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        get_or_build_image(tmp_path, "k", build_file)
    assert list(tmp_path.iterdir()) == []


def test_old_images_are_deleted(tmp_path: Path) -> None:
    for number in range(MAX_CACHED_IMAGES + 3):
        get_or_build_image(tmp_path, f"k{number}", Path.touch)
    assert len(list(tmp_path.glob("*.image"))) == MAX_CACHED_IMAGES


@pytest.mark.slow
def test_concurrent_builds_return_complete_images(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from mock_server.image_cache import get_or_build_image
def make(path):
    with path.open("wb") as file:
        for _ in range(20):
            file.write(b"x" * 1000)
            file.flush()
            time.sleep(0.005)
for number in range(12):
    found = get_or_build_image(Path({str(tmp_path)!r}), f"k{{number}}", make).read_bytes()
    assert found == b"x" * 20_000, len(found)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 4
