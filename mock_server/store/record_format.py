"""Which attributes and references a record of a resource may have: reads those of an import that fit the contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mock_server.store import schema
from mock_server.store.schema import Table
from spec.model import Attribute, Contract, Relation
from spec.record import Reference
from spec.validators import SchemaValidators, Validator

# Called with the name of a property that does not fit, and why.
OnProblem = Callable[[str, str], None]
_BASE_URL = "http://localhost"
_REQUIRED_MESSAGE = "is required and has no default"


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """The format of a resource's records.

    `validator`: of the attributes that are not null. `required`: names of the properties that the schema requires.
    """

    contract: Contract
    table: Table
    validator: Validator
    required: frozenset[str]
    stored_relations: Mapping[str, Relation]

    @classmethod
    def from_table(cls, contract: Contract, validators: SchemaValidators, table: Table) -> "RecordFormat":
        resource = table.resource
        required = frozenset(contract.document.resolve(resource.pointer).get("required", ()))
        validator = validators.build_for_properties({p.name: p.schema for p in resource.attributes.values()})
        relations = {relation.name: relation for relation in resource.relations.values() if relation.is_stored}
        return cls(contract, table, validator, required, relations)

    def is_required(self, item: Attribute | Relation) -> bool:
        """Whether a record must have a value that is not null."""
        is_optional = item.nullable or (isinstance(item, Relation) and item.allows_empty_object)
        return item.name in self.required and not is_optional

    def read_attributes(self, attributes: Mapping[str, Any], on_problem: OnProblem) -> dict[str, Any] | None:
        """Return the attributes that fit, in the order of the contract; None if a required one is missing.

        A missing attribute, and null where it is not allowed, get the default.
        """
        known = self.table.resource.attributes
        present = {name: value for name, value in attributes.items() if name in known and value is not None}
        invalid = self._find_invalid(present)
        for name in attributes.keys() - known.keys():
            on_problem(name, "the contract has no such attribute")
        for name, message in invalid.items():
            on_problem(name, message)
            del present[name]
        for name, attribute in known.items():
            is_null = name in attributes and attribute.nullable
            if name not in present and attribute.has_default and attribute.default is not None and not is_null:
                present[name] = attribute.default
        missing = [name for name, attribute in known.items() if name not in present and self.is_required(attribute)]
        for name in missing:
            if name not in invalid:
                on_problem(name, _REQUIRED_MESSAGE)
        names = [name for name in known if name in present or name in attributes or name in self.required]
        return None if missing else {name: present.get(name) for name in names}

    def select_valid(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes that the contract permits, without regard to missing ones."""
        known = self.table.resource.attributes
        present = {name: value for name, value in attributes.items() if name in known and value is not None}
        invalid = self._find_invalid(present)
        nullable = {name for name, value in attributes.items() if name in known and value is None}
        return {n: v for n, v in attributes.items() if n in nullable or (n in present and n not in invalid)}

    def _find_invalid(self, attributes: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the invalid attributes with the first message for each."""
        invalid: dict[str, str] = {}
        known, shown = self.table.resource.attributes, dict(attributes)
        for name, value in attributes.items():
            if known[name].is_file and isinstance(value, str) and value.startswith("/"):
                shown[name] = f"{_BASE_URL}{value}"  # as in responses
        if not self.validator.is_valid(shown):
            for error in self.validator.iter_errors(shown):
                invalid.setdefault(str(error.instance_path[0]), error.message)
        return invalid

    def read_references(
        self, references: Mapping[str, Any], on_problem: OnProblem
    ) -> tuple[dict[str, Reference | None] | None, dict[str, list[Reference]]]:
        """Return the to-one references that fit, None if a required one is missing, and the to-many ones."""
        single: dict[str, Reference | None] = {r.name: None for r in self.table.reference_columns.values()}
        to_many: dict[str, list[Reference]] = {}
        for name, value in references.items():
            relation = self.stored_relations.get(name)
            targets = self._parse_references(name, relation, value, on_problem) if value not in (None, []) else []
            if relation is not None and relation.to_many:
                to_many[name] = targets
            elif relation is not None:
                single[name] = targets[0] if targets else None
        missing = [n for n in single if single[n] is None and self.is_required(self.stored_relations[n])]
        for name in missing:
            if references.get(name) is None:
                on_problem(name, _REQUIRED_MESSAGE)
        return (None if missing else single), to_many

    def _parse_references(
        self, name: str, relation: Relation | None, value: Any, on_problem: OnProblem
    ) -> list[Reference]:
        """Return the references in the value of a relation that the contract allows."""
        if relation is None:
            on_problem(name, "the contract has no such stored relation")
            return []
        if relation.to_many != isinstance(value, list):
            on_problem(
                name, f"got {value!r}, expected {'a list of references' if relation.to_many else 'one reference'}"
            )
            return []
        references = []
        for text in value if isinstance(value, list) else [value]:
            reference = self._parse_reference(relation, text)
            if reference is None:
                on_problem(name, f"got {text!r}, expected a reference to {' or '.join(relation.targets)}")
            else:
                references.append(reference)
        return references

    def _parse_reference(self, relation: Relation, text: Any) -> Reference | None:
        """Parse ``RESOURCE/KEY``; None if the relation does not allow it."""
        target, _, raw_key = str(text).partition("/")
        key = schema.parse_key(self.contract.resources[target], raw_key) if target in relation.targets else None
        return None if key is None else Reference(target, key)
