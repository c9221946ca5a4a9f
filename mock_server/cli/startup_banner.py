"""The startup banner: URL, number of records, tokens and example requests."""

import shlex
from pathlib import Path

from mock_server.cli.certificates import TlsSetup
from mock_server.console.page import CONSOLE_PREFIX
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.system_routes.examples import iter_example_keys
from mock_server.web.credentials.accepted import REJECTED_PREFIXES
from mock_server.web.credentials.schemes import build_example_credentials
from spec.model import STATIC_ACTION, Contract, Operation


def build_banner(
    sandbox: Sandbox,
    url: str,
    *,
    colour: bool,
    tls: TlsSetup | None = None,
    token_file: Path | None = None,
    has_console: bool = True,
) -> str:
    """Build the banner.

    `url`: of the mock, without a path. `token_file`: of --tokens. `has_console`: whether the console can be used.
    """
    contract = sandbox.contract
    counts = {name: number for name, number in sandbox.store.count_by_resource().items() if number}
    base_url = url + contract.base_path
    bold, dim, reset = ("\033[1m", "\033[2m", "\033[0m") if colour else ("", "", "")
    summary = ", ".join(f"{number} {name}" for name, number in counts.items())
    details = f" {dim}({summary}){reset}" if summary else ""
    lines = [
        f"{bold}{base_url}{reset}  {contract.title} {contract.version}",
        f"{_count_operations(contract)}, {sum(counts.values())} records{details}",
        "",
        *_build_token_lines(sandbox),
        *_build_credential_lines(contract, token_file),
        "Open",
        *(f"  {url}{path}" for path in _list_pages(has_console)),
        "",
        *(["Certificate for clients to trust", f"  {tls.ca}", ""] if tls and tls.is_created else []),
    ]
    requests = _build_example_requests(sandbox, base_url, tls.ca if tls else None)
    if requests:
        lines += ["Try", *(f"  {line}" for line in requests)]
    return "\n".join(lines) + "\n"


def _list_pages(has_console: bool) -> list[str]:
    return ["/docs", *([CONSOLE_PREFIX] if has_console else []), "/openapi.yaml", "/__mock/health"]


def _count_operations(contract: Contract) -> str:
    count = len(contract.operations)
    static_count = sum(operation.action == STATIC_ACTION for operation in contract.operations.values())
    return f"{count} operations ({static_count} without an action)" if static_count else f"{count} operations"


def _build_token_lines(sandbox: Sandbox) -> list[str]:
    """Return the built-in tokens of existing users and those without a user; nothing if there are no users."""
    now = sandbox.clock.now()
    valid_tokens = {token for token in BUILTIN_TOKENS if sandbox.resolve_token(token, now) is not None}
    if not valid_tokens:
        return []
    shown = [(name, t) for name, t in BUILTIN_TOKENS.items() if t.account_index is None or name in valid_tokens]
    return ["Tokens", *(f"  {name:<14} {token.description}" for name, token in shown), ""]


def _build_credential_lines(contract: Contract, token_file: Path | None) -> list[str]:
    """Return which credentials are accepted, if the contract requires some and has no accounts."""
    if contract.account_resource is not None or not any(o.requires_auth for o in contract.operations.values()):
        return []
    prefixes = " or ".join(f'"{prefix}"' for prefix in REJECTED_PREFIXES)
    accepted = f"any that does not start with {prefixes}; --tokens FILE lists the accepted ones"
    return ["Credentials", f"  {accepted if token_file is None else f'those in {token_file}'}", ""]


def _build_example_requests(sandbox: Sandbox, base_url: str, ca: Path | None) -> list[str]:
    """Return a request that succeeds and one that fails validation, as curl commands."""
    curl = f"curl --cacert {shlex.quote(str(ca))}" if ca else "curl"
    commands = []
    retrieve, key = next(((o, key) for o, key in iter_example_keys(sandbox) if o.action == "retrieve"), (None, None))
    if retrieve is not None:
        path = retrieve.path.replace(f"{{{retrieve.path_parameter_names[0]}}}", str(key))
        commands.append(_build_curl(curl, sandbox.contract, retrieve, base_url + path))
    if not commands:
        get = next((o for o in sandbox.contract.operations.values() if _is_simple_read(o)), None)
        commands += [f"curl {shlex.quote(base_url + get.path)}"] if get is not None and not ca else []
    creates = (operation for operation in sandbox.contract.operations.values() if operation.action == "create")
    create = next(filter(_has_required_fields, creates), None)
    if create is not None:
        body = "-H 'Content-Type: application/json' -d '{}'"
        command = _build_curl(curl, sandbox.contract, create, base_url + create.path, body)
        commands.append(f"{command}   # {create.validation_status or 422}")
    return commands


def _build_curl(curl: str, contract: Contract, operation: Operation, url: str, options: str = "") -> str:
    """Return a curl command with the credentials that the operation requires."""
    headers, query = build_example_credentials(contract, operation, next(iter(BUILTIN_TOKENS)))
    credentials = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items())
    return " ".join(filter(None, (curl, credentials, options, shlex.quote(url + query))))


def _is_simple_read(operation: Operation) -> bool:
    """Whether a request needs nothing but the path."""
    has_required = any(parameter.required for parameter in operation.parameters)
    return operation.method == "get" and not has_required and not operation.requires_auth


def _has_required_fields(operation: Operation) -> bool:
    body = operation.request_body
    return body is not None and any(field.required for field in body.fields.values())
