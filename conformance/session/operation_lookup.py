"""Finds operations by what they do, and the data in their responses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import SkipCheck, not_testable
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Resource

NO_CREATE_OPERATION = "the contract defines no operation to create a"


@dataclass(frozen=True, slots=True)
class OperationLookup:
    """The operations of a contract by resource and action."""

    contract: Contract

    def find(self, resource: str, action: str) -> Operation | None:
        """Return the operation for a generic action on a resource, or None."""
        return self.contract.find_operation(resource, action)

    def find_all(self, resource: str, action: str) -> list[Operation]:
        """Return all operations for a generic action on a resource, such as PUT and PATCH of one record."""
        return [o for o in self.contract.operations.values() if (o.resource, o.action) == (resource, action)]

    def require(self, resource: str, action: str) -> Operation:
        """Return the same as `find`. Raises SkipCheck if the contract defines none."""
        operation = self.find(resource, action)
        if operation is None:
            raise SkipCheck(not_testable(f"the contract defines no operation to {action} a {resource}"))
        return operation

    def creator(self, resource: str) -> Operation:
        """Return the operation that creates a resource (`Contract.find_create_operation`). Raises SkipCheck."""
        operation = self.contract.find_create_operation(resource)
        if operation is None:
            raise SkipCheck(not_testable(f"{NO_CREATE_OPERATION} {resource}"))
        return operation

    def resource(self, operation: Operation) -> Resource:
        """Return the resource of an operation."""
        return self.contract.resources[operation.resource or ""]

    def key_of(self, resource: str, record: Mapping[str, Any]) -> Any:
        """Return the key of a record in a response, a text or a number. Raises SkipCheck if the record has none."""
        name = self.contract.resources[resource].key_attribute
        if name not in record:
            raise SkipCheck(f"the response contains no {name} of the {resource}")
        if not is_key(record[name]):
            raise SkipCheck(f"{name} of the {resource}: got {str(record[name])[:60]}, expected a text or a number")
        return record[name]

    def data(self, operation: Operation, exchange: Exchange) -> Any:
        """Return the record or rows of a successful response, without the envelope; None if missing."""
        body = exchange.response.json
        name = operation.envelope.data_property
        if name is None:
            return body
        return body.get(name) if isinstance(body, dict) else None
