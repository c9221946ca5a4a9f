"""The table of published operators and relations names checks that exist, or a reason in each row."""

import re
from pathlib import Path

import pytest
import schemathesis.checks

from conformance.checks.registry import CHECKS
from conformance.schemathesis_engine.checks import ENGINE_CHECKS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "published-relations.md"
CHECK_ID = re.compile("`([a-z0-9]+(?:-[a-z0-9]+)+)`")
REASON = re.compile(r"not covered: \w+")


def read_rows() -> list[tuple[str, str, str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return [(row[0], row[1], row[2]) for row in cells if row[0] != "published"]


def test_every_named_check_exists() -> None:
    known = {check.id for check in CHECKS} | {check.check_id for check in ENGINE_CHECKS.values()}
    named = {name for *_, coverage in read_rows() for name in CHECK_ID.findall(coverage)}
    assert named - known == set()
    assert len(named) > 40


@pytest.mark.parametrize("row", read_rows(), ids=lambda row: row[0])
def test_every_row_names_a_check_or_a_reason(row: tuple[str, str, str]) -> None:
    _, meaning, coverage = row
    assert meaning
    assert CHECK_ID.search(coverage) or REASON.search(coverage)


def test_every_check_of_schemathesis_has_a_row() -> None:
    schemathesis.checks.load_all_checks()
    rows = {row[0].strip("`") for row in read_rows()}
    assert set(schemathesis.checks.CHECKS.get_all_names()) - {"no_traceback"} <= rows
