"""Fields of a request body that refer to other records, and keys that no record has."""

from collections.abc import Iterator
from typing import Any

from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Relation, Resource

UNKNOWN_UUID = "00000000-0000-4000-8000-00000000dead"
UNKNOWN_INTEGER = 2_000_000_001


def iter_references(contract: Contract, operation: Operation) -> Iterator[tuple[BodyField, Relation]]:
    """Yield the fields of a body that refer to records, with the relations that they set."""
    resource = contract.resources.get(operation.resource or "")
    for field in operation.body_fields.values() if resource is not None else ():
        setter = field.relation_setter
        relation = resource.relations.get(setter.relation) if resource is not None and setter is not None else None
        if relation is not None and relation.is_stored:
            yield field, relation


def get_reference_name(resource: Resource) -> str:
    """Return the usual name of a field or parameter with the key of a resource, such as ``thread_uuid``."""
    return f"{snake_case(resource.name)}_{resource.key_attribute}"


def get_unknown_key(contract: Contract, resource: str) -> Any:
    """Return a key that no record of a resource has."""
    return UNKNOWN_INTEGER if contract.resources[resource].has_integer_key else UNKNOWN_UUID
