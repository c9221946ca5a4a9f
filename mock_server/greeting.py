"""What the mock says when it is ready: where it is, what it holds, and requests that work when pasted."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp

from mock_server.exchange import OWN
from mock_server.world import STANDING_TOKENS, World
from spec.contract import Contract, Operation


def greeting(app: ASGIApp, world: World, url: str, *, colour: bool) -> str:
    """The lines of the greeting; `url` is the mock's, without a path."""
    contract = world.contract
    counts = {name: number for name, number in world.store.counts().items() if number}
    base = url + contract.base_path
    bold, dim, plain = ("\033[1m", "\033[2m", "\033[0m") if colour else ("", "", "")
    held = ", ".join(f"{number} {name}" for name, number in counts.items())
    lines = [
        f"{bold}{base}{plain}  {contract.title} {contract.version}",
        f"{len(contract.operations)} operations, {sum(counts.values())} records {dim}({held}){plain}",
        "",
        *_tokens(world),
        "Open",
        *(f"  {url}{path}" for path in ("/docs", "/openapi.yaml", "/__mock/health")),
        "",
        "Try",
        *(f"  {line}" for line in _requests(app, contract, base)),
    ]
    return "\n".join(lines) + "\n"


def _tokens(world: World) -> list[str]:
    """The standing tokens of this world's users, and the one that is nobody's; nothing where there are no users."""
    now = world.clock.now()
    known = {token for token in STANDING_TOKENS if world.viewer(token, now) is not None}
    shown = [(token, said.who) for token, said in STANDING_TOKENS.items() if said.user is None or token in known]
    return ["Tokens", *(f"  {token:<14} {who}" for token, who in shown), ""] if known else []


def _requests(app: ASGIApp, contract: Contract, base: str) -> list[str]:
    """A request that works and one that is refused (422), as curl commands."""
    token = next(iter(STANDING_TOKENS))
    bearer = f"-H 'Authorization: Bearer {token}'"
    said = []
    operations = contract.operations.values()
    first = next(filter(None, (_retrieved(app, contract, operation, token) for operation in operations)), None)
    if first is not None:
        said.append(f"curl {bearer} {shlex.quote(base + first)}")
    create = next((o for o in operations if o.action == "create" and _asks(o)), None)
    if create is not None:
        body = "-H 'Content-Type: application/json' -d '{}'"
        said.append(f"curl {bearer} {body} {shlex.quote(base + create.path)}   # 422")
    return said


def _asks(operation: Operation) -> bool:
    return operation.request_body is not None and any(
        field.required for field in operation.request_body.fields.values()
    )


def _retrieved(app: ASGIApp, contract: Contract, listing: Operation, token: str) -> str | None:
    """The path of the first record that an operation lists, if there is an operation that retrieves it."""
    if listing.action != "list" or any(parameter.required for parameter in listing.query_parameters):
        return None
    retrieve = contract.find_operation(listing.resource, "retrieve")
    resource = contract.resources.get(listing.resource or "")
    if retrieve is None or resource is None or listing.envelope.data_property is None:
        return None
    rows = _get(app, contract.base_path + listing.path, token).get(listing.envelope.data_property) or [{}]
    key = rows[0].get(resource.key_attribute)
    return None if key is None else retrieve.path.replace(f"{{{retrieve.path_parameter_names[0]}}}", str(key))


def _get(app: ASGIApp, path: str, token: str) -> Mapping[str, Any]:
    """The JSON object that the application answers to a GET in process; an empty one for anything but 200."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())],
        "client": None,
        "server": None,
        OWN: True,
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    if sent[0]["status"] != 200:
        return {}
    found = json.loads(sent[1]["body"])
    return found if isinstance(found, dict) else {}
