"""Mutants whose responses violate their schema: a key missing, null, another type, an unknown value, an extra key."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.mutation.faults import ANY_ITEM, REMOVED, ValueChange, change_value
from conformance.mutation.mutant import Mutant, Operator, sample
from conformance.mutation.triggers import trigger_success
from spec.document import Document, escape
from spec.model import Contract

MAX_DEPTH = 4
MAX_TESTED_LENGTH = 5_000


@dataclass(frozen=True, slots=True)
class ResponseProperty:
    """A property of a response. `path`: property names, and ANY_ITEM for the items of a list.

    `pointer`: of the property's schema. `schema`: unwrapped. `object_pointer`: of the enclosing object's schema.
    """

    path: tuple[str, ...]
    pointer: str
    schema: Mapping[str, Any]
    object_pointer: str
    is_required: bool
    is_nullable: bool

    @property
    def id(self) -> str:
        """The path with dots; it also seeds `sample`."""
        return ".".join(self.path)


def unwrap_schema(document: Document, schema: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str, bool]:
    """Resolve `$ref`, a single `allOf` and the first alternative to (schema, pointer, whether it is nullable)."""
    is_nullable = False
    for _ in range(20):
        is_nullable = is_nullable or schema.get("nullable") is True
        if "$ref" in schema:
            schema, pointer = document.dereference(schema, pointer)
        elif len(schema.get("allOf", ())) == 1:
            schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
        elif keyword := next((name for name in ("anyOf", "oneOf") if schema.get(name)), None):
            is_nullable = is_nullable or any(alternative.get("nullable") is True for alternative in schema[keyword])
            schema, pointer = schema[keyword][0], f"{pointer}/{keyword}/0"
        else:
            break
    return schema, pointer, is_nullable


def find_response_properties(
    document: Document, node: Mapping[str, Any], node_pointer: str, path: tuple[str, ...] = ()
) -> Iterator[ResponseProperty]:
    """Find every property of a response schema, without the properties of embedded relations."""
    schema, pointer, _ = unwrap_schema(document, node, node_pointer)
    if schema.get("type") == "array" and len(path) < MAX_DEPTH:
        yield from find_response_properties(document, schema.get("items", {}), f"{pointer}/items", (*path, ANY_ITEM))
    for name, property_schema in schema.get("properties", {}).items():
        property_pointer = f"{pointer}/properties/{escape(name)}"
        resolved_schema, _, is_nullable = unwrap_schema(document, property_schema, property_pointer)
        if property_schema.get("writeOnly"):
            continue
        yield ResponseProperty(
            (*path, name), property_pointer, resolved_schema, pointer, name in schema.get("required", ()), is_nullable
        )
        if "x-relation" not in property_schema and len(path) < MAX_DEPTH:
            yield from find_response_properties(document, property_schema, property_pointer, (*path, name))


# Faults: each returns the change to a property, or None if it does not apply

PropertyFault = Callable[[ResponseProperty], ValueChange | None]
PropertyCondition = Callable[[ResponseProperty], object]

_WRONG_TYPE_VALUES: Mapping[str, Any] = {
    "string": 12345,
    "integer": "twelve",
    "number": "twelve",
    "boolean": "perhaps",
    "object": ["a", "list"],
    "array": {"an": "object"},
}


def _always(new_value: Any) -> ValueChange:
    return lambda value: new_value


def _unless_null(new_value: Any) -> ValueChange:
    return lambda value: new_value if value is not None else value


def _change_if(condition: PropertyCondition, change: ValueChange) -> PropertyFault:
    return lambda prop: change if condition(prop) else None


def _has_checked_format(prop: ResponseProperty) -> bool:
    return prop.schema.get("format") in ("uuid", "date-time", "date", "uri", "email")


def _is_text_enum(prop: ResponseProperty) -> bool:
    return bool(prop.schema.get("enum")) and prop.schema.get("type") == "string"


_drop_required = _change_if(lambda p: p.is_required, _always(REMOVED))
_set_null = _change_if(lambda p: not p.is_nullable and "type" in p.schema, _always(None))
_set_unknown_enum_value = _change_if(_is_text_enum, _unless_null("conformance-unknown"))
_break_format = _change_if(_has_checked_format, _unless_null("of no such format"))


def _change_type(prop: ResponseProperty) -> ValueChange | None:
    wrong_value = _WRONG_TYPE_VALUES.get(str(prop.schema.get("type")))
    return None if wrong_value is None else _unless_null(wrong_value)


def _exceed_bounds(prop: ResponseProperty) -> ValueChange | None:
    schema, type_name = prop.schema, prop.schema.get("type")
    max_length = schema.get("maxLength", MAX_TESTED_LENGTH)
    if type_name == "string" and max_length < MAX_TESTED_LENGTH and not _has_checked_format(prop):
        return _unless_null("x" * (max_length + 1))
    if type_name in ("integer", "number") and "minimum" in schema:
        return _unless_null(schema["minimum"] - 1)
    return None


def _add_unknown_key(prop: ResponseProperty) -> ValueChange | None:
    if prop.schema.get("type") != "object" or prop.schema.get("additionalProperties") is not False:
        return None
    return lambda value: {**value, "conformance_unknown": 1} if isinstance(value, dict) else value


def _operator(family: str, keyword: str, requirement: str, fault: PropertyFault) -> Operator[PropertyFault]:
    return Operator(family, "{name}", requirement, fault, keyword)


# Operators, each with its maximum number of mutants per operation.
OPERATORS: tuple[tuple[int, Operator[PropertyFault]], ...] = (
    (2, _operator("schema-drop", "required", "A required key is present.", _drop_required)),
    (2, _operator("schema-null", "nullable", "A value that is not nullable is not null.", _set_null)),
    (2, _operator("schema-type", "type", "A value has the type of its schema.", _change_type)),
    (1, _operator("schema-enum", "enum", "A value is one of the enum of its schema.", _set_unknown_enum_value)),
    (1, _operator("schema-format", "format", "A string has the format of its schema.", _break_format)),
    (1, _operator("schema-bounds", "maxLength", "A value is within the bounds of its schema.", _exceed_bounds)),
    (1, _operator("schema-extra", "additionalProperties", "A closed object has no unknown key.", _add_unknown_key)),
)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation with a response schema."""
    for operation in contract.operations.values():
        schema_pointer = operation.envelope.schema_pointer
        if schema_pointer is not None:
            schema = contract.document.resolve(schema_pointer)
            properties = list(find_response_properties(contract.document, schema, schema_pointer))
            for max_mutants, row in OPERATORS:
                applicable = [prop for prop in properties if row.fault(prop) is not None]
                for prop in sample(applicable, max_mutants, row.family, operation.id):
                    pointer = prop.object_pointer if row.keyword == "required" else prop.pointer
                    make_fault = change_value(row.fault(prop) or _always(REMOVED), prop.path)
                    named_row = row.named(name=prop.id)
                    yield named_row.mutant(operation, make_fault, trigger_success, pointer, violates_schema=True)
