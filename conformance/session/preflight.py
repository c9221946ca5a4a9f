"""Before anything is judged: whether an API answers at the address, and whether it takes the token.

A few harmless GETs of the contract are asked. What they show is no broken promise: it says that the run would judge
something else than the backend.
"""

import time
from collections.abc import Callable, Iterator

from conformance.errors import NoResponse, TargetUnreachable
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from conformance.transport.retry import GATEWAY_STATUSES
from spec.loader import Contract, Operation

MAX_PROBES = 3
PROBE_INTERVAL = 0.5


def wait_until_ready(
    session: Session,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Exchange]:
    """What harmless GETs were answered; a target that is not there is asked again for so long. Raises TargetLost."""
    deadline = clock() + seconds
    while True:
        try:
            operations = [o for o in probe_operations(session.contract) if o.id not in session.skipped_operations]
            exchanges = [session.send(operation) for operation in operations[:MAX_PROBES]]
            check_target(session.target.base, exchanges)
        except (NoResponse, TargetUnreachable) as error:
            if clock() >= deadline:
                raise TargetUnreachable(str(error)) from None
            sleep(PROBE_INTERVAL)
        else:
            return exchanges


def probe_operations(contract: Contract) -> Iterator[Operation]:
    """GETs that need nothing to be known, lists first."""
    operations = [
        o
        for o in contract.operations.values()
        if o.method == "get"
        and not o.path_parameter_names
        and not o.effects
        and not any(p.required for p in o.query_parameters)
    ]
    yield from sorted(operations, key=lambda o: o.action != "list")


def check_target(base: str, exchanges: list[Exchange]) -> None:
    """Raise TargetLost when what answers is not the API: a page for people, a gateway, another address."""
    if not exchanges:
        return
    responses = [exchange.response for exchange in exchanges]
    first, path = responses[0], exchanges[0].request.path_template
    if all(300 <= r.status < 400 for r in responses):
        where = first.headers.get("location", "nowhere")
        raise TargetUnreachable(
            f"{base} answers {path} with a redirect to {where}: give the address itself as --base-url"
        )
    if all(r.status in GATEWAY_STATUSES for r in responses):
        raise TargetUnreachable(f"{base} answers {path} with {first.status}: it is not up; --wait-ready S waits for it")
    if all(r.json is None and _is_html(r.headers.get("content-type", ""), r.content) for r in responses):
        raise TargetUnreachable(
            f"{base} answers {path} with an HTML page ({first.status}), not with an API's JSON: look at --base-url, "
            "and at what stands before the backend (a sign-in page, a proxy)"
        )
    if len(responses) >= MAX_PROBES and all(r.status == 404 for r in responses):
        raise TargetUnreachable(f"{base} answers 404 to {path} and every other list: is the path of --base-url right?")


def token_problem(exchanges: list[Exchange], token_env: str) -> str:
    """A sentence when nothing that needs a token was granted with it; "" otherwise."""
    statuses = {exchange.response.status for exchange in exchanges}
    if not statuses or not statuses <= {401, 403}:
        return ""
    where = f"{exchanges[0].request.operation} answered {exchanges[0].response.status}"
    if 403 in statuses:
        return f"the token in ${token_env} has no rights ({where}): give one of a user who may read and write"
    return f"the target refuses the token in ${token_env} ({where}): sign in anew and put a valid token there"


def _is_html(kind: str, content: bytes) -> bool:
    return "html" in kind.lower() or content.lstrip()[:1] == b"<"
