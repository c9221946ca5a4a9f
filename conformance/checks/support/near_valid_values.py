"""Invalid values that look valid: of another type that servers coerce, or in a format that they misread."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.invalid_values import is_form, iter_nested_properties
from conformance.checks.support.values import dereference_schema
from conformance.session.payloads import PayloadFactory
from spec.model import BodyField, Parameter

# Values of days and times that do not exist, and of formats with one wrong character.
IMPOSSIBLE_VALUES: Mapping[str, Sequence[str]] = {
    "date": ("2024-02-30", "2023-02-29", "2024-13-01"),
    "date-time": ("2024-02-30T10:30:00Z", "2023-02-29T10:30:00Z", "2024-13-01T10:30:00Z", "2024-01-15T24:61:00Z"),
    "uuid": ("00000000-0000-4000-8000-00000000000g", "00000000-0000-4000-8000-0000000000001"),
    "email": ("name@", "first name@example.com"),
    "uri": ("example.com/a b",),
}
# Other notations of valid values, which many servers accept.
OTHER_NOTATIONS: Mapping[str, Sequence[str]] = {
    "date": ("15.01.2024", "2024-1-5"),
    "date-time": ("2024-01-15T10:30:00", "2024-01-15"),
    "uuid": ("00000000000040008000000000000001",),
}
QUERY_VALUES: Mapping[str, Sequence[str]] = {"boolean": ("yes", "2"), "integer": ("1.5", "1a"), "number": ("1a",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NearValidValue:
    """An invalid value of a field or parameter, or of a property or item in it.

    `name`: dotted. `pointer`, `keyword`: what the value violates. `path`: of the value in that of the field. `base`: a
    valid value of the field, if the path is not empty. `is_coercible`: many servers coerce it to a valid value;
    accepting it does not block by default. `batch`: values of the same batch are sent together.
    """

    name: str
    pointer: str
    keyword: str
    value: Any
    is_coercible: bool
    batch: int = 0
    path: tuple[str | int, ...] = ()
    base: Any = None

    @property
    def field(self) -> str:
        """The name of the field or parameter."""
        return self.name.split(".")[0] if self.path else self.name


def combine_values(values: Sequence[NearValidValue]) -> dict[str, Any]:
    """Return the values of fields or parameters; several values in one field are put into the same object or array."""
    combined: dict[str, Any] = {}
    for value in values:
        if not value.path:
            combined[value.field] = value.value
            continue
        container = combined.setdefault(value.field, deepcopy(value.base))
        for part in value.path[:-1]:
            container = container[part]
        container[value.path[-1]] = value.value
    return combined


def iter_body_values(case: Case) -> Iterator[NearValidValue]:
    """Yield the values of all body fields and their properties and items."""
    if is_form(case):
        return
    for field in case.operation.body_fields.values():
        yield from _iter_field_values(case, field)


def _iter_field_values(case: Case, field: BodyField) -> Iterator[NearValidValue]:
    payloads, validator = case.session.payloads, case.session.schemas.get_field(field, "write")
    candidates = _iter_candidates(payloads, payloads.resolve_schema(field.schema), field.name)
    invalid = [candidate for candidate in candidates if not validator.is_valid(candidate[1])]
    for number, (keyword, value, is_coercible) in enumerate(invalid):
        yield NearValidValue(
            name=field.name,
            pointer=field.pointer,
            keyword=keyword,
            value=value,
            is_coercible=is_coercible,
            batch=number,
        )
    members = [*_iter_items(case, field), *iter_nested_properties(case, field)]
    for name, pointer, schema, wrap in members:
        path = tuple(int(part) if part.isdigit() else part for part in name.split(".", 1))
        nested = _iter_candidates(payloads, payloads.resolve_schema(schema), name)
        invalid_members = (candidate for candidate in nested if not validator.is_valid(wrap(candidate[1])))
        for number, (keyword, value, is_coercible) in enumerate(invalid_members):
            yield NearValidValue(
                name=f"{field.name}.{name}",
                pointer=pointer,
                keyword=keyword,
                value=value,
                is_coercible=is_coercible,
                batch=len(invalid) + number,
                path=path,
                base=wrap(value),
            )


def _iter_items(case: Case, field: BodyField) -> Iterator[tuple[str, str, Mapping[str, Any], Any]]:
    """Yield the second item of an array of values that are no objects, after a valid one."""
    payloads = case.session.payloads
    schema = payloads.resolve_schema(field.schema)
    items = schema.get("items") if schema.get("type") == "array" else None
    if not items or payloads.resolve_schema(items).get("type", "object") == "object":
        return
    first = payloads.generate_value(items, field.name)
    yield "1", field.pointer, items, lambda value: [first, value]


def _iter_candidates(payloads: PayloadFactory, schema: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield (keyword, value, is_coercible)."""
    yield from _iter_texts(schema)
    json_type = schema.get("type", "object")
    if "enum" in schema:
        return
    match json_type:
        case "boolean":
            values: Sequence[Any] = (1, 0, "true", "yes")
        case "integer" | "number":
            number = payloads.generate_value(schema, name)
            values = (str(number), True, *([number + 0.5] if json_type == "integer" else []))
        case "string" if not schema.keys() & {"format", "pattern"}:
            values = (12345678, True, {"a": "text"})
        case "array":
            values = ({"0": "text"},)
        case "object":
            values = (["text"],)
        case _:
            values = ()
    yield from (("type", value, True) for value in values)


def _iter_texts(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    text_format = schema.get("format", "") if "enum" not in schema else ""
    yield from (("format", text, False) for text in IMPOSSIBLE_VALUES.get(text_format, ()))
    yield from (("format", text, True) for text in OTHER_NOTATIONS.get(text_format, ()))


def iter_query_values(case: Case, parameter: Parameter) -> Iterator[NearValidValue]:
    """Yield the values of a query parameter."""
    document = case.session.contract.document
    schema, pointer = dereference_schema(document, parameter.schema_pointer)
    is_array = "items" in schema
    if is_array:
        schema, pointer = dereference_schema(document, f"{pointer}/items")
    types = QUERY_VALUES.get(str(schema.get("type")), ()) if "enum" not in schema else ()
    candidates = [*_iter_texts(schema), *(("type", text, True) for text in types)]
    validator = case.session.schemas.get(pointer, "write")
    invalid = [candidate for candidate in candidates if not validator.is_valid(candidate[1])]
    for number, (keyword, text, is_coercible) in enumerate(invalid):
        yield NearValidValue(
            name=parameter.name,
            pointer=pointer,
            keyword=keyword,
            value=[text] if is_array else text,
            is_coercible=is_coercible,
            batch=number,
        )
