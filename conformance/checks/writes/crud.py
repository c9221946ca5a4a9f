"""The checks of writes that the model does not state: timestamps, rejected writes, one record for each create."""

from conformance.checks.support.check import Check
from conformance.checks.writes import text_roundtrip, timestamps, update

CHECKS: tuple[Check, ...] = (*text_roundtrip.CHECKS, *update.CHECKS, *timestamps.CHECKS)
