"""The commands of `athena-conformance`, declared with click. Imports nothing that makes `--help` slow."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from conformance.config.options import OPTIONS
from conformance.config.settings import Settings, build_settings
from conformance.errors import UsageError

NAME = "athena-conformance"
USAGE = "usage error: an option, the settings file or the contract is invalid"
UNREACHABLE = "target unreachable: it is down, hangs, is not an HTTP API, or was lost during the run"
EXIT_CODES: Mapping[int, str] = {
    0: "passed: no blocking check failed, and enough checks ran",
    1: "failed: at least one blocking check failed",
    2: USAGE,
    3: UNREACHABLE,
    4: "no checks ran: no check applies to the selected operations",
    5: "incomplete: an operation never succeeded, too few checks ran, or the run was aborted",
    6: "flaky: more failures did not recur than --flaky-limit permits",
}


class SuiteCommand(click.Command):
    """A command with the options that `conformance.config.options` declares for it."""

    def __init__(
        self, name: str, help: str, example: str, *arguments: click.Argument, exit_codes: Mapping[int, str] = EXIT_CODES
    ) -> None:
        options = [option for option in OPTIONS if name in option.commands]
        super().__init__(name, params=[*arguments, *options], callback=_read_settings, help=help, short_help=help)
        self.example, self.exit_codes = example, exit_codes

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            formatter.write(f"  {NAME} {self.name} {self.example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in self.exit_codes.items()])


class SuiteGroup(click.Group):
    """Lists the commands in the order of their declaration."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.pass_context
def _read_settings(ctx: click.Context, /, **_: Any) -> Settings:
    return build_settings(ctx, ctx.obj)


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from spec.version import format_version  # reads the contract

        click.echo(format_version(NAME))
        ctx.exit()


VERSION = click.Option(
    ["--version"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions of this command and its contract, and exit.",
)
REPORT = click.Argument(["report"], type=click.Path())
COMMANDS = (
    SuiteCommand(
        "run",
        "Send requests, run the checks, write reports.",
        "--base-url https://staging.example.com --read-only --report-dir reports",
    ),
    SuiteCommand(
        "pytest",
        "Run the checks as pytest items named check[operationId]. Options of pytest follow after --.",
        "--base-url http://127.0.0.1:8000 -- -k listMessages -x",
        click.Argument(["pytest_options"], nargs=-1, type=click.UNPROCESSED),
    ),
    SuiteCommand(
        "replay",
        "Rerun one failure of a report (conformance.json) in a fresh state.",
        "reports/conformance.json bbb15e81",
        REPORT,
        click.Argument(["id"]),
        exit_codes={
            0: "not reproduced; with --format=sh: the script was written",
            1: "reproduced",
            2: USAGE,
            3: UNREACHABLE,
            5: "inconclusive",
        },
    ),
    SuiteCommand(
        "accept",
        "Add one failure of a report to the baseline: it does not block until it expires.",
        "reports/conformance.json bbb15e81 --baseline known.yaml --reason 'ticket 12' --expires 2030-01-31 --owner Ada",
        REPORT,
        click.Argument(["id"]),
        exit_codes={0: "the baseline was written", 2: USAGE},
    ),
    SuiteCommand(
        "traffic",
        "Check recorded traffic (HAR files, also in gzip or zip) without sending anything.",
        "staging.har --report-dir reports",
        click.Argument(["file"], nargs=-1, required=True, type=click.Path()),
    ),
    SuiteCommand(
        "confirm",
        "Edit the contract: inferred parts whose checks passed in a run become confirmed.",
        "reports/conformance.json --dry-run",
        REPORT,
        exit_codes={0: "the contract was edited, or there was nothing to confirm", 2: USAGE},
    ),
    SuiteCommand(
        "cleanup",
        "Delete the records that a killed run left on the target: those in its write log, and those with its marker.",
        "reports/write-log.jsonl",
        click.Argument(["log_file"], metavar="WRITE_LOG", type=click.Path()),
        exit_codes={0: "nothing is left", 2: USAGE, 3: UNREACHABLE, 5: "records are left, or may be; they are listed"},
    ),
    SuiteCommand(
        "mutation-test",
        "Count how many deliberately broken servers the suite detects (for development of the suite).",
        "--sample 200",
        exit_codes={
            0: "enough broken servers were detected, and no conforming server failed",
            1: "fewer than --min were detected, or a conforming server failed",
            2: USAGE,
        },
    ),
)
GROUP = SuiteGroup(
    NAME,
    help="Check a backend against the contract over HTTP.",
    commands=COMMANDS,
    params=[VERSION],
    no_args_is_help=False,
    context_settings={"max_content_width": 120},
)


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Parse a command line. Raises UsageError; SystemExit after --help, --version and completions."""
    try:
        result = GROUP.main(list(arguments), NAME, standalone_mode=False, obj=environment)
    except click.UsageError as error:
        raise UsageError(_usage_message(error)) from None
    if not isinstance(result, Settings):
        raise SystemExit(result)
    return result


def _usage_message(error: click.UsageError) -> str:
    ctx = error.ctx
    if isinstance(error, click.BadParameter) and error.param is not None and error.message:
        name = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.human_readable_name
        return f"{name}: {error.message}"
    message = error.format_message().rstrip(".")
    if isinstance(error, click.MissingParameter) and error.param is not None:
        message = f"{error.param.human_readable_name}: missing argument"
    if ctx is None:
        return message
    usage = " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)])
    expected = ", ".join(ctx.command.list_commands(ctx)) if isinstance(ctx.command, click.Group) else usage
    return f"{message} (expected {expected})"
