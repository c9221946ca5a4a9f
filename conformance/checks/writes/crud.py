"""Laws on creating, updating and deleting: judged on the run's own records alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.checks.support.values import (
    contains,
    describe_change,
    equal,
    get_stored_attributes,
    has_action,
    is_create,
    iter_changed_names,
    iter_round_trip_fields,
    new_record,
    retrieve_record,
    select_least_certain,
    truncate,
)
from conformance.checks.writes import isolation, text_roundtrip, timestamps
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.transport.messages import Exchange
from spec.loader import Attribute, BodyField, Contract, Operation

MAX_LIST_ROWS = 5000  # rows that are looked through for a record
MAX_FIELDS = 12  # fields of a body that are judged one at a time


# Create ---------------------------------------------------------------------------------------------------------


def _check_create(case: Case) -> Iterator[CheckResult]:
    """Every field that create takes, sent; echoed, retrieved and listed as sent."""
    resource = case.session.resource(case.operation)
    fields = list(iter_round_trip_fields(case, resource))
    created = _create_full_record(case, fields)
    if not created.exchange.response.json:
        raise SkipCheck("the answer shows no record")
    retrieve_exchange = _retrieve_created(
        case, created, [field.name for field, _ in fields if field.name in created.request_body]
    )
    views = [("the answer", created.body, created.exchange)]
    if retrieve_exchange is not None:
        body = case.session.data(case.session.require_operation(created.resource, "retrieve"), retrieve_exchange)
        message = (
            ""
            if isinstance(body, dict)
            else f"{created.key}, which was created, is answered {retrieve_exchange.response.status}"
        )
        yield case.build_result(
            case.build_requirement(*select_least_certain(case, (case.operation.pointer, None)), "retrieved"),
            message,
            retrieve_exchange,
        )
        views += [("retrieved", body, retrieve_exchange)] if isinstance(body, dict) else []
    for field, attribute in fields:
        if field.name in created.request_body:
            yield _evaluate_round_trip(case, field, attribute, created.request_body[field.name], views)
    yield _evaluate_listed(case, created)


def _create_full_record(case: Case, fields: list[tuple[BodyField, Attribute]]) -> CreatedRecord:
    """A record with every field sent; with the required ones alone when the target has further rules."""
    session = case.session
    changes = {f.name: session.payloads.generate_value(f.schema, f.name) for f, _ in fields if not f.required}
    try:
        return new_record(case, changes)
    except SkipCheck:
        return new_record(case)


def _retrieve_created(case: Case, created: CreatedRecord, names: list[str]) -> Exchange | None:
    """The record as it is retrieved when it had time to be stored; None when the contract retrieves none."""
    session, exchanges = case.session, list[Exchange]()
    retrieve_operation = session.operation(created.resource, "retrieve")
    if retrieve_operation is None:
        return None

    def find_problem() -> str:
        exchanges.append(session.retrieve(created.resource, created.key))
        body = session.data(retrieve_operation, exchanges[-1])
        if not exchanges[-1].response.ok or not isinstance(body, dict):
            return "it is not there"
        return next((name for name in names if not contains(created.request_body[name], body.get(name))), "")

    session.wait_until(find_problem)
    return exchanges[-1]


def _evaluate_round_trip(
    case: Case,
    field: BodyField,
    attribute: Attribute,
    expected: Any,
    views: list[tuple[str, Mapping[str, Any], Exchange]],
) -> CheckResult:
    location = select_least_certain(
        case, (attribute.pointer, None), (field.pointer, None), (case.operation.pointer, None)
    )
    requirement = case.build_requirement(*location, parameter=field.name)
    for view_name, body, exchange in views:
        if field.name not in body:
            return case.build_result(requirement, f"{field.name} was sent and {view_name} does not show it", exchange)
        if not contains(expected, body[field.name]):
            message = (
                f"{field.name} was sent as {truncate(expected)} and {view_name} shows {truncate(body[field.name])}"
            )
            return case.build_result(requirement, message, exchange)
    return case.build_result(requirement, "")


def _evaluate_listed(case: Case, created: CreatedRecord) -> CheckResult:
    """Whether a list shows the record: narrowed to its parent where there is such a filter, else page by page."""
    session = case.session
    listing = session.operation(created.resource, "list")
    requirement = case.build_requirement(
        *select_least_certain(case, (case.operation.pointer, None)), parameter="in the list"
    )
    if listing is None:
        return case.skip(requirement, "the contract lists none")
    query = next(_iter_parent_filters(case, listing, created), ("", {}))[1]

    def find_problem() -> str:
        row = _find_listed_row(case, listing, created, query)
        if row is None:
            return f"{listing.id} does not list {created.key}, which was created"
        body = session.data(case.operation, created.exchange)
        left, right = (
            get_stored_attributes(session.contract, case.operation, body),
            get_stored_attributes(session.contract, listing, row),
        )
        return "; ".join(
            f"{n} was answered as {truncate(left[n])}, listed as {truncate(right[n])}"
            for n in iter_changed_names(left, right)
        )

    return case.build_result(requirement, session.wait_until(find_problem), created.exchange)


def _find_listed_row(
    case: Case, listing: Operation, created: CreatedRecord, query: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The record as a list shows it, None when the whole list does not. Raises CannotMake when the list is too long."""
    key, row_count = case.session.resource(listing).key_attribute, 0
    for row in case.session.rows(listing, query):
        if row.get(key) == created.key:
            return row
        row_count += 1
    if row_count >= MAX_LIST_ROWS:
        raise SkipCheck(f"{listing.id} is longer than {MAX_LIST_ROWS} rows")
    return None


def _iter_parent_filters(
    case: Case, listing: Operation, created: CreatedRecord
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(parameter, query) of each filter of a list that names a record which the create named as its own."""
    resource = case.session.contract.resources[created.resource]
    create_operation = case.session.creator(created.resource)
    sent_references = {
        f.relation_setter.relation: created.request_body[f.name]
        for f in _iter_reference_fields(create_operation)
        if f.name in created.request_body and f.relation_setter
    }
    for parameter in listing.query_parameters:
        x_query = parameter.x_query
        if x_query is None or x_query.role != "filter" or x_query.operator != "eq" or len(x_query.paths[0]) != 2:
            continue
        relation, key = x_query.paths[0]
        parent_relation = resource.relations.get(relation)
        if (
            relation in sent_references
            and parent_relation
            and len(parent_relation.targets) == 1
            and case.session.contract.resources[parent_relation.targets[0]].key_attribute == key
        ):
            yield parameter.name, {parameter.name: sent_references[relation]}


def _iter_reference_fields(operation: Operation) -> Iterator[BodyField]:
    for field in operation.request_body.fields.values() if operation.request_body else ():
        if field.relation_setter is not None:
            yield field


def _creates_child(contract: Contract, operation: Operation) -> bool:
    created_resource = contract.find_created_resource(operation)
    return created_resource is not None and any(True for _ in _iter_reference_fields(operation))


def _check_parent_list(case: Case) -> Iterator[CheckResult]:
    """A child named with each parent that create takes: that parent's list shows it, another parent's does not."""
    session = case.session
    listing = session.require_operation(case.operation.resource or "", "list")
    changes: dict[str, Any] = {}
    for field in _iter_reference_fields(case.operation):
        relation = session.payloads.find_relation(
            case.operation, field.relation_setter.relation if field.relation_setter else ""
        )
        if field.relation_setter and field.relation_setter.discriminator is None and not relation.to_many:
            try:
                changes |= session.payloads.build_field(case.operation, field, session.parent)
            except SkipCheck:
                continue
    created = new_record(case, changes)
    for name, query in _iter_parent_filters(case, listing, created):
        parameter = next(p for p in listing.query_parameters if p.name == name)
        location = select_least_certain(case, (parameter.pointer, None), (case.operation.pointer, None))

        def find_problem(name: str = name, query: Mapping[str, Any] = query) -> str:
            row = _find_listed_row(case, listing, created, query)
            return "" if row else f"{listing.id}?{name}=... does not list its child {created.key}"

        yield case.build_result(
            case.build_requirement(*location, parameter=name), session.wait_until(find_problem), created.exchange
        )


def _check_unique_keys(case: Case) -> Iterator[CheckResult]:
    records = [new_record(case), new_record(case)]
    keys = [created.key for created in records]
    message = f"two records have the key {keys[0]!r}" if keys[0] == keys[1] else ""
    yield case.build_result(case.build_requirement(), message, *(created.exchange for created in records))


# Update ---------------------------------------------------------------------------------------------------------


def _check_update(case: Case) -> Iterator[CheckResult]:
    """One field at a time: it changes to what was sent, and nothing else changes."""
    session, operation = case.session, case.operation
    created = new_record(case)
    for field, attribute in list(iter_round_trip_fields(case, session.resource(operation)))[:MAX_FIELDS]:
        before, _ = retrieve_record(session, created.resource, created.key)
        value = _build_other_value(case, field, before.get(field.name))
        location = select_least_certain(
            case, (operation.pointer, None), (field.pointer, None), (attribute.pointer, None)
        )
        requirement = case.build_requirement(*location, parameter=field.name)
        if value is None:
            yield case.skip(requirement, f"no other value than {truncate(before.get(field.name))} can be made")
            continue
        exchange = session.send(
            operation, path={operation.path_parameter_names[0]: created.key}, body={field.name: value}
        )
        if not exchange.response.ok:
            yield case.skip(requirement, f"{field.name} as {truncate(value)} was answered {exchange.response.status}")
            continue

        def find_problem(name: str = field.name, value: Any = value, before: Mapping[str, Any] = before) -> str:
            return _describe_update_error(
                case, name, value, before, retrieve_record(session, created.resource, created.key)[0]
            )

        yield case.build_result(requirement, session.wait_until(find_problem), exchange)


def _build_other_value(case: Case, field: BodyField, before: Any) -> Any:
    """A value other than the one there is; None when none is found."""
    validator = case.session.schemas.get(field.pointer, "write")
    bodies = case.session.payloads
    values = [bodies.generate_value(field.schema, field.name) for _ in range(10)]
    nonempty = [{bodies.marker: "a value"}, [bodies.marker]]  # for open objects and lists, which are empty otherwise
    return next((v for v in [*values, *nonempty] if validator.is_valid(v) and not contains(v, before)), None)


def _describe_update_error(
    case: Case, name: str, value: Any, record_before: Mapping[str, Any], record_after: Mapping[str, Any]
) -> str:
    """What an update did wrong, or ""."""
    if not contains(value, record_after.get(name)):
        return f"{name} was sent as {truncate(value)} and is {truncate(record_after.get(name))}"
    retrieve_operation = case.session.require_operation(case.operation.resource or "", "retrieve")
    values_before = get_stored_attributes(
        case.session.contract, retrieve_operation, record_before, include_updated=False
    )
    values_after = get_stored_attributes(case.session.contract, retrieve_operation, record_after, include_updated=False)
    changed = [other for other in iter_changed_names(values_before, values_after) if other != name]
    return "; ".join(
        f"{name} was sent, but {describe_change(other, values_before[other], values_after[other])}" for other in changed
    )


def _check_update_idempotent(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    created = new_record(case)
    body = {
        f.name: session.payloads.generate_value(f.schema, f.name)
        for f, _ in iter_round_trip_fields(case, session.resource(operation))
    }
    path_values = {operation.path_parameter_names[0]: created.key}
    first = session.send(operation, path=path_values, body=body)
    if not first.response.ok:
        body = dict([next(iter(body.items()))]) if body else {}
        first = session.send(operation, path=path_values, body=body)
    second = session.send(operation, path=path_values, body=body)
    if not first.response.ok:
        raise SkipCheck(f"{operation.id} answered {first.response.status}")
    if not second.response.ok:
        message = f"the same update was answered {first.response.status}, then {second.response.status}"
    else:
        values_before, values_after = (
            get_stored_attributes(session.contract, operation, session.data(operation, e), include_updated=False)
            for e in (first, second)
        )
        message = "; ".join(
            describe_change(name, values_before[name], values_after[name])
            for name in iter_changed_names(values_before, values_after)
        )
    yield case.build_result(case.build_requirement(), message, second)


def _check_rejected_write(case: Case) -> Iterator[CheckResult]:
    """A good field beside a broken one, and a good one without a token: refused as a whole, nothing is stored."""
    session, operation = case.session, case.operation
    created = new_record(case)
    path_values = {operation.path_parameter_names[0]: created.key}
    before, _ = retrieve_record(session, created.resource, created.key)
    fields = list(iter_round_trip_fields(case, session.resource(operation)))
    for valid_field, _ in fields[:1]:
        body = {valid_field.name: _build_other_value(case, valid_field, before.get(valid_field.name))}
        yield _evaluate_unchanged(
            case, created, "token", session.send(operation, path=path_values, body=body, actor="nobody"), before
        )
        for invalid_field in (
            operation.request_body.fields.values() if operation.request_body and 422 in operation.responses else ()
        ):
            for _, value in (
                list(iter_invalid_values(case, invalid_field))[:1] if invalid_field.name != valid_field.name else ()
            ):
                before, _ = retrieve_record(session, created.resource, created.key)
                body = {
                    valid_field.name: _build_other_value(case, valid_field, before.get(valid_field.name)),
                    invalid_field.name: value,
                }
                yield _evaluate_unchanged(
                    case, created, invalid_field.name, session.send(operation, path=path_values, body=body), before
                )


def _evaluate_unchanged(
    case: Case, created: CreatedRecord, parameter: str, exchange: Exchange, record_before: Mapping[str, Any]
) -> CheckResult:
    """Whether a refused write changed nothing; `parameter`: what it was refused for."""
    requirement = case.build_requirement(parameter=parameter)
    if exchange.response.ok:
        return case.skip(requirement, "what should have been refused was not")
    retrieve_operation = case.session.require_operation(created.resource, "retrieve")
    values_before = get_stored_attributes(case.session.contract, retrieve_operation, record_before)
    values_after = get_stored_attributes(
        case.session.contract, retrieve_operation, retrieve_record(case.session, created.resource, created.key)[0]
    )
    changes = [
        describe_change(name, values_before[name], values_after[name])
        for name in iter_changed_names(values_before, values_after)
    ]
    message = f"answered {exchange.response.status}, yet {'; '.join(changes)}" if changes else ""
    return case.build_result(requirement, message, exchange)


# Delete, and what must stay as it is ----------------------------------------------------------------------------


def _check_delete(case: Case) -> Iterator[CheckResult]:
    """Gone from where it is retrieved and listed, and deleting it again finds nothing."""
    session, operation = case.session, case.operation
    created = new_record(case)
    path_values = {operation.path_parameter_names[0]: created.key}
    exchange = session.delete(created.resource, created.key)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status if exchange else 'nothing'}")
    if session.operation(created.resource, "retrieve") is not None:
        yield _evaluate_gone(case, "retrieve", lambda: session.retrieve(created.resource, created.key))
    listing = session.operation(created.resource, "list")
    if listing is not None:
        query = next(_iter_parent_filters(case, listing, created), ("", {}))[1]
        message = session.wait_until(
            lambda: f"{listing.id} still lists {created.key}" if _find_listed_row(case, listing, created, query) else ""
        )
        yield case.build_result(case.build_requirement(parameter="list"), message, exchange)
    yield _evaluate_gone(case, "delete", lambda: session.send(operation, path=path_values))


def _evaluate_gone(case: Case, label: str, send: Callable[[], Exchange]) -> CheckResult:
    """Whether a deleted record is answered as gone, when the delete had time to be seen."""
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        exchanges.append(send())
        status = exchanges[-1].response.status
        return "" if status in (404, 410) else f"{label} after the delete answered {status}, due: 404"

    message = case.session.wait_until(find_problem)
    return case.build_result(case.build_requirement(parameter=label), message, exchanges[-1])


def _check_read_has_no_effect(case: Case) -> Iterator[CheckResult]:
    """Retrieved, listed and retrieved again: the same, the updated stamp too."""
    session, operation = case.session, case.operation
    created = session.shared_record(operation.resource or "")
    before, _ = retrieve_record(session, created.resource, created.key)
    listing = session.operation(created.resource, "list")
    for _ in range(2):
        if listing is not None:
            session.send(listing, query=session.required_query(listing))
    after, exchange = retrieve_record(session, created.resource, created.key)
    values_before, values_after = (
        get_stored_attributes(session.contract, operation, before),
        get_stored_attributes(session.contract, operation, after),
    )
    message = "; ".join(
        describe_change(name, values_before[name], values_after[name])
        for name in iter_changed_names(values_before, values_after)
    )
    yield case.build_result(case.build_requirement(), message, exchange)


def _check_server_set_fields(case: Case) -> Iterator[CheckResult]:
    """The key and the stamps, sent with a create: refused, or left alone."""
    session, resource = case.session, case.session.resource(case.operation)
    created = session.shared_record(resource.name)
    for name in (
        resource.key_attribute,
        *resource.attributes_with_stamp("created"),
        *resource.attributes_with_stamp("updated"),
    ):
        attribute = resource.attributes[name]
        requirement = case.build_requirement(attribute.pointer, "readOnly", name)
        if name not in created.body or (case.operation.request_body and name in case.operation.request_body.fields):
            continue
        value = "2001-02-03T04:05:06Z" if attribute.stamp else session.payloads.generate_value(attribute.schema, name)
        body = {**session.payloads.build(case.operation, session.parent), name: value}
        exchange = session.send(case.operation, body=body)
        response_body = session.data(case.operation, exchange)
        was_applied = exchange.response.ok and isinstance(response_body, dict) and equal(response_body.get(name), value)
        message = f"{name} was sent as {truncate(value)} and taken" if was_applied else ""
        yield case.build_result(requirement, message, exchange)


_is_update, _is_delete, _is_retrieve = has_action("update"), has_action("delete"), has_action("retrieve")

CHECKS: tuple[Check, ...] = (
    Check(
        "reads-have-no-side-effects",
        "Retrieving and listing records changes nothing.",
        Category.SIDE_EFFECTS,
        _is_retrieve,
        _check_read_has_no_effect,
        provenance_independent=True,
        writes=True,
    ),
    Check(
        "create-is-stored",
        "A created record is returned, retrieved and listed with the values of the request.",
        Category.WRITES,
        is_create,
        _check_create,
        writes=True,
    ),
    *text_roundtrip.CHECKS,
    Check(
        "child-listed-by-parent",
        "A list filtered by a parent contains the child created for it.",
        Category.WRITES,
        _creates_child,
        _check_parent_list,
        writes=True,
    ),
    Check(
        "identifiers-are-unique",
        "No two records of a resource have the same key.",
        Category.WRITES,
        is_create,
        _check_unique_keys,
        provenance_independent=True,
        writes=True,
    ),
    Check(
        "server-set-fields-protected",
        "Values that a client sends for keys and timestamps are rejected or ignored.",
        Category.WRITES,
        is_create,
        _check_server_set_fields,
        writes=True,
    ),
    Check(
        "update-changes-only-sent-fields",
        "An update changes the fields that were sent and no others.",
        Category.WRITES,
        _is_update,
        _check_update,
        writes=True,
    ),
    Check(
        "update-is-idempotent",
        "Repeating an update changes nothing.",
        Category.WRITES,
        _is_update,
        _check_update_idempotent,
        writes=True,
    ),
    Check(
        "rejected-write-has-no-effect",
        "A rejected write changes nothing.",
        Category.SIDE_EFFECTS,
        _is_update,
        _check_rejected_write,
        provenance_independent=True,
        writes=True,
    ),
    *timestamps.CHECKS,
    *isolation.CHECKS,
    Check(
        "delete-removes-record",
        "A deleted record cannot be retrieved, listed or deleted again.",
        Category.WRITES,
        _is_delete,
        _check_delete,
        writes=True,
    ),
)
