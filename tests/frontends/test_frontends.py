"""Runs the tests of `clients/typescript` and `examples/playwright`, and the commands and files of the guide.

`scripts/frontends.sh` installs what they need.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from tests.document_texts import code_blocks
from tests.mock_process import ROOT, build_environment

pytestmark = pytest.mark.clients
PACKAGE = ROOT / "clients" / "typescript"
EXAMPLE = ROOT / "examples" / "playwright"
GUIDE = "docs/guides/playwright.md"
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `athena-mock` is the command of this checkout."""
    folder = tmp_path_factory.mktemp("frontends")
    command = folder / "bin" / "athena-mock"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m mock_server "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join((str(command.parent), os.environ["PATH"]))
    variables = {"PATH": path, "NO_COLOR": "1", "CI": "1", "CHROMIUM": BROWSER or ""}
    return build_environment(folder / "cache") | variables


def run(folder: Path, env: Mapping[str, str], *command: str) -> str:
    """Run a command that must succeed; return its output."""
    result = subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-8000:]}{result.stderr[-3000:]}"
    return result.stdout


def test_package(env: Mapping[str, str]) -> None:
    assert re.search(r"Tests +\d+ passed", run(PACKAGE, env, "npm", "test"))


def test_types_have_their_provenance() -> None:
    types = (PACKAGE / "dist" / "generated" / "athena.d.ts").read_text(encoding="utf-8")
    assert re.search(r"\* +@inferred\n", types)
    assert re.search(r"\* +@documented\n", types)
    assert "@description Inferred" not in types


@needs_browser
def test_example(env: Mapping[str, str]) -> None:
    output = run(EXAMPLE, env, "npm", "test")
    assert "using 4 workers" in output
    assert int(re.findall(r"(\d+) passed", output)[-1]) >= 20


@needs_browser
def test_guide_installs_the_package_and_runs_its_test(env: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "athena").symlink_to(ROOT)
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    for _, content in code_blocks(GUIDE):
        name = re.match(r"// (\S+\.m?[jt]s)\n", content)
        if name:
            (tmp_path / name[1]).write_text(content)
    (install, expected), (test, shown) = list_commands()
    build, install_package = install.splitlines()  # `scripts/frontends.sh` has built it
    assert (build.split()[:3], expected) == (["npm", "ci", "--prefix"], "")
    run(tmp_path, env, "sh", "-c", f"{install_package} --ignore-scripts --no-audit --no-fund")
    assert shown.strip() in run(tmp_path, env, "sh", "-c", test)
    check_attachments(tmp_path, env)
    run(tmp_path, env, str(PACKAGE / "node_modules" / ".bin" / "tsc"), *TYPE_CHECK, *CHECKED_FILES)
    assert run(tmp_path, env, "node", "agents.mjs") == "Alpha\n"


FAILING_TEST = """
import { expect, test } from "./fixtures";

test.use({ mockUser: "demo", baseURL: process.env.MOCK_URL });

test("fails", async ({ page, mock }) => {
  await page.goto("/docs");
  await page.evaluate(async (token) => {
    await fetch("/api/v1/agents?colour=red", { headers: { Authorization: `Bearer ${token}` } });
  }, mock.getToken("demo"));
  await mock.verify({ operation: "listThreads" });
});
"""


def check_attachments(folder: Path, env: Mapping[str, str]) -> None:
    """A failed test has its requests as HAR and as text, which the guide shows."""
    (folder / "failing.spec.ts").write_text(FAILING_TEST)
    command = ("npx", "playwright", "test", "failing", "--reporter=json")
    result = subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout
    ((test,),) = (spec["tests"] for suite in json.loads(result.stdout)["suites"] for spec in suite["specs"])
    attachments = {each["name"]: each for each in test["results"][0]["attachments"]}
    text, har = (base64.b64decode(attachments[f"requests.{suffix}"]["body"]).decode() for suffix in ("txt", "har"))
    shown = [content for language, content in code_blocks(GUIDE) if language == "text"][-1]
    assert re.fullmatch(re.escape(shown.strip()).replace(re.escape("..."), ".*"), text), text
    assert [entry["request"]["url"].rpartition("/")[2] for entry in json.loads(har)["log"]["entries"]] == [
        "agents?colour=red"
    ]


def list_commands() -> list[tuple[str, str]]:
    """The `sh` blocks of the guide, each with the `text` block after it."""
    blocks = [*code_blocks(GUIDE), ("", "")]
    pairs = pairwise(blocks)
    return [
        (text, following[1] if following[0] == "text" else "")
        for (language, text), following in pairs
        if language == "sh"
    ]


TYPE_CHECK = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "preserve")
CHECKED_FILES = ("agents.spec.ts", "sign-in.spec.ts", "global-setup.ts", "playwright.config.ts", "types.ts")
