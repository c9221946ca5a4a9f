"""Finds operations by action, extracts data from response envelopes, and identifies the account of a token."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import NO_SECOND_TOKEN, SkipCheck, SkipReason, not_testable
from conformance.session.client import NO_CREATE_OPERATION, TrackedClient
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Operation, Resource


@dataclass(slots=True)
class OperationClient(TrackedClient):
    """A client that finds the operations of the contract by what they do.

    `creates_without_key`: resource -> number of successful creates whose response has no key, so that the records stay.
    """

    creates_without_key: Counter[str] = field(default_factory=Counter)
    _identities: dict[str, Mapping[str, Any] | SkipReason] = field(default_factory=dict)

    def operation(self, resource: str, action: str) -> Operation | None:
        """The operation for a generic action on a resource, or None."""
        return self.contract.find_operation(resource, action)

    def require_operation(self, resource: str, action: str) -> Operation:
        """The same as `operation`. Raises SkipCheck if the contract defines none."""
        operation = self.operation(resource, action)
        if operation is None:
            raise SkipCheck(not_testable(f"the contract defines no operation to {action} a {resource}"))
        return operation

    def creator(self, resource: str) -> Operation:
        """The operation that creates a resource (`Contract.find_create_operation`). Raises SkipCheck."""
        operation = self.contract.find_create_operation(resource)
        if operation is None:
            raise SkipCheck(not_testable(f"{NO_CREATE_OPERATION} {resource}"))
        return operation

    def resource(self, operation: Operation) -> Resource:
        """The resource of an operation."""
        return self.contract.resources[operation.resource or ""]

    def key_of(self, resource: str, record: Mapping[str, Any]) -> Any:
        """The key of a record in a response, a text or a number. Raises SkipCheck if the record has none."""
        name = self.contract.resources[resource].key_attribute
        if name not in record:
            raise SkipCheck(f"the response contains no {name} of the {resource}")
        if not is_key(record[name]):
            raise SkipCheck(f"{name} of the {resource}: got {str(record[name])[:60]}, expected a text or a number")
        return record[name]

    def data(self, operation: Operation, exchange: Exchange) -> Any:
        """The record or rows of a successful response, without the envelope; None if missing."""
        body = exchange.response.json
        name = operation.envelope.data_property
        if name is None:
            return body
        return body.get(name) if isinstance(body, dict) else None

    def retrieve(self, resource: str, key: Any, *, actor: str = "self") -> Exchange:
        """Retrieve one record."""
        operation = self.require_operation(resource, "retrieve")
        return self.send(operation, path={operation.path_parameter_names[0]: key}, actor=actor)

    def identity(self, actor: str = "self") -> Mapping[str, Any]:
        """The account of a token, as the target returns it. Raises SkipCheck."""
        if actor not in self._identities:
            self._identities[actor] = self._request_identity(actor)
        identity = self._identities[actor]
        if isinstance(identity, SkipReason):
            raise SkipCheck(identity)
        return identity

    def has_token(self, actor: str) -> bool:
        """Whether the run has a token for `actor`; a target without a `tokens` attribute accepts every actor."""
        return actor in getattr(self.target, "tokens", {actor: ""})

    def _request_identity(self, actor: str) -> Mapping[str, Any] | SkipReason:
        if not self.has_token(actor):
            return NO_SECOND_TOKEN
        for operation in self.contract.operations.values():
            if not self.contract.is_whoami(operation):
                continue
            exchange = self.send(operation, actor=actor)
            account = self.data(operation, exchange)
            if exchange.response.ok and isinstance(account, dict):
                return account
            return SkipReason(f"{operation.id}: got {exchange.response.status}")
        return not_testable("the contract defines no operation that identifies the account of a token")
