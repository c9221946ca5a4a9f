"""`make` in a checkout without .venv: each target installs what it needs, once, in any order.

The checkout has the Makefile and the scripts of this project, but small locks and a small project, so that it installs
without a network: `mock`, `suite` and `pytest` are packages of the locks for the mock, the suite and everything.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.mock_process import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]

LOCKS = {
    "locks/run.lock": ("mock",),
    "locks/conformance.lock": ("mock", "suite"),
    "requirements.lock": ("mock", "suite", "pytest"),
}
SETTINGS = {"conform": ("TARGET=http://127.0.0.1:9",), "mock": ("PORT=8001",), "test": (), "install": ()}
BUILD_BACKEND = """
import pathlib, shutil

def build_editable(folder, settings=None, metadata=None):
    shutil.copy("project-1-py3-none-any.whl", folder)
    return "project-1-py3-none-any.whl"
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "project"
version = "1"
"""


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Write a wheel of version 1."""
    info = f"{name}-1.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    record = [f"{p},sha256={base64.urlsafe_b64encode(d).rstrip(b'=').decode()},\n" for p, d in digests.items()]
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in (*files.items(), (f"{info}/RECORD", "".join(record) + f"{info}/RECORD,,\n")):
            archive.writestr(file, text)
    return path


class Checkout:
    """The checkout, and the calls of pip and make in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder / "checkout", folder / "wheels"
        self.log = folder / "pip.log"
        (self.folder / "locks").mkdir(parents=True)
        (self.folder / "scripts").mkdir()
        self.wheels.mkdir()
        shutil.copy(ROOT / "Makefile", self.folder)
        for name in ("install.sh", "conform.sh"):
            shutil.copy(ROOT / "scripts" / name, self.folder / "scripts")
        scripts = "import sys\n\ndef main():\n    print('mock', *sys.argv[1:])\n"
        entry_points = "[console_scripts]\nathena-mock = project:main\n"
        write_wheel(
            self.folder, "project", {"project.py": scripts, "project-1.dist-info/entry_points.txt": entry_points}
        )
        self.write("pyproject.toml", PYPROJECT)
        self.write("backend.py", BUILD_BACKEND)
        self.write("setup.py", "")
        self.write("conformance.py", "import suite\nprint('suite')\n")
        for name in LOCKS["requirements.lock"]:
            write_wheel(self.wheels, name, {f"{name}.py": f"print({name!r})\n"})
        for lock, names in LOCKS.items():
            self.write(lock, "".join(self.requirement(name) for name in names))

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)

    def requirement(self, name: str) -> str:
        digest = hashlib.sha256((self.wheels / f"{name}-1-py3-none-any.whl").read_bytes()).hexdigest()
        return f"{name}==1 --hash=sha256:{digest}\n"

    def make(self, *arguments: str, status: int = 0, **env: str) -> str:
        """The output of make, which exits with `status`."""
        self.log.unlink(missing_ok=True)
        variables = {n: v for n, v in os.environ.items() if not n.startswith(("MAKE", "MFLAGS", "PIP_", "PYTHON"))}
        variables |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        variables |= {"PIP_LOG": str(self.log), "PYTHON": "", **env}
        command = ("make", *arguments)
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == (status != 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def installed(self) -> list[str]:
        """The packages that the last call of make installed."""
        log = self.log.read_text() if self.log.exists() else ""
        lists = re.findall(r"Successfully installed (.*)", log)
        return [name.removesuffix("-1") for names in lists for name in names.split()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_mock_then_conform_then_test_install_each_package_once(checkout: Checkout) -> None:
    assert "mock --port 8001" in checkout.make("mock", "PORT=8001")
    assert checkout.installed() == ["mock", "project"]
    assert "suite" in checkout.make("conform", "TARGET=http://127.0.0.1:9")
    assert checkout.installed() == ["suite"]
    assert "pytest" in checkout.make("test")
    assert checkout.installed() == ["pytest"]
    for target in ("mock", "conform", "test", "install"):
        output = checkout.make(target, *SETTINGS[target])
        assert "Installing" not in output
        assert not checkout.log.exists()  # pip was not called


def test_commands_are_installed_without_starting_them(checkout: Checkout) -> None:
    assert "mock" not in checkout.make("install-mock").splitlines()
    assert checkout.installed() == ["mock", "project"]
    assert "suite" not in checkout.make("install-conformance").splitlines()
    assert checkout.installed() == ["suite"]


def test_test_then_mock_installs_each_package_once(checkout: Checkout) -> None:
    assert "pytest" in checkout.make("test")
    assert sorted(checkout.installed()) == ["mock", "project", "pytest", "suite"]
    for target in ("mock", "conform"):
        checkout.make(target, *SETTINGS[target])
        assert not checkout.log.exists()


def test_changed_project_is_installed_again_without_its_packages(checkout: Checkout) -> None:
    checkout.make("test")
    later = (checkout.folder / ".venv" / ".ready-all").stat().st_mtime + 1
    os.utime(checkout.folder / "pyproject.toml", (later, later))
    checkout.make("mock")
    assert checkout.installed() == ["project"]


def test_changed_lock_rebuilds_the_environment(checkout: Checkout) -> None:
    checkout.make("test")
    checkout.write("locks/run.lock", f"# changed\n{checkout.requirement('mock')}")
    assert "Creating .venv" in checkout.make("mock")
    assert checkout.installed() == ["mock", "project"]


def test_moved_checkout_rebuilds_the_environment(checkout: Checkout) -> None:
    checkout.make("mock")
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert "mock" in checkout.make("mock")
    assert checkout.installed() == ["mock", "project"]


def test_failed_download_leaves_the_mock_usable(checkout: Checkout) -> None:
    checkout.make("mock")
    output = checkout.make("test", status=2, PIP_FIND_LINKS="")
    assert "pip did not install requirements.lock. Without access to pypi.org, set an index (PIP_INDEX_URL)" in output
    assert "mock" in checkout.make("mock")
    assert not checkout.log.exists()
    assert "pytest" in checkout.make("test")
    assert sorted(checkout.installed()) == ["pytest", "suite"]


def test_interrupted_installation_is_rebuilt(checkout: Checkout) -> None:
    checkout.make("mock")
    for name in (".locked", ".ready-mock"):  # as while pip runs
        (checkout.folder / ".venv" / name).unlink()
    assert "Creating .venv" in checkout.make("mock")
    assert checkout.installed() == ["mock", "project"]


def test_python_of_another_version_rebuilds_the_environment(checkout: Checkout) -> None:
    checkout.make("mock")
    assert "Creating" not in checkout.make("mock", PYTHON=sys.executable)
    other = checkout.folder.parent / "python"
    other.write_text(f'#!/bin/sh\ncase $2 in *version_info*) echo 3.12.99 ;; *) exec {sys.executable} "$@" ;; esac\n')
    other.chmod(0o755)
    assert "Creating .venv with Python 3.12.99" in checkout.make("mock", PYTHON=str(other))


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/no/such/python", "PYTHON=/no/such/python does not run: no such command (Python 3.11, 3.12 or 3.13 is"),
        ("true", "PYTHON=true does not run"),
    ],
)
def test_unusable_python_is_one_line(checkout: Checkout, python: str, message: str) -> None:
    output = checkout.make("mock", status=2, PYTHON=python)
    assert output.startswith(message)
    assert len(output.splitlines()) == 2  # the other one is make's


def test_reason_of_a_shim_is_printed(checkout: Checkout) -> None:
    shim = checkout.folder.parent / "python3.12"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\necho more >&2\nexit 127\n")
    shim.chmod(0o755)
    output = checkout.make("mock", status=2, PYTHON=str(shim))
    reason = "pyenv: python3.12: command not found (Python 3.11, 3.12 or 3.13 is required)."
    assert output.startswith(f"PYTHON={shim} does not run: {reason}\n")


def test_unknown_level_is_a_usage_error() -> None:
    done = subprocess.run([ROOT / "scripts/install.sh", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "usage: scripts/install.sh [mock|conformance|all|python] (got: x)\n",
    )
