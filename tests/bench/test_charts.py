"""The charts of a comparison: which values they have, and what is reported if there are none."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.charts import PAGE, ChartError, build_charts, draw, main

TABLES = """# Comparison

| request | connections | server | requests/s |
|---|--:|---|--:|
| read | 16 | ours | 26,462 |
| read | 16 | other | 2,345 |
| create | 16 | ours | 5,754 |

| server | MiB at startup | MiB after reads | MiB after writes |
|---|--:|--:|--:|
| ours | 63 | 65 | 136 |
"""


def test_charts_have_the_values_of_the_tables() -> None:
    requests, memory = build_charts(TABLES).values()
    assert requests.values == {("read", "ours"): 26462, ("read", "other"): 2345, ("create", "ours"): 5754}
    assert (requests.groups, requests.series) == (["read", "create"], ["ours", "other"])
    assert memory.values == {("ours", "at startup"): 63, ("ours", "after reads"): 65, ("ours", "after writes"): 136}


def test_page_of_the_documentation_has_charts() -> None:
    requests, memory = build_charts(PAGE.read_text(encoding="utf-8")).values()
    assert "athena-mock" in requests.series
    assert "athena-mock" in memory.groups


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table with the columns request, server, requests/s"),
        (TABLES.replace("MiB at startup", "MiB"), "no table with the columns server, MiB at startup"),
        (TABLES.replace("26,462", "fast"), "got 'fast' in a table, expected a number"),
    ],
)
def test_missing_table_and_value_are_named(text: str, message: str) -> None:
    with pytest.raises(ChartError, match=message):
        build_charts(text)


def test_command_names_a_file_that_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.md")]) == 2
    assert "missing.md" in capsys.readouterr().err


def test_drawing_is_reproducible_and_shows_each_value(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = next(iter(build_charts(TABLES).values()))
    for name in ("a.svg", "b.svg"):
        draw(chart, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    texts = [text.strip() for text in ElementTree.parse(tmp_path / "a.svg").getroot().itertext()]
    assert {"26,462", "2,345", "5,754", "read", "ours"} <= set(texts)
