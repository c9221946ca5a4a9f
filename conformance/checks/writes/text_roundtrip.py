"""The law on free texts: they come back as they were sent."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing
from conformance.checks.support.values import equal, is_create, iter_round_trip_fields, select_least_certain, truncate
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.skip_reasons import not_testable
from spec.loader import Attribute, BodyField

# What is often lost: bytes above three in UTF-8, marks, characters with a meaning in HTML, SQL and JSON.
SAMPLE_TEXTS: Mapping[str, str] = {
    "accents": "Zażółć gęślą jaźń, naïve Ærøskøbing",
    "emoji": "ok 👍🏽 👩‍👩‍👧 🚀",
    "right to left": "שלום עולם مرحبا",
    "markup": "a < b & c > d <b>bold</b> &amp; &#39;",
    "quotes": 'it\'s "quoted" \\ `back` %s {0} -- ; DROP',
    "lines": "one\ntwo\tthree",
}
MAX_TEXT_CHARS = 2000
MIN_FIELD_CHARS = 20  # characters that a field must hold to be judged


def _check_texts(case: Case) -> Iterator[CheckResult]:
    """Every free text of a create at once, one kind of text after the other."""
    fields = [
        pair
        for pair in iter_round_trip_fields(case, case.session.resource(case.operation))
        if accepts_any_text(case.session, *pair)
    ]
    if not fields:
        return
    for kind in (*SAMPLE_TEXTS, "long"):
        try:
            yield from _evaluate_texts(case, kind, fields)
        except SkipCheck:  # a field with rules of its own: each by itself
            for pair in fields:
                yield from _evaluate_single_field(case, kind, pair)


def _evaluate_single_field(case: Case, kind: str, pair: tuple[BodyField, Attribute]) -> Iterator[CheckResult]:
    try:
        yield from _evaluate_texts(case, kind, [pair])
    except SkipCheck as error:
        yield case.skip(case.build_requirement(pair[1].pointer, None, f"{pair[0].name} {kind}"), error.reason)


def _evaluate_texts(case: Case, kind: str, fields: list[tuple[BodyField, Attribute]]) -> Iterator[CheckResult]:
    """A record with a text in each of the fields. Raises CannotMake before anything is judged."""
    texts = {field.name: _build_text(case, field, kind) for field, _ in fields}
    record = case.session.create(case.operation.resource or "", texts)
    for field, attribute in fields:
        location = select_least_certain(
            case, (attribute.pointer, None), (field.pointer, None), (case.operation.pointer, None)
        )
        returned: Any = record.body.get(field.name)
        message = (
            ""
            if equal(texts[field.name], returned)
            else _describe_text_loss(field.name, kind, texts[field.name], returned)
        )
        yield case.build_result(
            case.build_requirement(*location, parameter=f"{field.name} {kind}"), message, record.exchange
        )


def _describe_text_loss(name: str, kind: str, expected: str, returned: Any) -> str:
    return f"{name} ({kind}) was sent as {truncate(expected)} and came back as {truncate(returned)}"


def accepts_any_text(session: Session, field: BodyField, attribute: Attribute) -> bool:
    """Whether a field takes any text: no format, choices or pattern, and room for one."""
    schema = session.payloads.resolve_schema(field.schema)
    restrictions = schema.keys() & {"enum", "format", "pattern"}
    return (
        schema.get("type") == "string"
        and not restrictions
        and attribute.type == "string"
        and _get_max_length(schema) >= MIN_FIELD_CHARS
    )


def _get_max_length(schema: Mapping[str, Any]) -> int:
    return int(schema.get("maxLength", MAX_TEXT_CHARS))


def _build_text(case: Case, field: BodyField, kind: str) -> str:
    max_length, marker = (
        min(_get_max_length(case.session.payloads.resolve_schema(field.schema)), MAX_TEXT_CHARS),
        case.session.payloads.marker,
    )
    if kind == "long":
        return (f"{marker} " * (max_length // len(marker) + 1))[:max_length].rstrip().ljust(max_length, "x")
    number = case.session.payloads.random.randrange(10**6)  # some texts may stand only once
    text = f"{number} {SAMPLE_TEXTS[kind]}"[:max_length].rstrip()
    return f"{text} {marker}" if len(text) + len(marker) < max_length else text


def _check_single_record(case: Case) -> Iterator[CheckResult]:
    """A text that nobody else has stands in one row: of the parent's list, of a search, or of the newest rows."""
    session, operation = case.session, case.operation
    fields = [
        field
        for field, attribute in iter_round_trip_fields(case, session.resource(operation))
        if accepts_any_text(case.session, field, attribute)
    ]
    if not fields:
        raise SkipCheck(not_testable("the contract has no free text that tells a record from others"))
    listing = Listing(session, session.require_operation(operation.resource or "", "list"))
    record = session.create(
        operation.resource or "", {f.name: session.payloads.generate_value(f.schema, f.name) for f in fields[:1]}
    )
    name, sent_text = fields[0].name, record.request_body[fields[0].name]
    search_parameter = listing.find_parameter("search")
    is_searched = (
        search_parameter is not None
        and search_parameter.x_query is not None
        and (name,) in search_parameter.x_query.paths
    )
    pairs = ((search_parameter.name, sent_text.split()[-1]),) if search_parameter and is_searched else ()
    page = listing.fetch(*listing.build_largest_page_query(), *pairs)
    keys = [
        key for row, key in zip(page.rows, listing.get_keys(page.rows), strict=True) if equal(row.get(name), sent_text)
    ]
    if not keys:
        raise SkipCheck(f"{listing.operation.id} does not list the new record among the first")
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
