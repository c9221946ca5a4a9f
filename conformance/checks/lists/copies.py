"""Check that all copies of a record in a list, and the retrieved record, agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing, is_list
from conformance.checks.support.parameters import build_full_include_query, retrieve_with_relations
from conformance.checks.support.values import equal, truncate
from conformance.errors import SkipCheck, insufficient_data
from conformance.model.queries import iter_pairs
from conformance.model.specification import is_volatile
from conformance.results import CheckResult
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Relation, Resource, View

MAX_DEPTH = 4  # of embedded records
MAX_PAGES = 5  # whose rows are compared
MAX_RETRIEVED = 3  # rows that are compared with the retrieved record
EMPTY_RELATIONS: tuple[Any, ...] = (None, {})  # of a relation that is omitted since it would refer back
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class RecordCopy:
    """A record in a response. `path`: names of the relations that lead to it, from a row."""

    view: View
    path: tuple[str, ...]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CopyDifference:
    """A property that two copies show with different values. `path`: to the property, from a row."""

    path: tuple[str, ...]
    pointer: str
    key: Any
    values: tuple[Any, Any]
    is_retrieved: bool = False

    def describe(self, resource: Resource) -> str:
        """Return the message of a failure."""
        first, second = map(truncate, self.values)
        if self.is_retrieved:
            return f"{self.path[-1]} of {resource.name} {self.key}: got {first}, a retrieve returns {second}"
        return f"{'.'.join(self.path)} of {resource.name} {self.key}: got {second}, elsewhere in the list {first}"


@dataclass(slots=True)
class RecordCopies:
    """Collects the copies of each record, by resource and key."""

    contract: Contract
    by_record: dict[tuple[str, str], list[RecordCopy]] = field(default_factory=dict)

    def add(self, view: View, body: Any, path: tuple[str, ...] = ()) -> None:
        """Add a record and those that it embeds."""
        resource = self.contract.resources[view.resource]
        key = body.get(resource.key_attribute) if isinstance(body, Mapping) else None
        if not is_key(key):
            return
        self.by_record.setdefault((resource.name, str(key)), []).append(RecordCopy(view, path, body))
        for relation in resource.relations.values() if len(path) < MAX_DEPTH else ():
            target_view = self.contract.views.get(relation.target_views.get(relation.targets[0], ""))
            if relation.name in view.property_names and len(relation.targets) == 1 and target_view is not None:
                value = body.get(relation.name)
                for item in value if isinstance(value, list) else [value]:
                    self.add(target_view, item, (*path, relation.name))

    def find_differences(self) -> Iterator[tuple[Resource, CopyDifference]]:
        """Compare each copy with the values of the earlier ones; yield at most one difference for each path."""
        seen: set[tuple[str, ...]] = set()
        for (name, key), copies in self.by_record.items():
            resource, shown = self.contract.resources[name], dict[str, Any]()
            for copy in copies:
                for difference in compare_values(self.contract, key, shown, copy):
                    if difference.path not in seen:
                        seen.add(difference.path)
                        yield resource, difference
                shown = {**copy.body, **{n: v for n, v in shown.items() if v not in EMPTY_RELATIONS}}


def compare_values(
    contract: Contract, key: Any, shown: Mapping[str, Any], copy: RecordCopy
) -> Iterator[CopyDifference]:
    """Yield the properties of a copy whose values differ from those that another response or copy has shown.

    Not compared: values that the server may change by itself, files, properties that the view derives, and objects and
    arrays, whose content may depend on the relation.
    """
    resource = contract.resources[copy.view.resource]
    for name in copy.view.property_names:
        if name not in shown or name not in copy.body:
            continue
        values, path = (shown[name], copy.body[name]), (*copy.path, name)
        if name in resource.relations:
            relation = resource.relations[name]
            keys = tuple(_list_keys(contract, relation, value) for value in values)
            if None not in keys and keys[0] != keys[1]:
                yield CopyDifference(path, relation.pointer, key, (keys[0], keys[1]))
        elif name in resource.attributes and name not in copy.view.derived_properties:
            attribute = resource.attributes[name]
            is_compared = not is_volatile(resource, name) and all(isinstance(value, SCALARS) for value in values)
            if is_compared and not attribute.is_file and not equal(*values):
                yield CopyDifference(path, attribute.pointer, key, values)


def _list_keys(contract: Contract, relation: Relation, value: Any) -> list[str] | None:
    """Return the keys of the records in a relation; None if it may be left out, or a record has no key."""
    if len(relation.targets) != 1 or value in EMPTY_RELATIONS:
        return None
    key = contract.resources[relation.targets[0]].key_attribute
    items = value if isinstance(value, list) else [value]
    keys = [item.get(key) for item in items if isinstance(item, Mapping)]
    return sorted(map(str, keys)) if all(map(is_key, keys)) and len(keys) == len(items) else None


def _embeds_records(contract: Contract, operation: Operation) -> bool:
    view = contract.views.get(operation.envelope.view_name or "")
    return (
        is_list(contract, operation)
        and view is not None
        and any(name in contract.resources[view.resource].relations for name in view.property_names)
    )


@check(
    "record-copies-agree",
    "A record has the same values wherever a list embeds it, and the same related records as when it is retrieved.",
    Category.RELATIONS,
    _embeds_records,
    affected_by_other_clients=True,
    compares_responses=True,
)
def check_copies(case: Case) -> Iterator[CheckResult]:
    """List the records with all relations; compare the copies in the response, and some rows with a retrieve."""
    view = case.session.contract.views[case.operation.envelope.view_name or ""]
    exchange, rows = _fetch_rows(case)
    if not rows:
        raise SkipCheck(insufficient_data("the list is empty"))
    copies = RecordCopies(case.session.contract)
    for row in rows:
        copies.add(view, row)
    differences = [*copies.find_differences(), *_compare_with_retrieved(case, view, rows)]
    for resource, difference in differences:
        location = ".".join(difference.path) + (" retrieved" if difference.is_retrieved else "")
        requirement = case.build_requirement(difference.pointer, None, location)
        yield case.build_result(requirement, difference.describe(resource), exchange)
    if not differences:
        yield case.build_result(case.build_requirement(), "", exchange)


def _fetch_rows(case: Case) -> tuple[Exchange, list[Mapping[str, Any]]]:
    """Return the first exchange and the rows of several pages: the run's records may fill one. Raises SkipCheck."""
    session, operation = case.session, case.operation
    required = tuple(iter_pairs(operation, session.records.required_query(operation)))
    listing = Listing(session, operation, (*required, *build_full_include_query(session, operation)))
    pages = [listing.fetch_largest()]
    while listing.position is not None and 0 < len(pages[-1].rows) == len(pages[0].rows) and len(pages) < MAX_PAGES:
        next_page = listing.fetch_next(pages, *listing.build_largest_page_query())
        if next_page is None:
            break
        pages.append(next_page)
    return pages[0].exchange, [row for page in pages for row in page.rows]


def _compare_with_retrieved(
    case: Case, view: View, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Resource, CopyDifference]]:
    """Compare the related records of some rows with those of the retrieved record.

    The first rows are those whose count differs from the number of embedded records, then the last ones, which are
    incomplete if a limit applies to all rows together. A difference counts if it occurs in the list fetched again too.
    """
    session, resource = case.session, case.session.contract.resources[view.resource]
    retrieve = session.operations.find(resource.name, "retrieve")
    retrieved_view = session.contract.views.get(retrieve.envelope.view_name or "") if retrieve is not None else None
    if retrieve is None or retrieved_view is None:
        return
    suspicious = [row for row in rows if _has_other_count(resource, view, row)]
    selected = [*suspicious, *(row for row in reversed(rows) if row not in suspicious)][:MAX_RETRIEVED]
    for row in selected:
        for difference in _find_other_relations(case, retrieved_view, retrieve, row):
            key = difference.key
            again = next((other for other in _fetch_rows(case)[1] if other.get(resource.key_attribute) == key), {})
            if any(difference.path == d.path for d in _find_other_relations(case, retrieved_view, retrieve, again)):
                yield resource, difference
                return


def _find_other_relations(
    case: Case, retrieved_view: View, retrieve: Operation, row: Mapping[str, Any]
) -> list[CopyDifference]:
    """Retrieve the record of a row and return the relations that differ."""
    session, resource = case.session, case.session.contract.resources[retrieved_view.resource]
    key = row.get(resource.key_attribute)
    body, _ = retrieve_with_relations(session, retrieve, key) if is_key(key) else (None, None)
    if not isinstance(body, Mapping):
        return []
    differences = compare_values(session.contract, key, row, RecordCopy(retrieved_view, (), body))
    return [replace(found, is_retrieved=True) for found in differences if found.path[0] in resource.relations]


def _has_other_count(resource: Resource, view: View, row: Mapping[str, Any]) -> bool:
    """Whether a count of all related records differs from the number of those that the row embeds."""
    for derived in {**resource.derived_properties, **view.derived_properties}.values():
        related = row.get(derived.path[0]) if derived.kind == "count" and derived.path and not derived.where else None
        if isinstance(related, list) and derived.name in row and row[derived.name] != len(related):
            return True
    return False
