"""The commands `athena-mock store check`, `export` and `import`."""

import sys
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import click

from mock_server.cli.error_report import report_error, report_lines, write_line

URL_PREFIX = "sqlite:///"


def _parse_file(text: str) -> Path:
    """Parse FILE, or sqlite:///FILE as in the option --store of `serve`."""
    path = unquote(text.removeprefix(URL_PREFIX)) if text.startswith(URL_PREFIX) else text
    if path in ("", "memory"):
        raise click.BadParameter(f"{text!r} is not a file.")
    return Path(path)


_CONTRACT_OPTION = click.Option(
    ["--contract"],
    help="OpenAPI 3.0 or 3.1 file of the new store; default: the packaged contract.",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
)


@click.group(context_settings={"max_content_width": 110})
def store() -> None:
    """Check a store file, or move its data to a changed contract."""


@store.command()
@click.argument("file", type=_parse_file)
def check(file: Path) -> int:
    """Check that FILE, a store of any size, is intact.

    `serve` itself checks stores of up to 64 MiB. Exit status 1: the file is damaged.
    """
    from mock_server.images import find_invalid_metadata
    from mock_server.store import StoreError
    from mock_server.store.errors import StoreDamaged, StoreFailure
    from mock_server.store.exporter import find_unreadable
    from mock_server.store.file_format import (
        FORMAT_VERSION,
        MAX_REPORTED_ERRORS,
        check_integrity,
        count_records,
        open_for_reading,
        read_metadata,
    )

    try:
        with open_for_reading(file) as connection:
            check_integrity(file, connection)
            problems = [*find_invalid_metadata(read_metadata(connection))]
            problems += [row.message for row in islice(find_unreadable(connection), MAX_REPORTED_ERRORS)]
            if problems:
                raise StoreDamaged.from_problems(file, problems)
            count = count_records(connection)
    except (StoreDamaged, StoreFailure) as error:
        return report_error(str(error), 1)
    except StoreError as error:
        return report_error(str(error), 2)
    click.echo(f"{file}: ok (store format {FORMAT_VERSION}, {count} records)")
    return 0


@store.command("export")
@click.argument("file", metavar="STORE", type=_parse_file)
def export_store(file: Path) -> int:
    """Write all data of STORE to stdout, as JSON Lines.

    The output contains the passwords and tokens of the mock's users. Records that are damaged are listed and left out,
    with exit status 1.

    Example: athena-mock store export mock.db > mock.jsonl
    """
    from mock_server.store import StoreError
    from mock_server.store.errors import StoreDamaged, StoreFailure
    from mock_server.store.exporter import export_lines, find_unreadable
    from mock_server.store.file_format import open_for_reading

    try:
        with open_for_reading(file) as connection:
            unreadable = list(find_unreadable(connection))
            for row in unreadable:
                write_line(f"{row.message}: left out")
            for line in export_lines(connection, unreadable):
                sys.stdout.buffer.write(line)
            if unreadable:
                return report_error(f"{file} is damaged: {len(unreadable)} unreadable records were left out", 1)
    except (StoreDamaged, StoreFailure) as error:
        return report_error(str(error), 1)
    except StoreError as error:
        return report_error(str(error), 2)
    return 0


@store.command("import", params=[_CONTRACT_OPTION])
@click.argument("file", type=click.File("rb"))
@click.option("--store", "target", type=_parse_file, required=True, metavar="NEW", help="Store file to create.")
@click.option("--force", is_flag=True, help="Import only what fits the contract, and list what was omitted.")
def import_store(file: BinaryIO, target: Path, force: bool, contract: Path | None) -> int:
    """Create the store NEW from the export FILE (-: stdin).

    Everything that does not fit the contract is listed: unknown resources and properties, invalid values, missing
    required properties without a default, and references to records that do not exist. Then exit status 1, and no
    store is created. With --force, an optional property that does not fit is left out, else its record.

    Example: athena-mock store import mock.jsonl --store new.db
    """
    from mock_server import store_files
    from mock_server.cli.dataset_image import get_contract_path
    from mock_server.store import StoreError
    from mock_server.store.importer import ImportProblem
    from spec.errors import ContractError
    from spec.loader import load_contract

    def report(problem: ImportProblem) -> None:
        write_line(str(problem))

    try:
        loaded_contract = load_contract(get_contract_path(contract))
        count = store_files.import_store(loaded_contract, target, file, report, force=force)
    except store_files.ImportRejected as error:
        advice = "edit the export, or use --force to leave these out"
        return report_error(f"{error.problem_count} problems, {target} was not created: {advice}", 1)
    except ContractError as error:
        return report_lines(error.lines, 2)
    except StoreError as error:
        return report_error(str(error), 2)
    click.echo(f"{target}: {count} records imported")
    return 0
