"""Stock Schemathesis as one judge among others: its cases and checks, our target, our places and our replays.

Only this package knows Schemathesis, whose engine is no documented API (the version is pinned, and a test holds what is
used of it). Its import takes about a second, so that it is left until a run uses it.
"""

from collections.abc import Callable, Iterator, Sequence

from conformance.errors import UsageError
from conformance.results import CheckResult
from conformance.schemathesis_engine.depth import DEEP, GATE, SMOKE, Depth
from conformance.schemathesis_engine.types import EngineResult
from conformance.session.session import Session
from spec.loader import Operation

__all__ = ["DEEP", "GATE", "SMOKE", "Depth", "EngineResult", "run_engine"]


def run_engine(
    session: Session,
    operations: Sequence[Operation],
    *,
    seed: int,
    depth: Depth,
    on_result: Callable[[CheckResult], None],
) -> Iterator[EngineResult]:
    """Judge operations with the engine; each promise comes out once, a broken one after its replays.

    `seed`: equal seeds send equal cases in the same order. `on_result`: hears of each outcome as it becomes known. Raises
    OutOfBudget, TargetLost and KeyboardInterrupt, after what was judged until then has come out; UsageError where
    Schemathesis is not installed.
    """
    try:
        from conformance.schemathesis_engine.results import run_operations  # imports Schemathesis
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the engine: found no package {error.name!r}; allowed: a run without the engine, "
            "or `pip install 'athena-contract[engine]'` first"
        ) from None
    return run_operations(session, operations, seed=seed, depth=depth, on_result=on_result)
