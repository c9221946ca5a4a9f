"""The startup banner: URL, number of records, tokens and example requests."""

import asyncio
import json
import shlex
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp

from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.web.context import INTERNAL_REQUEST_KEY
from spec.model import Contract, Operation


def build_banner(app: ASGIApp, sandbox: Sandbox, url: str, *, colour: bool) -> str:
    """Build the banner; `url` is the URL of the mock without a path."""
    contract = sandbox.contract
    counts = {name: number for name, number in sandbox.store.count_by_resource().items() if number}
    base_url = url + contract.base_path
    bold, dim, reset = ("\033[1m", "\033[2m", "\033[0m") if colour else ("", "", "")
    summary = ", ".join(f"{number} {name}" for name, number in counts.items())
    lines = [
        f"{bold}{base_url}{reset}  {contract.title} {contract.version}",
        f"{len(contract.operations)} operations, {sum(counts.values())} records {dim}({summary}){reset}",
        "",
        *_build_token_lines(sandbox),
        "Open",
        *(f"  {url}{path}" for path in ("/docs", "/openapi.yaml", "/__mock/health")),
        "",
        "Try",
        *(f"  {line}" for line in _build_example_requests(app, contract, base_url)),
    ]
    return "\n".join(lines) + "\n"


def _build_token_lines(sandbox: Sandbox) -> list[str]:
    """Return the built-in tokens of existing users and those without a user; nothing if there are no users."""
    now = sandbox.clock.now()
    valid_tokens = {token for token in BUILTIN_TOKENS if sandbox.resolve_token(token, now) is not None}
    if not valid_tokens:
        return []
    shown = [(name, t) for name, t in BUILTIN_TOKENS.items() if t.account_index is None or name in valid_tokens]
    return ["Tokens", *(f"  {name:<14} {token.description}" for name, token in shown), ""]


def _build_example_requests(app: ASGIApp, contract: Contract, base_url: str) -> list[str]:
    """Return a request that succeeds and one that fails validation (422), as curl commands."""
    token = next(iter(BUILTIN_TOKENS))
    bearer = f"-H 'Authorization: Bearer {token}'"
    commands = []
    operations = contract.operations.values()
    record_paths = (_find_record_path(app, contract, operation, token) for operation in operations)
    record_path = next(filter(None, record_paths), None)
    if record_path is not None:
        commands.append(f"curl {bearer} {shlex.quote(base_url + record_path)}")
    create = next((o for o in operations if o.action == "create" and _has_required_fields(o)), None)
    if create is not None:
        body = "-H 'Content-Type: application/json' -d '{}'"
        commands.append(f"curl {bearer} {body} {shlex.quote(base_url + create.path)}   # 422")
    return commands


def _has_required_fields(operation: Operation) -> bool:
    body = operation.request_body
    return body is not None and any(field.required for field in body.fields.values())


def _find_record_path(app: ASGIApp, contract: Contract, listing: Operation, token: str) -> str | None:
    """Return the path of the first record that an operation lists, if an operation retrieves it."""
    if listing.action != "list" or any(parameter.required for parameter in listing.query_parameters):
        return None
    retrieve = contract.find_operation(listing.resource, "retrieve")
    resource = contract.resources.get(listing.resource or "")
    if retrieve is None or resource is None or listing.envelope.data_property is None:
        return None
    rows = _get_json(app, contract.base_path + listing.path, token).get(listing.envelope.data_property) or [{}]
    key = rows[0].get(resource.key_attribute)
    return None if key is None else retrieve.path.replace(f"{{{retrieve.path_parameter_names[0]}}}", str(key))


def _get_json(app: ASGIApp, path: str, token: str) -> Mapping[str, Any]:
    """Send a GET to the application in process; return its JSON object, or {} for any status but 200."""
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

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
        INTERNAL_REQUEST_KEY: True,
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    if messages[0]["status"] != 200:
        return {}
    payload = json.loads(messages[1]["body"])
    return payload if isinstance(payload, dict) else {}
