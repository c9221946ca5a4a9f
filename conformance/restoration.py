"""How a record of `--sacrifice` is borrowed by a run, and gets its values back.

What a record was is in the ledger before the first write to it, so that `clean` can restore it after a killed run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.errors import CannotMake
from conformance.exchange import Exchange
from conformance.reader import Reader


def borrowed(session: Reader, resource: str) -> tuple[Any, Mapping[str, Any], Exchange]:
    """(key, what it shows, the exchange that showed it) of the record to be used. Raises CannotMake."""
    lent = session.sacrifices
    key = lent.keys[resource]
    shown, exchange = _shown(session, resource, key)
    if resource not in lent.before:
        lent.before[resource] = _restorable(session, resource, shown)
        session.ledger.changing(resource, key, lent.before[resource])
    return key, shown, exchange


def restore(session: Reader) -> Iterator[tuple[str, Any]]:
    """Give each that was used its values back; those that could not be. Raises TargetLost."""
    lent = session.sacrifices
    for resource, before in list(lent.before.items()):
        if _restored(session, resource, lent.keys[resource], before):
            session.ledger.gone(resource, lent.keys[resource])
            del lent.before[resource]
        else:
            yield resource, lent.keys[resource]


def _restored(session: Reader, resource: str, key: Any, before: Mapping[str, Any]) -> bool:
    """Give a record its values back, as far as they differ; whether it then has them. Raises TargetLost."""
    try:
        changed = _changed(before, _shown(session, resource, key)[0])
        update = session.operation(resource, "update")
        if changed and update is not None:
            session.send(update, path={update.path_parameter_names[0]: key}, body=changed)
            changed = _changed(before, _shown(session, resource, key)[0])
    except CannotMake:
        return False
    return not changed


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be sent for a record to be what it was. Where objects are merged, null takes away what was added."""
    return {name: _over(now.get(name), value) for name, value in before.items() if _said(now.get(name)) != _said(value)}


def _over(now: Any, value: Any) -> Any:
    both = isinstance(value, dict) and isinstance(now, dict)
    return {**dict.fromkeys(now), **value} if both else value


def _said(value: Any) -> Any:
    """A value without the properties of an object that say nothing."""
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


def _shown(session: Reader, resource: str, key: Any) -> tuple[Mapping[str, Any], Exchange]:
    operation = session.needed(resource, "retrieve")
    exchange = session.retrieve(resource, key)
    shown = session.data(operation, exchange)
    if not exchange.response.ok or not isinstance(shown, dict):
        raise CannotMake(f"{operation.id} answered {exchange.response.status} for the {resource} of --sacrifice")
    return shown, exchange


def _restorable(session: Reader, resource: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an update takes back."""
    update = session.operation(resource, "update")
    fields = update.request_body.fields.values() if update is not None and update.request_body is not None else ()
    own = session.contract.resources[resource].attributes
    return {f.name: shown[f.name] for f in fields if f.relation_setter is None and f.name in own and f.name in shown}
