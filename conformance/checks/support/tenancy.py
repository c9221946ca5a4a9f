"""What a run knows of its own records though no list shows it: whose they are, and in which tenant they lie."""

from typing import Any
from uuid import UUID

from conformance.errors import SkipCheck
from conformance.session.session import Session
from conformance.skip_reasons import not_testable
from spec.loader import Resource

UNKNOWN_NUMBER = 1_900_000_000  # a number that no record has


def derive_value(session: Session, resource: Resource, path: tuple[str, ...]) -> Any:
    """The value at a path of relations for records that the run makes of a resource. Raises CannotMake."""
    for prefix, load_record in ((resource.tenant_path, _get_tenant), (resource.owner_path, _get_owner)):
        if prefix and path[: len(prefix)] == prefix and len(path) == len(prefix) + 1:
            related_record = load_record(session, resource)
            if path[-1] in related_record:
                return related_record[path[-1]]
    raise SkipCheck(not_testable(f"the rows do not show {'.'.join(path)}"))


def _get_owner(session: Session, resource: Resource) -> Any:
    return session.identity()


def _get_tenant(session: Session, resource: Resource) -> Any:
    """The tenant that new records lie in: the account's own, where create does not ask for one. Raises CannotMake."""
    tenant = session.contract.tenant_resource
    current = resource
    for relation_name in resource.tenant_path:
        create_operation = session.creator(current.name)
        fields = create_operation.request_body.fields.values() if create_operation.request_body else ()
        target = session.contract.resources[current.relations[relation_name].targets[0]]
        if any(
            f.required and f.relation_setter and f.relation_setter.relation == relation_name and target is tenant
            for f in fields
        ):
            raise SkipCheck(
                not_testable(f"the contract has no {target.name} that a {current.name} lies in without being told")
            )
        current = target
    for related in session.identity().values():
        if tenant is not None and isinstance(related, dict) and tenant.key_attribute in related:
            return related
    raise SkipCheck("the account shows no tenant")


def build_unmatched_value(value: Any) -> Any:
    """A value of the same kind that no record has."""
    if isinstance(value, (int, float)):
        return UNKNOWN_NUMBER
    try:
        UUID(str(value))
    except ValueError:
        return "conformance-nobody"
    return f"00000000-0000-4000-8000-{UNKNOWN_NUMBER:012d}"
