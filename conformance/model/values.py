"""Values for body fields and query parameters: those that backends handle wrongly first, all valid by the schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.session.session import Session
from spec.model import BodyField

MAX_TEXT_CHARS = 2000
MAX_COLUMN_BYTES = 65_535  # of a text column of MySQL, and of other 16-bit lengths
NUMBERS = (0, 1, -1, 0.5, 2.25, 100, 19.99, 12345.67)
MAX_INT32, MAX_SAFE_INTEGER, MAX_INT64 = 2**31 - 1, 2**53 - 1, 2**63 - 1
TEXTS = (
    'it\'s "quoted" \\ `back` %s {0} -- ; DROP',
    "Zażółć gęślą jaźń, naïve Ærøskøbing",
    "ok 👍🏽 👩‍👩‍👧 🚀",
    "a < b & c > d <b>bold</b> &amp; &#39;",
    "שלום עולם مرحبا",
    "one\ntwo\tthree  four",
    "50% off_now a+b %41",
    "zero\u200bwidth\u2060 \u202eright to left\u202c e\u0301",
)
EXACT_TEXTS = ("0", "007", "null", "true", "1e3")  # texts that a backend may take for another type
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
        schema = payloads.resolve_schema(field.schema)
        candidates = [payloads.generate_value(field.schema, field.name), *self._candidates(schema, field.name)]
        validator = self.session.schemas.get_field(field, "write")
        values: list[Any] = []
        for value in candidates:
            is_new = all(value is not other and repr(value) != repr(other) for other in values)
            if value is not None and is_new and validator.is_valid(value):
                values.append(value)
        return values

    def _candidates(self, schema: Mapping[str, Any], name: str) -> Iterator[Any]:
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
                yield from self._arrays(schema, name)
            case _:
                yield from self._objects(schema, name)

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

    def _arrays(self, schema: Mapping[str, Any], name: str) -> Iterator[list[Any]]:
        items = schema.get("items", {})
        values = [self.session.payloads.generate_value(items, name) for _ in range(3)]
        for text in TEXTS[:2] if self.session.payloads.resolve_schema(items).get("type") == "string" else ():
            values.append(text)
        yield from ([], values[:1], values[:2], list(reversed(values)), [values[0], values[0]])

    def _objects(self, schema: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
        properties = schema.get("properties", {})
        payloads = self.session.payloads
        full = {key: payloads.generate_value(value, key) for key, value in properties.items()}
        yield full
        yield from ({key: value} for key, value in full.items())
        if schema.get("additionalProperties", True) is not False and not properties:
            yield from ({payloads.marker: "a value"}, {"a": {"b": [1, 0.5, None, False]}, "": ""}, {})


def is_nullable(session: Session, field: BodyField) -> bool:
    """Return whether the contract allows null for a field."""
    return session.schemas.get_field(field, "write").is_valid(None)
