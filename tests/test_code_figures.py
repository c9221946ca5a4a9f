"""The figures that `scripts/code_figures.py` prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.code_figures import ROOT, Section, main, measure


def write_checkout(root: Path, modules: int) -> Path:
    """A checkout with a package of `modules` modules of two lines, a template of three lines and a test."""
    (root / "spec" / "parts").mkdir(parents=True)
    (root / "tests").mkdir()
    for number in range(modules):
        (root / "spec" / "parts" / f"m{number}.py").write_text(f"class A{number}: ...\nclass B: ...\n", "utf-8")
    (root / "spec" / "page.html").write_text("<p>\n\n</p>\n", "utf-8")
    (root / "tests" / "test_a.py").write_text('"""Doc."""\n', "utf-8")
    return root


def section(sections: list[Section], title: str) -> dict[str, object]:
    (values,) = (each.values for each in sections if each.title == title)
    return dict(values)


def test_lines_include_templates(tmp_path: Path) -> None:
    sections = measure(write_checkout(tmp_path, 2))
    assert section(sections, "Lines") == {"spec": 7, "tests": 1, "four packages": 7, "total": 8}
    assert section(sections, "Code lines") == {"spec": 6, "tests": 0, "four packages": 6, "total": 6}
    assert section(sections, "Lines by sub-package") == {"spec": 3, "spec/parts": 4, "tests": 1}


def test_layout_figures_name_the_largest_folder_and_count_duplicated_classes(tmp_path: Path) -> None:
    sections = measure(write_checkout(tmp_path, 2))
    assert section(sections, "Modules in the largest folder") == {"spec": "2 (spec/parts)", "tests": "1 (tests)"}
    assert section(sections, "Duplicated class names") == {"four packages": 1, "all": 1}


def test_language_figures_count_vocabulary_words(tmp_path: Path) -> None:
    write_checkout(tmp_path, 1)
    (word, *_) = (ROOT / "tests" / "vocabulary.txt").read_text("utf-8").splitlines()[2].split("\t")
    (tmp_path / "tests" / "test_a.py").write_text(f'"""A {word} b c."""\n{word} = 1\nf({word})\n', "utf-8")
    sections = measure(tmp_path)
    assert section(sections, "Vocabulary words per 1,000 words")["tests docstrings"] == 250
    counts = section(sections, "Identifiers with a vocabulary word")
    assert counts == {"spec": 0, "tests": 1, "all, distinct": 1, "all, uses": 2}


def test_comparison_has_a_column_for_each_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write_checkout(tmp_path / "old", 3), write_checkout(tmp_path / "new", 1)
    (new / "bench").mkdir()
    (new / "bench" / "a.py").write_text("x = 1\n", "utf-8")
    assert main(["--compare", str(old), str(new)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:9] == [
        "### Lines",
        "",
        "| package | before | after |",
        "| --- | ---: | ---: |",
        "| spec | 9 | 5 |",
        "| bench |  | 1 |",
        "| tests | 1 | 1 |",
        "| four packages | 9 | 5 |",
        "| total | 10 | 7 |",
    ]


def test_script_prints_json(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path, 1)
    command = [sys.executable, str(ROOT / "scripts" / "code_figures.py"), str(checkout), "--json"]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path)
    first, *_ = json.loads(done.stdout)
    assert first == {
        "title": "Lines",
        "rows": "package",
        "values": {"spec": 5, "tests": 1, "four packages": 5, "total": 6},
    }


def test_missing_directory_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "missing")])
    assert "not a directory" in capsys.readouterr().err
