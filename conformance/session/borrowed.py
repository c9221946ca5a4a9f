"""Borrows records of `--mutable-record` and restores their values.

The original values are in the write log before the first write, so that `cleanup` can restore them after a killed run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.errors import SkipCheck
from conformance.session.client import TrackedClient
from conformance.transport.messages import Exchange


def borrow(client: TrackedClient, resource: str) -> tuple[Any, Mapping[str, Any], Exchange]:
    """Retrieve the record to use; return (key, record, exchange). Raises SkipCheck."""
    mutable = client.mutable_records
    key = mutable.keys[resource]
    record, exchange = _retrieve(client, resource, key)
    if resource not in mutable.original_values:
        mutable.original_values[resource] = _restorable_values(client, resource, record)
        client.write_log.log_original(resource, key, mutable.original_values[resource])
    return key, record, exchange


def restore(client: TrackedClient) -> Iterator[tuple[str, Any]]:
    """Restore every borrowed record; yields those that could not be restored. Raises TargetUnreachable."""
    mutable = client.mutable_records
    for resource, before in list(mutable.original_values.items()):
        if _restore(client, resource, mutable.keys[resource], before):
            client.write_log.log_deleted(resource, mutable.keys[resource])
            del mutable.original_values[resource]
        else:
            yield resource, mutable.keys[resource]


def _restore(client: TrackedClient, resource: str, key: Any, before: Mapping[str, Any]) -> bool:
    """Restore the changed values of a record; returns whether it then has them. Raises TargetUnreachable."""
    try:
        changed = _difference(before, _retrieve(client, resource, key)[0])
        update = client.operations.find(resource, "update")
        if changed and update is not None:
            required = [field.name for field in update.body_fields.values() if field.required]
            body = {name: before[name] for name in required if name in before} | changed
            client.send(update, path={update.path_parameter_names[0]: key}, body=body)
            changed = _difference(before, _retrieve(client, resource, key)[0])
    except SkipCheck:
        return False
    return not changed


def _difference(before: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """The update that restores a record. Where objects are merged, null removes added properties."""
    return {
        name: _overwrite(current.get(name), value)
        for name, value in before.items()
        if _without_nulls(current.get(name)) != _without_nulls(value)
    }


def _overwrite(current: Any, value: Any) -> Any:
    both = isinstance(value, dict) and isinstance(current, dict)
    return {**dict.fromkeys(current), **value} if both else value


def _without_nulls(value: Any) -> Any:
    """A value without the null properties of an object."""
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value


def _retrieve(client: TrackedClient, resource: str, key: Any) -> tuple[Mapping[str, Any], Exchange]:
    operation = client.operations.require(resource, "retrieve")
    exchange = client.retrieve(resource, key)
    record = client.operations.data(operation, exchange)
    if not exchange.response.ok or not isinstance(record, dict):
        raise SkipCheck(f"{operation.id}: got {exchange.response.status} for the {resource} of --mutable-record")
    return record, exchange


def _restorable_values(client: TrackedClient, resource: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an update accepts."""
    update = client.operations.find(resource, "update")
    fields = update.body_fields.values() if update is not None else ()
    names = record.keys() & client.operations.contract.resources[resource].attributes
    return {f.name: record[f.name] for f in fields if f.relation_setter is None and f.name in names}
