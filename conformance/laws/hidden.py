"""The law on what another tenant can find: no search and no filter leads it to the run's own record."""

from collections.abc import Iterator
from typing import Any

from conformance.errors import SkipCheck
from conformance.laws.asking import harmless
from conformance.laws.auth import is_public
from conformance.laws.law import Case, Law
from conformance.laws.lists import Listing, is_list, shown_at, text
from conformance.laws.neighbours import neighbours
from conformance.laws.own import retrieved
from conformance.laws.texts import takes_any_text
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from spec.contract import Contract, Operation, Parameter

NARROWING = ("search", "filter")


def _is_found(contract: Contract, operation: Operation) -> bool:
    """Whether a list of what lies in a tenant can be searched or filtered."""
    if not is_list(contract, operation) or not contract.resources[operation.resource or ""].tenant_path:
        return False
    return any(p.x_query and p.x_query.role in NARROWING for p in operation.query_parameters)


def _finds_nothing(case: Case) -> Iterator[CheckResult]:
    """Everything that a list can be narrowed by, with what the run's own record shows of it."""
    session, listing = case.session, Listing(case.session, case.operation)
    why = harmless(case) or neighbours(session)
    if why:
        raise SkipCheck(why)
    mine = _with_texts(session, listing)
    if is_public(listing.resource, mine):
        raise SkipCheck("the record is public")
    shown = dict(mine.body)
    if session.operation(mine.resource, "retrieve") is not None:
        shown = dict(retrieved(session, mine.resource, mine.key)[0])
    for parameter, path, value in _asked(case.operation, shown):
        promise = case.promise(parameter=f"{parameter.name}:{'.'.join(path)}")
        query = {**session.required_query(case.operation), parameter.name: value}
        query |= dict(listing.largest())
        exchange = session.send(case.operation, query=query, actor="other")
        rows = session.data(case.operation, exchange) if exchange.response.ok else []
        listed = rows if isinstance(rows, list) else []
        found = any(isinstance(row, dict) and row.get(listing.resource.key_attribute) == mine.key for row in listed)
        said = f"{parameter.name}={value} leads the other token to {listing.resource.name} {mine.key}" if found else ""
        yield case.judged(promise, said, exchange)


def _with_texts(session: Session, listing: Listing) -> CreatedRecord:
    """A record with a text that nobody else has in each property that is searched. Raises CannotMake."""
    search, creating = listing.parameter("search"), session.creator(listing.resource.name)
    paths = search.x_query.paths if search and search.x_query else ()
    fields = creating.request_body.fields if creating.request_body and not creating.path_parameter_names else {}
    changes: dict[str, Any] = {}
    for path in paths:
        field, named = fields.get(path[0]), listing.resource.attributes.get(path[0])
        if len(path) == 1 and field and named and takes_any_text(session, field, named):
            changes[field.name] = session.payloads.generate_value(field.schema, field.name)
    return session.create(listing.resource.name, changes)


def _asked(operation: Operation, shown: dict[str, Any]) -> Iterator[tuple[Parameter, tuple[str, ...], str]]:
    """(parameter, path, value) of what a record shows and its list can be narrowed by."""
    for parameter in operation.query_parameters:
        word = parameter.x_query
        if word is None or word.role not in NARROWING or word.operator != "eq":
            continue
        for path in word.paths:
            values = [v for v in shown_at(shown, path) or () if v not in (None, "") and not isinstance(v, (dict, list))]
            for value in values[:1]:
                plain = text(value)
                yield parameter, path, plain.split()[-1] if word.role == "search" else plain


LAWS: tuple[Law, ...] = (
    Law(
        "another-tenant-finds-nothing",
        "Somebody of another tenant finds a record by no search and no filter.",
        _is_found,
        _finds_nothing,
        always=True,
        writes=True,
        needs_second_token=True,
    ),
)
