"""The law on free texts: they come back as they were sent."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import Listing
from conformance.laws.own import brief, creates, same, weakest, writable
from conformance.outcome import CheckResult
from conformance.session import Session
from spec.contract import Attribute, BodyField

# What is often lost: bytes above three in UTF-8, marks, characters with a meaning in HTML, SQL and JSON.
TEXTS: Mapping[str, str] = {
    "accents": "Zażółć gęślą jaźń, naïve Ærøskøbing",
    "emoji": "ok 👍🏽 👩‍👩‍👧 🚀",
    "right to left": "שלום עולם مرحبا",
    "markup": "a < b & c > d <b>bold</b> &amp; &#39;",
    "quotes": 'it\'s "quoted" \\ `back` %s {0} -- ; DROP',
    "lines": "one\ntwo\tthree",
}
LONG = 2000
ROOM = 20  # characters that a field must hold to be judged


def _texts(case: Case) -> Iterator[CheckResult]:
    """Every free text of a create at once, one kind of text after the other."""
    fields = [
        pair for pair in writable(case, case.session.resource(case.operation)) if takes_any_text(case.session, *pair)
    ]
    if not fields:
        return
    for kind in (*TEXTS, "long"):
        try:
            yield from _sent(case, kind, fields)
        except SkipCheck:  # a field with rules of its own: each by itself
            for pair in fields:
                yield from _alone(case, kind, pair)


def _alone(case: Case, kind: str, pair: tuple[BodyField, Attribute]) -> Iterator[CheckResult]:
    try:
        yield from _sent(case, kind, [pair])
    except SkipCheck as error:
        yield case.not_judged(case.promise(pair[1].pointer, None, f"{pair[0].name} {kind}"), error.reason)


def _sent(case: Case, kind: str, fields: list[tuple[BodyField, Attribute]]) -> Iterator[CheckResult]:
    """A record with a text in each of the fields. Raises CannotMake before anything is judged."""
    sent = {field.name: _text(case, field, kind) for field, _ in fields}
    mine = case.session.create(case.operation.resource or "", sent)
    for field, named in fields:
        place = weakest(case, (named.pointer, None), (field.pointer, None), (case.operation.pointer, None))
        shown: Any = mine.body.get(field.name)
        said = "" if same(sent[field.name], shown) else _lost(field.name, kind, sent[field.name], shown)
        yield case.judged(case.promise(*place, parameter=f"{field.name} {kind}"), said, mine.exchange)


def _lost(name: str, kind: str, sent: str, shown: Any) -> str:
    return f"{name} ({kind}) was sent as {brief(sent)} and came back as {brief(shown)}"


def takes_any_text(session: Session, field: BodyField, named: Attribute) -> bool:
    """Whether a field takes any text: no format, choices or pattern, and room for one."""
    said = session.payloads.resolve_schema(field.schema)
    narrowed = said.keys() & {"enum", "format", "pattern"}
    return said.get("type") == "string" and not narrowed and named.type == "string" and _room(said) >= ROOM


def _room(said: Mapping[str, Any]) -> int:
    return int(said.get("maxLength", LONG))


def _text(case: Case, field: BodyField, kind: str) -> str:
    room, marker = min(_room(case.session.payloads.resolve_schema(field.schema)), LONG), case.session.payloads.marker
    if kind == "long":
        return (f"{marker} " * (room // len(marker) + 1))[:room].rstrip().ljust(room, "x")
    number = case.session.payloads.random.randrange(10**6)  # some texts may stand only once
    text = f"{number} {TEXTS[kind]}"[:room].rstrip()
    return f"{text} {marker}" if len(text) + len(marker) < room else text


def _one(case: Case) -> Iterator[CheckResult]:
    """A text that nobody else has stands in one row: of the parent's list, of a search, or of the newest rows."""
    session, operation = case.session, case.operation
    fields = [
        field
        for field, named in writable(case, session.resource(operation))
        if takes_any_text(case.session, field, named)
    ]
    if not fields:
        raise SkipCheck(not_testable("the contract has no free text that tells a record from others"))
    listing = Listing(session, session.require_operation(operation.resource or "", "list"))
    mine = session.create(
        operation.resource or "", {f.name: session.payloads.generate_value(f.schema, f.name) for f in fields[:1]}
    )
    name, sent = fields[0].name, mine.request_body[fields[0].name]
    search = listing.parameter("search")
    searched = search is not None and search.x_query is not None and (name,) in search.x_query.paths
    pairs = ((search.name, sent.split()[-1]),) if search and searched else ()
    answer = listing.ask(*listing.largest(), *pairs)
    keys = [key for row, key in zip(answer.rows, listing.keys(answer.rows), strict=True) if same(row.get(name), sent)]
    if not keys:
        raise SkipCheck(f"{listing.operation.id} does not list the new record among the first")
    said = f"one create made {len(keys)} records: {', '.join(map(str, keys[:3]))}" if len(keys) > 1 else ""
    yield case.judged(case.promise(), said, mine.exchange, answer.exchange)


LAWS = (
    Law("a-create-makes-one-record", "A create makes one record.", creates, _one, writes=True),
    Law("sent-text-comes-back", "A text comes back as it was sent.", creates, _texts, writes=True),
)
