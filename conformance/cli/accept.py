"""`athena-conformance accept REPORT ID`: adds a failure of a report to the baseline, with reason, owner and expiry."""

from datetime import UTC, datetime
from pathlib import Path

from conformance.cli.stdout import make_printable, write_stdout
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.gate import baseline
from conformance.gate.baseline import MAX_MESSAGE_CHARS, AcceptedFailure, Baseline
from conformance.past_runs.report_reader import read_report


def command(settings: Settings, checks: object = None) -> int:
    """Add the failure to the file of --baseline, which is created if necessary. Raises UsageError."""
    report, name = settings.arguments
    if settings.baseline is None:
        raise UsageError(f"{baseline.OPTION}: no file (expected the file of accepted failures)")
    for option, value in (("reason", settings.reason), ("expires", settings.expires), ("owner", settings.owner)):
        if not value:
            raise UsageError(f"--{option}: no value (expected --reason TEXT --expires DATE --owner NAME)")
    today = datetime.now(UTC).date()
    if settings.expires is not None and settings.expires <= today:
        raise UsageError(f"--expires: invalid value '{settings.expires}' (expected a date after {today})")
    failure = read_report(Path(report)).failure(name)
    entry = AcceptedFailure(
        failure.fingerprint,
        today,
        settings.reason or "",
        settings.expires,
        " ".join(failure.message.split())[:MAX_MESSAGE_CHARS],
        settings.owner or "",
    )
    Baseline.load(settings.baseline, today).with_entry(entry).save(settings.baseline)
    subject = make_printable(f"{failure.operation} {failure.parameter} {failure.check}")
    write_stdout(f"{settings.baseline}: accepted until {settings.expires}: {' '.join(subject.split())}\n")
    return 0
