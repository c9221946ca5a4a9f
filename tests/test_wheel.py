"""The distribution: what a wheel contains, and the commands that it installs in an empty environment."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.mock_process import ROOT, build_environment, run_mock

FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FOLDERS = ("spec", "fixtures", "mock_server", "conformance")
WHEEL_ROOT = "athena_contract/_packages"
INTERPRETERS = ("3.11", "3.12", "3.13")
BUILD_SCRIPT = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
FIND_MODULES_SCRIPT = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"

# The distribution


def run(*command: str | Path, folder: Path, **env: str) -> str:
    """Run a command and return its output; fail if it exits with an error."""
    result = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def build(command: str, source: Path, target: Path) -> Path:
    """Build the distribution of the project in `source`. `command`: a hook of its build backend."""
    target.mkdir()
    run(sys.executable, "-c", BUILD_SCRIPT, command, target, folder=source)
    (file,) = target.iterdir()
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distribution")


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    """A copy of the files of the project that a wheel needs, since a build writes to its folder."""
    copy = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in (*FOLDERS, "scripts/athena_contract"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(folder: Path, source: Path) -> Path:
    return build("build_wheel", source, folder / "wheel")


def read_contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_installs_one_top_level_package(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in read_contents(wheel)}
    assert {name for name in names if not name.endswith(".dist-info")} == {"athena_contract"}


def test_wheel_has_all_files_of_the_packages(wheel: Path, source: Path) -> None:
    files = [
        path
        for folder in FOLDERS
        for path in (source / folder).rglob("*")
        if path.is_file() and path.suffix != ".md" and path.parent != source / "spec" / "dist"
    ]
    expected = {f"{WHEEL_ROOT}/{path.relative_to(source).as_posix()}": path.read_bytes() for path in files}
    assert {name: data for name, data in read_contents(wheel).items() if name.startswith(WHEEL_ROOT)} == expected
    assert f"{WHEEL_ROOT}/fixtures/dataset.schema.json" in expected


@pytest.mark.slow
def test_wheel_of_the_sdist_is_the_same(wheel: Path, source: Path, folder: Path) -> None:
    with tarfile.open(build("build_sdist", source, folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    assert read_contents(build("build_wheel", unpacked, folder / "second-wheel")) == read_contents(wheel)


@pytest.mark.slow
def test_wheel_has_no_file_of_an_earlier_build(wheel: Path, source: Path, folder: Path) -> None:
    deleted_file = source / "build/lib" / WHEEL_ROOT / "spec/deleted.yaml"
    deleted_file.parent.mkdir(parents=True, exist_ok=True)
    deleted_file.touch()
    assert read_contents(build("build_wheel", source, folder / "later-wheel")) == read_contents(wheel)


def test_uv_builds_another_wheel_after_a_change_of_any_file() -> None:
    """Each file of a wheel matches a cache key of uv, which by default are only `pyproject.toml` and `setup.py`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    keys = [key["file"] for key in project["tool"]["uv"]["cache-keys"]]
    assert {"pyproject.toml", "setup.py"} <= set(keys)
    patterns = [re.compile(translate_glob(key)) for key in keys]
    paths = [path for folder in (*FOLDERS, "scripts/athena_contract") for path in (ROOT / folder).rglob("*.*")]
    files = {path.relative_to(ROOT).as_posix() for path in paths if path.suffix not in (".md", ".pyc")}
    assert {"spec/openapi.yaml", "scripts/athena_contract/py.typed"} <= files
    assert [file for file in files if not any(pattern.fullmatch(file) for pattern in patterns)] == []


def translate_glob(glob: str) -> str:
    """Return the regular expression for a glob with `**/`, `*` and `{a,b}`."""
    tokens = {"**/": "(?:.+/)?", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|"}
    return re.sub(r"\*\*/|[*{},]|[^*{},]+", lambda match: tokens.get(match[0]) or re.escape(match[0]), glob)


# The installed commands


def find_interpreter(version: str) -> str | None:
    """Return the interpreter of a version: the current one, from PATH, or from pyenv."""
    if "{}.{}".format(*sys.version_info) == version:
        return sys.executable
    command = f"python{version}"
    pyenv_paths = Path(os.environ.get("PYENV_ROOT", "")).glob(f"versions/{version}.*/bin/{command}")
    for candidate in (shutil.which(command), *map(str, sorted(pyenv_paths))):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


class Environment:
    """A virtual environment, used from a folder that has packages `spec` and `fixtures` too."""

    def __init__(self, root: Path, interpreter: str) -> None:
        self.bin = root / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        self.folder = root / "project"
        for name in ("spec", "fixtures"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "__init__.py").write_text("raise AssertionError(__file__)")
        self.variables = build_environment(root / "cache")
        self.variables.pop("PYTHONPATH", None)
        run(interpreter, "-m", "venv", root / "venv", folder=root)

    def install(self, *requirements: str) -> None:
        command = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
        run(self.bin / "python", *command, folder=self.folder)

    def execute(self, command: str, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        variables = {**self.variables, **env}
        return subprocess.run(
            [self.bin / command, *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module", params=INTERPRETERS)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """An environment with PyPI's `fixtures`, and the wheel without its extras."""
    interpreter = find_interpreter(request.param)
    if interpreter is None:
        pytest.skip(f"there is no Python {request.param}")
    environment = Environment(tmp_path_factory.mktemp("environment"), interpreter)
    environment.install("fixtures")
    environment.install(str(wheel))
    return environment


@pytest.mark.slow
def test_installed_commands_work_next_to_other_packages(environment: Environment) -> None:
    """One test, since the second part changes the environment of the first one."""
    modules = environment.execute("python", "-P", "-c", FIND_MODULES_SCRIPT, *FOLDERS, "athena_contract", "testtools")
    assert modules.stdout.split() == ["fixtures", "athena_contract"], modules.stderr
    assert environment.execute("python", "-P", "-c", "import fixtures; fixtures.TempDir").returncode == 0
    for command in ("athena-mock", "athena-conformance"):
        version = environment.execute(command, "--version")
        assert version.stdout == f"{command} 0.1.0 (contract: Athena API 1.0.0)\n", version.stderr
    suite = environment.execute("athena-conformance", "run", "--base-url", "http://127.0.0.1:9")
    assert suite.returncode == 2
    assert suite.stderr.count("\n") == 1
    assert "pip install 'athena-contract[conformance]'" in suite.stderr

    environment.install("athena-contract[conformance]")  # adds the extra to the installed wheel
    mock = (str(environment.bin / "athena-mock"), "--port", "0", "--quiet")
    with run_mock(mock, environment.variables, folder=environment.folder) as (_, banner):
        base = "http://127.0.0.1:" + re.findall(r"127\.0\.0\.1:(\d+)", banner)[0]
        request = urllib.request.Request(f"{base}/api/v1/agents", headers={"Authorization": "Bearer demo-token"})
        with urllib.request.urlopen(request) as response:
            assert response.status == 200
        arguments = ("--base-url", base, "--operation", "listAgents", "--profile", "smoke")
        suite = environment.execute("athena-conformance", "run", *arguments, ATHENA_TOKEN="demo-token")
        pytest_items = environment.execute("athena-conformance", "pytest", *arguments, ATHENA_TOKEN="demo-token")
    assert suite.returncode == 0, suite.stdout + suite.stderr
    assert "PASSED" in suite.stdout
    assert pytest_items.returncode == 0, pytest_items.stdout + pytest_items.stderr
    selection = ("--operation", "listAgents", "--check", "unauthenticated-is-401")
    # The child processes of this command must find the packages too.
    mutation_test = environment.execute(
        "athena-conformance", "mutation-test", "--sample", "1", "--min", "0", *selection
    )
    assert mutation_test.returncode == 0, mutation_test.stdout + mutation_test.stderr
