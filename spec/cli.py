"""The command `athena-contract`."""

from pathlib import Path

import click

from spec.contract_diff import ChangeKind, compare_contracts
from spec.document import read_document
from spec.errors import ContractError

NAME = "athena-contract"
FILE = click.Path(dir_okay=False, path_type=Path)
TITLES = {
    ChangeKind.BREAKING: "Breaking changes",
    ChangeKind.COMPATIBLE: "Compatible changes",
    ChangeKind.DOCUMENTATION: "Changes of the documentation",
}


@click.group(name=NAME)
def main() -> None:
    """Work with contract files."""


@main.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.pass_context
def diff(context: click.Context, old: Path, new: Path) -> None:
    """Print the differences of two OpenAPI files, OLD and NEW.

    Exit codes: 0 without breaking changes, 1 with breaking changes, 2 if a file cannot be read.
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
