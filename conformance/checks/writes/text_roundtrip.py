"""Checks of free text fields: texts are returned unchanged, and one create makes one record."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing
from conformance.checks.support.values import equal, is_create, iter_round_trip_fields, select_least_certain, truncate
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from spec.model import Attribute, BodyField

# Often damaged: UTF-8 sequences of four bytes, combining characters, characters special in HTML, SQL and JSON.
SAMPLE_TEXTS: Mapping[str, str] = {
    "accents": "Zażółć gęślą jaźń, naïve Ærøskøbing",
    "emoji": "ok 👍🏽 👩‍👩‍👧 🚀",
    "right to left": "שלום עולם مرحبا",
    "markup": "a < b & c > d <b>bold</b> &amp; &#39;",
    "quotes": 'it\'s "quoted" \\ `back` %s {0} -- ; DROP',
    "lines": "one\ntwo\tthree",
}
MAX_TEXT_CHARS = 2000
MIN_FIELD_CHARS = 20  # fields with a smaller maxLength are not checked
TextField = tuple[BodyField, Attribute]


def _find_text_fields(case: Case) -> list[TextField]:
    fields = iter_round_trip_fields(case, case.session.resource(case.operation))
    return [pair for pair in fields if accepts_any_text(case.session, *pair)]


def _check_texts(case: Case) -> Iterator[CheckResult]:
    """Send all free text fields of a create at once, one request for each sample text."""
    fields = _find_text_fields(case)
    for kind in (*SAMPLE_TEXTS, "long") if fields else ():
        try:
            yield from _evaluate_texts(case, kind, fields)
        except SkipCheck:  # a field may have additional rules: send each one separately
            for pair in fields:
                yield from _evaluate_single_field(case, kind, pair)


def _evaluate_single_field(case: Case, kind: str, pair: TextField) -> Iterator[CheckResult]:
    try:
        yield from _evaluate_texts(case, kind, [pair])
    except SkipCheck as error:
        yield case.skip(case.build_requirement(pair[1].pointer, None, f"{pair[0].name} {kind}"), error.reason)


def _evaluate_texts(case: Case, kind: str, fields: list[TextField]) -> Iterator[CheckResult]:
    """Create a record with a text in each field and compare. Raises SkipCheck before the first result."""
    texts = {field.name: _build_text(case, field, kind) for field, _ in fields}
    record = case.session.create(case.operation.resource or "", texts)
    for field, attribute in fields:
        pointers = (attribute.pointer, field.pointer, case.operation.pointer)
        location = select_least_certain(case, *((pointer, None) for pointer in pointers))
        expected, actual = texts[field.name], record.body.get(field.name)
        is_equal = equal(expected, actual)
        message = "" if is_equal else f"{field.name} ({kind}): got {truncate(actual)}, expected {truncate(expected)}"
        requirement = case.build_requirement(*location, parameter=f"{field.name} {kind}")
        yield case.build_result(requirement, message, record.exchange)


def accepts_any_text(session: Session, field: BodyField, attribute: Attribute) -> bool:
    """Whether a field accepts any text: a long enough string without format, enum or pattern."""
    schema = session.payloads.resolve_schema(field.schema)
    is_text = schema.get("type") == "string" and attribute.type == "string"
    return is_text and not schema.keys() & {"enum", "format", "pattern"} and _max_length(schema) >= MIN_FIELD_CHARS


def _max_length(schema: Mapping[str, Any]) -> int:
    return int(schema.get("maxLength", MAX_TEXT_CHARS))


def _build_text(case: Case, field: BodyField, kind: str) -> str:
    payloads = case.session.payloads
    limit, marker = min(_max_length(payloads.resolve_schema(field.schema)), MAX_TEXT_CHARS), payloads.marker
    if kind == "long":
        return (f"{marker} " * (limit // len(marker) + 1))[:limit].rstrip().ljust(limit, "x")
    number = payloads.random.randrange(10**6)  # the field may have to be unique
    text = f"{number} {SAMPLE_TEXTS[kind]}"[:limit].rstrip()
    return f"{text} {marker}" if len(text) + len(marker) < limit else text


def _check_single_record(case: Case) -> Iterator[CheckResult]:
    """Create a record with a unique text: one row has it, in a search or among the newest rows."""
    session, operation = case.session, case.operation
    fields = [field for field, _ in _find_text_fields(case)]
    if not fields:
        raise SkipCheck(not_testable("the contract defines no free text field that can identify a record"))
    name = fields[0].name
    listing = Listing(session, session.require_operation(operation.resource or "", "list"))
    record = session.create(operation.resource or "", {name: session.payloads.generate_value(fields[0].schema, name)})
    text = record.request_body[name]
    search = listing.find_parameter("search")
    is_searched = search is not None and search.x_query is not None and (name,) in search.x_query.paths
    pairs = ((search.name, text.split()[-1]),) if search and is_searched else ()
    page = listing.fetch(*listing.build_largest_page_query(), *pairs)
    rows = zip(page.rows, listing.get_keys(page.rows), strict=True)
    keys = [key for row, key in rows if equal(row.get(name), text)]
    if not keys:
        raise SkipCheck(f"the first page of {listing.operation.id} does not contain the new record")
    message = f"one create made {len(keys)} records: {', '.join(map(str, keys[:3]))}" if len(keys) > 1 else ""
    yield case.build_result(case.build_requirement(), message, record.exchange, page.exchange)


CHECKS = (
    Check(
        "create-adds-one-record",
        "A create request creates exactly one record.",
        Category.SIDE_EFFECTS,
        is_create,
        _check_single_record,
        writes=True,
    ),
    Check(
        "text-round-trip", "A text is returned as it was sent.", Category.WRITES, is_create, _check_texts, writes=True
    ),
)
