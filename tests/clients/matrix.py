"""Runs the client generators on contract files and prints what works as a Markdown table.

Usage: python -m tests.clients.matrix spec/openapi.yaml spec/dist/openapi.json spec/dist/openapi-3.1.json
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.clients.recording import Answer, list_documented_answers, record_answers
from tests.clients.tools import (
    ACCEPTED_WARNINGS,
    FAST_TOOLS,
    GENERATED,
    KOTLIN_REJECTIONS,
    OTHER_TOOLS,
    ClientTool,
    Output,
    run,
)

MAX_CELL_CHARS = 90


@dataclass(frozen=True, slots=True)
class ClientResult:
    """What a generator makes of a contract file. None: not possible, since nothing was generated or no compiler exists.

    `rejected`: answer name -> error.
    """

    tool: ClientTool
    output: Output
    errors: list[str] | None
    rejected: dict[str, str] | None

    @property
    def unexpected_warnings(self) -> list[str]:
        """The warnings without those that are accepted."""
        return [w for w in self.output.warnings if not any(part in w for part in ACCEPTED_WARNINGS)]

    @property
    def unexpected_rejections(self) -> list[str]:
        """The errors of the rejected answers without those that are accepted."""
        errors = (f"{name}: {error}" for name, error in (self.rejected or {}).items())
        accepted = KOTLIN_REJECTIONS if self.tool.language == "Kotlin" else ()
        return [error for error in errors if not any(part in error for part in accepted)]


def run_tool(tool: ClientTool, contract: Path, folder: Path, answers: Sequence[Answer]) -> ClientResult:
    """Generate a client in the empty `folder`, compile it and parse answers with it."""
    copy = folder / ("contract" + contract.suffix)
    shutil.copy(contract, copy)
    if copy.suffix != ".json":  # for the drivers
        (folder / "contract.json").write_text(json.dumps(yaml.safe_load(copy.read_bytes()), default=str))
    output = run(tool.generate(copy), folder)
    generated = output.status == 0 and any(folder.glob(f"{GENERATED}*"))
    errors = tool.compile(folder) if generated and tool.compile else None
    rejected = tool.parse(folder, answers) if generated and tool.parse else None
    return ClientResult(tool, output, errors, rejected)


def format_row(result: ClientResult, answers: Sequence[Answer]) -> str:
    """Format a result as a row of the table."""
    documented = [answer.name for answer in answers if answer.name.startswith("documented")]
    recorded = [answer.name for answer in answers if answer.name not in documented]
    generates = "yes" if result.output.status == 0 else "**no**"
    compiles = "-" if result.errors is None else "yes" if not result.errors else f"{len(result.errors)} errors"
    warnings = str(len(result.unexpected_warnings))
    cells = [result.tool.name, generates, warnings, compiles]
    for names in (documented, recorded):
        parsed = None if result.rejected is None else sum(name not in result.rejected for name in names)
        cells.append("-" if parsed is None else f"{parsed} of {len(names)}")
    return "| " + " | ".join(cells) + " |"


def iter_details(result: ClientResult) -> Iterable[str]:
    """Yield the first problems of a result."""
    if result.output.status != 0:
        yield result.output.text[-500:]
    yield from result.unexpected_warnings[:5]
    yield from (result.errors or [])[:5]
    yield from (f"{name}: {error}" for name, error in list((result.rejected or {}).items())[:5])


def main() -> int:
    answers = [*list_documented_answers(), *record_answers()]
    for name in sys.argv[1:]:
        print(f"\n{name}\n\n| tool | generates | warnings | compiles | documented bodies | operations |")
        print("|---|---|---|---|---|---|")
        for tool in (*FAST_TOOLS, *OTHER_TOOLS):
            with tempfile.TemporaryDirectory() as folder:
                result = run_tool(tool, Path(name).resolve(), Path(folder), answers)
            print(format_row(result, answers), flush=True)
            for detail in iter_details(result):
                sys.stderr.write(f"{tool.name}: {detail[:300]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
