"""The severities of checks in the settings file: which apply today, and what the report says about them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from conformance.config.file import CheckSeverity, suggest
from conformance.errors import UsageError

ENGINE_PREFIX = "engine-"  # of the checks of Schemathesis
NOTICE_PERIOD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Severities:
    """Check -> ``error``, ``warn`` or ``off``. `notes`: for the report."""

    by_check: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def create(cls, settings: Mapping[str, CheckSeverity], known_checks: Collection[str], today: date) -> "Severities":
        """Select the severities that have not expired. Raises UsageError for a check that does not exist."""
        by_check: dict[str, str] = {}
        notes: list[str] = []
        for check, setting in settings.items():
            if check not in known_checks and not check.startswith(ENGINE_PREFIX):
                names = sorted(known_checks)
                raise UsageError(
                    f"{setting.location}: no such check{suggest(check, names)} (expected {', '.join(names)})"
                )
            if setting.expires is not None and setting.expires <= today:
                notes.append(
                    f"the severity {setting.severity} of {check} expired on {setting.expires}: {setting.reason}"
                )
                continue
            by_check[check] = setting.severity
            is_ending = setting.expires is not None and setting.expires <= today + NOTICE_PERIOD
            until = f" until {setting.expires}" if is_ending else ""
            notes.append(f"severity of {check}: {setting.severity}{until}: {setting.reason}")
        return cls(by_check, tuple(notes))

    def get(self, check: str) -> str:
        """Return the severity of a check, or "" if its failures count as usual."""
        return self.by_check.get(check, "")

    def is_off(self, check: str) -> bool:
        """Whether a check does not run."""
        return self.get(check) == "off"
