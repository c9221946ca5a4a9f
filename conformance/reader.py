"""What a run reads: which operation does what, what its answer shows out of the envelope, and whose token it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.cause import NO_OTHER, Reason, no_way
from conformance.errors import CannotMake
from conformance.exchange import Exchange
from conformance.sender import NONE_TO_CREATE, Sender
from spec.contract import Operation, Resource


@dataclass(slots=True)
class Reader(Sender):
    """A sender that knows the operations by what they do."""

    _who: dict[str, Mapping[str, Any] | Reason] = field(default_factory=dict)

    def operation(self, resource: str, action: str) -> Operation | None:
        """The operation that does a generic action on a resource."""
        return self.contract.find_operation(resource, action)

    def needed(self, resource: str, action: str) -> Operation:
        """The same. Raises CannotMake when the contract has none."""
        found = self.operation(resource, action)
        if found is None:
            raise CannotMake(no_way(f"the contract has no operation to {action} a {resource}"))
        return found

    def creator(self, resource: str) -> Operation:
        """What creates a resource (`Contract.creator`). Raises CannotMake."""
        found = self.contract.find_create_operation(resource)
        if found is None:
            raise CannotMake(no_way(f"{NONE_TO_CREATE} {resource}"))
        return found

    def resource(self, operation: Operation) -> Resource:
        """The resource that an operation is about."""
        return self.contract.resources[operation.resource or ""]

    def key_of(self, resource: str, shown: Mapping[str, Any]) -> Any:
        """The key of a shown record. Raises CannotMake when it shows none."""
        name = self.contract.resources[resource].key_attribute
        if name not in shown:
            raise CannotMake(f"the answer shows no {name} of the {resource}")
        return shown[name]

    def data(self, operation: Operation, exchange: Exchange) -> Any:
        """The record or rows of a success, out of the contract's envelope; None where they are not."""
        body = exchange.response.json
        name = operation.envelope.data_property
        if name is None:
            return body
        return body.get(name) if isinstance(body, dict) else None

    def retrieve(self, resource: str, key: Any, *, as_: str = "self") -> Exchange:
        """Retrieve one record."""
        operation = self.needed(resource, "retrieve")
        return self.send(operation, path={operation.path_parameter_names[0]: key}, as_=as_)

    def who(self, as_: str = "self") -> Mapping[str, Any]:
        """The account whose token it is, as the target shows it. Raises CannotMake."""
        if as_ not in self._who:
            self._who[as_] = self._asked_who(as_)
        said = self._who[as_]
        if isinstance(said, Reason):
            raise CannotMake(said)
        return said

    def has_token(self, as_: str) -> bool:
        """Whether the run can ask as somebody; a target that tells no tokens takes anybody."""
        return as_ in getattr(self.target, "tokens", {as_: ""})

    def _asked_who(self, as_: str) -> Mapping[str, Any] | Reason:
        if not self.has_token(as_):
            return NO_OTHER
        for operation in self.contract.operations.values():
            if not self.contract.is_whoami(operation):
                continue
            exchange = self.send(operation, as_=as_)
            shown = self.data(operation, exchange)
            if exchange.response.ok and isinstance(shown, dict):
                return shown
            return Reason(f"{operation.id} answered {exchange.response.status}")
        return no_way("the contract has no operation that says whose token it is")
