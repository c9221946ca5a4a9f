"""Writes of records: add, update, and delete with what the contract defines for the records that refer to them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mock_server.json_encoding import encode_json
from mock_server.store import schema
from mock_server.store.changes import Tag
from mock_server.store.connection import write_later
from mock_server.store.errors import DeleteRestricted, StoreError
from mock_server.store.reader import RecordReader, StoredRecord
from mock_server.store.schema import Attributes, References, RelationValue, Table
from mock_server.store.tenancy import GetReferences, find_tenant_dependents, find_tenant_key
from spec.model import Relation
from spec.record import Record, Reference

_DeleteSet = Mapping[tuple[str, Any], StoredRecord]


@dataclass(slots=True)
class RecordWriter:
    """Writes the records of one store. `relation_cache`: see `_find_relations_to`."""

    reader: RecordReader
    relation_cache: dict[tuple[str, str], list[tuple[str, Relation]]] = field(default_factory=dict)

    def invalidate_caches(self) -> None:
        """Drop everything cached, after a rollback or a write that bypassed the store."""
        self.reader.load_last_numbers()
        self._publish(None)

    def add(self, record: Record, *, has_new_key: bool = False) -> StoredRecord:
        """Store a new record.

        `has_new_key`: the key was generated for it, so no record has it or refers to it.
        """
        reader, table = self.reader, self.reader.tables[record.resource]
        last_number = reader.last_numbers.get(record.resource, 0)
        stored = build_record(reader, record, reader.get_references, has_new_key=has_new_key)
        values = build_row(table, stored, record.attributes)
        if has_new_key and stored.number > last_number:
            write_later(reader.connection, table.insert_sql, values)
        else:
            reader.connection.execute(table.insert_sql, values)
        self._update_search_index(record.resource, stored.number, None, record.attributes)
        changed_tags = _get_reference_tags(table, stored.references)
        changed_tags.add((record.resource, record.key))
        for name, link in table.links.items():
            if targets := record.references.get(name):
                changed_tags |= self._replace_links(table, link, record.key, to_reference_tuple(targets))
        reader.count_caches[record.resource].on_insert(record.key)
        self._publish(changed_tags)
        return reader.cache_record(stored)

    def update(
        self, resource: str, key: Any, attributes: Attributes, references: Mapping[str, RelationValue] | None = None
    ) -> None:
        """Replace a record's attributes and the references that are named."""
        reader = self.reader
        table = reader.tables[resource]
        current = reader.get_existing(Reference(resource, key))
        new_references = dict(current.references)
        changed_tags: set[Tag] = {(resource, key)}
        for name, value in (references or {}).items():
            if name in table.links:
                changed_tags |= self._replace_links(table, table.links[name], key, to_reference_tuple(value or ()))
            else:
                new_references[name] = _require_single_reference(resource, key, name, value)
        for name, link in table.links.items():
            if link.has_inverse and name not in (references or {}):
                changed_tags |= _get_link_tags(table, link, reader.get_linked_references(resource, link.relation, key))
        tenant_key = find_tenant_key(table.resource, key, new_references, reader.get_references)
        attributes_json, proxy = encode_attributes(attributes), MappingProxyType(new_references)
        number, generation, old_attributes = current.number, current.created_generation, current.attributes
        updated = StoredRecord(resource, number, key, tenant_key, attributes_json, proxy, generation)
        changed_columns = _find_changed_columns(table, current, old_attributes, updated, attributes)
        counts = reader.count_caches[resource]
        matches_before = counts.matches_for_row(key, changed_columns)
        sql = f"UPDATE {table.name} SET {', '.join(f'{c} = ?' for c in ('own', *changed_columns))} WHERE n = ?"
        values = (updated.attributes_json, *changed_columns.values(), number)
        write_later(reader.connection, sql, values)
        self._update_search_index(resource, number, old_attributes, attributes)
        changed_tags |= _get_reference_tags(table, current.references)
        changed_relations = {name for name in new_references if new_references[name] != current.references[name]}
        if changed_relations:
            changed_tags |= _get_reference_tags(table, new_references)
            reader.invalidate(changed_tags)
            reader.cache_record(updated)
            changed_tags |= self._reassign_tenants(Reference(resource, key), changed_relations)
        counts.on_update(matches_before, counts.matches_for_row(key, changed_columns))
        self._publish(changed_tags)
        reader.cache_record(updated)

    def delete(self, resource: str, key: Any) -> None:
        """Delete a record with its cascade, and clear references to it. Raises DeleteRestricted."""
        to_delete = self._cascade_set(Reference(resource, key))
        for record in to_delete.values():
            self._check_restrictions(record.reference, to_delete)
        for record in to_delete.values():
            self._clear_references(record.reference, to_delete)
            self._delete_record(record)

    def is_restricted(self, reference: Reference) -> bool:
        """Return whether other records refer to a record in a way that restricts its deletion."""
        try:
            self._check_restrictions(reference, {})
        except DeleteRestricted:
            return True
        return False

    def _cascade_set(self, root: Reference) -> _DeleteSet:
        """Return a record and all records that are deleted with it."""
        to_delete: dict[tuple[str, Any], StoredRecord] = {}
        pending = [root]
        while pending:
            reference = pending.pop()
            record = self.reader.resolve(reference)
            if record is None or (reference.resource, reference.key) in to_delete:
                continue
            to_delete[reference.resource, reference.key] = record
            for referring_resource, relation in self._find_relations_to(reference.resource, "cascade"):
                pending += self.reader.find_referrers(referring_resource, relation.name, reference)
        return to_delete

    def _check_restrictions(self, reference: Reference, to_delete: _DeleteSet) -> None:
        for referring_resource, relation in self._find_relations_to(reference.resource, "refuse"):
            for referrer in self.reader.find_referrers(referring_resource, relation.name, reference):
                if (referrer.resource, referrer.key) not in to_delete:
                    raise DeleteRestricted(reference, referrer, relation.name)

    def _find_relations_to(self, resource: str, on_delete: str) -> list[tuple[str, Relation]]:
        """Return (resource, relation) of the stored relations to a resource that have this on-delete rule."""
        relations = self.relation_cache.get((resource, on_delete))
        if relations is None:
            pairs = self.reader.contract.find_relations_to(resource)
            relations = [(source.name, relation) for source, relation in pairs if relation.on_delete == on_delete]
            self.relation_cache[resource, on_delete] = relations
        return relations

    def _clear_references(self, reference: Reference, to_delete: _DeleteSet) -> None:
        for referring_resource, relation in self._find_relations_to(reference.resource, "clear"):
            for referrer in self.reader.find_referrers(referring_resource, relation.name, reference):
                if (referrer.resource, referrer.key) in to_delete:
                    continue
                record = self.reader.get_existing(referrer)
                remaining: tuple[Reference, ...] | None = None
                if relation.to_many:
                    targets = self.reader.get_linked_references(referrer.resource, relation, referrer.key)
                    remaining = tuple(target for target in targets if target != reference)
                self.update(referrer.resource, referrer.key, record.attributes, {relation.name: remaining})

    def _delete_record(self, record: StoredRecord) -> None:
        connection, table = self.reader.connection, self.reader.tables[record.resource]
        changed_tags: set[Tag] = {(record.resource, record.key)}
        counts = self.reader.count_caches[record.resource]
        matches_before = counts.matches_for_row(record.key)
        for link in table.links.values():
            changed_tags |= self._replace_links(table, link, record.key, ())
        write_later(connection, f"DELETE FROM {table.name} WHERE n = ?", (record.number,))
        self._update_search_index(record.resource, record.number, record.attributes, None)
        sql = "DELETE FROM _scheduled_changes WHERE resource = ? AND key = ?"
        write_later(connection, sql, (record.resource, record.key))
        changed_tags |= _get_reference_tags(table, record.references)
        counts.on_update(matches_before, ())
        self._publish(changed_tags)

    def _update_search_index(self, resource: str, number: int, old: Attributes | None, new: Attributes | None) -> None:
        index = self.reader.search_indexes.get(resource)
        if index is not None:
            index.on_update(number, old, new)

    def _replace_links(
        self, table: Table, link: schema.LinkTable, owner_key: Any, targets: tuple[Reference, ...]
    ) -> set[Tag]:
        """Replace a stored list of references. Returns the tags of the owner and of all previous and new targets."""
        connection = self.reader.connection
        previous = self.reader.get_linked_references(table.resource.name, link.relation, owner_key)
        connection.execute(f"DELETE FROM {link.name} WHERE owner = ?", (owner_key,))
        encoded = [schema.encode_reference(link.relation, target) for target in targets]
        rows = [(owner_key, position, target) for position, target in enumerate(encoded)]
        connection.executemany(f"INSERT INTO {link.name} VALUES (?, ?, ?)", rows)
        return _get_link_tags(table, link, (*previous, *targets))

    def _reassign_tenants(self, reference: Reference, relation_names: set[str]) -> set[Tag]:
        """Update the tenant of the records whose tenant path leads through changed relations of a record."""
        reader, changed_tags = self.reader, set[Tag]()
        for table, record in find_tenant_dependents(reader, reference, relation_names):
            tenant_key = find_tenant_key(table.resource, record.key, record.references, reader.get_references)
            reader.connection.execute(f"UPDATE {table.name} SET tenant = ? WHERE n = ?", (tenant_key, record.number))
            reader.count_caches[record.resource].clear()
            changed_tags.add((record.resource, record.key))
        return changed_tags

    def _publish(self, changed_tags: set[Tag] | None) -> None:
        self.reader.invalidate(changed_tags)
        self.reader.changes.publish(changed_tags)


def build_record(
    reader: RecordReader, record: Record, get_references: GetReferences, *, has_new_key: bool = False
) -> StoredRecord:
    """Assign a number (the value of the number attribute, else the next one) and a tenant to a new record."""
    resource, table, attributes = record.resource, reader.tables[record.resource], record.attributes
    last_number = reader.last_numbers.get(resource, 0)
    explicit_number = attributes.get(table.number_attribute) if table.number_attribute else None
    number = explicit_number if isinstance(explicit_number, int) else last_number + 1
    reader.last_numbers[resource] = max(number, last_number)
    given, names = record.references, [relation.name for relation in table.reference_columns.values()]
    references = {name: _require_single_reference(resource, record.key, name, given.get(name)) for name in names}
    tenant_key = find_tenant_key(table.resource, record.key, references, get_references)
    created_generation = reader.changes.generation + 1 if has_new_key else -1
    stored = (resource, number, record.key, tenant_key, encode_attributes(attributes), MappingProxyType(references))
    return StoredRecord(*stored, created_generation)


def encode_attributes(attributes: Attributes) -> bytes:
    """Encode attributes as JSON."""
    return encode_json(dict(attributes))


def build_row(table: Table, record: StoredRecord, attributes: Attributes) -> list[Any]:
    """Return the values for the table's `insert_sql`. `attributes`: those of the record, decoded."""
    columns = table.column_values(record.tenant_key, record.references, attributes)
    return [record.number, record.key, record.attributes_json, *columns]


def _find_changed_columns(
    table: Table, current: StoredRecord, old_attributes: Attributes, updated: StoredRecord, attributes: Attributes
) -> dict[str, Any]:
    """Return the new values of the columns that change: SQLite would rewrite the index entries of the others too."""
    old_values = table.column_values(current.tenant_key, current.references, old_attributes)
    new_values = table.column_values(updated.tenant_key, updated.references, attributes)
    return {name: new for name, old, new in zip(table.columns, old_values, new_values, strict=True) if new != old}


def _get_link_tags(table: Table, link: schema.LinkTable, targets: Iterable[Reference]) -> set[Tag]:
    name, relation = table.resource.name, link.relation
    return {(name, relation.name, schema.encode_reference(relation, target)) for target in targets}


def _get_reference_tags(table: Table, references: References) -> set[Tag]:
    return {
        (table.resource.name, relation.name, schema.encode_reference(relation, references[relation.name]))
        for relation in table.reference_columns.values()
        if references.get(relation.name) is not None
    }


def _require_single_reference(resource: str, key: Any, name: str, value: RelationValue) -> Reference | None:
    if value is None or isinstance(value, Reference):
        return value
    raise StoreError(f"{resource} {key}: {name}: got a list of references, expected one reference")


def to_reference_tuple(value: Any) -> tuple[Reference, ...]:
    """Return the references of a to-many relation."""
    return (value,) if isinstance(value, Reference) else tuple(value)
