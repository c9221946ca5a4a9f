"""The command `athena-mock dataset check`."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mock_server.cli.error_report import report_lines, write_line
from mock_server.cli.settings import DATASET_OPTIONS

if TYPE_CHECKING:
    from fixtures.dataset import Dataset
    from mock_server.query import Viewer
    from mock_server.sandbox.sandbox import Sandbox
    from spec.record import Reference

_OPTIONS = [option for option in DATASET_OPTIONS if option.name not in ("dataset", "documented_urls")]


@click.group(context_settings={"max_content_width": 110})
def dataset() -> None:
    """Check a dataset file."""


@dataset.command(params=list(_OPTIONS))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def check(ctx: click.Context, /, file: Path, contract: Path | None, **values: Any) -> int:
    """Check that FILE is a valid dataset, and that its records can be seen.

    Warns of records that no account can see, of explicit records that the first user cannot see, and of explicit
    records that are excluded by `only`. Exit status 1: there are warnings.
    """
    from fixtures import dataset as datasets
    from fixtures.errors import FixtureError
    from mock_server.cli import dataset_image
    from mock_server.cli.contract_loading import load_served_contract
    from mock_server.store import StoreError
    from spec.errors import ContractError

    try:
        contract_path = dataset_image.get_contract_path(contract)
        loaded, definition = load_served_contract(contract_path), datasets.load(str(file))
        parameters = dataset_image.create_dataset_parameters(dataset=str(file), documented_urls=False, **values)
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "dataset"
            dataset_image.build_image(image, loaded, parameters, has_explicit_records=False)
            sandbox = dataset_image.open_image(image, loaded, parameters)
        with closing(sandbox.store):
            added = dataset_image.add_explicit_records(sandbox, definition.records, str(file))
            warnings = [
                *find_excluded_records(definition, file.name),
                *find_hidden_records(sandbox, added),
                *find_unreachable_records(sandbox),
            ]
            count = sum(sandbox.store.count(name) for name in loaded.resources)
    except ContractError as error:
        return report_lines(error.lines, 2)
    except (FixtureError, StoreError) as error:
        return report_lines(str(error).splitlines(), 2)
    for warning in warnings:
        write_line(f"{file}: warning: {warning}")
    summary = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else "ok"
    click.echo(f"{file}: {summary} ({count} records)")
    return 1 if warnings else 0


def find_excluded_records(definition: "Dataset", file_name: str) -> Iterator[str]:
    """Yield a warning for each resource whose explicit records `only` excludes; not for those of other files."""
    for name, config in definition.configs.items():
        is_excluded = definition.only is not None and name not in definition.only
        if is_excluded and config.explicit_records and config.location.startswith(f"{file_name}/"):
            count = len(config.explicit_records)
            yield f"resources.{name}.records: {count} records are not created, since `only` does not contain {name}"


def find_hidden_records(sandbox: "Sandbox", added: "Mapping[tuple[str, int], Reference | None]") -> Iterator[str]:
    """Yield a warning for each explicit record that the first user cannot see, with the tokens that can."""
    from mock_server.sandbox.sandbox import BUILTIN_TOKENS

    viewers = {token: sandbox.resolve_token(token, sandbox.clock.now()) for token in BUILTIN_TOKENS}
    present = {token: viewer for token, viewer in viewers.items() if viewer is not None}
    first = next(iter(present), None)
    for (name, index), reference in added.items():
        allowed = [token for token, viewer in present.items() if reference and is_visible(sandbox, viewer, reference)]
        if reference is not None and first is not None and first not in allowed:
            seen_by = f"only to {', '.join(allowed)}" if allowed else "to no built-in token"
            yield f"records.{name}.{index}: {name} {reference.key} is visible {seen_by}, not to {first}"


def find_unreachable_records(sandbox: "Sandbox") -> Iterator[str]:
    """Yield a warning for each resource with records that no account can see."""
    from mock_server.query.visibility import build_visibility_condition
    from mock_server.store.expressions import any_of

    account = sandbox.contract.account_resource
    if account is None:
        return
    viewers = [sandbox.get_viewer(record.key) for record in sandbox.store.select(account.name)]
    for name, resource in sandbox.contract.resources.items():
        visible = any_of(build_visibility_condition(sandbox.store, viewer, resource) for viewer in viewers)
        keys = {record.key for record in sandbox.store.select(name, visible)}
        hidden = [record.key for record in sandbox.store.select(name) if record.key not in keys]
        if hidden:
            yield f"{name}: no account can see {len(hidden)} of its records, for example {hidden[0]}"


def is_visible(sandbox: "Sandbox", viewer: "Viewer", reference: "Reference") -> bool:
    """Whether a viewer may see a record."""
    from mock_server.query.visibility import build_visibility_condition
    from mock_server.store.expressions import all_of, has_key

    condition = build_visibility_condition(sandbox.store, viewer, sandbox.contract.resources[reference.resource])
    return bool(sandbox.store.select(reference.resource, all_of((has_key(reference.key), condition))))
