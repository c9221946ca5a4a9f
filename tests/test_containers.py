"""Tests of the container image and of the Compose file, without a container engine.

The slow test builds every stage of the Dockerfile in a folder (see `dockerfile.py`), and runs the commands there.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli.commands import parse_settings
from fixtures import dataset
from mock_server.cli.main import parse_settings as parse_mock_settings
from mock_server.cli.settings import OPTIONS
from scripts.container_health import build_urls
from tests.dockerfile import DockerfileBuild, list_context_files, parse_dockerfile
from tests.document_texts import read
from tests.mock_process import MODULE, ROOT, build_environment, run_mock
from tests.test_document_commands import find_free_port

STAGES = {stage.name: stage for stage in parse_dockerfile((ROOT / "Dockerfile").read_text(encoding="utf-8"))}
IGNORE_FILE = (ROOT / ".dockerignore").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "examples/compose/compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
GUIDE = "docs/guides/containers.md"


# Build context


def test_context_has_only_what_the_image_needs() -> None:
    files = [str(path) for path in list_context_files(ROOT, IGNORE_FILE)]
    assert {"pyproject.toml", "locks/run.lock", "spec/openapi.yaml", "scripts/container_health.py"} <= set(files)
    unwanted = re.compile(r"(^|/)(\.git|\.venv\w*|tests|bench|docs|build|__pycache__)(/|$)|\.(pyc|db)$|\.env$")
    assert [path for path in files if unwanted.search(path)] == []
    assert sum((ROOT / path).stat().st_size for path in files) < 10_000_000


def test_last_matching_pattern_of_a_dockerignore_counts(tmp_path: Path) -> None:
    for name in ("a/x.py", "a/__pycache__/x.pyc", "a/m.db", "b/x.py", "c.txt", ".env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = list_context_files(tmp_path, "# comment\n*\n!a/\n!c.txt\n**/__pycache__\n**/*.db\n")
    assert [str(path) for path in files] == ["a/x.py", "c.txt"]


# Dockerfile


def test_default_target_is_the_mock() -> None:
    assert list(STAGES)[-1] == "mock"
    assert {stage.parent for stage in STAGES.values()} - set(STAGES) == {"${BASE}"}


@pytest.mark.parametrize("name", ["mock", "suite"])
def test_commands_run_without_root_privileges(name: str) -> None:
    users = [i.text for i in STAGES[name].instructions if i.keyword == "USER"]
    assert users == ["10001"]
    keywords = [i.keyword for i in STAGES[name].instructions]
    assert keywords.index("USER") < keywords.index("RUN")


def test_settings_in_the_image_are_valid() -> None:
    text = " ".join(i.text for stage in STAGES.values() for i in stage.instructions if i.keyword == "ENV")
    variables = set(re.findall(r"\b(ATHENA_\w+)=", text))
    assert {"ATHENA_MOCK_HOST", "ATHENA_MOCK_PORT", "ATHENA_MOCK_EPOCH"} == variables
    assert variables <= {str(option.envvar) for option in OPTIONS}


def test_epoch_of_the_image_is_documented() -> None:
    (epoch,) = [i.text.partition("=")[2] for i in STAGES["mock"].instructions if i.text.startswith("EPOCH=")]
    assert parse_mock_settings(["--epoch", epoch]).epoch is not None
    assert f"`{epoch[:10]}" in read(GUIDE)


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "http://127.0.0.1:8000/__mock/health"),
        ({"ATHENA_MOCK_PORT": "9000"}, "http://127.0.0.1:9000/__mock/health"),
        ({"ATHENA_MOCK_TLS": "self-signed"}, "https://127.0.0.1:8000/__mock/health"),
        ({"ATHENA_MOCK_TLS": "", "ATHENA_MOCK_TLS_CERT": "/c.pem"}, "https://127.0.0.1:8000/__mock/health"),
    ],
)
def test_health_check_requests_the_configured_address(env: dict[str, str], url: str) -> None:
    urls = build_urls(env)
    assert urls[0] == url
    assert sorted(urls) == [re.sub("https?", scheme, url) for scheme in ("http", "https")]


def run_health_check(**env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "scripts/container_health.py")]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=20)


@pytest.mark.slow
def test_health_check_of_a_mock_with_the_argument_tls_succeeds(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the optional dependency tls is not installed")
    port = str(find_free_port())
    with run_mock((*MODULE, "--port", port, "--tls", "self-signed"), build_environment(tmp_path)):
        result = run_health_check(ATHENA_MOCK_PORT=port)
    assert (result.returncode, result.stderr) == (0, "")


def test_health_check_of_no_server_is_one_line() -> None:
    result = run_health_check(ATHENA_MOCK_PORT=str(find_free_port()))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "/__mock/health: " in result.stderr


# Compose


def test_services_of_the_compose_file_build_existing_stages() -> None:
    assert {service["image"]: service["build"].get("target", "mock") for service in SERVICES.values()} == {
        "athena-mock": "mock",
        "athena-conformance": "suite",
    }
    folder = ROOT / "examples/compose"
    assert {(folder / service["build"]["context"]).resolve() for service in SERVICES.values()} == {ROOT}


def test_profiles_of_the_compose_file_are_documented() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert profiles == {"mock": [], "mock-store": ["store"], "suite": ["suite"]}
    assert [p for p in ("--profile store", "--profile suite", "--exit-code-from suite") if p not in read(GUIDE)] == []


def test_ports_of_the_compose_file_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:8000", port)] == []


def test_variables_of_the_compose_file_are_documented() -> None:
    text = (ROOT / "examples/compose/compose.yaml").read_text(encoding="utf-8")
    variables = set(re.findall(r"\$\{(\w+)", text))
    assert {"MOCK_PORT", "MOCK_STORE_PORT", "TARGET"} < variables
    assert [name for name in variables if name not in read(GUIDE)] == []


def test_environment_of_the_compose_mocks_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ATHENA_MOCK_")]:
        monkeypatch.delenv(name)
    for name, value in SERVICES["mock-store"]["environment"].items():
        monkeypatch.setenv(name, value)
    store = parse_mock_settings([]).store
    (volume,) = SERVICES["mock-store"]["volumes"]
    assert store is not None
    assert f"store:{store.parent}" == volume
    assert any(f"mkdir {store.parent.name}" in i.text for i in STAGES["mock"].instructions)


def expand(text: str, **variables: str) -> str:
    """Replace `${NAME:-default}` as Compose does."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: variables.get(match[1]) or match[2], text)


def test_suite_of_the_compose_file_checks_the_mock_or_a_given_service() -> None:
    command, *arguments = SERVICES["suite"]["command"]
    assert command == "run"
    settings = parse_settings([expand(a) for a in ["run", *arguments]], {})
    assert (settings.base_url, settings.allow_writes_to) == ("http://mock:8000/api/v1", ("mock",))
    target = {"TARGET": "http://host.docker.internal:5000/api/v1", "TARGET_HOST": "host.docker.internal"}
    settings = parse_settings([expand(a, **target) for a in ["run", *arguments]], {})
    assert (settings.base_url, settings.allow_writes_to) == (target["TARGET"], (target["TARGET_HOST"],))
    assert SERVICES["suite"]["depends_on"] == {"mock": {"condition": "service_healthy"}}


# Builds


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> DockerfileBuild:
    """A build without built stages; its base image is a new environment of this Python."""
    folder = tmp_path_factory.mktemp("container")
    context = folder / "context"
    for path in list_context_files(ROOT, IGNORE_FILE):
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, context / path)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "base")], check=True, timeout=120)
    inherited = {name: value for name, value in os.environ.items() if _belongs_to_an_image(name)}
    search_path = f"{folder / 'base' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return DockerfileBuild(STAGES, folder / "stages", context, inherited | {"PATH": search_path})


def _belongs_to_an_image(name: str) -> bool:
    return (
        not name.startswith(("ATHENA_", "PYTHON", "XDG_", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV")) and name != "HOME"
    )


@contextmanager
def run_image(build: DockerfileBuild, name: str, **env: str) -> Iterator[None]:
    """Run the entry point of a built stage until the block ends."""
    stage = build.select(name)
    variables = build.build_environment(stage, **env)
    program = shutil.which(STAGES[name].find("ENTRYPOINT").arguments[0], path=variables["PATH"])
    assert program is not None
    assert program.startswith(str(build.current))
    process = subprocess.Popen(
        [program],
        cwd=build.localize(stage.workdir),
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def is_healthy(build: DockerfileBuild, name: str, port: int) -> bool:
    """Run the health check of a stage, once."""
    command = STAGES[name].find("HEALTHCHECK").arguments
    return build.run(build.built[name], command, ATHENA_MOCK_PORT=str(port)).returncode == 0


def wait_until_healthy(build: DockerfileBuild, name: str, port: int) -> None:
    deadline = time.monotonic() + 30
    while not is_healthy(build, name, port):
        assert time.monotonic() < deadline, f"{name} is not healthy on port {port}"
        time.sleep(0.2)


def list_images(build: DockerfileBuild) -> list[Path]:
    return sorted((build.current / "home/athena/.cache/athena-mock").glob("*"))


@pytest.mark.slow
def test_images_of_mock_and_suite_run(build: DockerfileBuild) -> None:
    """One test, so that each stage is built once."""
    build.build("suite")
    build.build("mock")
    port = find_free_port()
    with run_image(build, "mock", ATHENA_MOCK_PORT=str(port)):
        images = list_images(build)
        assert len(images) == 1, "the image has no prebuilt dataset"
        wait_until_healthy(build, "mock", port)
        assert not is_healthy(build, "mock", find_free_port()), "the health check ignores ATHENA_MOCK_PORT"
        assert list_images(build) == images, "the start did not use the prebuilt dataset"
        assert find_modules(build, "mock") == []
        build.select("suite")
        result = run_suite(build, port)
        assert result.returncode == 0, result.stdout + result.stderr
        assert (build.current / "home/athena/reports/junit.xml").exists()
        assert find_modules(build, "suite") == ["schemathesis"]


def find_modules(build: DockerfileBuild, name: str) -> list[str]:
    """Which of some packages a stage has: build tools, and the engine of the suite."""
    stage, modules = build.select(name), ["pip", "setuptools", "schemathesis"]
    program = f"import importlib.util as u; print(*[m for m in {modules} if u.find_spec(m)])"
    return build.run(stage, ["/opt/athena/bin/python", "-c", program]).stdout.split()


def run_suite(build: DockerfileBuild, port: int) -> "subprocess.CompletedProcess[str]":
    command = STAGES["suite"].find("ENTRYPOINT").arguments
    options = [f"--base-url=http://127.0.0.1:{port}/api/v1", "--operation=listAgents", "--no-fuzzing"]
    tokens = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
    return build.run(build.built["suite"], [*command, "run", *options, "--report-dir=reports"], **tokens)


def test_every_dataset_is_in_the_context() -> None:
    files = {path.stem for path in list_context_files(ROOT, IGNORE_FILE) if path.parent.name == "datasets"}
    assert files == set(dataset.list_names())
