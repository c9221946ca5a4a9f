"""The comparison of the mock with and without the console."""

import re

import pytest

from bench import console


def test_ratios_are_medians_of_the_ratios_of_each_round() -> None:
    rounds = [
        {console.WITH: 2.0, console.WITHOUT: 1.0, console.WITHOUT_AGAIN: 1.0},
        {console.WITH: 22.0, console.WITHOUT: 20.0, console.WITHOUT_AGAIN: 21.0},  # the machine was busy
        {console.WITH: 1.1, console.WITHOUT: 1.0, console.WITHOUT_AGAIN: 0.9},
    ]
    comparison = console.ConsoleComparison.from_rounds(rounds)
    assert (comparison.seconds, comparison.ratio, comparison.noise) == (1.0, 1.1, 1.0)
    assert console.format_row("retrieve", comparison) == "| retrieve | 1000000.0 | 1.100 | 1.000 |"


@pytest.mark.slow
def test_each_request_is_measured_with_and_without_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["--times", "2", "--rounds", "1"]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 8
    assert all(re.fullmatch(r"\| [^|]+ \| \d+\.\d \| \d+\.\d{3} \| \d+\.\d{3} \|", row) for row in rows), rows
