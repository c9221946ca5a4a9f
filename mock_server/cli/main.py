"""The command `athena-mock`. Expensive modules are imported after the settings have been validated."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mock_server.cli import certificates, standard_streams
from mock_server.cli.dataset_commands import dataset
from mock_server.cli.error_report import report_error, report_lines, write_line
from mock_server.cli.settings import DATASET_OPTIONS, OPTIONS, VARIABLE_PREFIX, MockSettings
from mock_server.cli.store_commands import store
from mock_server.server.signals import list_stop_signals
from mock_server.server.sockets import ListenError, listen

if TYPE_CHECKING:
    import socket

    from click.shell_completion import CompletionItem

    from mock_server.images import DatasetParameters
    from mock_server.registry.registry import SandboxRegistry
    from mock_server.sandbox.sandbox import Sandbox
    from mock_server.web.outer_app import MockApp
    from spec.model import Contract

DEFAULT_COMMAND = "serve"
MAX_BANNER_SECONDS = 1.0  # until a reader of stdout must have read the banner
_EXPLICIT_SOURCES = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
_EPILOG = """\b
Examples:
  athena-mock                                     serve the demo dataset on port 8000
  athena-mock --port 0 --seed 7                   use a free port and other data
  athena-mock --store sqlite:///mock.db           keep all records across restarts
  athena-mock --contract api.yaml                 serve another API

\b
Exit status:
  0  stopped by SIGINT, SIGTERM or SIGHUP
  1  cannot listen on this host and port
  2  invalid option, environment variable, contract, dataset or store file

\b
Shell completion (bash; also zsh_source and fish_source):
  eval "$(_ATHENA_MOCK_COMPLETE=bash_source athena-mock)"
"""


class _DefaultCommandGroup(click.Group):
    """A group that runs `serve` if the first argument is not a command, and shows its options in the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_option = bool(args) and args[0].startswith("-") and args[0] not in ("--help", "--version")
        if is_option or not (args or ctx.resilient_parsing):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [r for r in (p.get_help_record(ctx) for p in (*serve.params, *self.get_params(ctx))) if r]
        with formatter.section("Options"):
            formatter.write_dl(records)
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        return [*super().shell_complete(ctx, incomplete), *serve.shell_complete(click.Context(serve), incomplete)]


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from spec.version import format_version

        click.echo(format_version("athena-mock"))
        ctx.exit()


def _create_version_option(*, hidden: bool = False) -> click.Option:
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        hidden=hidden,
        callback=_print_version,
        help="Show the versions of athena-mock and its contract.",
    )


@click.group(
    cls=_DefaultCommandGroup,
    epilog=_EPILOG,
    options_metavar="[serve] [OPTIONS]",
    subcommand_metavar="",
    context_settings={"max_content_width": 110},
    params=[_create_version_option()],
)
def athena_mock() -> None:
    """Serve an OpenAPI contract with state: records, relations, filters, access rules and validation."""


@athena_mock.command(params=[*OPTIONS, _create_version_option(hidden=True)])
@click.pass_context
def serve(ctx: click.Context, /, **values: Any) -> int:
    """Start the server (default command)."""
    settings = _create_settings(ctx)
    tls = certificates.create_tls_setup(settings)
    sockets, port = listen(settings.host, settings.port)
    standard_streams.replace_stderr()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    if tls is not None and tls.warning is not None:
        _print_warning(tls.warning)
    # Until the server handles signals itself. A shell lets background jobs of a script ignore SIGINT.
    for number in (signal.SIGINT, *list_stop_signals()):
        signal.signal(number, _raise_keyboard_interrupt)
    try:
        return _serve(settings, sockets, port, tls)
    except KeyboardInterrupt:
        return 0


@athena_mock.command("build-image", params=[*DATASET_OPTIONS])
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.pass_context
def build_image(ctx: click.Context, /, file: Path | None, contract: Path | None, **values: Any) -> int:
    """Build the image of a dataset in FILE; without FILE, in the cache folder, and print its path.

    `serve` builds it when needed; an image in the cache folder makes the first start fast.
    """
    from fixtures.errors import FixtureError
    from mock_server.cli import dataset_image
    from mock_server.cli.contract_loading import load_served_contract
    from mock_server.store import StoreError
    from spec.errors import ContractError

    _check_environment()
    try:
        contract_path = dataset_image.get_contract_path(contract)
        loaded = load_served_contract(contract_path)
        if ctx.get_parameter_source("dataset") not in _EXPLICIT_SOURCES and contract is not None:
            values["dataset"] = dataset_image.choose_default_dataset(loaded, values["dataset"])
        parameters = dataset_image.create_dataset_parameters(**values)
        if file is None:
            click.echo(dataset_image.ensure_image(loaded, parameters, contract_path))
        else:
            dataset_image.build_image(file, loaded, parameters)
    except ContractError as error:
        return report_lines(error.lines, 2)
    except (FixtureError, StoreError) as error:
        return report_lines(str(error).splitlines(), 2)
    return 0


athena_mock.add_command(store)
athena_mock.add_command(dataset)


def _check_environment() -> None:
    """Raise click.UsageError for an unknown environment variable with the prefix of the settings."""
    variables = [str(option.envvar) for option in OPTIONS]
    for name in os.environ:
        if name.startswith(VARIABLE_PREFIX) and name not in variables:
            similar = "".join(f" Did you mean {match}?" for match in get_close_matches(name, variables, 1))
            raise click.UsageError(f"No such environment variable: {name}.{similar or f' Expected one of {variables}'}")


def _create_settings(ctx: click.Context) -> MockSettings:
    """Return the settings of the command `serve`. Raises click.UsageError."""
    _check_environment()
    explicit = frozenset(name for name in ctx.params if ctx.get_parameter_source(name) in _EXPLICIT_SOURCES)
    settings = MockSettings(**ctx.params, explicit_fields=explicit)
    if settings.tls is not None and (settings.tls_cert or settings.tls_key):
        raise click.UsageError("--tls self-signed cannot be combined with --tls-cert and --tls-key.")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        given, missing = ("--tls-cert", "--tls-key") if settings.tls_cert else ("--tls-key", "--tls-cert")
        raise click.UsageError(f"{given} needs {missing}.")
    return settings


def parse_settings(arguments: Sequence[str]) -> MockSettings:
    """Return the settings of `athena-mock serve` for its arguments. Raises click.UsageError."""
    return _create_settings(serve.make_context("athena-mock", list(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (see --help)."""
    standard_streams.open_missing_descriptors()
    try:
        args = None if arguments is None else list(arguments)
        status = int(athena_mock.main(args, prog_name="athena-mock", standalone_mode=False) or 0)
        standard_streams.flush_stdout()
        return status
    except OSError as error:
        with suppress(OSError):
            standard_streams.flush_stdout()
        return report_error(f"{error.filename or 'stdout'}: {os.strerror(error.errno or 0)}", 1)
    except click.ClickException as error:
        return report_error(error.format_message(), 2)
    except ListenError as error:
        return report_error(str(error), 1)


def _serve(settings: MockSettings, sockets: "list[socket.socket]", port: int, tls: certificates.TlsSetup | None) -> int:
    from mock_server.server.lazy_imports import gc_disabled, import_connexion

    with gc_disabled():
        import_connexion()
        from fixtures.errors import FixtureError
        from mock_server.cli.startup_banner import build_banner
        from mock_server.control.rule_files import RuleFileError
        from mock_server.server import server
        from mock_server.store import StoreError
        from mock_server.web.credentials.accepted import TokenFileError
        from spec.errors import ContractError

        try:
            app, sandbox = _create_app_and_sandbox(settings)
        except RuleFileError as error:
            return max(report_error(problem, 2) for problem in error.problems)
        except ContractError as error:
            return report_lines(error.lines, 2)
        except (FixtureError, StoreError, TokenFileError) as error:
            return report_lines(str(error).splitlines(), 2)
        host = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        _print_contract_notes(sandbox.contract)
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        banner = build_banner(
            sandbox,
            url,
            colour=colour,
            tls=tls,
            token_file=settings.tokens,
            has_console=_has_console(settings),
        )
        standard_streams.write_stdout(banner, timeout=MAX_BANNER_SECONDS)
    server.serve(app, settings.log_level, sockets, tls.context if tls else None)
    sandbox.store.close()
    return 0


def _has_console(settings: MockSettings) -> bool:
    """Whether the console can be used: test control is on."""
    from mock_server.web.host_names import is_loopback

    return not settings.no_control and (settings.control_token is not None or is_loopback(settings.host))


def _print_contract_notes(contract: "Contract") -> None:
    """Print which parts of the contract have no effect."""
    from mock_server.cli import contract_notes
    from spec.extensions import format_ignored_extensions

    if contract.ignored_extensions:
        write_line(format_ignored_extensions(contract.ignored_extensions))
    for describe in (
        contract_notes.describe_unmarked_parameters,
        contract_notes.describe_static_reads,
        contract_notes.describe_resources_without_path,
    ):
        note = describe(contract)
        if note:
            write_line(note)


def _create_app_and_sandbox(settings: MockSettings) -> "tuple[MockApp, Sandbox]":
    from mock_server import images, store_files
    from mock_server.app import create_app
    from mock_server.cli import dataset_image
    from mock_server.cli.contract_loading import load_served_contract
    from mock_server.cli.contract_notes import iter_unsatisfiable_schemas
    from mock_server.sandbox.clock import format_timestamp, get_system_time
    from mock_server.store.connection import Durability
    from mock_server.store.file_format import describe_file_errors
    from mock_server.web.host_names import is_loopback
    from mock_server.web.request_log import RequestLog
    from spec.line_numbers import describe_lines
    from spec.validators import SchemaValidators

    contract_path = dataset_image.get_contract_path(settings.contract)
    contract = load_served_contract(contract_path, requires_actions=settings.require_actions)
    name = settings.dataset
    if settings.contract is not None and "dataset" not in settings.explicit_fields:
        name = dataset_image.choose_default_dataset(contract, name)
    parameters = dataset_image.create_dataset_parameters(
        name, settings.seed, settings.epoch, settings.size, settings.documented_urls
    )
    get_image = partial(dataset_image.ensure_image, contract, parameters, contract_path)
    fields, durability = settings.explicit_fields, Durability(settings.durability.upper())
    store = store_files.open_store(contract, parameters, settings.store, get_image, fields, durability)
    epoch = images.get_epoch(store)
    if settings.epoch is not None and epoch != parameters.epoch:
        text = f"its epoch is {format_timestamp(epoch)}; --epoch {format_timestamp(parameters.epoch)} is ignored"
        _print_warning(f"--store {settings.store}: {text}")
    newest = images.find_newest_after_epoch(store)
    if newest is not None:
        documented = f"documented records (up to {format_timestamp(newest)})"
        consequence = "records that belong to these get the epoch as their date"
        _print_warning(f"the epoch {format_timestamp(epoch)} is earlier than {documented}; {consequence}")
    validators = SchemaValidators.from_document(contract.document)
    with describe_file_errors(settings.store or Path()):
        from_epoch = settings.epoch is not None
        sandbox = images.create_sandbox(contract, validators, store, get_system_time, from_epoch=from_epoch)
    request_log = RequestLog(contract.document, sys.stderr, quiet=settings.quiet)
    for pointer, text in iter_unsatisfiable_schemas(contract):
        request_log.warn(pointer, text)
    registry = None if settings.no_control else _create_registry(settings, sandbox, contract_path)
    tokens = _read_tokens(settings.tokens, contract) if settings.tokens else None
    with describe_lines(contract.document):
        app = create_app(
            contract,
            sandbox,
            request_log=request_log,
            allowed_hosts=(*settings.allowed_hosts, settings.host),
            cors_origins=settings.cors_origin,
            serves_network=not is_loopback(settings.host),
            trusted_proxies=settings.trusted_proxies,
            max_body_bytes=settings.max_body,
            registry=registry,
            control_token=settings.control_token,
            dataset_names=sorted({*dataset_image.list_dataset_names(), parameters.dataset}),
            accepted_tokens=tokens,
        )
    return app, sandbox


def _read_tokens(path: Path, contract: "Contract") -> frozenset[str]:
    """Return the accepted credentials of a contract without accounts. Raises TokenFileError."""
    from mock_server.web.credentials.accepted import TokenFileError, read_tokens

    if contract.account_resource is not None:
        expected = f"a contract without accounts; here a token belongs to a record of {contract.account_resource.name}"
        raise TokenFileError(f"--tokens: {path} (expected {expected})")
    return read_tokens(path)


def _create_registry(settings: MockSettings, sandbox: "Sandbox", contract_path: Path) -> "SandboxRegistry":
    from mock_server.cli import dataset_image
    from mock_server.control.rule_files import read_rules
    from mock_server.control.rules import create_rule_set
    from mock_server.registry.registry import SandboxRegistry

    rules = read_rules(settings.rules, sandbox.contract) if settings.rules else []

    def get_image(parameters: "DatasetParameters") -> Path:
        return dataset_image.ensure_image(sandbox.contract, parameters, contract_path)

    return SandboxRegistry.create(
        sandbox,
        get_image,
        starts_at_epoch=settings.epoch is not None,
        max_bytes=settings.sandbox_memory,
        idle_seconds=60.0 * settings.sandbox_idle,
        requires_creation=settings.require_sandbox,
        journal_bytes=settings.journal_memory,
        execution_seconds=settings.execution_seconds,
        create_rules=partial(create_rule_set, sandbox.contract, rules),
    )


def _raise_keyboard_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _print_warning(message: str) -> None:
    sys.stderr.write(f"athena-mock: warning: {message}\n")
