"""What can go wrong with a request: one table from the kind of problem to status, reason and Laravel's body.

A `Refusal` is raised where the problem is known, with words for people; which status it becomes stands here only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

import orjson


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: status, the reason that clients may read, and the message of the body."""

    status: HTTPStatus
    reason: str
    message: str


class Problem(Enum):
    """Every kind of refusal."""

    NO_OPERATION = Row(HTTPStatus.NOT_FOUND, "no-operation", "The route {path} could not be found.")
    NO_RECORD = Row(HTTPStatus.NOT_FOUND, "no-record", "No query results for {resource} {key}.")
    OTHER_TENANT = Row(HTTPStatus.NOT_FOUND, "other-tenant", "No query results for {resource} {key}.")
    FORBIDDEN = Row(HTTPStatus.FORBIDDEN, "auth", "This action is unauthorized.")
    STATE = Row(HTTPStatus.CONFLICT, "state", "{message}")
    UNAUTHENTICATED = Row(HTTPStatus.UNAUTHORIZED, "auth", "Unauthenticated.")
    CREDENTIALS = Row(HTTPStatus.UNAUTHORIZED, "auth", "These credentials do not match our records.")
    INVALID = Row(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", "{message}")
    MALFORMED = Row(HTTPStatus.BAD_REQUEST, "validation", "{message}")
    METHOD = Row(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "no-operation",
        "The {method} method is not supported for route {path}. Supported methods: {allowed}.",
    )
    NOT_ACCEPTABLE = Row(HTTPStatus.NOT_ACCEPTABLE, "validation", "{message}")
    TOO_LARGE = Row(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "validation", "{message}")
    TARGET_TOO_LONG = Row(HTTPStatus.REQUEST_URI_TOO_LONG, "validation", "{message}")
    HEAD_TOO_LARGE = Row(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "validation", "{message}")
    MEDIA_TYPE = Row(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "validation", "{message}")
    MISDIRECTED = Row(HTTPStatus.MISDIRECTED_REQUEST, "validation", "{message}")
    LATE = Row(HTTPStatus.REQUEST_TIMEOUT, "late", "The request did not arrive in time.")
    OVERLOADED = Row(HTTPStatus.SERVICE_UNAVAILABLE, "overload", "Service Unavailable")
    FAILURE = Row(HTTPStatus.INTERNAL_SERVER_ERROR, "failure", "Server Error")


class Refusal(Exception):
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
        problem: Problem,
        why: str = "",
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        place: str | None = None,
        **words: object,
    ) -> None:
        self.problem = problem
        self.errors = {field: list(said) for field, said in (errors or {}).items()}
        self.headers = dict(headers or {})
        self.place = place
        if problem is Problem.INVALID and "message" not in words:
            words["message"] = _summary(self.errors)
        self.message = problem.value.message.format(**words)
        self.why = why or self.message
        super().__init__(self.why)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.problem.value.status)

    @property
    def reason(self) -> str:
        """What `X-Mock-Reason` says."""
        return self.problem.value.reason

    def body(self) -> bytes:
        """Laravel's body: ``{"message"}`` or ``{"message", "errors"}``."""
        if self.problem is Problem.INVALID:
            return orjson.dumps({"message": self.message, "errors": self.errors})
        return orjson.dumps({"message": self.message})


def overloaded(why: str, *, closing: bool = False) -> Refusal:
    """The refusal of what may well be served a moment later. `closing`: the connection ends with it."""
    headers = {"Retry-After": "1"} | ({"Connection": "close"} if closing else {})
    return Refusal(Problem.OVERLOADED, why, headers=headers)


def _summary(errors: Mapping[str, Sequence[str]]) -> str:
    """Laravel's own: the first sentence, and how many more there are."""
    sentences = [sentence for said in errors.values() for sentence in said]
    if len(sentences) < 2:
        return sentences[0] if sentences else "The given data was invalid."
    more = len(sentences) - 1
    return f"{sentences[0]} (and {more} more error{'s' if more > 1 else ''})"
