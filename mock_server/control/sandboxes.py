"""Operations on sandboxes: create, list, reset and delete; snapshots, and changes since one."""

from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from mock_server.control.call import LOADING_TIMEOUT, ControlRequest, ControlResult
from mock_server.control.stored_records import create_caption
from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.entries import SandboxEntry, SandboxParameters, Snapshot
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, DEFAULT_NAME, Sandbox
from mock_server.store.comparison import iter_changes
from mock_server.web.sandbox_selection import BAGGAGE_KEY, HOST_SUFFIX, PATH_PREFIX

MAX_LISTED_ACCOUNTS = 100
# Seconds that a request waits for the dataset that the mock was started with. It is in the cache, except with a store
# file: the first PUT takes 0.1 seconds, and more than LOADING_TIMEOUT on a busy machine.
DEFAULT_DATASET_TIMEOUT = 10.0
_TOKEN_SUFFIX = "-token"


async def create_sandbox(request: ControlRequest) -> ControlResult:
    """Create a sandbox, or return the existing one with these parameters.

    Raises ApiError (409) if another request deletes or replaces it at the same time.
    """
    name, registry = request.get_name("name"), request.registry
    parameters = _read_parameters(request.body or {}, registry.default_parameters)
    existing = registry.find(name)
    if existing is not None and existing.parameters == parameters:
        return ControlResult(HTTPStatus.OK, describe_sandbox(request, existing))
    if name == DEFAULT_NAME:
        message = "The parameters of the default sandbox are set when the mock starts."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message)
    creation = registry.building.get(name)
    if creation is None or creation.parameters != parameters:
        registry.start_creation(name, parameters)
    try:
        result = await _respond_when_ready(request, name, HTTPStatus.CREATED)
    except ApiError as error:
        if error.kind is not ErrorKind.SANDBOX_NOT_FOUND:
            raise
        message = f"The sandbox {name} was deleted while it was created."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message) from None
    if registry.find_parameters(name) != parameters:
        message = f"The sandbox {name} was created with other parameters at the same time."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message)
    return result


async def _respond_when_ready(request: ControlRequest, name: str, status: HTTPStatus) -> ControlResult:
    building = request.registry.building.get(name)
    has_default_dataset = building is not None and building.parameters.data == request.registry.default_parameters.data
    timeout = DEFAULT_DATASET_TIMEOUT if has_default_dataset else LOADING_TIMEOUT
    entry = await request.registry.wait_until_ready(name, timeout)
    if entry is None:
        body = {"name": name, "message": "The dataset is being built. Send the request again."}
        return ControlResult(HTTPStatus.ACCEPTED, body, {"Retry-After": "1"})
    return ControlResult(status, describe_sandbox(request, entry))


def _read_parameters(body: dict[str, Any], default: SandboxParameters) -> SandboxParameters:
    epoch_text = body.get("epoch")
    data = replace(default.data, dataset=body.get("dataset", default.data.dataset))
    data = replace(data, seed=body.get("seed", default.data.seed))
    seconds = body.get("execution_seconds", default.execution_seconds)
    if epoch_text is None:
        return SandboxParameters(data, default.starts_at_epoch, seconds)
    epoch = datetime.fromisoformat(epoch_text).replace(microsecond=0)
    return SandboxParameters(replace(data, epoch=epoch), True, seconds)


async def list_sandboxes(request: ControlRequest) -> ControlResult:
    request.registry.expire_idle()
    entries = [entry for _, entry in sorted(request.registry.entries.items())]
    return ControlResult(HTTPStatus.OK, {"sandboxes": [describe_sandbox(request, entry) for entry in entries]})


async def retrieve_sandbox(request: ControlRequest) -> ControlResult:
    return await _respond_when_ready(request, request.get_name("name"), HTTPStatus.OK)


async def delete_sandbox(request: ControlRequest) -> ControlResult:
    name = request.get_name("name")
    if name == DEFAULT_NAME:
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message="The default sandbox cannot be deleted; reset it instead.")
    if not request.registry.delete(name):
        raise ApiError(ErrorKind.SANDBOX_NOT_FOUND, message=f"The sandbox {name} does not exist.")
    return ControlResult(HTTPStatus.NO_CONTENT)


async def reset_sandbox(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    await request.registry.reset(entry)
    return ControlResult(HTTPStatus.OK, describe_sandbox(request, entry))


def describe_sandbox(request: ControlRequest, entry: SandboxEntry) -> dict[str, Any]:
    """Return the parameters of a sandbox, and everything that selects it."""
    sandbox, data = entry.sandbox, entry.parameters.data
    port = urlsplit(request.base_url).port
    prefix = "" if sandbox.name == DEFAULT_NAME else f"{PATH_PREFIX.decode()}{sandbox.name}"
    host = HOST_SUFFIX.removeprefix(".") if sandbox.name == DEFAULT_NAME else f"{sandbox.name}{HOST_SUFFIX}"
    return {
        "name": sandbox.name,
        "dataset": data.dataset,
        "seed": data.seed,
        "epoch": format_timestamp(data.epoch),
        "execution_seconds": sandbox.execution_seconds,
        "base_url": f"{request.base_url}{prefix}{sandbox.contract.base_path}",
        "host": f"{host}:{port}" if port else host,
        "header": f"X-Mock-Sandbox: {sandbox.name}",
        "baggage": f"{BAGGAGE_KEY}={sandbox.name}",
        "tokens": {name.removesuffix(_TOKEN_SUFFIX): sandbox.qualify_token(name) for name in BUILTIN_TOKENS},
        "accounts": _list_accounts(sandbox),
        "is_modified": entry.is_modified,
        "bytes": entry.count_bytes(),
        "age_seconds": round(request.registry.get_seconds() - entry.created_at, 3),
        "idle_seconds": round(request.registry.get_seconds() - entry.used_at, 3),
    }


def _list_accounts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return login and password of the first accounts."""
    resource = sandbox.contract.account_resource
    if resource is None or resource.credentials is None:
        return []
    accounts = (
        record.attributes for record in sandbox.store.select(resource.name, limit=f"LIMIT {MAX_LISTED_ACCOUNTS}")
    )
    login, secret = resource.credentials.login, resource.credentials.secret
    return [
        {"email": sandbox.qualify_login(str(account[login])), "password": account[secret]}
        for account in accounts
        if account.get(login) is not None and account.get(secret) is not None
    ]


# Snapshots


async def list_snapshots(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    snapshots = [_describe_snapshot(snapshot) for _, snapshot in sorted(entry.snapshots.items())]
    return ControlResult(HTTPStatus.OK, {"snapshots": snapshots})


async def save_snapshot(request: ControlRequest) -> ControlResult:
    name, entry = request.get_name("snapshot"), await request.find_entry()
    return ControlResult(HTTPStatus.CREATED, _describe_snapshot(request.registry.save_snapshot(entry, name)))


async def restore_snapshot(request: ControlRequest) -> ControlResult:
    name, entry = request.get_name("snapshot"), await request.find_entry()
    snapshot = _find_snapshot(entry, name)
    await request.registry.restore_snapshot(entry, snapshot)
    return ControlResult(HTTPStatus.OK, _describe_snapshot(snapshot))


async def delete_snapshot(request: ControlRequest) -> ControlResult:
    name, entry = request.get_name("snapshot"), await request.find_entry()
    del entry.snapshots[_find_snapshot(entry, name).name]
    return ControlResult(HTTPStatus.NO_CONTENT)


def _find_snapshot(entry: SandboxEntry, name: str) -> Snapshot:
    snapshot = entry.snapshots.get(name)
    if snapshot is None:
        message = f"The sandbox {entry.sandbox.name} has no snapshot {name}."
        raise ApiError(ErrorKind.CONTROL_NOT_FOUND, message=message)
    return snapshot


def _describe_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "name": snapshot.name,
        "saved_at": format_timestamp(snapshot.saved_at),
        "now": format_timestamp(snapshot.clock.now),
        "bytes": snapshot.count_bytes(),
    }


# Changes


async def list_changes(request: ControlRequest) -> ControlResult:
    """Return the records that were created, changed and deleted since a snapshot or the creation."""
    entry, since = await request.find_entry(), request.query.get("since")
    snapshot = None if since is None else _find_snapshot(entry, since)
    baseline = await request.registry.load_baseline(entry, snapshot)
    entry.sandbox.apply_scheduled_changes(entry.sandbox.clock.now())
    changes: dict[str, list[dict[str, Any]]] = {"created": [], "changed": [], "deleted": []}
    for change in iter_changes(baseline, entry.sandbox.store) if baseline is not entry.sandbox.store else ():
        resource = entry.sandbox.contract.resources[change.resource]
        caption = create_caption(resource, change.values, change.key)
        identity = {"resource": change.resource, "key": change.key, "caption": caption}
        if change.before is None:
            changes["created"].append({**identity, "record": change.after})
        elif change.after is None:
            changes["deleted"].append(identity)
        else:
            names = {**change.before, **change.after}
            fields = {n: {"before": change.before.get(n), "after": change.after.get(n)} for n in names}
            changes["changed"].append({**identity, "fields": fields})
    return ControlResult(HTTPStatus.OK, changes)
