"""`athena-conformance plan`: what a run would send, without sending anything.

The figures are estimates: what each law took on the mock (`conformance.costs`), for the operations that it applies to.
"""

from collections.abc import Iterator, Sequence

from conformance.connection import chosen_operations, contract_of
from conformance.costs import Cost, Costs
from conformance.laws import LAWS
from conformance.laws.law import Law
from conformance.output import say
from conformance.profile import profile
from conformance.settings import Settings
from conformance.verdict import counted
from spec.contract import Contract, Operation

MODEL = "language-model"
MINUTE = 60


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Print the plan; the exit status. Raises UsageError, ContractError."""
    contract = contract_of(settings)
    operations = [o for o in chosen_operations(settings, contract) if o.id not in settings.skip]
    for line in _lines(settings, contract, operations, LAWS if laws is None else laws):
        say(line + "\n")
    return 0


def _lines(
    settings: Settings, contract: Contract, operations: Sequence[Operation], laws: Sequence[Law]
) -> Iterator[str]:
    costs = Costs.measured()
    writes = not settings.read_only and (not settings.base_url or settings.writes_allowed)
    depth = "" if settings.no_engine else profile(settings.profile).depth
    total, engine, cases = Cost(), Cost(), 0
    width = max((len(o.id) for o in operations), default=0)
    yield f"{'operation':{width}}  requests  writes  engine"
    for operation in operations:
        asked = [law for law in laws if law.applies(contract, operation) and (writes or not law.writes)]
        cost = sum((costs.of(law, operation) for law in asked), Cost())
        cost = cost if writes else Cost(cost.requests - cost.writes)
        more = _engine(settings, costs, depth, operation, writes)
        yield f"{operation.id:{width}}  {cost.requests:8.0f}  {cost.writes:6.0f}  {more.requests:6.0f}"
        total, engine, cases = total + cost, engine + more, cases + len(asked)
    cleaning = total.writes * costs.cleaning
    everything = total.requests + cleaning + engine.requests
    yield ""
    yield (
        f"{counted(len(operations), 'operation')}, {counted(cases, 'case')}: about {total.requests:.0f} requests, "
        f"{total.writes:.0f} of them writes, and {cleaning:.0f} to take away what was made "
        "(estimated: what each law took on the mock; one that finds something broken asks again)"
    )
    yield (
        f"the stock engine after them ({depth.lower()}): about {engine.requests:.0f} requests, "
        f"{engine.writes:.0f} of them writes or refused ones (--no-engine: none)"
        if depth
        else "the stock engine is not asked: --no-engine"
    )
    yield from _effects(settings, operations)
    yield from _said(settings, contract, writes)
    yield from _bounds(settings, everything)


def _engine(settings: Settings, costs: Costs, depth: str, operation: Operation, writes: bool) -> Cost:
    """What the engine asks; as in a run, no operation that writes or has effects where that is not allowed."""
    left_out = (operation.method != "get" and not writes) or (operation.effects and not settings.allow_effects)
    return Cost() if left_out or not depth else costs.of_engine(depth, operation)


def _effects(settings: Settings, operations: Sequence[Operation]) -> Iterator[str]:
    """Which operations have effects outside, and how often a model may be called."""
    with_effects = [o for o in operations if o.effects]
    if not with_effects:
        yield "operations with effects outside: none"
        return
    names = ", ".join(f"{o.id} ({', '.join(o.effects)})" for o in with_effects)
    models = [o for o in with_effects if MODEL in o.effects]
    if settings.allow_effects:
        calls = counted(len(models) * settings.max_expensive, "call")
        yield f"operations with effects outside: {names}"
        yield f"expensive: at most {calls} of models ({len(models)} x --max-expensive {settings.max_expensive})"
    else:
        yield f"operations with effects outside, not used without --allow-effects: {names}"
        yield "expensive: no call of a model is meant to succeed"


def _said(settings: Settings, contract: Contract, writes: bool) -> Iterator[str]:
    """What is left out."""
    skipped = [f"{name} ({reason})" for name, reason in settings.skip.items() if name in contract.operations]
    if skipped:
        yield f"skipped: {', '.join(skipped)}"
    if not writes:
        why = "--read-only" if settings.read_only else f"no --allow-writes-to {settings.host}"
        yield f"nothing is written: {why}"


def _bounds(settings: Settings, requests: float) -> Iterator[str]:
    """How long it takes at least, and what ends it before."""
    if settings.rate_limit:
        yield f"least duration: {_duration(requests / settings.rate_limit)} (--rate-limit {settings.rate_limit:g})"
    else:
        yield f"least duration: no --rate-limit; at 0.1 s an answer about {_duration(requests / 10)}"
    if settings.max_requests is not None and settings.max_requests < requests:
        yield f"--max-requests {settings.max_requests} ends it before everything is judged"
    if settings.max_time is not None:
        yield f"no more is judged after {_duration(settings.max_time)} ({settings.origins['max_time']})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
