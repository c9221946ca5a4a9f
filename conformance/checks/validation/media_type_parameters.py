"""Check that a JSON body is accepted with the charset that many clients add to its media type."""

from collections.abc import Iterator, Mapping

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import is_create
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.http.media_types import is_json_media_type, strip_parameters
from spec.model import Contract, Operation


def _applies(contract: Contract, operation: Operation) -> bool:
    is_write = operation.action == "update" or is_create(contract, operation)
    return is_write and operation.request_body is not None and is_json_media_type(operation.request_body.media_type)


@check(
    "charset-of-request-accepted",
    "A JSON body is accepted with `; charset=utf-8` after its media type.",
    Category.HTTP,
    _applies,
    writes=True,
)
def check_charset_of_request(case: Case) -> Iterator[CheckResult]:
    """Send a valid body without and with the parameter, which has no meaning for JSON (RFC 8259)."""
    bad_requests.require_allowed(case)
    session, operation = case.session, case.operation
    assert operation.request_body is not None

    def send(headers: Mapping[str, str]) -> Exchange:
        if operation.action != "update":
            body = session.payloads.build(operation, session.records.parent)
            return session.client.send(operation, body=body, headers=headers)
        record = session.records.shared_record(operation.resource or "")
        body = session.records.build_update(operation, record.resource, record.key, {})
        return session.client.send(operation, path=path_of(operation, record.key), body=body, headers=headers)

    plain = send({})
    if not plain.response.ok:
        raise SkipCheck(f"{operation.id} returned {plain.response.status}: {plain.response.excerpt}")
    content_type = f"{strip_parameters(operation.request_body.media_type)}; charset=utf-8"
    exchange = send({"Content-Type": content_type})
    status = exchange.response.status
    message = (
        "" if exchange.response.ok else f"Content-Type: {content_type}: got {status}, expected 2xx as without charset"
    )
    yield case.build_result(case.build_requirement(operation.request_body.pointer), message, plain, exchange)
