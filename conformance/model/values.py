"""Values for body fields and query parameters: those that backends handle wrongly first, all valid by the schema."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any

from conformance.checks.support.values import dereference_schema
from conformance.session.session import Session
from spec.document import escape
from spec.model import BodyField

MAX_TEXT_CHARS = 2000
ARRAY_TEXTS = 3  # texts with special characters in one array
MAX_NESTED_DEPTH = 3  # of objects in objects
MAX_NESTED_VALUES = 6  # values of one nested property
NESTED_NUMBERS = (0.25, 0, -1, 19.99, 7, 12345.67)
NESTED_TEXTS = ("$1 \\1 ${x} {{x}} 100%_", "", 'it\'s "ä" <b>', "0")
FREE_OBJECTS: tuple[dict[str, Any], ...] = (
    {"a": {"b": [1, 0.5, None, False]}, "": ""},
    {"zero": 0, "no": False, "none": None, "text": "", "list": [], "object": {}, "$1 {{x}} %": "$1 \\1 ${x} {{x}} %_'"},
    {
        "deep": {"a": [{"b": {"c": [{"d": {"e": [[1, 2], [2, 1], []]}}]}}]},
        "repeated": [2, 1, 1, "1", True, {"a": 1}, {"a": 1}],
        "numbers": [1.0, -0.5, -7, 2**53 - 1],
        "texts": ["007", "0", "false", "null", "1e3", "one\ntwo\tthree"],
    },
)
ADDITIONAL_NAME = "additional key"  # of an object that has properties and permits others
ADDITIONAL_VALUES: tuple[Any, ...] = (*FREE_OBJECTS[:1], "0", False, [2, 1, 1])
MAX_COLUMN_BYTES = 65_535  # of a text column of MySQL, and of other 16-bit lengths
NUMBERS = (0, 1, -1, 0.5, 2.25, 100, 19.99, 12345.67, 3.0)
MAX_INT32, MAX_SAFE_INTEGER, MAX_INT64 = 2**31 - 1, 2**53 - 1, 2**63 - 1
TEXTS = (
    "$1 \\1 ${x} {{x}} %_ <b>&amp; 'q' \"d\" ä 👍 $& <%= x %>",
    'it\'s "quoted" \\ `back` %s {0} -- ; DROP',
    "Zażółć gęślą jaźń, naïve Ærøskøbing",
    "ok 👍🏽 👩‍👩‍👧 🚀",
    "a < b & c > d <b>bold</b> &amp; &#39;",
    "שלום עולם مرحبا",
    "one\ntwo\tthree  four",
    "50% off_now a+b %41",
    "zero\u200bwidth\u2060 \u202eright to left\u202c e\u0301",
)
EXACT_TEXTS = ("0", "007", "null", "true", "false", "1e3", " ")  # texts that a backend may take for another type
INSTANTS = ("2026-01-15T10:30:00Z", "2024-02-29T23:59:59Z", "2026-07-15T23:30:00+05:30", "1969-07-20T20:17:40Z")
DATES = ("2026-01-15", "2024-02-29", "1969-07-20", "2031-12-31")
WIDE_CHARACTERS = "ä世👋"  # of two, three and four bytes in UTF-8


@dataclass(frozen=True, slots=True)
class ValueGenerator:
    """Generates values for the fields of one session; texts contain its marker where they are long enough."""

    session: Session

    def list_values(self, field: BodyField) -> list[Any]:
        """Return valid values without null, the most ordinary one first."""
        payloads = self.session.payloads
        candidates = [payloads.generate_value(field.schema, field.name)]
        for schema, pointer in self._list_alternatives(field.pointer):
            candidates += self._candidates(schema, field.name, pointer)
        validator = self.session.schemas.get_field(field, "write")
        values: list[Any] = []
        for value in candidates:
            is_new = all(value is not other and repr(value) != repr(other) for other in values)
            if value is not None and is_new and validator.is_valid(value):
                values.append(value)
        return values

    def _candidates(self, schema: Mapping[str, Any], name: str, pointer: str) -> Iterator[Any]:
        if schema.get("enum"):
            yield from schema["enum"]
            return
        match schema.get("type", "object"):
            case "boolean":
                yield from (True, False)
            case "integer" | "number":
                yield from self._numbers(schema)
            case "string":
                yield from self._texts(schema, name)
            case "array":
                yield from self._arrays(schema, name, pointer)
            case _:
                yield from self._objects(schema, name, pointer)

    def _numbers(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        yield from (schema[bound] for bound in ("minimum", "maximum") if bound in schema)
        yield from (n for n in NUMBERS if schema["type"] == "number" or isinstance(n, int))
        is_wide = schema.get("format") == "int64"
        if schema["type"] == "integer" and (is_wide or "maximum" in schema):
            yield from (MAX_INT32 + 1, MAX_SAFE_INTEGER)
        if is_wide:
            yield from (MAX_SAFE_INTEGER + 2, MAX_INT64)

    def _texts(self, schema: Mapping[str, Any], name: str) -> Iterator[str]:
        payloads = self.session.payloads
        fixed = {"date-time": INSTANTS, "date": DATES}.get(schema.get("format", ""))
        if fixed is not None:
            yield from fixed
        if schema.keys() & {"format", "pattern"}:
            yield payloads.generate_value(schema, name)
            return
        number = payloads.random.randrange(10**6)
        maximum = min(int(schema.get("maxLength", MAX_TEXT_CHARS)), MAX_TEXT_CHARS)
        for text in TEXTS:
            full = f"{number} {text} {payloads.marker}"
            yield full if len(full) <= maximum else text[:maximum].strip()
        prefix = f"{payloads.marker} {number} "
        longest = MAX_COLUMN_BYTES + 1 if int(schema.get("maxLength", 0)) > MAX_COLUMN_BYTES else maximum
        yield (prefix * (longest // len(prefix) + 1))[:longest].rstrip().ljust(longest, "x")
        if "maxLength" in schema:
            yield (prefix + WIDE_CHARACTERS * maximum)[:maximum]
        yield "x" * max(1, int(schema.get("minLength", 0)))
        yield from EXACT_TEXTS
        yield ""

    def _arrays(self, schema: Mapping[str, Any], name: str, pointer: str) -> Iterator[list[Any]]:
        items = schema.get("items", {})
        values = [self.session.payloads.generate_value(items, name) for _ in range(3)]
        item_schema = self.session.payloads.resolve_schema(items)
        if item_schema.get("type") == "string":
            maximum = int(item_schema.get("maxLength", MAX_TEXT_CHARS))
            validator = self.session.schemas.get(f"{pointer}/items", "write")
            values += filter(validator.is_valid, (text[:maximum].strip() for text in TEXTS[:ARRAY_TEXTS]))
        yield from ([], values[:1], values[:2], list(reversed(values)), [values[0], values[0]])
        rows = list(self._nested_values(f"{pointer}/items", name, 1)) if "items" in schema else []
        if any(isinstance(row, Mapping) for row in rows):
            yield rows[:2]
            yield from ([row] for row in rows)

    def _objects(self, schema: Mapping[str, Any], name: str, pointer: str) -> Iterator[dict[str, Any]]:
        properties = schema.get("properties", {})
        payloads = self.session.payloads
        full = {key: payloads.generate_value(value, key) for key, value in properties.items()}
        yield full
        if properties:
            yield from self._nested_objects(schema, pointer, 1)
        yield from ({key: value} for key, value in full.items())
        if schema.get("additionalProperties", True) is not False and not properties:
            yield from ({payloads.marker: "a value"}, *FREE_OBJECTS, {})

    def _nested_values(self, pointer: str, name: str, depth: int) -> Iterator[Any]:
        """Yield valid values of the schema at a pointer, at most `MAX_NESTED_VALUES`."""
        validator = self.session.schemas.get(pointer, "write")
        columns = [
            self._nested_candidates(schema, name, resolved, depth)
            for schema, resolved in self._list_alternatives(pointer)
        ]
        candidates = chain.from_iterable(zip_longest(*columns))  # the first value of each alternative, then the second
        values = (value for value in candidates if value is not None and validator.is_valid(value))
        yield from islice(values, MAX_NESTED_VALUES - 1)
        if validator.is_valid(None):
            yield None

    def _list_alternatives(self, pointer: str) -> list[tuple[Mapping[str, Any], str]]:
        """Return (schema, pointer) of each alternative of the schema at a pointer, objects first; or of the schema."""
        document = self.session.contract.document
        schema, resolved = dereference_schema(document, pointer)
        keyword = next((keyword for keyword in ("anyOf", "oneOf") if schema.get(keyword)), None)
        if keyword is None:
            return [(schema, resolved)]
        parts = [dereference_schema(document, f"{resolved}/{keyword}/{n}") for n in range(len(schema[keyword]))]
        return sorted(parts, key=lambda part: part[0].get("type", "object") != "object")

    def _nested_candidates(self, schema: Mapping[str, Any], name: str, pointer: str, depth: int) -> Iterator[Any]:
        payloads = self.session.payloads
        if schema.get("enum"):
            yield from schema["enum"]
            return
        match schema.get("type", "object"):
            case "boolean":
                yield from (False, True)
            case "integer" | "number":
                yield from NESTED_NUMBERS
                yield from (schema[bound] for bound in ("minimum", "maximum") if bound in schema)
            case "string":
                yield payloads.generate_value(schema, name)
                yield from NESTED_TEXTS
            case "array" if "items" in schema and depth < MAX_NESTED_DEPTH:
                items = list(self._nested_values(f"{pointer}/items", name, depth + 1))
                yield from (items[:2], [], items[1:3])
            case "object" if schema.get("properties") and depth < MAX_NESTED_DEPTH:
                yield from self._nested_objects(schema, pointer, depth + 1)
            case "object" if schema.get("additionalProperties", True) is not False:
                yield from FREE_OBJECTS
                yield {}
            case _:
                yield payloads.generate_value(schema, name)

    def _nested_objects(self, schema: Mapping[str, Any], pointer: str, depth: int) -> Iterator[dict[str, Any]]:
        """Yield objects with all properties; each has another value of every property that has several.

        Every second one has a further property, if the schema states that it permits others.
        """
        values = {
            name: list(self._nested_values(f"{pointer}/properties/{escape(name)}", name, depth))
            for name in schema.get("properties", {})
        }
        additional = self._additional_values(schema, pointer, depth)
        for index in range(max(map(len, values.values()), default=0)):
            value = {name: column[index % len(column)] for name, column in values.items() if column}
            if additional and index % 2 == 0:
                value[ADDITIONAL_NAME] = additional[index // 2 % len(additional)]
            yield value

    def _additional_values(self, schema: Mapping[str, Any], pointer: str, depth: int) -> list[Any]:
        """Return values of properties that a schema does not name; none if it does not state that it permits them."""
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping) and additional:
            return list(self._nested_values(f"{pointer}/additionalProperties", ADDITIONAL_NAME, depth + 1))
        return list(ADDITIONAL_VALUES) if additional is not None and additional is not False else []


def is_nullable(session: Session, field: BodyField) -> bool:
    """Return whether the contract allows null for a field."""
    return session.schemas.get_field(field, "write").is_valid(None)


def iter_members(values: Iterable[Any]) -> Iterator[Any]:
    """Yield values, and the items of those that are lists."""
    for value in values:
        yield value
        yield from value if isinstance(value, list) else ()
