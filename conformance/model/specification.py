"""What the contract states about stored records: the state after each write, and the values that reads show.

Everything is derived from the contract and from what was sent. A value that the contract leaves open is unknown until a
response shows it; from then on it must not change. Records of other clients are known only as far as responses show
them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import snake_case
from spec.model import Attribute, Contract, DerivedProperty, Operation, Relation, Resource

RecordId = tuple[str, Any]  # resource, key


class Unknown:
    """Type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


@dataclass(slots=True)
class ModelRecord:
    """A record that the run created, or one of another client: foreign or borrowed.

    A foreign record (`is_foreign`) is only read: the account, a record that the account embeds, or a row of a list that
    was adopted, which means added to the model to compare other lists with it. A borrowed record (`is_borrowed`) is one
    of `--mutable-record`, for a resource that the run cannot create: it is updated and restored, but never deleted. The
    model adopts values too: of any record, from a response, as those that later responses must repeat.

    `attributes`: known values. `references`: stored relation -> RecordId, None, or (to-many) a list of RecordIds; a
    relation that is missing is unknown. `uncertain_empty`: attributes that were sent as "" or white
    space and may be null instead.
    `excluded`: attribute that only the server sets -> the value that a create sent, which must not be stored.
    `sent_objects`: attribute -> the object that the last write sent to replace the stored one. `removed_keys`:
    attribute -> the keys, with their values, that the previous object had and that this one does not have.
    `row`: the properties of a record of another client, from all responses that contained it.
    """

    resource: Resource
    key: Any
    attributes: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Any] = field(default_factory=dict)
    uncertain_empty: set[str] = field(default_factory=set)
    excluded: dict[str, Any] = field(default_factory=dict)
    sent_objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    removed_keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_deleted: bool = False
    is_foreign: bool = False
    is_borrowed: bool = False
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> RecordId:
        """Resource and key."""
        return self.resource.name, self.key

    def replace_object(self, name: str, value: Any) -> None:
        """Store the object that a write sends, and the keys that it removes from the object sent before."""
        before, self.sent_objects[name] = self.sent_objects.get(name, {}), value if isinstance(value, Mapping) else {}
        self.removed_keys[name] = {n: item for n, item in before.items() if n not in self.sent_objects[name]}


@dataclass(slots=True)
class Model:
    """The records of the run.

    `write_count`: number of successful writes so far. `account_key`: key of the account of the run, None if unknown.
    """

    contract: Contract
    records: dict[RecordId, ModelRecord] = field(default_factory=dict)
    write_count: int = 0
    account_key: Any = None

    # Writes

    def create(self, operation: Operation, resource: str, key: Any, body: Mapping[str, Any]) -> ModelRecord:
        """Add the record that a create operation stores."""
        definition = self.contract.resources[resource]
        record = ModelRecord(definition, key, {definition.key_attribute: key})
        for attribute in iter_writable_attributes(definition, operation):
            if attribute.name not in body and attribute.has_default:
                record.attributes[attribute.name] = attribute.default
            elif attribute.name not in body and attribute.nullable:
                record.attributes[attribute.name] = None
        server_set = (definition.key_attribute, *(name for name, a in definition.attributes.items() if a.stamp))
        fields = operation.body_fields
        record.excluded = {name: body[name] for name in server_set if name in body and name not in fields}
        self._apply(record, operation, body, is_new=True)
        self.records[record.id] = record
        return record

    def update(self, record: ModelRecord, operation: Operation, body: Mapping[str, Any]) -> None:
        """Change the properties that an update sends."""
        self._apply(record, operation, body, is_new=False)

    def _apply(self, record: ModelRecord, operation: Operation, body: Mapping[str, Any], *, is_new: bool) -> None:
        self.write_count += 1
        for attribute in iter_writable_attributes(record.resource, operation):
            name = attribute.name
            if name in body:
                before = attribute.default if is_new else record.attributes.get(name)
                default = attribute.default if attribute.has_default else None
                record.attributes[name] = _merge_objects(default, before, body[name])
                record.replace_object(name, {} if default else body[name])  # with a default, keys are merged
                record.uncertain_empty.discard(name)
                if isinstance(body[name], str) and not body[name].strip():
                    record.uncertain_empty.add(name)
        for name, relation, discriminator in iter_setters(record.resource, operation):
            if name in body:
                kind = body.get(discriminator) if discriminator else None
                record.references[relation.name] = self._parse_reference(relation, body[name], kind)
                if discriminator in record.resource.attributes and discriminator in body:
                    record.attributes[str(discriminator)] = kind
                # The server may set a relation to the caller or to its tenant if a create has null.
                defaults = (*record.resource.owner_path[:1], *record.resource.tenant_path[:1])
                if is_new and body[name] is None and relation.name in defaults:
                    record.references[relation.name] = UNKNOWN

    def _parse_reference(self, relation: Relation, value: Any, discriminator: Any) -> Any:
        if relation.to_many:
            return [(relation.targets[0], key) for key in value or ()]
        if value is None:
            return None
        matching = [name for name in relation.targets if discriminator in (None, name, snake_case(name))]
        return (matching[0], value) if matching else UNKNOWN

    def find_restriction(self, record: ModelRecord) -> tuple[ModelRecord, Relation] | None:
        """Return a record that makes the contract reject the deletion of `record`, with its relation."""
        for source, relation in self.contract.find_relations_to(record.resource.name):
            for referrer in self.find_referrers(record.id, source.name, relation):
                if relation.on_delete == "refuse":
                    return referrer, relation
        return None

    def delete(self, record: ModelRecord) -> list[ModelRecord]:
        """Delete a record, apply the on-delete rules, and return all deleted records."""
        self.write_count += 1
        return list(self._delete(record))

    def _delete(self, record: ModelRecord) -> Iterator[ModelRecord]:
        record.is_deleted = True
        yield record
        for source, relation in self.contract.find_relations_to(record.resource.name):
            for referrer in list(self.find_referrers(record.id, source.name, relation)):
                if relation.on_delete == "cascade":
                    yield from self._delete(referrer)
                elif relation.on_delete == "clear" and relation.to_many:
                    others = [target for target in referrer.references[relation.name] if target != record.id]
                    referrer.references[relation.name] = others
                elif relation.on_delete == "clear":
                    referrer.references[relation.name] = None

    # Reads

    def find_referrers(self, target: RecordId, resource: str, relation: Relation) -> Iterator[ModelRecord]:
        """Yield the existing records of a resource that refer to a record by a stored relation."""
        for record in self.records.values():
            if record.resource.name == resource and not record.is_deleted:
                value = record.references.get(relation.name)
                if target in (value if isinstance(value, list) else [value]):
                    yield record

    def related_ids(self, record: ModelRecord, relation: Relation) -> list[RecordId] | None:
        """Return the known records that a relation refers to; None if the reference is unknown.

        Other clients may have added records to an inverse relation.
        """
        if relation.inverse is None:
            value = record.references.get(relation.name, UNKNOWN)
            if value is UNKNOWN:
                return None
            return value if isinstance(value, list) else [value] if value is not None else []
        if record.is_foreign or record.is_borrowed:
            return None
        inverses = [(name, self.contract.resources[name].relations[relation.inverse]) for name in relation.targets]
        return [r.id for name, inverse in inverses for r in self.find_referrers(record.id, name, inverse)]

    def is_owner_of_created(self, record: ModelRecord, relation: Relation) -> bool:
        """Whether a relation is the owner of a record of the run, which is the account that created it."""
        is_owner = record.resource.owner_path == (relation.name,) and not relation.to_many
        return is_owner and self.account_key is not None and not (record.is_foreign or record.is_borrowed)

    def evaluate(self, record: ModelRecord, derived: DerivedProperty) -> Any:
        """Return the value of a computed property, or UNKNOWN.

        Counts, sums and maxima are lower bounds for an inverse relation.
        """
        if derived.kind == "viewer":
            return self._evaluate_viewer(record, derived)
        relation = record.resource.relations.get(derived.path[0]) if derived.path else None
        ids = self.related_ids(record, relation) if relation is not None else None
        if relation is None or ids is None or derived.kind not in ("count", "sum", "max", "from"):
            return UNKNOWN
        known = [self.records.get(record_id) for record_id in ids]
        if derived.where and None in known:
            return UNKNOWN
        if any(name not in r.attributes or is_volatile(r.resource, name) for r in known if r for name in derived.where):
            return UNKNOWN  # the server may have changed it
        conditions = derived.where.items()
        counted = [r for r in known if r is None or all(r.attributes[name] in allowed for name, allowed in conditions)]
        if derived.kind == "count":
            return len(counted)
        values: list[Any] = [r.attributes.get(derived.path[1], UNKNOWN) if r else UNKNOWN for r in counted]
        if len(derived.path) != 2 or UNKNOWN in values:
            return UNKNOWN
        if derived.kind == "from":
            return values[0] if values else None
        present = [value for value in values if value is not None]
        return sum(present) if derived.kind == "sum" else max(present, default=None)

    def _evaluate_viewer(self, record: ModelRecord, derived: DerivedProperty) -> Any:
        path = record.resource.owner_path if derived.path == ("owner",) else derived.path
        relation = record.resource.relations.get(path[0]) if len(path) == 1 else None
        ids = self.related_ids(record, relation) if relation is not None else None
        if ids is None or len(ids) != 1 or self.account_key is None:
            return UNKNOWN
        return ids[0][1] == self.account_key


def iter_writable_attributes(resource: Resource, operation: Operation) -> Iterator[Attribute]:
    """Yield the attributes that the body of an operation sets."""
    discriminators = {discriminator for _, _, discriminator in iter_setters(resource, operation)}
    for field_ in operation.body_fields.values():
        attribute = resource.attributes.get(field_.name)
        is_plain = field_.relation_setter is None and field_.x_query is None and field_.name not in discriminators
        if attribute is not None and is_plain and attribute.stamp is None:
            yield attribute


def iter_setters(resource: Resource, operation: Operation) -> Iterator[tuple[str, Relation, str | None]]:
    """Yield (field, relation, discriminator) of the body fields that set a stored relation."""
    for field_ in operation.body_fields.values():
        setter = field_.relation_setter
        relation = resource.relations.get(setter.relation) if setter is not None else None
        if setter is not None and relation is not None and relation.is_stored:
            yield field_.name, relation, setter.discriminator


def is_volatile(resource: Resource, name: str) -> bool:
    """Whether the server may change an attribute by itself: no client can send it, or it is a stamp."""
    attribute = resource.attributes[name]
    return attribute.read_only and name != resource.key_attribute


def _merge_objects(default: Any, before: Any, value: Any, *, is_nested: bool = False) -> Any:
    """Return the stored value after `value` was sent: objects with default keys are merged, all else is replaced.

    Whether a nested object keeps the keys that have no default is left open.
    """
    if not (isinstance(default, Mapping) and default and isinstance(before, Mapping) and isinstance(value, Mapping)):
        return value
    merged = {n: _merge_objects(default.get(n), before.get(n), item, is_nested=True) for n, item in value.items()}
    return {n: item for n, item in before.items() if n in default or not is_nested} | merged
