"""Prints the requests of all checks, and of Schemathesis, to a fresh mock in process: one per line, to compare runs.

    python -m tests.conformance.support.recorded [--engine] RUN_ID SEED [OPERATION...]

Identifiers and times from the target and the run id are replaced by numbered placeholders.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from random import Random

import httpx

from conformance import schemathesis_engine
from conformance.checks.registry import CHECKS
from conformance.runner.runner import ResultSource, run
from conformance.schemathesis_engine import PHASES, Depth
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog, run_marker
from conformance.transport.client import Budget, HttpTarget
from spec.model import Operation
from tests.conformance.support.asgi_session import HOST, TOKENS, AsgiTransport
from tests.mock_server.athena import Api, athena_contract, athena_schemas

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?|\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\w*")


class Recording(AsgiTransport):
    """Records each request."""

    lines: list[str]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Record the request and send it."""
        body = request.read().decode("utf-8", "replace")
        token = request.headers.get("authorization", "")
        self.lines.append(f"{request.method} {request.url.raw_path.decode()} {token} {body}")
        return super().handle_request(request)


DEPTH = Depth(PHASES, max_examples=3, max_steps=4)


def source(operations: Sequence[Operation], seed: int, depth: Depth) -> ResultSource:
    """Schemathesis as a source of results."""

    def run_engine(session: Session) -> Iterator[schemathesis_engine.EngineResult]:
        return schemathesis_engine.run_engine(session, operations, seed=seed, depth=depth)

    return run_engine


def main(run_id: str, seed: int, operation_ids: list[str], depth: Depth | None) -> list[str]:
    """The requests of one run; with Schemathesis if `depth` is not None."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    api.reset()
    transport = Recording(api.app)
    transport.lines = []
    target = HttpTarget(HOST + api.contract.base_path, TOKENS, Budget(None, None), transport=transport)
    bodies = PayloadFactory(api.contract, run_marker(run_id), Random(seed))
    session = Session.create(api.contract, api.schemas, target, WriteLog(run_id), bodies)
    operations = [o for o in api.contract.operations.values() if not operation_ids or o.id in operation_ids]
    sources = [] if depth is None else [source(operations, seed, depth)]
    run(session, CHECKS, operations, lambda outcome: None, sources=sources)
    target.close()
    return list(_normalize_lines(transport.lines, run_id))


def _normalize_lines(lines: list[str], run_id: str) -> list[str]:
    names: dict[str, str] = {}
    return [
        TIME.sub("TIME", UUID.sub(lambda match: names.setdefault(match[0], f"#{len(names)}"), line)).replace(
            run_id, "RUN"
        )
        for line in lines
    ]


if __name__ == "__main__":
    with_engine = sys.argv[1] == "--engine"
    arguments = sys.argv[2:] if with_engine else sys.argv[1:]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write("\n".join(main(arguments[0], int(arguments[1]), arguments[2:], DEPTH if with_engine else None)))
