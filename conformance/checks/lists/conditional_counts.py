"""Check that counts with a condition agree with the count of all related records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing, is_list
from conformance.checks.support.parameters import QueryPairs, build_full_include_query, find_parameter, get_enum_values
from conformance.errors import insufficient_data
from conformance.results import CheckResult
from spec.model import Contract, DerivedProperty, Operation, View

MIN_COUNTED = 2  # related records that a record must have to show that a condition selects some of them
MIN_RECORDS = 4  # records of which none shows an effect of a condition


@dataclass(frozen=True, slots=True)
class CountGroup:
    """The counts of one relation. `owner`: name of the relation that embeds the record with them; "" for the rows.

    `conditional`: those with a condition. `total`: the one without. `is_listable`: whether an operation lists the
    related records.
    """

    owner: str
    total: DerivedProperty
    conditional: tuple[DerivedProperty, ...]
    is_listable: bool

    def find_bodies(self, rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the records that have all counts."""
        bodies = [row.get(self.owner) if self.owner else row for row in rows]
        names = [self.total.name, *(derived.name for derived in self.conditional)]
        return [b for b in bodies if isinstance(b, Mapping) and all(isinstance(b.get(name), int) for name in names)]


def find_count_groups(contract: Contract, operation: Operation) -> list[CountGroup]:
    """Return the counts with and without a condition in the rows of a list, and in the records that they embed."""
    view = contract.views.get(operation.envelope.view_name or "")
    if not is_list(contract, operation) or view is None:
        return []
    groups = list(_iter_groups(contract, "", view))
    for relation in contract.resources[view.resource].relations.values():
        target_view = contract.views.get(next(iter(relation.target_views.values()), ""))
        if not relation.to_many and len(relation.targets) == 1 and target_view is not None:
            groups += _iter_groups(contract, relation.name, target_view)
    return groups


def _iter_groups(contract: Contract, owner: str, view: View) -> Iterator[CountGroup]:
    counts = [d for name, d in view.derived_properties.items() if d.kind == "count" and name in view.property_names]
    for total in counts:
        conditional = tuple(d for d in counts if d.where and d.path == total.path)
        if not total.where and conditional:
            targets = contract.resources[view.resource].relations[total.path[0]].targets
            is_listable = any(contract.find_operation(target, "list") is not None for target in targets)
            yield CountGroup(owner, total, conditional, is_listable)


@check(
    "conditional-count-agrees",
    "A count with a condition includes some of the related records, and not more than the count without one.",
    Category.RELATIONS,
    lambda contract, operation: bool(find_count_groups(contract, operation)),
    affected_by_other_clients=True,
)
def check_conditional_counts(case: Case) -> Iterator[CheckResult]:
    """Compare the counts of each listed record.

    A condition that never has an effect, although several records have several related ones, is ignored.
    """
    listing = Listing(case.session, case.operation)
    query = (*build_full_include_query(case.session, case.operation), *_build_count_query(case.operation))
    page = listing.fetch_largest(*query)
    for group in find_count_groups(case.session.contract, case.operation):
        bodies = group.find_bodies(page.rows)
        for derived in group.conditional:
            name = ".".join(filter(None, (group.owner, derived.name)))
            requirement = case.build_requirement(derived.pointer, None, name)
            if not bodies:
                yield case.skip(requirement, insufficient_data(f"no listed record has {name} and {group.total.name}"))
                continue
            message, is_contradiction = _compare(group.total, derived, bodies, is_listable=group.is_listable)
            result = case.build_result(requirement, message, page.exchange)
            yield replace(result, is_contradiction=is_contradiction)


def _build_count_query(operation: Operation) -> QueryPairs:
    """Return the query that adds all counts."""
    parameter = find_parameter(operation, "count")
    values = get_enum_values(parameter)
    if parameter is None or not values:
        return ()
    if parameter.schema.get("type") == "array" and parameter.explode:
        return tuple((parameter.name, value) for value in values)
    return ((parameter.name, ",".join(values)),)


def _compare(
    total: DerivedProperty, conditional: DerivedProperty, bodies: list[Mapping[str, Any]], *, is_listable: bool
) -> tuple[str, bool]:
    """Return the problem, or "", and whether it is a contradiction in one record.

    `is_listable`: whether the related records can be listed, so that another check compares the counts with them.
    """
    for body in bodies:
        if body[conditional.name] > body[total.name]:
            return f"{conditional.name}: got {body[conditional.name]}, expected at most {body[total.name]}", True
    counted = [body for body in bodies if body[total.name] >= MIN_COUNTED]
    has_effect = any(body[conditional.name] != body[total.name] for body in counted)
    if is_listable or has_effect or len(counted) < MIN_RECORDS:
        return "", False
    condition = ", ".join(f"{name} {' or '.join(map(str, values))}" for name, values in conditional.where.items())
    return f"{conditional.name} is always {total.name}: the condition {condition} has no effect", False
