"""What can go wrong with a request: one table from the kind of problem to status, reason and Laravel's body.

A `ApiError` is raised where the problem is known, with words for people; which status it becomes stands here only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import orjson


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One line of the table: status, the reason that clients may read, and the message of the body."""

    status: HTTPStatus
    reason: str
    message: str


class ErrorKind(Enum):
    """Every kind of refusal."""

    ROUTE_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "no-operation", "The route {path} could not be found.")
    RECORD_NOT_FOUND = ErrorSpec(HTTPStatus.NOT_FOUND, "no-record", "No query results for {resource} {key}.")
    OTHER_TENANT = ErrorSpec(HTTPStatus.NOT_FOUND, "other-tenant", "No query results for {resource} {key}.")
    FORBIDDEN = ErrorSpec(HTTPStatus.FORBIDDEN, "auth", "This action is unauthorized.")
    CONFLICT = ErrorSpec(HTTPStatus.CONFLICT, "state", "{message}")
    UNAUTHENTICATED = ErrorSpec(HTTPStatus.UNAUTHORIZED, "auth", "Unauthenticated.")
    INVALID_CREDENTIALS = ErrorSpec(HTTPStatus.UNAUTHORIZED, "auth", "These credentials do not match our records.")
    VALIDATION_FAILED = ErrorSpec(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", "{message}")
    BAD_REQUEST = ErrorSpec(HTTPStatus.BAD_REQUEST, "validation", "{message}")
    METHOD_NOT_ALLOWED = ErrorSpec(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "no-operation",
        "The {method} method is not supported for route {path}. Supported methods: {allowed}.",
    )
    NOT_ACCEPTABLE = ErrorSpec(HTTPStatus.NOT_ACCEPTABLE, "validation", "{message}")
    BODY_TOO_LARGE = ErrorSpec(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "validation", "{message}")
    URI_TOO_LONG = ErrorSpec(HTTPStatus.REQUEST_URI_TOO_LONG, "validation", "{message}")
    HEADERS_TOO_LARGE = ErrorSpec(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "validation", "{message}")
    UNSUPPORTED_MEDIA_TYPE = ErrorSpec(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "validation", "{message}")
    MISDIRECTED_REQUEST = ErrorSpec(HTTPStatus.MISDIRECTED_REQUEST, "validation", "{message}")
    REQUEST_TIMEOUT = ErrorSpec(HTTPStatus.REQUEST_TIMEOUT, "late", "The request did not arrive in time.")
    OVERLOADED = ErrorSpec(HTTPStatus.SERVICE_UNAVAILABLE, "overload", "Service Unavailable")
    INTERNAL_ERROR = ErrorSpec(HTTPStatus.INTERNAL_SERVER_ERROR, "failure", "Server Error")


class ApiError(Exception):
    """A request that is refused.

    Args:
        problem: the kind.
        why: a sentence for the console: what was wrong and what is allowed. Never sent to the client.
        errors: for INVALID, field path -> Laravel's sentences, in the order of the fields.
        headers: extra response headers.
        place: pointer of the place in the contract that decided, for the console; without it the operation's.
        words: what the message of the table's row is filled with.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        location: str | None = None,
        **message_values: object,
    ) -> None:
        self.kind = kind
        self.errors = {field: list(messages) for field, messages in (errors or {}).items()}
        self.headers = dict(headers or {})
        self.location = location
        if kind is ErrorKind.VALIDATION_FAILED and "message" not in message_values:
            message_values["message"] = _summarize(self.errors)
        self.message = kind.value.message.format(**message_values)
        self.detail = detail or self.message
        super().__init__(self.detail)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.kind.value.status)

    @property
    def reason(self) -> str:
        """What `X-Mock-Reason` says."""
        return self.kind.value.reason

    def encode_body(self) -> bytes:
        """Laravel's body: ``{"message"}`` or ``{"message", "errors"}``."""
        if self.kind is ErrorKind.VALIDATION_FAILED:
            return orjson.dumps({"message": self.message, "errors": self.errors})
        return orjson.dumps({"message": self.message})


def overloaded_error(detail: str, *, close_connection: bool = False) -> ApiError:
    """The refusal of what may well be served a moment later. `close_connection`: the connection ends with it."""
    headers = {"Retry-After": "1"} | ({"Connection": "close"} if close_connection else {})
    return ApiError(ErrorKind.OVERLOADED, detail, headers=headers)


def _summarize(errors: Mapping[str, Sequence[str]]) -> str:
    """Laravel's own: the first sentence, and how many more there are."""
    all_messages = [message for messages in errors.values() for message in messages]
    if len(all_messages) < 2:
        return all_messages[0] if all_messages else "The given data was invalid."
    remaining = len(all_messages) - 1
    return f"{all_messages[0]} (and {remaining} more error{'s' if remaining > 1 else ''})"
