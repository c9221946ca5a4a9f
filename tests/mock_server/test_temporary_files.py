"""Tests what is deleted of the files that a killed process left, and what is not."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mock_server.store.temporary_files import build_temporary_path, delete_abandoned

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are not examined there")


def build_path_of_ended_process(path: Path) -> Path:
    """Return the temporary path of a process that has ended."""
    with subprocess.Popen((sys.executable, "-c", "")) as process:
        process.wait()
    return Path(str(build_temporary_path(path)).replace(f"-{os.getpid()}.new", f"-{process.pid}.new"))


@pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
def test_file_of_an_ended_process_is_deleted(tmp_path: Path, suffix: str) -> None:
    path = build_path_of_ended_process(tmp_path / "mock.db")
    path.with_name(path.name + suffix).touch()
    delete_abandoned(tmp_path, "mock.db.")
    assert list(tmp_path.iterdir()) == []


def test_folder_of_an_ended_process_is_deleted(tmp_path: Path) -> None:
    folder = build_path_of_ended_process(tmp_path / "folder")
    folder.mkdir()
    (folder / "file").touch()
    delete_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_file_of_a_running_process_is_not_deleted(tmp_path: Path) -> None:
    path = Path(str(build_temporary_path(tmp_path / "mock.db")).replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
    path.touch()
    delete_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["mock.db", "mock.db-wal", "mock.db.new", "x.host-1.new.bak", "x.host-a.new"])
def test_other_files_are_not_deleted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    delete_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_files_with_another_prefix_are_not_deleted(tmp_path: Path) -> None:
    path = build_path_of_ended_process(tmp_path / "another.db")
    path.touch()
    delete_abandoned(tmp_path, "mock.db.")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("age_hours", "is_deleted"), [(1, False), (25, True)])
def test_file_of_another_host_is_deleted_after_a_day(tmp_path: Path, age_hours: int, is_deleted: bool) -> None:
    path = tmp_path / "k.another_host-1.new"
    path.touch()
    os.utime(path, (time.time() - age_hours * 3600,) * 2)
    delete_abandoned(tmp_path)
    assert path.exists() is not is_deleted


def test_missing_folder_is_no_error(tmp_path: Path) -> None:
    delete_abandoned(tmp_path / "nowhere")


def test_name_of_the_host_has_no_special_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "a-b.example/..")
    path = build_temporary_path(tmp_path / "mock.db")
    assert path.name == f"mock.db.a_b_example___-{os.getpid()}.new"
    path.touch()
    delete_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []
