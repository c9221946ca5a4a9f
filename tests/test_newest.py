"""Tests of `make newest`, with made-up packages and environments."""

import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import newest
from scripts.newest import PACKAGES, NewestError, PackageEnvironment, PinnedPackage, check_newest, find_newest_version
from tests.mock_process import ROOT

CONNEXION = PACKAGES[0]
PINNED = newest.read_pinned_version(CONNEXION.name)


@dataclass(frozen=True, slots=True)
class FakeEnvironment(PackageEnvironment):
    """An environment that installs nothing. `error`: of the installation."""

    error: str = ""
    passed: bool = True

    def create(self) -> None:
        """Create nothing."""

    def install(self, *arguments: str) -> None:
        assert arguments == ("--upgrade", f"{CONNEXION.requirement}==99.1")
        if self.error:
            raise NewestError(self.error)

    def run_tests(self, tests: Sequence[str]) -> tuple[bool, str]:
        assert tests == CONNEXION.tests
        return self.passed, "3 passed" if self.passed else "1 failed"


def check(monkeypatch: pytest.MonkeyPatch, version: str, *, error: str = "", passed: bool = True) -> str:
    monkeypatch.setattr(newest, "find_newest_version", lambda name: version)
    return check_newest(CONNEXION, FakeEnvironment(Path("a"), Path("b"), error, passed))


def test_newest_version_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, "99.1") == f"ok    connexion 99.1 (pinned: {PINNED}): 3 passed"
    assert check(monkeypatch, "99.1", passed=False) == f"FAIL  connexion 99.1 (pinned: {PINNED}): 1 failed"


def test_pinned_version_is_not_tested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"ok    connexion {PINNED} is the newest version"
    assert check(monkeypatch, PINNED, error="not called") == line


def test_failed_installation_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"skip  connexion {PINNED}: cannot install the newest version: no network"
    assert check(monkeypatch, "99.1", error="no network") == line


def write_wheel(folder: Path, version: str) -> None:
    with zipfile.ZipFile(folder / f"sample-{version}-py3-none-any.whl", "w") as wheel:
        info = f"sample-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: sample\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_newest_version_is_that_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.9", "1.10", "2.0rc1"):
        write_wheel(tmp_path, version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert find_newest_version("sample") == "1.10"
    with pytest.raises(NewestError, match="No matching distribution found for other"):
        find_newest_version("other")


def test_checkout_is_copied_without_untracked_files(tmp_path: Path) -> None:
    newest.copy_checkout(tmp_path)
    assert (tmp_path / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_package_is_pinned_and_its_tests_exist(package: PinnedPackage) -> None:
    assert (
        f'"{package.requirement}==' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        or "[" in package.requirement
    )
    assert newest.read_pinned_version(package.name)
    assert [path for path in package.tests if not (ROOT / path).exists()] == []


def test_errors_of_the_copy_do_not_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(target: Path) -> None:
        raise NewestError("not a git repository")

    monkeypatch.setattr(newest, "copy_checkout", fail)
    assert newest.main() == 0
    assert capsys.readouterr().out == "skip  the checkout cannot be copied: not a git repository\n"


def test_failing_newest_version_is_reported_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newest Schemathesis whose tests fail: the end of pytest's output is printed, and nothing else changes."""
    commands: list[list[str]] = []

    def start(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
        commands.append([*command])
        is_test = "pytest" in command
        output = "E   AttributeError: no attribute 'Case'\n==== 2 failed, 1 passed in 3.21s ====\n" if is_test else ""
        return subprocess.CompletedProcess(command, int(is_test), output, "")

    lock = (ROOT / newest.LOCK).read_bytes()
    installed = importlib.metadata.version("schemathesis")
    monkeypatch.setattr(newest, "PACKAGES", PACKAGES[1:])
    monkeypatch.setattr(newest, "copy_checkout", lambda target: target.mkdir(exist_ok=True))
    monkeypatch.setattr(newest, "find_newest_version", lambda name: "99.1")
    monkeypatch.setattr(newest, "_start", start)
    assert newest.main() == 0
    line = (
        f"FAIL  schemathesis 99.1 (pinned: {newest.read_pinned_version('schemathesis')}): 2 failed, 1 passed in 3.21s"
    )
    assert capsys.readouterr().out.splitlines()[0] == line
    assert (ROOT / newest.LOCK).read_bytes() == lock
    assert importlib.metadata.version("schemathesis") == installed
    installations = [command for command in commands if "install" in command]
    assert installations
    for command in installations:  # into the temporary environment, never into that of the checkout
        python = Path(command[command.index("--python") + 1])
        assert not python.is_relative_to(ROOT)
        assert python != Path(sys.executable)
