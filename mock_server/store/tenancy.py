"""The tenant of a record, found along the relations of its resource's tenant path."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mock_server.store.reader import RecordReader, StoredRecord
from mock_server.store.schema import References, Table
from spec.model import Resource
from spec.record import Reference

GetReferences = Callable[[Reference], References | None]


def find_tenant_key(resource: Resource, key: Any, references: References, get_references: GetReferences) -> Any:
    """Return the key of a record's tenant, or None. `get_references` returns a parent's references, None if missing."""
    if resource.members_relation:
        return key
    if not resource.tenant_path:
        return None
    *parent_names, tenant_name = resource.tenant_path
    for name in parent_names:
        parent = references.get(name)
        parent_references = None if parent is None else get_references(parent)
        if parent_references is None:
            return None
        references = parent_references
    tenant = references.get(tenant_name)
    return None if tenant is None else tenant.key


def find_tenant_dependents(
    reader: RecordReader, reference: Reference, relation_names: set[str]
) -> Iterator[tuple[Table, StoredRecord]]:
    """Yield the records whose tenant path leads through one of these relations of the record `reference`."""
    for table in reader.tables.values():
        path = table.resource.tenant_path
        for index in [position for position, name in enumerate(path) if position and name in relation_names]:
            for dependent in _find_by_path(reader, table.resource.name, path[:index], reference):
                yield table, reader.get_existing(dependent)


def _find_by_path(reader: RecordReader, resource: str, path: tuple[str, ...], target: Reference) -> Sequence[Reference]:
    """Find the records of a resource from which a path of relations leads to `target`."""
    relation = reader.tables[resource].resource.relations[path[0]]
    if len(path) == 1:
        return reader.find_referrers(resource, relation.name, target) if target.resource in relation.targets else ()
    return [
        referrer
        for name in relation.targets
        for intermediate in _find_by_path(reader, name, path[1:], target)
        for referrer in reader.find_referrers(resource, relation.name, intermediate)
    ]
