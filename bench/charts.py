"""Draws charts from the tables of a comparison.

    python -m bench.charts [RESULTS] [--to docs/explanation]

RESULTS is a Markdown file with the tables that `make bench` prints. Default: bench/results/compare.md if that exists,
else docs/explanation/performance.md. Needs the packages of locks/charts.lock (`make charts`).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "bench" / "results" / "compare.md", ROOT / "docs" / "explanation" / "performance.md"
COLORS = ("#0969da", "#8c959f", "#bf8700", "#1a7f37", "#8250df")
BAR_HEIGHT = 0.22  # inches
RATE_COLUMNS = ("request", "server", "requests/s")
MEMORY_COLUMNS = ("server", "MiB at startup", "MiB after reads", "MiB after writes")


class ChartError(Exception):
    """The file has no table to draw."""


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars. `values`: (group, series) -> value; the order of both is that of the table."""

    title: str
    is_logarithmic: bool
    values: dict[tuple[str, str], float]

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(group for group, _ in self.values))

    @property
    def series(self) -> list[str]:
        return list(dict.fromkeys(series for _, series in self.values))


def read_tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Yield the tables of a Markdown text; each row by column."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            header, _, *body = rows
            yield [dict(zip(header, row, strict=False)) for row in body]
            rows = []


def find_table(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the first table that has all `columns`. Raises ChartError."""
    for table in read_tables(text):
        if table and set(columns) <= set(table[0]):
            return table
    raise ChartError(f"no table with the columns {', '.join(columns)}")


def build_charts(text: str) -> dict[str, BarChart]:
    """Build the charts of a comparison by file name. Raises ChartError."""
    rates = find_table(text, RATE_COLUMNS)
    memory = find_table(text, MEMORY_COLUMNS)
    rate_values = {(row["request"], row["server"]): parse_number(row["requests/s"]) for row in rates}
    stages = MEMORY_COLUMNS[1:]
    memory_values = {
        (row["server"], stage.removeprefix("MiB ")): parse_number(row[stage]) for row in memory for stage in stages
    }
    return {
        "performance-requests.svg": BarChart("Requests per second (logarithmic)", True, rate_values),
        "performance-memory.svg": BarChart("Memory in MiB", False, memory_values),
    }


def parse_number(text: str) -> float:
    """Return a number with thousands separators. Raises ChartError."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise ChartError(f"got {text!r} in a table, expected a number") from None


def draw(chart: BarChart, path: Path) -> None:
    """Write a chart as SVG; equal charts give equal files."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "charts", "svg.fonttype": "none", "font.family": "sans-serif"})
    groups, series = chart.groups, chart.series
    figure = Figure(figsize=(8, 1.2 + BAR_HEIGHT * (len(chart.values) + len(groups))), layout="constrained")
    axes: Any = figure.subplots()
    position, ticks = 0, []
    for group in groups:
        members = [name for name in series if (group, name) in chart.values]
        ticks.append(position + (len(members) - 1) / 2)
        for name in members:
            value, color = chart.values[group, name], COLORS[series.index(name) % len(COLORS)]
            label = name if not any(text == name for text in axes.get_legend_handles_labels()[1]) else None
            axes.barh(position, value, color=color, label=label)
            axes.annotate(f" {value:,.0f}", (value, position), va="center", fontsize=8)
            position += 1
        position += 1
    axes.set_yticks(ticks, groups)
    axes.invert_yaxis()
    axes.set_xscale("log" if chart.is_logarithmic else "linear")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(chart.title, fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(series), frameon=False)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the charts; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.charts", description="Draw charts from bench/results.")
    default = RESULTS if RESULTS.exists() else PAGE
    parser.add_argument("results", type=Path, nargs="?", default=default, help="Markdown file with the tables")
    parser.add_argument("--to", type=Path, default=PAGE.parent, help="output folder")
    options = parser.parse_args(arguments)
    try:
        charts = build_charts(options.results.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ChartError) as error:
        sys.stderr.write(f"{options.results}: {error}\n")
        return 2
    for name, chart in charts.items():
        draw(chart, options.to / name)
        sys.stdout.write(f"{options.to / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
