"""Tests the project with the newest versions of packages that it pins exactly. Reports only: always exits with 0.

    python -m scripts.newest

For each package with a newer version, an environment in a temporary folder gets the locked packages, then that version.
A few tests run in a copy of the checkout, which stays unchanged.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
TIMEOUT = 900  # seconds for one command
MAX_REASON_CHARS = 200
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


class NewestError(Exception):
    """The newest version of a package could not be installed or tested."""


@dataclass(frozen=True, slots=True)
class PinnedPackage:
    """`requirement`: with extras, without a version. `tests`: what runs with its newest version."""

    name: str
    requirement: str
    tests: tuple[str, ...]


PACKAGES = (
    PinnedPackage(
        "connexion",
        "connexion[swagger-ui]",
        (
            "tests/mock_server/test_command.py",
            "tests/mock_server/test_outer_app.py",
            "tests/mock_server/test_routing.py",
            "tests/mock_server/test_validation.py",
            "tests/mock_server/behaviour/test_writes.py",
        ),
    ),
    PinnedPackage("schemathesis", "schemathesis", ("tests/conformance/schemathesis_engine/test_engine.py",)),
)


@dataclass(frozen=True, slots=True)
class PackageEnvironment:
    """A virtual environment outside the checkout, and the copy of the checkout that it tests."""

    folder: Path
    checkout: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def create(self) -> None:
        """Create the environment with the locked packages and the project. Raises NewestError."""
        run((sys.executable, "-m", "venv", "--without-pip", str(self.folder)), self.checkout)
        self.install("--no-deps", "--require-hashes", "--requirement", LOCK)
        self.install("--no-deps", "--no-build-isolation", ".")

    def install(self, *arguments: str) -> None:
        """Install packages. Raises NewestError."""
        pip = (
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "--disable-pip-version-check",
            "install",
            "--quiet",
        )
        run((*pip, *arguments), self.checkout)

    def run_tests(self, tests: Sequence[str]) -> tuple[bool, str]:
        """Run tests; return whether they passed, and the last line of pytest."""
        command = (
            self.python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not browser",
            *tests,
        )
        try:
            result = _start(command, self.checkout)
        except subprocess.TimeoutExpired:
            return False, f"no result within {TIMEOUT} s"
        return result.returncode == 0, _last_line(result.stdout + result.stderr)


def run(command: Sequence[str], folder: Path) -> str:
    """Run a command and return its output. Raises NewestError."""
    try:
        result = _start(command, folder)
    except subprocess.TimeoutExpired:
        raise NewestError(f"{command[2]}: no result within {TIMEOUT} s") from None
    if result.returncode:
        raise NewestError(_last_line(result.stderr or result.stdout))
    return result.stdout


def _start(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    env = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "ATHENA_"))}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip("= ")[:MAX_REASON_CHARS] if lines else "no output"


def copy_checkout(target: Path) -> None:
    """Copy the files of the checkout that git tracks. Raises NewestError."""
    for name in run(("git", "ls-files", "-z"), ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def read_pinned_version(name: str) -> str:
    """Return the locked version of a package."""
    match = re.search(rf"^{re.escape(name)}==(\S+)", (ROOT / LOCK).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


def find_newest_version(name: str) -> str:
    """Return the newest version that pip finds. Raises NewestError."""
    options = ("--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report=-")
    report = json.loads(run((*PIP, "install", *options, name), ROOT))
    return str(report["install"][0]["metadata"]["version"])


def check_newest(package: PinnedPackage, environment: PackageEnvironment) -> str:
    """Return one line with the result of a package."""
    pinned = read_pinned_version(package.name)
    try:
        newest = find_newest_version(package.name)
        if newest == pinned:
            return f"ok    {package.name} {pinned} is the newest version"
        environment.create()
        environment.install("--upgrade", f"{package.requirement}=={newest}")
    except NewestError as error:
        return f"skip  {package.name} {pinned}: cannot install the newest version: {error}"
    passed, summary = environment.run_tests(package.tests)
    return f"{'ok  ' if passed else 'FAIL'}  {package.name} {newest} (pinned: {pinned}): {summary}"


def list_results(folder: Path) -> Iterator[str]:
    """Yield one line for each package. Raises NewestError if the checkout cannot be copied."""
    checkout = folder / "checkout"
    copy_checkout(checkout)
    for package in PACKAGES:
        yield check_newest(package, PackageEnvironment(folder / package.name, checkout))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="athena-newest-") as folder:
        try:
            for line in list_results(Path(folder)):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
        except NewestError as error:
            sys.stdout.write(f"skip  the checkout cannot be copied: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
