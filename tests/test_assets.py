"""The files of npm packages that the wheel contains are those of locks/assets.json."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.assets import ROOT, Asset, find_difference, read_lock

MIN_VENDORED_BYTES = 20_000  # own scripts and styles are smaller


@pytest.mark.parametrize("asset", read_lock(), ids=lambda asset: asset.package)
def test_file_has_the_locked_digest_and_names_its_version(asset: Asset) -> None:
    content = asset.read()
    assert find_difference(asset, content) == ""
    assert asset.version.encode() in content


def test_changed_file_is_named_with_both_digests() -> None:
    asset = replace(read_lock()[0], sha256="0")
    assert find_difference(asset, b"x").startswith(f"{asset.file}: got SHA-256 2d711642")
    assert find_difference(asset, b"x").endswith("expected 0")


def test_every_large_script_is_locked() -> None:
    scripts = (path for pattern in ("*.js", "*.gz") for path in (ROOT / "mock_server").rglob(pattern))
    large = {path.relative_to(ROOT).as_posix() for path in scripts if path.stat().st_size > MIN_VENDORED_BYTES}
    assert large == {asset.file for asset in read_lock()}


def test_compressed_file_is_written_reproducibly(tmp_path: Path) -> None:
    asset = replace(read_lock()[0], file="a.gz")
    contents = []
    for _ in range(2):
        asset.write(b"content", tmp_path)
        contents.append((tmp_path / "a.gz").read_bytes())
    assert contents[0] == contents[1]
    assert asset.read(tmp_path) == b"content"
