"""The checks of all modules of this package, in the order of a run."""

from conformance.checks.support.check import Check
from conformance.checks.writes import single_create, timestamps, update

CHECKS: tuple[Check, ...] = (*single_create.CHECKS, *update.CHECKS, *timestamps.CHECKS)
