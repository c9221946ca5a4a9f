"""Check that the expiry of a credential, as the login states it, is consistent with what the target accepts."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from conformance.checks.access.sessions import is_login, log_in, log_out, request_identity
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import dereference_schema, is_number, parse_zoned_datetime
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from spec.document import escape
from spec.model import Contract, Operation

EXPIRY_WORD = "expir"  # part of the names of properties such as expires_at, expires_in (RFC 6749), token_expiration


def _find_expiry_properties(contract: Contract, operation: Operation) -> Mapping[str, str]:
    """Return name -> pointer of the date-times and numbers in the response of a login that state an expiry."""
    pointer = operation.envelope.schema_pointer
    for name in (None, operation.envelope.data_property):
        if pointer is None:
            return {}
        schema, pointer = dereference_schema(contract.document, pointer)
        if name is not None:
            schema, pointer = dereference_schema(contract.document, f"{pointer}/properties/{escape(name)}")
    found = {}
    for name in schema.get("properties", {}):
        child, _ = dereference_schema(contract.document, f"{pointer}/properties/{escape(name)}")
        is_time = child.get("format") == "date-time" or child.get("type") in ("integer", "number")
        if EXPIRY_WORD in name.lower() and is_time:
            found[name] = f"{pointer}/properties/{escape(name)}"
    return found


@check(
    "login-expiry-is-in-the-future",
    "A credential is not accepted after the time at which, according to its login, it expires.",
    Category.AUTHENTICATION,
    lambda c, o: is_login(c, o) and bool(_find_expiry_properties(c, o)),
    writes=True,
    compares_responses=True,
)
def check_expiry(case: Case) -> Iterator[CheckResult]:
    """Log in, then create a record: the target accepts the new token after the time of creation that it returns.

    So both times are of the clock of the target.
    """
    session = case.session
    exchange, token = log_in(session)
    created_at = _read_clock(case)
    identity_exchange = request_identity(session, token)
    data = session.operations.data(case.operation, exchange)
    for name, pointer in _find_expiry_properties(session.contract, case.operation).items():
        requirement, value = case.build_requirement(pointer, None, name), data.get(name)
        problem = describe_past(value, created_at)
        if not identity_exchange.response.ok:
            yield case.skip(requirement, f"request with the new token: got {identity_exchange.response.status}")
        elif problem is None:
            yield case.skip(
                requirement, f"{name} is no date-time with a time zone, or no new record has a creation time"
            )
        else:
            message = f"{name}: got {value}, {problem}, but the token was accepted afterwards" if problem else ""
            yield case.build_result(requirement, message, exchange, identity_exchange)
    log_out(session, token)


def describe_past(value: Any, now: datetime | None) -> str | None:
    """Describe an expiry that is past; "" if it is not, None if that is unknown. A number is a duration or a time."""
    if is_number(value):
        return "expected a positive number" if value <= 0 else ""
    expiry = parse_zoned_datetime(value)
    if expiry is None or now is None:
        return None
    return f"expected a time after {now.isoformat()}, when the target created a record" if expiry <= now else ""


def _read_clock(case: Case) -> datetime | None:
    """Return the time of creation of a new record; None if no resource has one."""
    contract, records = case.session.contract, case.session.records
    for resource in contract.resources.values():
        creator = contract.find_create_operation(resource.name)
        stamps = resource.attributes_with_stamp("created")
        if creator is None or creator.effects or creator.path_parameter_names or not stamps:
            continue
        with suppress(SkipCheck):
            created_at = parse_zoned_datetime(records.create(resource.name).body.get(stamps[0]))
            if created_at is not None:
                return created_at
    return None
