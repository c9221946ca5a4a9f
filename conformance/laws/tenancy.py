"""What a run knows of its own records though no list shows it: whose they are, and in which tenant they lie."""

from typing import Any
from uuid import UUID

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.session import Session
from spec.contract import Resource

NOBODY = 1_900_000_000  # a number that no record has


def known(session: Session, resource: Resource, path: tuple[str, ...]) -> Any:
    """The value at a path of relations for records that the run makes of a resource. Raises CannotMake."""
    for start, record in ((resource.tenant_path, _home), (resource.owner_path, _maker)):
        if start and path[: len(start)] == start and len(path) == len(start) + 1:
            shown = record(session, resource)
            if path[-1] in shown:
                return shown[path[-1]]
    raise SkipCheck(not_testable(f"the rows do not show {'.'.join(path)}"))


def _maker(session: Session, resource: Resource) -> Any:
    return session.identity()


def _home(session: Session, resource: Resource) -> Any:
    """The tenant that new records lie in: the account's own, where create does not ask for one. Raises CannotMake."""
    tenant = session.contract.tenant_resource
    at = resource
    for step in resource.tenant_path:
        creating = session.creator(at.name)
        fields = creating.request_body.fields.values() if creating.request_body else ()
        target = session.contract.resources[at.relations[step].targets[0]]
        if any(
            f.required and f.relation_setter and f.relation_setter.relation == step and target is tenant for f in fields
        ):
            raise SkipCheck(
                not_testable(f"the contract has no {target.name} that a {at.name} lies in without being told")
            )
        at = target
    for shown in session.identity().values():
        if tenant is not None and isinstance(shown, dict) and tenant.key_attribute in shown:
            return shown
    raise SkipCheck("the account shows no tenant")


def unlike(value: Any) -> Any:
    """A value of the same kind that no record has."""
    if isinstance(value, (int, float)):
        return NOBODY
    try:
        UUID(str(value))
    except ValueError:
        return "conformance-nobody"
    return f"00000000-0000-4000-8000-{NOBODY:012d}"
