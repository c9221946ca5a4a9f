"""The command `athena-contract`."""

import re
from pathlib import Path
from typing import Any

import click

from spec.comparison.changes import ChangeKind
from spec.comparison.contracts import compare_contracts
from spec.errors import ContractError
from spec.reading.files import read_document
from spec.version import format_version

NAME = "athena-contract"


class ContractPath(click.ParamType[Path]):
    """The path of a contract file. URLs are rejected."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if re.match(r"[a-z]+://", str(value), re.IGNORECASE):
            self.fail(f"got the URL {value}, expected a file. Download it first: curl -o FILE {value}", param, ctx)
        return Path(value)


def _print_version(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(format_version(NAME))
        context.exit()


FILE = ContractPath()
TITLES = {
    ChangeKind.BREAKING: "Breaking changes",
    ChangeKind.COMPATIBLE: "Compatible changes",
    ChangeKind.DOCUMENTATION: "Changes of the documentation",
}


@click.group(name=NAME)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print the version."
)
def main() -> None:
    """Work with contract files."""


@main.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.pass_context
def diff(context: click.Context, old: Path, new: Path) -> None:
    """Print the differences of two files of OpenAPI 3.0 or 3.1, OLD and NEW.

    Exit codes: 0 without breaking changes, 1 with breaking changes, 2 if a file cannot be compared.
    """
    try:
        changes = compare_contracts(read_document(old), read_document(new))
    except ContractError as error:
        click.echo(f"Error: {error}", err=True)
        context.exit(2)
    for kind, title in TITLES.items():
        lines = [f"  {change}" for change in changes if change.kind is kind]
        if lines:
            click.echo("\n".join([f"{title} ({len(lines)})", *lines]))
    if not changes:
        click.echo("No changes.")
    context.exit(1 if any(change.kind is ChangeKind.BREAKING for change in changes) else 0)
