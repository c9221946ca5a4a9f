"""How many requests each law takes, and the engine: measured on the mock, kept in `conformance/costs.json` for `plan`.

    python -m bench.costs

A law's requests on an operation are told by a line through what was measured: so many at least, and so many more for
each of the operation's query parameters and body fields.
"""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from conformance import engine
from conformance.connection import contract_of, session_of
from conformance.costs import FILE, size
from conformance.errors import SuiteError
from conformance.laws import LAWS
from conformance.run import cases_of, judged
from conformance.session import Session
from conformance.settings import from_arguments
from spec.contract import Operation
from tests.running import MODULE, environment, running

TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
# How deep the engine goes -> every so manieth operation is measured: all of `DEEP` would take half an hour.
NTH = {"SMOKE": 1, "GATE": 2, "DEEP": 10}
MOCK = (*MODULE, "--port", "0", "--quiet", "--epoch", "2026-03-01T00:00:00Z")


def main() -> None:
    """Measure, and write the file."""
    with tempfile.TemporaryDirectory() as cache, running(MOCK, environment(Path(cache))) as (_, greeting):
        base = next(word for word in greeting.split() if word.startswith("http://127.0.0.1:"))
        settings = from_arguments(["run", "--base-url", base, "--allow-effects"], TOKENS, "0")
        contract = contract_of(settings)
        session, target = session_of(settings, contract, "costs")
        points: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        operations = list(contract.operations.values())
        for case in cases_of(session, LAWS, operations):
            before, wrote = target.budget.sent, _writes(session)
            try:
                list(judged(case))
            except SuiteError as error:
                raise SystemExit(f"{case.law.id} on {case.operation.id}: {error}") from None
            sent, writes = target.budget.sent - before, _writes(session) - wrote
            points[case.law.id].append((size(case.operation), sent, writes))
        depths = {name: _engine(session, operations[:: NTH[name]], name) for name in NTH}
        writes, before = _writes(session), target.budget.sent
        session.clean()
        cleaning = (target.budget.sent - before) / max(1, writes)
        target.close()
    laws = {law: _line(found) for law, found in sorted(points.items())}
    text = json.dumps({"cleaning": round(cleaning, 3), "engine": depths, "laws": laws})
    FILE.write_text(text.replace("{", "{\n ").replace("], ", "],\n ").replace("}}", "\n}}") + "\n", encoding="utf-8")


def _engine(session: Session, operations: Sequence[Operation], depth: str) -> list[float]:
    """The same for the engine on an operation, as deep as that."""
    methods = {o.id: o.method for o in operations}
    before = Counter(session.seen)
    list(engine.judge(session, operations, seed=0, depth=getattr(engine, depth), told=lambda outcome: None))
    sent = Counter[str]()
    for (name, _), times in (Counter(session.seen) - before).items():
        sent[name] += times
    return _line([(size(o), sent[o.id], sent[o.id] if methods[o.id] != "get" else 0) for o in operations])


def _writes(session: Session) -> int:
    methods = {o.id: o.method for o in session.contract.operations.values()}
    return sum(times for (operation, _), times in session.seen.items() if methods[operation] != "get")


def _line(points: list[tuple[int, int, int]]) -> list[float]:
    """[requests at least, more for each parameter or field, share of writes]: least squares."""
    number = len(points)
    mean_x, mean_y = sum(x for x, _, _ in points) / number, sum(y for _, y, _ in points) / number
    spread = sum((x - mean_x) ** 2 for x, _, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y, _ in points) / spread if spread else 0.0
    slope = max(0.0, slope)
    sent, writes = sum(y for _, y, _ in points), sum(w for _, _, w in points)
    return [round(mean_y - slope * mean_x, 2), round(slope, 3), round(writes / max(1, sent), 3)]


if __name__ == "__main__":
    main()
