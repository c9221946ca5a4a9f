"""The command `athena-conformance`: parses its options, runs the command, and returns its exit code.

The modules of the commands are imported after the options have been validated.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from conformance import interrupts
from conformance.cli.commands import parse_settings
from conformance.cli.stdout import flush_outputs, write_error, write_error_lines
from conformance.config.settings import Settings
from conformance.errors import UsageError
from spec.errors import ContractError

if TYPE_CHECKING:
    from conformance.checks.support.check import Check

# The packages of the extra `conformance` that the suite imports.
EXTRA_MODULES = ("httpx", "hypothesis", "openapi_core", "pytest", "rich", "schemathesis")
USAGE, INCOMPLETE = 2, 5  # members of `conformance.gate.verdict.ExitCode`, whose import takes long


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    checks: "Sequence[Check] | None" = None,
) -> int:
    """Run the command line and return the exit code. `checks`: the checks to run, all by default."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal's encoding may lack characters of a target
    is_process = arguments is None
    handlers = interrupts.install()
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        settings = parse_settings(arguments, os.environ if environment is None else environment)
        return _run_command(settings, checks)
    except ContractError as error:
        return write_error_lines(error.lines, USAGE)
    except UsageError as error:
        return write_error(str(error), USAGE)
    except (KeyboardInterrupt, click.Abort):
        return write_error("interrupted before there was anything to report", INCOMPLETE)
    except Exception as error:  # not a result of the target; the user gets no traceback
        return write_error(f"internal error in the suite, nothing was decided: {error!r}", INCOMPLETE)
    finally:
        if is_process:
            interrupts.ignore_until_exit()
        else:
            interrupts.restore(handlers)
        flush_outputs()


def _run_command(settings: Settings, checks: "Sequence[Check] | None") -> int:
    _require_extra()
    name = settings.command.replace("-", "_")
    if settings.show_config:
        name = "show_config"
    elif name == "run" and settings.dry_run:
        name = "dry_run"
    return int(import_module(f"conformance.cli.{name}").command(settings, checks))


def _require_extra() -> None:
    """Raise UsageError if packages that the mock does not need are missing."""
    missing = [name for name in EXTRA_MODULES if find_spec(name) is None]
    if missing:
        extra = "the extra 'conformance': pip install 'athena-contract[conformance]'; in a checkout: make install"
        raise UsageError(f"not installed: {', '.join(missing)} (expected {extra})")
