"""Finds the records that a response shows as created by the run, so that cleanup deletes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.responses.records import NestedRecord, find_records
from conformance.session.write_log import RecordKey, WriteLog, is_key
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Resource
from spec.validators import SchemaValidators


@dataclass(frozen=True, slots=True)
class CreatedRecordFinder:
    """Finds created records in responses. `marker`: the text that all records of the run contain."""

    contract: Contract
    schemas: SchemaValidators
    write_log: WriteLog
    marker: str

    def find_records(self, operation: Operation, exchange: Exchange) -> Iterator[NestedRecord]:
        """Yield the records in a successful response that are not part of another record."""
        pointer = operation.envelope.schema_pointer if exchange.response.ok else None
        if pointer is not None:
            yield from find_records(self.contract, self.schemas, pointer, exchange.response.json)

    def log_created(self, operation: Operation, exchange: Exchange) -> None:
        """Log the records that the response to a POST shows as created.

        These are the result of a 201, records with the marker of the run, and records that refer to a record of it.
        """
        is_result = operation.envelope.status == 201 and operation.envelope.view_name is not None
        for nested in self.find_records(operation, exchange) if operation.method == "post" else ():
            resource, record = self.contract.resources[nested.view.resource], nested.record
            key = RecordKey(resource.name, record.get(resource.key_attribute))
            if not is_key(key.key) or key in self.write_log.created_records:
                continue
            if is_result or self._has_marker(resource, record) or self._references_own_record(resource, record):
                self.write_log.log_created(*key)

    def _has_marker(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.marker in str(record.get(name, "")) for name in resource.attributes)

    def _references_own_record(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        for relation in resource.relations.values():
            related = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(related, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                key = related.get(target.key_attribute)
                if is_key(key) and RecordKey(target.name, key) in self.write_log.created_records:
                    return True
        return False
