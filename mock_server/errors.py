"""Errors of a request: one table maps each kind of error to its status, X-Mock-Reason and message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from mock_server.json_encoding import encode_json


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """The status, the value of `X-Mock-Reason` and the message template of the body."""

    status: int  # an HTTPStatus, or 419, which Laravel uses and no RFC defines
    reason: str
    message: str


class ErrorKind(Enum):
    """All kinds of errors."""

    ROUTE_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "route-not-found", "The route {path} could not be found.")
    RECORD_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "record-not-found", "No query results for {resource} {key}.")
    OTHER_TENANT = ErrorSpec(HTTPStatus.NOT_FOUND, "other-tenant", "No query results for {resource} {key}.")
    FORBIDDEN = ErrorSpec(HTTPStatus.FORBIDDEN, "auth", "This action is unauthorized.")
    CONFLICT = ErrorSpec(HTTPStatus.CONFLICT, "conflict", "{message}")
    UNAUTHENTICATED = ErrorSpec(HTTPStatus.UNAUTHORIZED, "auth", "Unauthenticated.")
    INVALID_CREDENTIALS = ErrorSpec(HTTPStatus.UNAUTHORIZED, "auth", "These credentials do not match our records.")
    CSRF_MISMATCH = ErrorSpec(419, "csrf", "CSRF token mismatch.")
    VALIDATION_FAILED = ErrorSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", "{message}")
    BAD_REQUEST = ErrorSpec(HTTPStatus.BAD_REQUEST, "validation", "{message}")
    METHOD_NOT_ALLOWED = ErrorSpec(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "route-not-found",
        "The {method} method is not supported for route {path}. Supported methods: {allowed}.",
    )
    NOT_ACCEPTABLE = ErrorSpec(HTTPStatus.NOT_ACCEPTABLE, "validation", "{message}")
    BODY_TOO_LARGE = ErrorSpec(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "validation", "{message}")
    RESPONSE_TOO_LARGE = ErrorSpec(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "response-too-large", "{message}")
    URI_TOO_LONG = ErrorSpec(HTTPStatus.REQUEST_URI_TOO_LONG, "validation", "{message}")
    HEADERS_TOO_LARGE = ErrorSpec(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "validation", "{message}")
    UNSUPPORTED_MEDIA_TYPE = ErrorSpec(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "validation", "{message}")
    MISDIRECTED_REQUEST = ErrorSpec(HTTPStatus.MISDIRECTED_REQUEST, "validation", "{message}")
    EXPECTATION_FAILED = ErrorSpec(HTTPStatus.EXPECTATION_FAILED, "validation", "{message}")
    REQUEST_TIMEOUT = ErrorSpec(HTTPStatus.REQUEST_TIMEOUT, "timeout", "The request did not arrive in time.")
    STORE_FULL = ErrorSpec(
        HTTPStatus.INSUFFICIENT_STORAGE, "store-full", "The store has no space for the write: {cause}."
    )
    STORE_READ_ONLY = ErrorSpec(HTTPStatus.SERVICE_UNAVAILABLE, "store-read-only", "The store is read-only: {cause}.")
    STORE_FAILED = ErrorSpec(
        HTTPStatus.INTERNAL_SERVER_ERROR, "store-failed", "The store's file cannot be read or written: {cause}."
    )
    SANDBOX_CONFLICT = ErrorSpec(HTTPStatus.BAD_REQUEST, "sandbox", "{message}")
    SANDBOX_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "sandbox", "{message}")
    SANDBOX_MEMORY = ErrorSpec(HTTPStatus.TOO_MANY_REQUESTS, "sandbox-memory", "{message}")
    SANDBOX_NOT_READY = ErrorSpec(HTTPStatus.SERVICE_UNAVAILABLE, "sandbox-not-ready", "{message}")
    CONTROL_FORBIDDEN = ErrorSpec(HTTPStatus.FORBIDDEN, "control", "{message}")
    CONTROL_UNAUTHENTICATED = ErrorSpec(HTTPStatus.UNAUTHORIZED, "control", "{message}")
    CONTROL_CONFLICT = ErrorSpec(HTTPStatus.CONFLICT, "control", "{message}")
    CONTROL_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "control", "{message}")
    OVERLOADED = ErrorSpec(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "Service Unavailable")
    INTERNAL_ERROR = ErrorSpec(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Server Error")


class ApiError(Exception):
    """An error response.

    Args:
        kind: The kind of error.
        detail: For the request log only: the problem and the accepted values.
        errors: For VALIDATION_FAILED, and in the control API: field path -> messages, in the order of the fields.
        unlisted_count: For VALIDATION_FAILED: the number of further messages, which the response only counts.
        is_count_minimum: Whether there may be more than `unlisted_count`.
        headers: Additional response headers.
        location: JSON pointer into the contract, for the request log; default: the operation's pointer.
        message_values: Values for the message template of the kind.

    Attributes:
        status: The status of the response; that of the kind, unless the contract documents another one.
        reason: The value of `X-Mock-Reason`.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        unlisted_count: int = 0,
        is_count_minimum: bool = False,
        headers: Mapping[str, str] | None = None,
        location: str | None = None,
        **message_values: object,
    ) -> None:
        spec = kind.value
        self.kind = kind
        self.status, self.reason = int(spec.status), spec.reason
        self.errors = {field: list(messages) for field, messages in (errors or {}).items()}
        self.headers = dict(headers or {})
        self.location = location
        if kind is ErrorKind.VALIDATION_FAILED and "message" not in message_values:
            message_values["message"] = _summarize(self.errors, unlisted_count, is_minimum=is_count_minimum)
        self.message = spec.message.format(**message_values)
        self.detail = detail or self.message
        super().__init__(self.detail)

    def encode_body(self) -> bytes:
        """Return Laravel's error body: ``{"message"}`` or ``{"message", "errors"}``."""
        if self.kind is ErrorKind.VALIDATION_FAILED or self.errors:
            return encode_json({"message": self.message, "errors": self.errors})
        return encode_json({"message": self.message})


def deleted_sandbox_error(name: str) -> ApiError:
    """Return the error (404) for a request that was not complete when its sandbox was deleted or replaced."""
    message = f"The sandbox {name} was deleted or replaced while the request was processed."
    return ApiError(ErrorKind.SANDBOX_NOT_FOUND, message=message)


def response_too_large_error(max_bytes: int) -> ApiError:
    """Return the error (413) for a request whose response would exceed `max_bytes`."""
    limit = f"{max_bytes // 1024**2} MiB"
    message = f"The response would be larger than {limit}. Request a smaller page, or fewer related records."
    detail = f"the response has more than {max_bytes} bytes (expected a smaller page size, or fewer includes)"
    return ApiError(ErrorKind.RESPONSE_TOO_LARGE, detail, message=message)


def overloaded_error(detail: str) -> ApiError:
    """Return the error (503) for a request that the client may send again after a second, on a new connection."""
    return ApiError(ErrorKind.OVERLOADED, detail, headers={"Retry-After": "1", "Connection": "close"})


def _summarize(errors: Mapping[str, Sequence[str]], unlisted_count: int, *, is_minimum: bool) -> str:
    """Return Laravel's summary: the first message and the number of the others, also of those that are not listed."""
    messages = [message for field_messages in errors.values() for message in field_messages]
    if not messages:
        return "The given data was invalid."
    remaining = len(messages) - 1 + unlisted_count
    if is_minimum and not remaining:
        return f"{messages[0]} (there may be more errors)"
    if is_minimum:
        return f"{messages[0]} (and at least {remaining} more error{'' if remaining == 1 else 's'})"
    return f"{messages[0]} (and {remaining} more error{'s' if remaining > 1 else ''})" if remaining else messages[0]
