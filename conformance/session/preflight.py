"""Checks before a run that an API responds at the base URL and accepts the token.

It sends a few harmless GET requests. A problem here is no failed check: the run would test something else than the
backend.
"""

import time

from conformance.errors import NoResponse, TargetUnreachable
from conformance.session.session import Session
from conformance.transport.access_watch import REFUSAL_STATUSES, describe_refusal, extract_title
from conformance.transport.messages import Actor, Exchange
from conformance.transport.retry import GATEWAY_STATUSES
from spec.model import Contract, Operation

MAX_PROBES = 3
PROBE_INTERVAL = 0.5


def wait_until_ready(session: Session, seconds: float) -> list[Exchange]:
    """The responses to harmless GETs, retried for `seconds` if there are none. Raises TargetUnreachable."""
    deadline = time.monotonic() + seconds
    skipped = session.options.skipped_operations
    operations = [operation for operation in list_probes(session.contract) if operation.id not in skipped]
    while True:
        try:
            exchanges = [session.client.send(operation) for operation in operations[:MAX_PROBES]]
            check_target(session.client.target.base, exchanges)
        except (NoResponse, TargetUnreachable) as error:
            if time.monotonic() >= deadline:
                raise TargetUnreachable(str(error)) from None
            time.sleep(PROBE_INTERVAL)
        else:
            return exchanges


def list_probes(contract: Contract) -> list[Operation]:
    """GET operations without required parameters, lists first."""
    harmless = [o for o in contract.operations.values() if o.method == "get" and not o.effects]
    probes = [o for o in harmless if not o.path_parameter_names and not any(p.required for p in o.query_parameters)]
    return sorted(probes, key=lambda o: o.action != "list")


def check_target(base: str, exchanges: list[Exchange]) -> None:
    """Raise TargetUnreachable if the responses come from something else: a web page, a gateway, another URL."""
    if not exchanges:
        return
    responses = [exchange.response for exchange in exchanges]
    first, path = responses[0], exchanges[0].request.path_template
    if all(300 <= r.status < 400 for r in responses):
        location = first.headers.get("location", "an unknown location")
        raise TargetUnreachable(f"{path} redirects to {location}: pass the final URL as --base-url (got {base})")
    if all(r.status in GATEWAY_STATUSES for r in responses):
        problem = f"{path} returned {first.status}, the target is not up; --wait-ready S waits for it"
        raise TargetUnreachable(f"{base}: {problem}")
    if all(r.json is None and _is_html(r.headers.get("content-type", ""), r.content) for r in responses):
        advice = "check --base-url, and whether a sign-in page or a proxy precedes the backend"
        title = f": {extract_title(first)}" if extract_title(first) else ""
        page = f"an HTML page ({first.status}{title})"
        raise TargetUnreachable(f"{base}: {path} returned {page} instead of JSON: {advice}")
    if len(responses) >= MAX_PROBES and all(r.status == 404 for r in responses):
        raise TargetUnreachable(f"{base}: {path} and every other list returned 404: check the path of --base-url")


def credentials_problem(exchanges: list[Exchange], description: str) -> str:
    """A message if every operation that requires credentials rejected them, else "". `description`: names them."""
    statuses = {exchange.response.status for exchange in exchanges}
    if not statuses or not statuses <= REFUSAL_STATUSES:
        return ""
    evidence = describe_refusal(exchanges[0].request, exchanges[0].response)
    if 403 in statuses:
        advice = "use the token of a user who may read and write, and check gateways in front of the backend"
        return f"the target grants {description} no permission: {evidence}: {advice}"
    return f"the target rejects {description}: {evidence}: sign in again and set a valid token"


def other_token_problem(session: Session, operations: list[Operation], token_env: str) -> str:
    """A message if the target rejects the second token, else "".

    One operation may be forbidden for its user: only 401, or 403 from several operations, shows a problem.
    """
    exchanges: list[Exchange] = []
    for operation in operations:
        exchanges.append(session.client.send(operation, actor=Actor.OTHER_TENANT))
        if exchanges[-1].response.status not in REFUSAL_STATUSES:
            return ""
    is_single_403 = [exchange.response.status for exchange in exchanges] == [403]
    return "" if is_single_403 else credentials_problem(exchanges, f"the token in ${token_env}")


def _is_html(kind: str, content: bytes) -> bool:
    return "html" in kind.lower() or content.lstrip()[:1] == b"<"
