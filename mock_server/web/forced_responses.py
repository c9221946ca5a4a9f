"""Responses that a request asks for, and delays.

    Prefer: code=429                the status of the response
    Prefer: code=422, example=NAME  also: example; separated by commas or semicolons
    ?__code=429&__example=NAME      the same in the query, for images and links
    X-Mock-Delay: 3000              milliseconds until the request is processed
    X-Mock-Outcome: error           how the asynchronous work that the request starts ends
    X-Mock-Text: Hello%21           what a model run answers, percent-encoded
    X-Mock-Explain: 1               an explanation of the response instead of the response

A status must be documented, possibly by a range (4XX) or by `default`, or be one of SERVER_ERRORS. Other preferences
are ignored. A request is neither authenticated nor validated if its response is forced. The usual success status is
processed as usual; for another one the example of the contract is sent, or a value generated from its schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.client import responses
from itertools import chain
from urllib.parse import unquote, unquote_plus

from starlette.types import Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.journal import ResponseSource
from mock_server.static_responses.documented_values import find_named_examples
from mock_server.static_responses.error_responses import ErrorResponses
from mock_server.static_responses.media_types import encode_value, get_content_type
from mock_server.static_responses.response_definitions import DEFAULT_KEY, MediaType, ResponseDefinitions
from mock_server.static_responses.success_responses import StaticResponse, SuccessResponses
from mock_server.web.context import Header, RequestContext, send_response
from mock_server.web.routing import Routes
from mock_server.web.security import CHALLENGE
from mock_server.web.validation_messages import required_error
from spec.model import Contract, Operation

SERVER_ERRORS = (500, 502, 503, 504)
MAX_DELAY_MS = 300_000
MAX_STATUS = 600
_PREFER, _DELAY = b"prefer", b"x-mock-delay"
OUTCOME_HEADER, TEXT_HEADER = b"x-mock-outcome", b"x-mock-text"
EXPLAIN_HEADER = b"x-mock-explain"
READ_HEADERS = (_PREFER, _DELAY, OUTCOME_HEADER, TEXT_HEADER, EXPLAIN_HEADER)
_CODE, _EXAMPLE = "code", "example"
_QUERY_PREFIX = "__"
_MESSAGES: Mapping[int, str] = {
    401: "Unauthenticated.",
    403: "This action is unauthorized.",
    419: "CSRF token mismatch.",
    429: "Too Many Attempts.",
    500: "Server Error",
}
# Laravel's headers of a rejected request.
_RESPONSE_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: CHALLENGE,
    429: {"Retry-After": "60", "X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"},
}


@dataclass(frozen=True, slots=True)
class ForcedResponse:
    """What a request asks for: `code`, `example`, or both. `applied`: the value of Preference-Applied."""

    code: str | None
    example: str | None
    applied: str


@dataclass(frozen=True, slots=True)
class ResponseForcer:
    """Sends the responses that requests ask for."""

    contract: Contract
    routes: Routes
    successes: SuccessResponses
    error_responses: ErrorResponses

    async def respond(self, context: RequestContext, send: Send) -> bool:
        """Wait, and send the response that a request asks for. Returns True if sent. Raises ApiError (400)."""
        delay = context.get_header(_DELAY)
        if delay:
            if not (delay.isascii() and delay.isdigit() and int(delay[:9]) <= MAX_DELAY_MS):
                raise _bad_request(f"X-Mock-Delay: invalid value {delay[:100]!r} (expected 0 to {MAX_DELAY_MS} ms)")
            await context.delay_response(int(delay) / 1000)
        context.outcome = context.get_header(OUTCOME_HEADER) or None
        text = context.get_header(TEXT_HEADER)
        context.text = unquote(text) if text else None
        forced = _read_forced_response(context)
        match = self.routes.find(context.raw_path) if forced else None
        operation = match.route.find_operation(context.method) if match else None
        if forced is None or operation is None:
            return False
        response = self.choose(operation, forced)
        headers = {"Preference-Applied": forced.applied} if forced.applied else {}
        if response is None:
            context.response_headers += ((n.lower().encode(), v.encode()) for n, v in headers.items())
            return False
        context.operation, context.source = operation, ResponseSource.REQUEST
        headers = {**response.headers, **headers, **_RESPONSE_HEADERS.get(response.status, {})}
        content_type = (b"content-type", response.content_type)
        await send_response(send, context, response.status, response.body, content_type=content_type, headers=headers)
        return True

    def choose(self, operation: Operation, forced: ForcedResponse) -> StaticResponse | None:
        """Return a forced response; None: the usual one of a success. Raises ApiError (400)."""
        code = forced.code
        if code is not None and not self.is_allowed(operation, code):
            expected = ", ".join(self.list_allowed(operation))
            raise _bad_request(f"The status {code[:100]!r} is not documented for {operation.id} (expected {expected}).")
        status = int(code) if code is not None else self.find_status(operation, forced.example)
        if forced.example is not None:
            return self.create_example(operation, status, forced.example)
        if status >= HTTPStatus.BAD_REQUEST:
            return self.create_error(operation, status)
        if status == self.successes.find_status(operation) and operation.envelope.schema_pointer is not None:
            return None
        return self.successes.get(operation, status=status)

    def is_allowed(self, operation: Operation, code: str) -> bool:
        """Whether a status may be forced: it is documented, possibly by a range or by default, or a server error."""
        if not code.isdecimal():
            return False
        status = int(code[:4])
        is_http = HTTPStatus.OK <= status < MAX_STATUS
        return status in SERVER_ERRORS or (
            is_http and self.successes.get_definitions(operation).find(status) is not None
        )

    def list_allowed(self, operation: Operation) -> list[str]:
        """Return the statuses and ranges that may be forced."""
        keys = self.successes.get_definitions(operation).by_key
        statuses = {int(key) for key in keys if key.isdigit()}
        return [*map(str, sorted(statuses | {*SERVER_ERRORS})), *(key for key in keys if not key.isdigit())]

    def find_status(self, operation: Operation, name: str | None) -> int:
        """Return the status that has an example; without one the success status."""
        success, definitions = self.successes.find_status(operation), self.successes.get_definitions(operation)
        for key, definition in definitions.by_key.items():
            if any(name in find_named_examples(self.contract.document, m) for m in definition.media_types):
                return get_status(key, success if definition is definitions.find(success) else SERVER_ERRORS[0])
        return success

    def create_example(self, operation: Operation, status: int, name: str) -> StaticResponse:
        """Return the response with an example of the contract. Raises ApiError (400) if it does not exist."""
        definition = self.successes.get_definitions(operation).find(status)
        examples = find_examples(self.contract, operation, status)
        if definition is None or name not in examples:
            expected = ", ".join(examples) or "none"
            raise _bad_request(f"{operation.id} has no example {name[:100]!r} for {status} (expected {expected}).")
        media_type = examples[name]
        value = find_named_examples(self.contract.document, media_type)[name]
        return StaticResponse(status, encode_value(value, media_type.name), get_content_type(media_type.name), {})

    def create_error(self, operation: Operation, status: int) -> StaticResponse:
        """Return an error in the format of the contract; a validation error with the required fields."""
        error = ApiError(ErrorKind.BAD_REQUEST, message=_MESSAGES.get(status) or responses.get(status, "Error"))
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            error = _create_validation_error(operation)
        error.status = status
        body, content_type = self.error_responses.encode(operation, error)
        return StaticResponse(status, body, content_type, {})


def get_response_headers(status: int) -> list[Header]:
    """Return the headers that Laravel sends with a status."""
    headers = _RESPONSE_HEADERS.get(status, {})
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _create_validation_error(operation: Operation) -> ApiError:
    """Return the error of a request without the required fields of the operation."""
    fields = [(f.name, f.pointer) for f in operation.body_fields.values() if f.required]
    fields += [(p.name, p.pointer) for p in operation.query_parameters if p.required]
    fields = fields or [(f.name, f.pointer) for f in operation.body_fields.values()][:1] or [("data", "")]
    errors = {name: [required_error(name, pointer).message] for name, pointer in fields}
    return ApiError(ErrorKind.VALIDATION_FAILED, errors=errors)


def get_status(key: str, default_status: int) -> int:
    """Return a status for the key of a response in the contract."""
    if key.isdigit():
        return int(key)
    return default_status if key == DEFAULT_KEY else int(key[0]) * 100


def find_examples(contract: Contract, operation: Operation, status: int) -> dict[str, MediaType]:
    """Return the names of the examples of a response, each with its media type.

    An example without a name is called ``example``.
    """
    definition = ResponseDefinitions.from_operation(contract.document, operation.pointer).find(status)
    examples: dict[str, MediaType] = {}
    for media_type in definition.media_types if definition else ():
        for name in find_named_examples(contract.document, media_type):
            examples.setdefault(name, media_type)
    return examples


def _bad_request(message: str) -> ApiError:
    return ApiError(ErrorKind.BAD_REQUEST, message=message)


def _read_forced_response(context: RequestContext) -> ForcedResponse | None:
    """Return what a request asks for; the query takes precedence and is removed from the context."""
    preferences = parse_preferences(context.get_header(_PREFER)) if _PREFER in context.headers else {}
    applied = ", ".join(f"{name}={preferences[name]}" for name in (_CODE, _EXAMPLE) if preferences.get(name))
    wanted = dict(preferences)
    if b"__" in context.raw_query:
        pairs = context.raw_query.decode("latin-1").split("&")
        own = (_QUERY_PREFIX + _CODE, _QUERY_PREFIX + _EXAMPLE)
        removed = [pair for pair in pairs if pair.partition("=")[0] in own]
        context.raw_query = "&".join(pair for pair in pairs if pair not in removed).encode("latin-1")
        for pair in removed:
            name, _, value = pair.partition("=")
            wanted[name.removeprefix(_QUERY_PREFIX)] = unquote_plus(value)
    code, example = wanted.get(_CODE) or None, wanted.get(_EXAMPLE) or None
    return None if code is None and example is None else ForcedResponse(code, example, applied)


@lru_cache(256)
def parse_preferences(text: str) -> Mapping[str, str]:
    """Return the preferences of a Prefer header (RFC 7240) by name in lower case, the first value of each."""
    preferences: dict[str, str] = {}
    for name, value in _iter_preferences(text):
        preferences.setdefault(name, value)
    return preferences


def _iter_preferences(text: str) -> Iterator[tuple[str, str]]:
    for part in chain.from_iterable(member.split(";") for member in text.split(",")):
        name, _, value = part.partition("=")
        if name.strip():
            yield name.strip().lower(), value.strip().strip('"')
