"""The output of `--version`."""

from pathlib import Path

import pytest

from spec.version import format_version, get_version


def test_output_has_the_versions_of_distribution_and_contract() -> None:
    assert format_version("tool") == f"tool {get_version()} (contract: Athena API 1.0.0)"


@pytest.mark.parametrize(
    ("content", "summary"),
    [
        ("info: {title: Library, version: '2'}", "Library 2"),
        ("openapi: 3.0.3", "{path} has no info"),
        ("info: [", "{path}, line 2, column "),
    ],
)
def test_invalid_contract_is_named(tmp_path: Path, content: str, summary: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(content)
    assert f"(contract: {summary.format(path=path)}" in format_version("tool", path)
