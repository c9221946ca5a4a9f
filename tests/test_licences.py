"""Tests of the page of licences: every locked package is on it, and no package has a strong copyleft."""

import re
from importlib import metadata
from pathlib import Path

import pytest

from scripts.licences import (
    LOCKS,
    OTHER_PLATFORMS,
    LicenceError,
    PackageLicence,
    find_licence,
    list_licences,
    read_lock,
)
from tests.document_texts import read
from tests.mock_process import ROOT

PAGE = "docs/reference/licences.md"
ROWS = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|", read(PAGE), re.MULTILINE))


@pytest.mark.parametrize(("lock", "needed_by"), LOCKS.items())
def test_every_locked_package_is_on_the_page(lock: str, needed_by: str) -> None:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    names = {line.partition("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}
    assert {name for name, parts in ROWS.items() if needed_by in parts.split(", ")} == names
    assert len(names) > 20


def test_no_package_has_a_strong_copyleft() -> None:
    packages = list_licences(ROOT)
    assert [package for package in packages if package.copyleft == "strong"] == []
    assert {"certifi", "orjson"} <= {package.name for package in packages if package.copyleft == "weak"}


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [
        ("MIT", ""),
        ("Apache-2.0 OR BSD-2-Clause", ""),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "weak"),
        ("LGPL-2.1-or-later", "weak"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "weak"),
        ("GPL-3.0-only", "strong"),
        ("AGPL-3.0-or-later", "strong"),
        ("GNU General Public License v2 (GPLv2)", "strong"),
    ],
)
def test_copyleft_is_derived_from_the_licence(licence: str, copyleft: str) -> None:
    assert PackageLicence("a", "1", ("mock",), licence).copyleft == copyleft


def write_package(folder: Path, *fields: str) -> None:
    (folder / "sample-1.dist-info").mkdir()
    text = "\n".join(["Metadata-Version: 2.4", "Name: sample", "Version: 1", *fields])
    (folder / "sample-1.dist-info" / "METADATA").write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        (("License-Expression: MIT", "License: other"), "MIT"),
        (("License: UNKNOWN", "Classifier: License :: OSI Approved :: BSD License"), "BSD"),
        ((f"License: {'text ' * 50}", "Classifier: License :: OSI Approved :: MIT License"), "MIT"),
        (("License: Apache Software License",), "Apache-2.0"),
    ],
)
def test_licence_is_the_most_precise_statement(
    fields: tuple[str, ...], licence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path, *fields)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_licence("sample") == licence


def test_missing_licence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LicenceError, match="sample states no licence"):
        find_licence("sample")


def test_package_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(LicenceError, match="no-such-package is locked but not installed"):
        find_licence("no-such-package")


@pytest.mark.parametrize("name", OTHER_PLATFORMS)
def test_licence_of_a_package_for_some_platforms_is_that_of_its_metadata(name: str) -> None:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed on this platform")
    assert find_licence(name) == OTHER_PLATFORMS[name]


def test_lock_is_read_without_markers_and_hashes() -> None:
    lock = "# a==1\nb-c==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:0\nd==3 \\\n    # via b-c==2\n"
    assert read_lock(lock) == {"b-c": "2.0", "d": "3"}
