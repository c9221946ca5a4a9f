"""The startup banner: URL, number of records, tokens and example requests."""

import shlex
from pathlib import Path

from mock_server.cli.certificates import TlsSetup
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.system_routes.examples import iter_example_keys
from spec.model import Operation


def build_banner(sandbox: Sandbox, url: str, *, colour: bool, tls: TlsSetup | None = None) -> str:
    """Build the banner. `url`: of the mock, without a path."""
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
        *(["Certificate for clients to trust", f"  {tls.ca}", ""] if tls and tls.is_created else []),
        "Try",
        *(f"  {line}" for line in _build_example_requests(sandbox, base_url, tls.ca if tls else None)),
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


def _build_example_requests(sandbox: Sandbox, base_url: str, ca: Path | None) -> list[str]:
    """Return a request that succeeds and one that fails validation (422), as curl commands."""
    curl = f"curl --cacert {shlex.quote(str(ca))}" if ca else "curl"
    curl += f" -H 'Authorization: Bearer {next(iter(BUILTIN_TOKENS))}'"
    commands = []
    retrieve, key = next(((o, key) for o, key in iter_example_keys(sandbox) if o.action == "retrieve"), (None, None))
    if retrieve is not None:
        path = retrieve.path.replace(f"{{{retrieve.path_parameter_names[0]}}}", str(key))
        commands.append(f"{curl} {shlex.quote(base_url + path)}")
    creates = (operation for operation in sandbox.contract.operations.values() if operation.action == "create")
    create = next(filter(_has_required_fields, creates), None)
    if create is not None:
        body = "-H 'Content-Type: application/json' -d '{}'"
        commands.append(f"{curl} {body} {shlex.quote(base_url + create.path)}   # 422")
    return commands


def _has_required_fields(operation: Operation) -> bool:
    body = operation.request_body
    return body is not None and any(field.required for field in body.fields.values())
