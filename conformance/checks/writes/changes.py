"""Requests that change a record and the differences they cause."""

from collections.abc import Mapping
from typing import Any

from conformance.checks.support.values import (
    describe_change,
    get_stored_attributes,
    iter_changed_names,
    retrieve_record,
)
from conformance.session.session import Session
from spec.model import Operation


def path_of(operation: Operation, key: Any) -> dict[str, Any]:
    """Return the path values of an operation with one path parameter."""
    return {operation.path_parameter_names[0]: key}


def fetch_attributes(session: Session, resource: str, key: Any) -> dict[str, Any]:
    """Retrieve a record and return its stored attributes. Raises SkipCheck."""
    operation = session.operations.require(resource, "retrieve")
    return get_stored_attributes(session.contract, operation, retrieve_record(session, resource, key)[0])


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Describe the properties in both records whose values differ; "" if none does."""
    names = sorted(iter_changed_names(before, after))
    return "; ".join(describe_change(name, before[name], after[name]) for name in names)


def describe_effect(session: Session, resource: str, key: Any, before: Mapping[str, Any]) -> str:
    """Describe what has changed in a record since `before`; "" if nothing has.

    Values that also change between two reads, such as an age, move with the clock and do not count. Raises SkipCheck.
    """
    after = fetch_attributes(session, resource, key)
    if not describe_changes(before, after):
        return ""
    moving = set(iter_changed_names(after, fetch_attributes(session, resource, key)))
    return describe_changes(before, {name: value for name, value in after.items() if name not in moving})
