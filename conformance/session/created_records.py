"""Finds the records that a response shows as created by the run, so that cleanup deletes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.responses.records import NestedRecord, RecordFinder
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
            yield from RecordFinder(self.contract, self.schemas).records(pointer, exchange.response.json)

    def find_created(self, operation: Operation, exchange: Exchange) -> list[NestedRecord]:
        """Return the records that the response to a POST shows as created.

        These are the result of a 201, records with the marker of the run, and records that refer to a record of it.
        """
        if operation.method != "post":
            return []
        created: list[NestedRecord] = []
        for nested in self.find_records(operation, exchange):
            resource = self.contract.resources[nested.view.resource]
            if not is_key(nested.record.get(resource.key_attribute)):
                continue
            is_result = operation.envelope.status == 201 and operation.envelope.view_name is not None
            if (
                is_result
                or self._has_marker(resource, nested.record)
                or self._references_own_record(resource, nested.record, created)
            ):
                created.append(nested)
        return created

    def log_created(self, operation: Operation, exchange: Exchange) -> None:
        """Log the created records in a response."""
        for nested in self.find_created(operation, exchange):
            created = self._key_of(nested)
            if created not in self.write_log.created_records:
                self.write_log.log_created(created.resource, created.key)

    def _key_of(self, nested: NestedRecord) -> RecordKey:
        resource = self.contract.resources[nested.view.resource]
        return RecordKey(resource.name, nested.record[resource.key_attribute])

    def _has_marker(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.marker in str(record.get(name, "")) for name in resource.attributes)

    def _references_own_record(self, resource: Resource, record: Mapping[str, Any], others: list[NestedRecord]) -> bool:
        own_records = {*self.write_log.created_records, *map(self._key_of, others)}
        for relation in resource.relations.values():
            related = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(related, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                key = related.get(target.key_attribute)
                if is_key(key) and RecordKey(target.name, key) in own_records:
                    return True
        return False
