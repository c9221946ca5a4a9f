"""Figures of the source of a checkout, as Markdown tables or JSON.

    python scripts/code_figures.py [DIRECTORY] [--json]
    python scripts/code_figures.py --compare OLD_DIRECTORY NEW_DIRECTORY [--json]

Both checkouts of a comparison are measured with the vocabulary of this repository. Lines include templates, so that
markup which moves from Python to a template does not count as less.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script has only its own folder there

from scripts.language import Usage, Vocabulary, identifier_usage, message_usage, prose_usage
from scripts.layout import (
    MAX_FUNCTION_LINES,
    Definition,
    count_code_lines,
    count_modules,
    duplicated_classes,
    functions,
    is_source,
    long_functions,
)
from scripts.source_tree import PACKAGES, PROJECT_FILES, SourceFile, read_files

ROOT = Path(__file__).resolve().parents[1]

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a title, the meaning of its rows, and row -> value."""

    title: str
    rows: str
    values: Mapping[str, Value]


def measure(root: Path) -> list[Section]:
    """Measure the checkout in `root`."""
    files = read_files(root)
    source = [file for file in files if is_source(file)]
    return [
        Section("Lines", "package", with_total(sum_by(source, package, lambda file: len(file.lines)))),
        Section("Code lines", "package", with_total(sum_by(source, package, count_code_lines))),
        Section("Lines by sub-package", "sub-package", sum_by(source, sub_package, lambda file: len(file.lines))),
        Section("Modules in the largest folder", "package", largest_folders(files)),
        Section("Vocabulary words per 1,000 words", "text", densities(files)),
        Section("Identifiers with a vocabulary word", "package", identifier_counts(files)),
        Section(f"Functions over {MAX_FUNCTION_LINES} lines", "scope", function_counts(files)),
        Section("Duplicated class names", "scope", class_counts(files)),
    ]


# Lines


def package(file: SourceFile) -> str:
    """The row of a file among the packages."""
    return file.package


def sub_package(file: SourceFile) -> str:
    """The row of a file among the sub-packages: its first two folders."""
    folders = file.path.split("/")[:-1]
    return "/".join(folders[:2]) or PROJECT_FILES


def sum_by(
    files: Iterable[SourceFile], row: Callable[[SourceFile], str], size: Callable[[SourceFile], int]
) -> dict[str, Value]:
    """Sum a size of files by row: the four packages first, then the others."""
    sums: Counter[str] = Counter()
    for file in files:
        sums[row(file)] += size(file)
    return dict(sorted(sums.items(), key=lambda item: package_order(item[0])))


def package_order(row: str) -> tuple[int, str]:
    """Sort key of a row whose first word or folder is a package."""
    name = row.split("/")[0].split()[0]
    return (PACKAGES.index(name) if name in PACKAGES else len(PACKAGES), row)


def with_total(values: Mapping[str, Value]) -> dict[str, Value]:
    """Add the totals of the four packages and of all."""
    numbers = {row: int(value) for row, value in values.items()}
    four = sum(numbers.get(name, 0) for name in PACKAGES)
    return {**values, "four packages": four, "total": sum(numbers.values())}


# Layout


def largest_folders(files: Iterable[SourceFile]) -> dict[str, Value]:
    """For each package the number of modules of its largest folder, with the folder's path."""
    largest: dict[str, tuple[int, str]] = {}
    for folder, count in count_modules(files).items():
        name = folder.split("/")[0]
        if name != ".":
            largest[name] = max(largest.get(name, (0, "")), (count, folder))
    return {name: f"{count} ({folder})" for name, (count, folder) in sorted(largest.items(), key=_by_package)}


def _by_package(item: tuple[str, object]) -> tuple[int, str]:
    return package_order(item[0])


def function_counts(files: Sequence[SourceFile]) -> dict[str, Value]:
    """Count the functions and the long ones, in the four packages and in all files."""
    definitions = functions(files)
    four = [each for each in definitions if each.path.split("/")[0] in PACKAGES]
    return {**_long_share("four packages", four), **_long_share("all", definitions)}


def _long_share(scope: str, definitions: Sequence[Definition]) -> dict[str, Value]:
    number = len(long_functions(definitions))
    return {
        f"{scope}: functions": len(definitions),
        f"{scope}: long functions": number,
        f"{scope}: share in %": round(100 * number / len(definitions), 2) if definitions else 0.0,
    }


def class_counts(files: Sequence[SourceFile]) -> dict[str, Value]:
    """Count the class names that are defined more than once, in the four packages and in the project."""
    return {
        "four packages": len(duplicated_classes(file for file in files if file.package in PACKAGES)),
        "all": len(duplicated_classes(files)),
    }


# Language


def densities(files: Sequence[SourceFile]) -> dict[str, Value]:
    """Vocabulary words per 1,000 words of each group of texts, and of each kind of text."""
    vocabulary = Vocabulary.from_file()
    kinds: dict[str, list[Usage]] = {}
    for group in [*prose_usage(files, vocabulary), *message_usage(files, vocabulary)]:
        kinds.setdefault(group.group.split()[-1], []).append(group)
    rows: dict[str, Value] = {}
    for kind, groups in sorted(kinds.items()):
        ordered = sorted(groups, key=lambda group: package_order(group.group))
        rows.update({group.group: round(group.per_thousand, 2) for group in ordered})
        if len(groups) > 1:
            rows[f"all {kind}"] = round(_merge(groups).per_thousand, 2)
    return rows


def _merge(groups: Iterable[Usage]) -> Usage:
    merged = Usage("all")
    for group in groups:
        merged.words += group.words
        merged.occurrences += group.occurrences
    return merged


def identifier_counts(files: Sequence[SourceFile]) -> dict[str, Value]:
    """Count the distinct identifiers that contain a vocabulary word, per package, and all their uses."""
    vocabulary = Vocabulary.from_file()
    uses = identifier_usage(files, vocabulary)
    by_package: dict[str, set[str]] = {file.package: set() for file in files if file.is_python}
    packages = {file.path: file.package for file in files}
    for use in uses:
        by_package[packages[use.path]].add(use.context)
    counts: dict[str, Value] = {name: len(found) for name, found in sorted(by_package.items(), key=_by_package)}
    return {**counts, "all, distinct": len(set().union(*by_package.values())), "all, uses": len(uses)}


# Output


def render(sections: Sequence[Section]) -> str:
    """The figures of one checkout as Markdown tables."""
    return "\n".join(_table(section, ["value"], [section.values]) for section in sections)


def render_comparison(before: Sequence[Section], after: Sequence[Section]) -> str:
    """The figures of two checkouts as Markdown tables."""
    pairs = zip(before, after, strict=True)
    return "\n".join(_table(new, ["before", "after"], [old.values, new.values]) for old, new in pairs)


def _table(section: Section, heads: Sequence[str], columns: Sequence[Mapping[str, Value]]) -> str:
    lines = [f"### {section.title}", "", _row([section.rows, *heads]), _row(["---", *["---:"] * len(heads)])]
    for row in merge_rows(columns):
        lines.append(_row([row, *(_cell(values.get(row, "")) for values in columns)]))
    return "\n".join([*lines, ""])


def merge_rows(columns: Iterable[Mapping[str, Value]]) -> list[str]:
    """All rows of several columns; a row that the columns before do not have comes after its predecessor."""
    merged: list[str] = []
    for column in columns:
        position = 0
        for row in column:
            if row not in merged:
                merged.insert(position, row)
            position = merged.index(row) + 1
    return merged


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Value) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.2f}"
        case str():
            return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; returns the exit status."""
    parser = argparse.ArgumentParser(description="Print figures of the source of a checkout.")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT, help="the checkout (default: this one)")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"), help="compare two checkouts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    checkouts = options.compare or [options.directory]
    missing = [str(path) for path in checkouts if not path.is_dir()]
    if missing:
        parser.error(f"not a directory: {', '.join(missing)}")
    figures = [measure(path) for path in checkouts]
    if options.json:
        named = zip(("before", "after"), figures, strict=False)
        lists = {name: [asdict(section) for section in sections] for name, sections in named}
        print(json.dumps(lists if options.compare else lists["before"], indent=2))
    else:
        print(render_comparison(*figures) if options.compare else render(*figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
