"""Before anything is judged: whether an API answers at the address, and whether it takes the token.

A few harmless GETs of the contract are asked. What they show is no broken promise: it says that the run would judge
something else than the backend.
"""

import time
from collections.abc import Callable, Iterator

from conformance.errors import NoAnswer, TargetLost
from conformance.exchange import Exchange
from conformance.session import Session
from conformance.steady import GATEWAY
from spec.contract import Contract, Operation

ASKED = 3
PAUSE = 0.5


def await_ready(
    session: Session,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[Exchange]:
    """What harmless GETs were answered; a target that is not there is asked again for so long. Raises TargetLost."""
    until = clock() + seconds
    while True:
        try:
            asked = [o for o in harmless(session.contract) if o.id not in session.skipped]
            answers = [session.send(operation) for operation in asked[:ASKED]]
            check(session.target.base, answers)
        except (NoAnswer, TargetLost) as error:
            if clock() >= until:
                raise TargetLost(str(error)) from None
            pause(PAUSE)
        else:
            return answers


def harmless(contract: Contract) -> Iterator[Operation]:
    """GETs that need nothing to be known, lists first."""
    found = [
        o
        for o in contract.operations.values()
        if o.method == "get"
        and not o.path_parameter_names
        and not o.effects
        and not any(p.required for p in o.query_parameters)
    ]
    yield from sorted(found, key=lambda o: o.action != "list")


def check(base: str, answers: list[Exchange]) -> None:
    """Raise TargetLost when what answers is not the API: a page for people, a gateway, another address."""
    if not answers:
        return
    responses = [exchange.response for exchange in answers]
    first, path = responses[0], answers[0].request.template
    if all(300 <= r.status < 400 for r in responses):
        where = first.headers.get("location", "nowhere")
        raise TargetLost(f"{base} answers {path} with a redirect to {where}: give the address itself as --base-url")
    if all(r.status in GATEWAY for r in responses):
        raise TargetLost(f"{base} answers {path} with {first.status}: it is not up; --wait-ready S waits for it")
    if all(r.json is None and _is_html(r.headers.get("content-type", ""), r.content) for r in responses):
        raise TargetLost(
            f"{base} answers {path} with an HTML page ({first.status}), not with an API's JSON: look at --base-url, "
            "and at what stands before the backend (a sign-in page, a proxy)"
        )
    if len(responses) >= ASKED and all(r.status == 404 for r in responses):
        raise TargetLost(f"{base} answers 404 to {path} and every other list: is the path of --base-url right?")


def refused_token(answers: list[Exchange], token_env: str) -> str:
    """A sentence when nothing that needs a token was granted with it; "" otherwise."""
    statuses = {exchange.response.status for exchange in answers}
    if not statuses or not statuses <= {401, 403}:
        return ""
    where = f"{answers[0].request.operation} answered {answers[0].response.status}"
    if 403 in statuses:
        return f"the token in ${token_env} has no rights ({where}): give one of a user who may read and write"
    return f"the target refuses the token in ${token_env} ({where}): sign in anew and put a valid token there"


def _is_html(kind: str, content: bytes) -> bool:
    return "html" in kind.lower() or content.lstrip()[:1] == b"<"
