"""Check that texts are stored as they were sent.

The model permits a target to normalize texts, so this check reports it separately, once for each property. Contracts
cannot state it: it is always inferred.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.values import (
    accepts_any_text,
    has_action,
    is_create,
    iter_round_trip_fields,
    retrieve_record,
    truncate,
)
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation
from spec.provenance import INFERRED

MAX_SHOWN_NAMES = 3
# (resource and property, kind of text) of the texts that the target stored as sent.
STORED_AS_SENT: Fixture[dict[tuple[str, str], None]] = Fixture(
    "texts stored as sent", FixtureScope.RUN, lambda case: {}
)


@dataclass(frozen=True, slots=True)
class _StoredText:
    """A text that was sent, and the value that the target then returned."""

    sent: str
    stored: Any
    exchange: Exchange


def _applies(contract: Contract, operation: Operation) -> bool:
    return not operation.effects and (is_create(contract, operation) or has_action("update")(contract, operation))


@check(
    "text-stored-as-sent",
    "A text is stored unchanged: white space, line breaks and Unicode characters are preserved, and an empty text does "
    "not become null.",
    Category.WRITES,
    _applies,
    writes=True,
)
def check_stored_texts(case: Case) -> Iterator[CheckResult]:
    """Send all texts with white space around them in one request, then all as empty texts."""
    bad_requests.require_allowed(case)
    session = case.session
    name = session.contract.find_created_resource(case.operation) or case.operation.resource or ""
    resource = session.contract.resources[name]
    pairs = iter_round_trip_fields(case, resource)
    fields = [field for field, attribute in pairs if accepts_any_text(session, field, attribute)]
    padded = {field.name: f" {session.payloads.random.randrange(10**6)}\r\ne\u0301 \n" for field in fields}
    empty = {field.name: "" for field in fields}
    if case.operation.action != "update" and session.contract.find_create_operation(name) is not case.operation:
        raise SkipCheck(not_testable(f"records of {name} are created by another operation"))
    key = session.records.create(name).key if case.operation.action == "update" and fields else None
    stored = [_store(case, name, key, fields, texts) for texts in (padded, empty)]
    known = case.use(STORED_AS_SENT)
    for by_name in stored:
        exact = [field_name for field_name, text in by_name.items() if text.stored == text.sent]
        known.update({(f"{name}.{field_name}", _get_kind(by_name[field_name])): None for field_name in exact})
    for field in fields:
        requirement = case.build_requirement(resource.attributes[field.name].pointer, None, field.name)
        requirement = replace(requirement, provenance=INFERRED)
        texts = [by_name[field.name] for by_name in stored if field.name in by_name]
        if not texts:
            yield case.skip(requirement, insufficient_data(f"no request with {field.name} succeeded"))
            continue
        changes = [(text, change) for text in texts if (change := _describe_normalization(text))]
        parts = []
        for text, change in changes:
            others = [other for other, kind in known if kind == _get_kind(text)]
            exception = f", but stores {', '.join(others[:MAX_SHOWN_NAMES])} unchanged" if others else ""
            reason = f"the target {change}{exception}"
            parts.append(f"got {truncate(text.stored)}, expected {truncate(text.sent)} as sent ({reason})")
        message = f"{field.name}: {'; '.join(parts)}; the contract does not state this" if parts else ""
        yield case.build_result(requirement, message, *(text.exchange for text, _ in changes))


def _get_kind(text: _StoredText) -> str:
    return "white space" if text.sent else "empty"


def _store(
    case: Case, resource: str, key: Any, fields: list[BodyField], texts: Mapping[str, str]
) -> dict[str, _StoredText]:
    """Send the texts that are valid in one request, or each alone if that fails; return those that were stored.

    `key`: of the record to update, None to create one.
    """
    schemas = case.session.schemas
    valid = {field.name: texts[field.name] for field in fields}
    valid = {f.name: valid[f.name] for f in fields if schemas.get_field(f, "write").is_valid(valid[f.name])}
    stored = _send(case, resource, key, valid) if valid else {}
    if not stored and len(valid) > 1:
        for name, text in valid.items():
            stored |= _send(case, resource, key, {name: text})
    return stored


def _send(case: Case, resource: str, key: Any, texts: Mapping[str, str]) -> dict[str, _StoredText]:
    """Create or update a record with texts and read it; empty if the target rejects that."""
    session, operation = case.session, case.operation
    try:
        if key is not None:
            body = session.records.build_update(operation, resource, key, texts)
            exchange = session.client.send(operation, path=path_of(operation, key), body=body)
            returned = session.operations.data(operation, exchange) if exchange.response.ok else None
        else:
            created = session.records.create(resource, texts)
            key, exchange, returned = created.key, created.exchange, created.body
    except SkipCheck:
        return {}
    records = [returned]

    def find_problem() -> str:
        record, _ = retrieve_record(session, resource, key)
        records[0] = record
        return next((f"{n} is not stored" for n, t in texts.items() if not _is_same(t, record.get(n))), "")

    if exchange.response.ok and session.operations.find(resource, "retrieve") is not None:
        session.client.wait_until(find_problem)
    record = records[0] if isinstance(records[0], Mapping) else {}
    return {name: _StoredText(text, record[name], exchange) for name, text in texts.items() if name in record}


def _is_same(sent: str, stored: Any) -> bool:
    """Whether a value is a text that was sent, possibly normalized."""
    return _normalize(sent) == _normalize(stored or "") if isinstance(stored, str | None) else False


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _describe_normalization(text: _StoredText) -> str:
    """Describe how the target has normalized a text; "" if it did not, or if it stored another text."""
    sent, stored = text.sent, text.stored
    if sent == stored or not _is_same(sent, stored):
        return ""
    if stored is None:
        return "stores an empty text as null"
    changes: list[str] = []
    if (stored[:1].isspace(), stored[-1:].isspace()) != (sent[:1].isspace(), sent[-1:].isspace()):
        changes.append("trims text")
    if "\r\n" in sent.strip() and "\r\n" not in stored:
        changes.append("changes line breaks")
    if unicodedata.is_normalized("NFC", stored):
        changes.append("normalizes Unicode to NFC")
    return ", ".join(changes) or "changes white space"
