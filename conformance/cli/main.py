"""The command `athena-conformance`: reads its options, does what its word says, and ends with that word's exit code.

What costs time to import is imported once the options are known to be good.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from conformance.config.settings import Settings, from_arguments
from conformance.errors import UsageError
from spec.errors import ContractError
from spec.version import get_version

if TYPE_CHECKING:
    from conformance.checks.support.check import Check

NAME = "athena-conformance"
USAGE, INCOMPLETE = 2, 5
_MODULES = {"items": "pytest", "promote": "confirm", "clean": "cleanup", "score": "mutation_test"}


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    laws: "Sequence[Check] | None" = None,
) -> int:
    """Judge; the exit status (`conformance.gate.verdict.Code`). `laws`: instead of all that there are."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know less than a target says
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _do(from_arguments(given, os.environ if environment is None else environment, get_version()), laws)
    except (UsageError, ContractError) as error:
        return _told(str(error), USAGE)
    except KeyboardInterrupt:
        return _told("interrupted before there was anything to report", INCOMPLETE)
    except Exception as error:
        # Whatever it is, it is ours: no verdict over the target, and no traceback for the user.
        return _told(f"a fault of the suite itself, nothing was decided: {error!r}", INCOMPLETE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _do(settings: Settings, laws: "Sequence[Check] | None") -> int:
    """What the word says; each is a module of `conformance.cli`."""
    name = _MODULES.get(settings.word, settings.word)
    if settings.show_config:
        name = "show_config"
    elif name == "run" and settings.dry_run:
        name = "dry_run"
    module = import_module(f"conformance.cli.{name}")
    return int(module.command(settings, laws))


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _told(said: str, status: int) -> int:
    sys.stderr.write(f"{NAME}: {' '.join(said.split())}\n")
    return status
