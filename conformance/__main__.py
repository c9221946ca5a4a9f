"""The command `athena-conformance`: reads its options, judges a backend, reports, and ends with the verdict's code.

What costs time to import is imported once the options are known to be good.
"""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.errors import OutOfBudget, TargetLost, UsageError
from conformance.settings import Settings, from_arguments
from spec.errors import ContractError

if TYPE_CHECKING:
    from conformance.exchange import Exchange
    from conformance.laws.law import Law
    from conformance.outcome import Outcome
    from conformance.report import Report
    from conformance.run import Run
    from conformance.session import Session
    from conformance.target import HttpTarget
    from spec.contract import Contract, Operation

NAME = "athena-conformance"
PACKAGE = "athena-contract"
USAGE, INCOMPLETE = 2, 5


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    laws: "Sequence[Law] | None" = None,
) -> int:
    """Judge; the exit status (`conformance.verdict.Code`). `laws`: instead of all that there are."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may know less than a target says
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        settings = from_arguments(given, os.environ if environment is None else environment, _version())
        return _run(settings, laws)
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


def _run(settings: Settings, laws: "Sequence[Law] | None") -> int:
    from conformance.laws import LAWS
    from conformance.report import json, junit, terminal
    from spec.contract import load

    path = settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))
    contract = load(path)
    operations, notes = _scope(settings, contract)
    folder = _folder(settings.report_dir)
    report = _reported(settings, contract, operations, notes, LAWS if laws is None else laws)
    sys.stdout.write(terminal.render(report))
    sys.stdout.flush()
    if folder is not None:
        _write(folder / "conformance.json", json.render(report))
        _write(folder / "junit.xml", junit.render(report))
    return int(report.judgement.code)


# What is judged -----------------------------------------------------------------------------------------------------


def _scope(settings: Settings, contract: "Contract") -> "tuple[list[Operation], list[str]]":
    """The operations that are asked for, and what a reader has to know. Raises UsageError."""
    from spec.provenance import grade

    known = contract.operations.values()
    _check_known("--operation", settings.operation, [o.id for o in known])
    _check_known("--tag", settings.tag, sorted({o.tag for o in known}))
    chosen = [
        o
        for o in known
        if (not settings.operation or o.id in settings.operation)
        and (not settings.tag or o.tag in settings.tag)
        and (not settings.only or grade(contract.document, o.pointer) in settings.only)
    ]
    if settings.token is None and any(o.security for o in chosen):
        raise UsageError(f"${settings.token_env}: found no token in the environment; allowed: a valid token there")
    if settings.token is not None and settings.token == settings.other_token:
        found = f"${settings.other_token_env}: found the token of ${settings.token_env}"
        raise UsageError(f"{found}; allowed: one of a user of another tenant, or none")
    notes = [] if settings.other_token else [f"no ${settings.other_token_env}: other tenants' sight is not judged"]
    if settings.read_only:
        notes.append("the run is read-only: promises about writes are not judged")
    elif not settings.writes_allowed:
        if chosen and all(o.method != "get" for o in chosen):
            raise UsageError(
                f"--allow-writes-to: found no {settings.host}, and all that is asked for writes; "
                f"allowed: --allow-writes-to {settings.host}"
            )
        notes.append(f"the run is read-only: writing to {settings.host} needs --allow-writes-to {settings.host}")
    return chosen, notes


def _check_known(flag: str, asked: Sequence[str], known: Sequence[str]) -> None:
    unknown = [one for one in asked if one not in known]
    if unknown:
        raise UsageError(f"{flag}: found {unknown[0][:100]!a}; allowed: {', '.join(known)}")


def _reported(
    settings: Settings,
    contract: "Contract",
    operations: "Sequence[Operation]",
    notes: Sequence[str],
    laws: "Sequence[Law]",
) -> "Report":
    """Run, judge, and gather what reports say."""
    from conformance.redaction import Redaction
    from conformance.report import Report
    from conformance.verdict import Demands, judge
    from spec.document import lines

    run_id, started, clock = secrets.token_hex(4), datetime.now(UTC), time.monotonic()
    session, target = _session(settings, contract, run_id)
    demands = Demands(settings.strict, settings.min_reached, session.read_only, settings.allow_effects)
    try:
        found = _found(settings, session, target, laws, operations)
    finally:
        target.close()
    given = [value for _, value in settings.header if len(value) >= 8]
    return Report(
        target.base,
        _shown(Path(contract.document.name)),
        contract.document.digest,
        run_id,
        settings.seed,
        started.isoformat(timespec="seconds"),
        time.monotonic() - clock,
        target.budget.sent,
        settings.strict,
        session.read_only,
        settings.token_env,
        settings.other_token_env,
        tuple(notes),
        found,
        judge(found, contract, operations, session.seen, demands),
        Redaction.of(contract, [settings.token, settings.other_token, *given]),
        lines(contract.document.text),
        session.seen,
    )


def _session(settings: Settings, contract: "Contract", run_id: str) -> "tuple[Session, HttpTarget]":
    from random import Random
    from urllib.parse import urlsplit

    from conformance.bodies import Bodies
    from conformance.session import Session
    from conformance.target import Budget, HttpTarget
    from spec.schemas import Schemas

    read_only = settings.read_only or not settings.writes_allowed
    base = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    until = None if settings.max_time is None else time.monotonic() + settings.max_time
    tokens = {"self": settings.token, "other": settings.other_token}
    target = HttpTarget(
        base,
        {who: token for who, token in tokens.items() if token},
        Budget(settings.max_requests, until),
        dict(settings.header),
        settings.timeout,
        interval=1 / settings.rate_limit if settings.rate_limit else 0.0,
        read_only=read_only,
    )
    session = Session(
        contract,
        Schemas.of(contract.document),
        target,
        _ledger(settings, run_id),
        Bodies(contract, f"conformance-{run_id}", Random(settings.seed)),
        read_only=read_only,
        effects=settings.allow_effects,
    )
    return session, target


def _ledger(settings: Settings, run_id: str) -> Any:
    from conformance.ledger import Ledger

    path = settings.ledger or (settings.report_dir / "ledger.jsonl" if settings.report_dir else None)
    try:
        return Ledger(run_id) if path is None else Ledger.at(run_id, path)
    except OSError as error:
        raise UsageError(f"--ledger: found {path} ({error.strerror}); allowed: a file that can be written") from None


def _found(
    settings: Settings,
    session: "Session",
    target: "HttpTarget",
    laws: "Sequence[Law]",
    operations: "Sequence[Operation]",
) -> "Run":
    """Look whether there is an API that takes the token, then judge."""
    from conformance.readiness import await_ready
    from conformance.run import not_begun, run

    try:
        answers = await_ready(session, settings.wait_ready) if operations else []
    except (TargetLost, OutOfBudget) as error:
        return not_begun(session, laws, operations, str(error), lost=isinstance(error, TargetLost))
    except KeyboardInterrupt:
        return not_begun(session, laws, operations, "interrupted")
    refused = _refused(settings, session, answers) if any(o.security for o in operations) else ""
    if refused:
        return not_begun(session, laws, operations, refused)
    try:
        return run(session, laws, operations, _progress(), before_cleaning=target.budget.lift)
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def _refused(settings: Settings, session: "Session", answers: "Sequence[Exchange]") -> str:
    """Why the tokens are of no use, "" when they are: what would be judged with them is not the backend."""
    from conformance.readiness import refused_token

    guarded = [a for a in answers if session.contract.operations[a.request.operation].security]
    refused = refused_token(guarded, settings.token_env)
    if refused or not guarded or not settings.other_token:
        return refused
    asked = session.contract.operations[guarded[0].request.operation]
    return refused_token([session.send(asked, as_="other")], settings.other_token_env)


def _progress() -> "Callable[[Outcome], None]":
    """Says on a terminal how far the run is."""
    from conformance.outcome import Verdict

    told = dict.fromkeys(Verdict, 0)

    def progress(outcome: "Outcome") -> None:
        told[outcome.verdict] += 1
        if sys.stderr.isatty():
            counts = ", ".join(f"{count} {verdict.value}" for verdict, count in told.items())
            sys.stderr.write(f"\r\x1b[K{counts}; now {outcome.promise.law} on {outcome.promise.operation}")
            sys.stderr.flush()

    return progress


# Files and words ----------------------------------------------------------------------------------------------------


def _folder(path: Path | None) -> Path | None:
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report-dir: found {path} ({error.strerror}); allowed: a folder to write to") from None
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--report-dir: found {path} ({error.strerror}); allowed: a folder to write to") from None


def _shown(path: Path) -> str:
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return path.as_posix()


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _told(said: str, status: int) -> int:
    sys.stderr.write(f"{NAME}: {' '.join(said.split())}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
