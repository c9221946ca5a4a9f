"""Records that are not the run's and may be changed all the same (`--sacrifice`), restored in the end.

They stand in where a contract gives no way to create a record. None of them is deleted: nothing could restore that.
What a record was is in the ledger before the first write to it, so that `clean` can restore it after a killed run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.errors import CannotMake
from conformance.exchange import Exchange

if TYPE_CHECKING:
    from conformance.session import Session


@dataclass(slots=True)
class Sacrifices:
    """`keys`: resource -> key. `before`: resource -> what its record was before the run."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    before: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def protects(self, resource: str | None, path: Mapping[str, Any]) -> bool:
        """Whether a path names one of them."""
        key = self.keys.get(resource or "")
        return key is not None and any(str(value) == str(key) for value in path.values())

    def use(self, session: "Session", resource: str) -> tuple[Any, Mapping[str, Any], Exchange]:
        """(key, what it shows, the exchange that showed it) of the record to be used. Raises CannotMake."""
        key = self.keys[resource]
        shown, exchange = _shown(session, resource, key)
        if resource not in self.before:
            self.before[resource] = _restorable(session, resource, shown)
            session.ledger.changing(resource, key, self.before[resource])
        return key, shown, exchange

    def restore(self, session: "Session") -> Iterator[tuple[str, Any]]:
        """Give each that was used its values back; those that could not be. Raises TargetLost."""
        for resource, before in list(self.before.items()):
            if restored(session, resource, self.keys[resource], before):
                session.ledger.gone(resource, self.keys[resource])
                del self.before[resource]
            else:
                yield resource, self.keys[resource]


def restored(session: "Session", resource: str, key: Any, before: Mapping[str, Any]) -> bool:
    """Give a record its values back, as far as they differ; whether it then has them. Raises TargetLost."""
    try:
        changed = _changed(before, _shown(session, resource, key)[0])
        update = session.operation(resource, "update")
        if changed and update is not None:
            session.send(update, path={update.path_parameters[0]: key}, body=changed)
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


def _shown(session: "Session", resource: str, key: Any) -> tuple[Mapping[str, Any], Exchange]:
    operation = session.needed(resource, "retrieve")
    exchange = session.retrieve(resource, key)
    shown = session.data(operation, exchange)
    if not exchange.response.ok or not isinstance(shown, dict):
        raise CannotMake(f"{operation.id} answered {exchange.response.status} for the {resource} of --sacrifice")
    return shown, exchange


def _restorable(session: "Session", resource: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an update takes back."""
    update = session.operation(resource, "update")
    fields = update.body.fields.values() if update is not None and update.body is not None else ()
    own = session.contract.resources[resource].own
    return {f.name: shown[f.name] for f in fields if f.sets is None and f.name in own and f.name in shown}
