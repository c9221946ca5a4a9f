"""Schemathesis as an engine: its cases and checks, with our target, locations and reruns.

Only this package uses Schemathesis. Its engine is not a documented API, so the version is pinned and tested. The import
takes about 1 s and is deferred until the engine runs.
"""

from collections.abc import Callable, Iterator, Sequence

from conformance.errors import UsageError
from conformance.results import CheckResult
from conformance.schemathesis_engine.types import DEEP, GATE, SMOKE, Depth, EngineResult
from conformance.session.session import Session
from spec.model import Operation

__all__ = ["DEEP", "GATE", "SMOKE", "Depth", "EngineResult", "run_engine"]


def run_engine(
    session: Session,
    operations: Sequence[Operation],
    *,
    seed: int,
    depth: Depth,
    on_result: Callable[[CheckResult], None],
) -> Iterator[EngineResult]:
    """Run the engine on operations; yield one result per requirement, failed ones after their reruns.

    `seed`: equal seeds send equal cases in the same order. `on_result`: called with each result. Raises
    BudgetExhausted, TargetUnreachable and KeyboardInterrupt after the results so far; UsageError if Schemathesis is
    not installed.
    """
    try:
        from conformance.schemathesis_engine.results import run_operations  # imports Schemathesis
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The Schemathesis engine needs the package {error.name!r}. "
            "Install it with `pip install 'athena-contract[engine]'`, or run without the engine (--no-fuzzing)."
        ) from None
    return run_operations(session, operations, seed=seed, depth=depth, on_result=on_result)
