"""Includes: which relations an answer embeds, what they show, and what counts say of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    ListRequestRejected,
    Row,
    evaluate_requirement,
    format_query_value,
    is_list,
    loosely_equal,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import (
    Contract,
    DerivedProperty,
    Operation,
    Parameter,
    Relation,
    Resource,
    View,
    resolve_count,
    resolve_include,
)

MAX_INSPECTED_ROWS = 20  # rows, at most
MAX_COUNTED_ROWS = 5  # rows whose counts are compared with lists, at most


def _returns_view(contract: Contract, operation: Operation) -> bool:
    return (
        operation.method == "get"
        and operation.envelope.view_name in contract.views
        and _is_readable(contract, operation)
    )


def _is_readable(contract: Contract, operation: Operation) -> bool:
    return is_list(contract, operation) or operation.action == "retrieve" or is_whoami(contract, operation)


def is_whoami(contract: Contract, operation: Operation) -> bool:
    """Whether an operation says who asks."""
    return contract.is_whoami(operation)


def _has_parameter(role: str) -> Callable[[Contract, Operation], bool]:
    return lambda contract, operation: (
        _returns_view(contract, operation) and _find_parameter(operation, role) is not None
    )


def _find_parameter(operation: Operation, role: str) -> Parameter | None:
    return next((p for p in operation.query_parameters if p.x_query and p.x_query.role == role), None)


@dataclass(frozen=True, slots=True)
class ReadOperation:
    """The operation under judgement: a list, or the retrieval of one record (`path_values`)."""

    session: Session
    operation: Operation
    path_values: Mapping[str, Any]

    @classmethod
    def from_case(cls, case: Case) -> "ReadOperation":
        """A record is taken from the list of its resource, or made. Raises CannotMake."""
        session, operation = case.session, case.operation
        if is_whoami(session.contract, operation):
            return cls(session, operation, {})
        if operation.action != "retrieve":
            Listing(session, operation).sample()
            return cls(session, operation, {})
        list_operation = session.operation(operation.resource or "", "list")
        if list_operation is None:
            return cls(
                session,
                operation,
                {operation.path_parameter_names[0]: session.shared_record(operation.resource or "").key},
            )
        row_source = Listing(session, list_operation)
        richest_row = max(
            row_source.sample(), key=lambda row: sum(bool(row.get(name)) for name in row_source.resource.relations)
        )
        return cls(session, operation, {operation.path_parameter_names[0]: row_source.get_keys([richest_row])[0]})

    @property
    def view(self) -> View:
        """The schema by which records are shown."""
        return self.session.contract.views[self.operation.envelope.view_name or ""]

    def fetch_rows(self, query: tuple[tuple[str, str], ...] = ()) -> tuple[list[Row], Exchange]:
        """The first records of an answer. Raises Refused, CannotMake."""
        if self.operation.envelope.is_list:
            page = Listing(self.session, self.operation).fetch(*query)
            return page.rows[:MAX_INSPECTED_ROWS], page.exchange
        exchange = self.session.send(self.operation, path=self.path_values, query=query)
        if exchange.response.status in (400, 422) or exchange.response.status >= 500:
            raise ListRequestRejected(exchange)
        row = self.session.data(self.operation, exchange)
        if not exchange.response.ok or not isinstance(row, dict):
            raise SkipCheck(f"{self.operation.id} answered {exchange.response.status} and no record")
        return [row], exchange


def get_enum_values(parameter: Parameter) -> list[str]:
    """The values of an include or count parameter."""
    schema = parameter.schema.get("items", parameter.schema)
    return [str(value) for value in schema.get("enum", ()) if value]


def build_full_include_query(session: Session, operation: Operation) -> tuple[tuple[str, str], ...]:
    """The query that has all relations embedded which may be asked for; each once, whatever its spellings."""
    parameter = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "include"), None)
    if parameter is None:
        return ()
    resource = session.resource(operation)
    paths = {resolve_include(session.contract, resource, v, ""): v for v in reversed(get_enum_values(parameter))}
    includes = list(paths.values())
    if parameter.schema.get("type") == "array" and parameter.explode:
        return tuple((parameter.name, value) for value in includes)
    return ((parameter.name, ",".join(includes)),)


def check_requested_includes(case: Case) -> Iterator[CheckResult]:
    """One promise for each value of the include parameter."""
    source = ReadOperation.from_case(case)
    parameter = _find_parameter(case.operation, "include")
    assert parameter is not None
    for value in get_enum_values(parameter):

        def evaluate(value: str = value) -> Evaluation:
            path = resolve_include(source.session.contract, source.session.resource(source.operation), value, "")
            rows, exchange = source.fetch_rows(((parameter.name, value),))
            for row in rows:
                missing = _find_missing_relation(source.session.contract, source.view, row, path)
                if missing:
                    return f"{missing} is not embedded, {'.'.join(path)} was asked for", (exchange,)
            return "", (exchange,)

        yield evaluate_requirement(
            case, case.build_requirement(parameter.pointer, parameter=f"{parameter.name}={value}"), evaluate
        )


def _find_missing_relation(contract: Contract, view: View, row: Any, path: tuple[str, ...]) -> str:
    """The first relation of a path that a record does not show; "" when it shows all, or the path ends at nothing."""
    if not path or not isinstance(row, dict) or path[0] not in view.property_names:
        return ""
    relation = contract.resources[view.resource].relations.get(path[0])
    if relation is None or (row == {} and not relation.to_many):  # a circle's end
        return ""
    if path[0] not in row:
        return path[0]
    value = row[path[0]]
    for related in value if isinstance(value, list) else [value]:
        related_view = contract.views[next(iter(relation.target_views.values()))]
        if (
            related != {}
            and len(relation.targets) == 1
            and (missing := _find_missing_relation(contract, related_view, related, path[1:]))
        ):
            return f"{path[0]}.{missing}"
    return ""


def check_unrequested_includes(case: Case) -> Iterator[CheckResult]:
    """Each relation that may be asked for by itself, without the others."""
    source = ReadOperation.from_case(case)
    parameter = _find_parameter(case.operation, "include")
    assert parameter is not None
    contract = source.session.contract
    resource = contract.resources[source.view.resource]
    required = set(contract.document.resolve(source.view.pointer).get("required", ()))
    optional = {r.name for r in resource.relations.values() if not r.write_only} - required
    for value in get_enum_values(parameter):
        if value not in resource.relations:
            continue

        def evaluate(value: str = value) -> Evaluation:
            rows, exchange = source.fetch_rows(((parameter.name, value),))
            for row in rows:
                unexpected = sorted((optional - {value}) & row.keys())
                if unexpected:
                    return f"{unexpected[0]} is embedded, only {value} was asked for", (exchange,)
            return "", (exchange,)

        yield evaluate_requirement(
            case, case.build_requirement(f"{parameter.pointer}/schema", "enum", f"{parameter.name}={value}"), evaluate
        )


# Embedded records -----------------------------------------------------------------------------------------------


def check_embedded_records(case: Case) -> Iterator[CheckResult]:
    """One promise for each relation that an answer embeds and whose records can be retrieved."""
    source = ReadOperation.from_case(case)
    rows, _ = source.fetch_rows()
    resource = source.session.contract.resources[source.view.resource]
    for relation in resource.relations.values():
        if len(relation.targets) != 1 or not (_is_account(source, relation) or _can_retrieve(source, relation)):
            continue
        if not any(relation.name in row for row in rows):
            continue
        requirement = case.build_requirement(relation.pointer, "properties", relation.name)
        yield evaluate_requirement(case, requirement, _build_embedded_evaluator(source, relation))


def _is_account(source: ReadOperation, relation: Relation) -> bool:
    account = source.session.contract.account_resource
    return account is not None and relation.targets == (account.name,)


def _can_retrieve(source: ReadOperation, relation: Relation) -> bool:
    return source.session.operation(relation.targets[0], "retrieve") is not None


def _build_embedded_evaluator(source: ReadOperation, relation: Relation) -> Callable[[], Evaluation]:
    def evaluate() -> Evaluation:
        evaluation = _evaluate_embedded(source, relation)
        if evaluation[0] and _evaluate_embedded(source, relation)[0] != evaluation[0]:
            raise ListChangedDuringCheck
        return evaluation

    return evaluate


def _evaluate_embedded(source: ReadOperation, relation: Relation) -> Evaluation:
    session = source.session
    target = session.contract.resources[relation.targets[0]]
    rows, exchange = source.fetch_rows()
    embedded_records = [
        embedded_record
        for row in rows
        for embedded_record in _iter_records(row.get(relation.name))
        if target.key_attribute in embedded_record
    ]
    if not embedded_records:
        raise SkipCheck(f"no row embeds a {target.name}")
    if not relation.to_many and not is_whoami(session.contract, source.operation):
        evaluation = _evaluate_relation_consistency(source, relation, rows, exchange)
        if evaluation[0]:
            return evaluation
    if _is_account(source, relation):
        # What was asked when the run began; using an account may stamp it.
        record = {n: v for n, v in session.identity().items() if n not in target.attributes_with_stamp("updated")}
        own_account = next(
            (e for e in embedded_records if loosely_equal(e[target.key_attribute], record.get(target.key_attribute))),
            None,
        )
        if own_account is None:
            raise SkipCheck(f"no row embeds the {target.name} that asks")
        return _describe_difference(relation, target, own_account, record), (exchange,)
    embedded_record = embedded_records[0]
    retrieve_exchange = session.retrieve(target.name, embedded_record[target.key_attribute])
    retrieved_record = session.data(session.require_operation(target.name, "retrieve"), retrieve_exchange)
    if not retrieve_exchange.response.ok or not isinstance(retrieved_record, dict):
        raise SkipCheck(f"the embedded {target.name} was answered {retrieve_exchange.response.status}")
    return _describe_difference(relation, target, embedded_record, retrieved_record), (exchange, retrieve_exchange)


def _evaluate_relation_consistency(
    source: ReadOperation, relation: Relation, rows: list[Row], exchange: Exchange
) -> Evaluation:
    """A record that is listed and retrieved leads to the same record both ways."""
    session, resource = source.session, source.view.resource
    key, target = (
        session.contract.resources[resource].key_attribute,
        session.contract.resources[relation.targets[0]].key_attribute,
    )
    retrieve_operation, listing = session.operation(resource, "retrieve"), session.operation(resource, "list")
    row = next((row for row in rows if isinstance(row.get(relation.name), dict)), {})
    if retrieve_operation is None or listing is None or key not in row:
        return "", (exchange,)
    if source.operation is listing:
        path = {retrieve_operation.path_parameter_names[0]: row[key]}
        other_exchange = session.send(
            retrieve_operation, path=path, query=build_full_include_query(session, retrieve_operation)
        )
        other_record = session.data(retrieve_operation, other_exchange)
    else:
        list_page = Listing(session, listing).fetch(
            *Listing(session, listing).build_largest_page_query(), *build_full_include_query(session, listing)
        )
        other_exchange, other_record = (
            list_page.exchange,
            next((r for r in list_page.rows if r.get(key) == row[key]), None),
        )
    other_related = other_record.get(relation.name) if isinstance(other_record, dict) else None
    related_key = row[relation.name].get(target)
    if (
        not isinstance(other_related, dict)
        or target not in other_related
        or related_key is None
        or loosely_equal(other_related[target], related_key)
    ):
        return "", (exchange, other_exchange)
    return f"{relation.name} of {row[key]} leads to {related_key}, and elsewhere to {other_related[target]}", (
        exchange,
        other_exchange,
    )


def _describe_difference(relation: Relation, target: Resource, embedded: Row, record: Row) -> str:
    """The first own property in which an embedded record differs from itself, or ""."""
    for name, attribute in target.attributes.items():
        if (
            name in embedded
            and name in record
            and not attribute.write_only
            and not loosely_equal(embedded[name], record[name])
        ):
            message = f"{relation.name}.{name} is {embedded[name]!r:.80}, the {target.name} itself shows"
            return f"{message} {record[name]!r:.80}"
    return ""


def _iter_records(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


# Counts ---------------------------------------------------------------------------------------------------------


def check_counts(case: Case) -> Iterator[CheckResult]:
    """Each count that a list shows, or shows when asked, against the list of what it counts."""
    session, listing = case.session, Listing(case.session, case.operation)
    view = session.contract.views[case.operation.envelope.view_name or ""]
    count_parameter = _find_parameter(case.operation, "count")
    queries: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, derived in view.derived_properties.items():
        if derived.kind == "count" and derived.required:
            queries[name] = ()
    for value in get_enum_values(count_parameter) if count_parameter else ():
        assert count_parameter is not None
        name = resolve_count(listing.resource, value, "")
        queries.setdefault(name, ((count_parameter.name, value),))
    for name, query in queries.items():
        if query and count_parameter is not None:
            yield evaluate_requirement(
                case,
                case.build_requirement(count_parameter.pointer, parameter=name),
                _build_presence_evaluator(listing, name, query),
            )
        location = view.derived_properties[name].pointer
        yield evaluate_requirement(
            case,
            case.build_requirement(location, parameter=f"{name} where retrieved"),
            _build_retrieve_evaluator(listing, name, query),
        )
        yield evaluate_requirement(
            case,
            case.build_requirement(location, "x-derived", name),
            _build_count_evaluator(listing, view.derived_properties[name], query),
        )


def _build_presence_evaluator(
    listing: Listing, name: str, query: tuple[tuple[str, str], ...]
) -> Callable[[], Evaluation]:
    """Whether a count that is asked for is shown."""

    def evaluate() -> Evaluation:
        listing.sample()
        page = listing.fetch(*query)
        missing = [key for row, key in zip(page.rows, listing.get_keys(page.rows), strict=True) if name not in row]
        return f"{missing[0]} shows no {name}, which was asked for" if missing else "", (page.exchange,)

    return evaluate


def _build_retrieve_evaluator(
    listing: Listing, name: str, query: tuple[tuple[str, str], ...]
) -> Callable[[], Evaluation]:
    """Whether a row shows the count that its record shows by itself."""

    def evaluate() -> Evaluation:
        session, resource = listing.session, listing.resource.name
        retrieve_operation = session.require_operation(resource, "retrieve")
        exchanges: list[Exchange] = []

        def find_problem() -> str:
            page = listing.fetch(*query)
            for row, key in list(zip(page.rows, listing.get_keys(page.rows), strict=True))[:MAX_COUNTED_ROWS]:
                exchange = session.retrieve(resource, key)
                record = session.data(retrieve_operation, exchange)
                exchanges[:] = [page.exchange, exchange]
                if (
                    name in row
                    and isinstance(record, dict)
                    and not loosely_equal(record.get(name, row[name]), row[name])
                ):
                    return f"{key} shows {name} {row[name]} where listed, and {record[name]} where retrieved"
            return ""

        listing.sample()
        return session.wait_until(find_problem), tuple(exchanges)

    return evaluate


def _build_count_evaluator(
    listing: Listing, derived: DerivedProperty, query: tuple[tuple[str, str], ...]
) -> Callable[[], Evaluation]:
    def evaluate() -> Evaluation:
        relation = listing.resource.relations[derived.path[0]]
        if relation.inverse is None and relation.to_many:
            return _evaluate_embedded_count(listing, derived, query)
        listing.sample()
        own_key = _ensure_counted_record(listing, relation)
        page = listing.fetch(*query)
        keyed_rows = sorted(
            zip(page.rows, listing.get_keys(page.rows), strict=True), key=lambda pair: pair[1] != own_key
        )
        rows = keyed_rows[:MAX_COUNTED_ROWS]
        for row, key in rows:
            if derived.name not in row:
                return f"{key} shows no {derived.name}", (page.exchange,)
        target_listing, filters = _find_counted_list(listing, relation, derived)
        for row, key in rows:
            listed_page = target_listing.fetch((filters[0], format_query_value(key)), *filters[1])
            count, expected = row[derived.name], listed_page.total
            # A viewer may not see all that is counted, so that only too few are wrong.
            if isinstance(count, int) and count < expected:
                refetched = listing.fetch(*query)
                if (
                    dict(zip(listing.get_keys(refetched.rows), refetched.rows, strict=True))
                    .get(key, {})
                    .get(derived.name)
                    != count
                ):
                    raise ListChangedDuringCheck
                return f"{key} shows {derived.name} {count}, its list has {expected}", (
                    refetched.exchange,
                    listed_page.exchange,
                )
        return "", (page.exchange,)

    return evaluate


def _ensure_counted_record(listing: Listing, relation: Relation) -> Any:
    """Key of a record of the run that something of the run leads to: where others count nothing, 0 is never wrong."""
    with suppress(SkipCheck):
        listing.session.shared_record(relation.targets[0])
    record = listing.session.shared_records.get(listing.resource.name)
    return record.key if record else None


def _evaluate_embedded_count(
    listing: Listing, derived: DerivedProperty, query: tuple[tuple[str, str], ...]
) -> Evaluation:
    """A count of what the record itself leads to, against what it embeds; some of that may be hidden."""
    include_parameter = listing.find_parameter("include")
    name = derived.path[0]
    include_query = (
        ((include_parameter.name, name),) if include_parameter and name in get_enum_values(include_parameter) else ()
    )
    listing.sample()
    page = listing.fetch(*query, *include_query)
    visible_rows = [row for row in page.rows if isinstance(row.get(name), list) and derived.name in row]
    if not visible_rows:
        raise SkipCheck(not_testable(f"the rows do not show {name}"))
    for row, key in zip(visible_rows, listing.get_keys(visible_rows), strict=True):
        if row[derived.name] < len(row[name]):
            message = f"{key} shows {derived.name} {row[derived.name]}, and {len(row[name])} {name}"
            return message, (page.exchange,)
    return "", (page.exchange,)


def _find_counted_list(
    listing: Listing, relation: Relation, derived: DerivedProperty
) -> tuple[Listing, tuple[str, tuple[tuple[str, str], ...]]]:
    """(the list of what is counted, (its filter by the record that counts, further filters)). Raises CannotMake."""
    session = listing.session
    if relation.inverse is None or len(relation.targets) != 1:
        raise SkipCheck(not_testable("no list can be filtered by what is counted"))
    target_listing = Listing(session, session.require_operation(relation.targets[0], "list"))
    equality_parameters = {
        p.x_query.paths[0]: p.name
        for p in target_listing.iter_filters()
        if p.x_query and p.x_query.operator == "eq" and p.schema.get("type") != "array"
    }
    parent_filter = equality_parameters.get((relation.inverse, listing.resource.key_attribute))
    conditions = [(equality_parameters.get((name,)), values) for name, values in derived.where.items()]
    if parent_filter is None or any(name is None or len(values) != 1 for name, values in conditions):
        raise SkipCheck(not_testable("no list can be filtered by what is counted"))
    return target_listing, (
        parent_filter,
        tuple((str(name), format_query_value(values[0])) for name, values in conditions),
    )


CHECKS: tuple[Check, ...] = (
    Check(
        "include-embeds-requested",
        "A requested relation is embedded.",
        Category.RELATIONS,
        _has_parameter("include"),
        check_requested_includes,
    ),
    Check(
        "include-embeds-only-requested",
        "A relation that is not requested is not embedded.",
        Category.RELATIONS,
        _has_parameter("include"),
        check_unrequested_includes,
    ),
    Check(
        "embedded-matches-retrieved",
        "An embedded record has the same values as the record when it is retrieved.",
        Category.RELATIONS,
        _returns_view,
        check_embedded_records,
    ),
    Check(
        "relation-count-correct",
        "A relation count is at least the number of records in the matching list.",
        Category.RELATIONS,
        lambda c, o: (
            is_list(c, o)
            and o.envelope.view_name in c.views
            and any(d.kind == "count" for d in c.views[o.envelope.view_name or ""].derived_properties.values())
        ),
        check_counts,
    ),
)
