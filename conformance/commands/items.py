"""`athena-conformance items [options] -- [pytest's own]`: the suite as pytest items (`-k`, `-x`, `--junitxml` ...).

Each law on each operation is an item; the options are those of `run`, and what stands behind ``--`` is pytest's. The
engine is not asked: it judges all that it asked at once, in its end.
"""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.commands.run import refused
from conformance.connection import contract_of, redaction_of, scope, session_of, shown, signed_in
from conformance.errors import OutOfBudget, SuiteError, TargetLost, UsageError
from conformance.laws import LAWS
from conformance.laws.law import Case, Law
from conformance.outcome import Outcome
from conformance.output import say
from conformance.readiness import await_ready
from conformance.redaction import Redaction
from conformance.report import Report
from conformance.run import Run, cases_of, run
from conformance.session import Session
from conformance.settings import Settings
from conformance.target import HttpTarget
from conformance.verdict import Code, Demands, judge
from spec.contract import Contract, Operation
from spec.document import find_line_numbers

if TYPE_CHECKING:
    from conformance.pytest_items import Suite

ENGINE = "items are the laws alone; the stock engine, which asks by operations and not by promises, is asked by `run`"
# What pytest ends with -> what we do; a failing item is 1 in both.
CODES = {0: Code.KEPT, 1: Code.BROKEN, 2: Code.INCOMPLETE, 3: Code.INCOMPLETE, 4: Code.USAGE, 5: Code.NOTHING}


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Run pytest; the exit status. Raises UsageError, ContractError."""
    try:
        import pytest
    except ImportError:
        raise UsageError("items: found no pytest; allowed: with pytest installed (pip install pytest)") from None
    settings, source = signed_in(settings)
    contract = contract_of(settings)
    operations, notes = scope(settings, contract)
    run_id = secrets.token_hex(4)
    session, target = session_of(settings, contract, run_id, source)
    redaction = redaction_of(settings, contract, source)
    try:
        why = _not_ready(settings, session, operations)
        if why is not None:
            sys.stderr.write(f"athena-conformance: {redaction.line(why[1])}\n")
            return why[0]
        for note in (*notes, ENGINE):
            say(f"note: {note}\n")
        asked = [operation for operation in operations if operation.id not in session.skipped]
        suite = _suite(settings, contract, session, target, run_id, redaction, asked, LAWS if laws is None else laws)
        ended = pytest.main([*_isolated(suite.file), *settings.arguments], plugins=[suite])
        target.budget.lift()
        left = _cleaned(session)
        if left:
            say(f"left over on the target: {redaction.line(', '.join(left))}\n")
        if suite.ended:
            say(f"the run ended before its time: {redaction.line(suite.ended)}\n")
        return _code(suite, int(ended))
    finally:
        target.close()


def _code(suite: "Suite", ended: int) -> Code:
    """The exit status, by what pytest ended with and how the suite did."""
    if suite.lost:
        return Code.LOST
    code = CODES.get(ended, Code.INCOMPLETE)
    return Code.INCOMPLETE if suite.ended and code is Code.KEPT else code


def _not_ready(settings: Settings, session: Session, operations: Sequence[Operation]) -> tuple[Code, str] | None:
    """Why nothing can be judged, and the code for it."""
    try:
        answers = await_ready(session, settings.wait_ready) if operations else []
    except TargetLost as error:
        return Code.LOST, str(error)
    except OutOfBudget as error:
        return Code.INCOMPLETE, str(error)
    why = refused(settings, session, answers) if any(o.security for o in operations) else ""
    return (Code.INCOMPLETE, why) if why else None


def _isolated(contract: Path) -> list[str]:
    """Arguments by which pytest looks at the contract alone: no settings, plugins and caches of the current folder."""
    return [
        str(contract),
        f"--config-file={os.devnull}",
        f"--rootdir={contract.parent}",
        "--disable-plugin-autoload",
        *("-p", "no:cacheprovider"),
    ]


def _suite(
    settings: Settings,
    contract: Contract,
    session: Session,
    target: HttpTarget,
    run_id: str,
    redaction: Redaction,
    operations: Sequence[Operation],
    laws: Sequence[Law],
) -> "Suite":
    """The items, and how they are judged and told."""
    from conformance.pytest_items import Suite

    started, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    demands = Demands(settings.strict, settings.min_reached, session.read_only, settings.allow_effects)
    places = find_line_numbers(contract.document.content)

    def judged(case: Case) -> Run:
        return run(session, [case.law], [case.operation], lambda outcome: None, cleaning=False)

    def told(found: Run, outcome: Outcome) -> str:
        report = Report(
            target=target.base,
            contract=shown(Path(contract.document.name)),
            digest=contract.document.digest,
            run_id=run_id,
            seed=settings.seed,
            started=started,
            seconds=time.monotonic() - began,
            requests=target.budget.sent,
            strict=settings.strict,
            read_only=session.read_only,
            token_env=settings.token_env,
            other_token_env=settings.other_token_env,
            notes=(),
            found=found,
            judgement=judge(found, contract, operations, session.seen, demands),
            redaction=redaction,
            lines=places,
            seen=session.seen,
        )
        return _failure(report, outcome)

    return Suite(
        Path(contract.document.name).resolve(),
        list(cases_of(session, laws, operations)),
        judged,
        told,
        lambda outcome: outcome.promise.blocks(strict=settings.strict),
    )


def _failure(report: Report, outcome: Outcome) -> str:
    """A broken promise as a report tells it."""
    promise = outcome.promise
    broken, times = report.replays(outcome) or (1, 1)
    about = f" {promise.parameter}" if promise.parameter else ""
    head = f"{promise.operation}{about} {promise.law}  [{promise.grade}; {broken} of {times} times]"
    parts = [head, f"due:   {promise.sentence}", f"found: {report.said(outcome)}", f"place: {report.place(promise)}"]
    return "\n".join([*parts, *filter(None, [report.curl(outcome)])])


def _cleaned(session: Session) -> list[str]:
    """Take away what was made; what is left over."""
    try:
        left = session.clean()
    except (SuiteError, KeyboardInterrupt):
        left = [(made.resource, made.key) for made in session.ledger.left()]
    return [f"{resource} {key}" for resource, key in left]
