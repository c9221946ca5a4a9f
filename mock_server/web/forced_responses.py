"""Responses that a request asks for, and delays.

    Prefer: code=429                the status of the response
    Prefer: code=422, example=NAME  also: example; separated by commas or semicolons
    ?__code=429&__example=NAME      the same in the query, for images and links
    X-Mock-Delay: 3000              milliseconds until the request is processed
    X-Mock-Outcome: error           how the asynchronous work that the request starts ends
    X-Mock-Text: Hello%21           what a model run answers, percent-encoded
    X-Mock-Explain: 1               an explanation of the response instead of the response

A status must be documented, or one of SERVER_ERRORS. Other preferences are ignored. A request is neither authenticated
nor validated if its response is forced. A success status without an example is processed as usual.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.client import responses
from itertools import chain
from typing import Any
from urllib.parse import unquote, unquote_plus

from starlette.types import Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.json_encoding import encode_json
from mock_server.sandbox.journal import ResponseSource
from mock_server.web.context import Header, RequestContext, send_response
from mock_server.web.routing import Routes
from mock_server.web.security import CHALLENGE
from mock_server.web.validation_messages import required_error
from spec.model import Contract, Operation

SERVER_ERRORS = (500, 502, 503, 504)
MAX_DELAY_MS = 300_000
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

    async def respond(self, context: RequestContext, send: Send) -> bool:
        """Wait, and send the response that a request asks for. Returns True if sent. Raises ApiError (400)."""
        delay = context.get_header(_DELAY)
        if delay:
            if not (delay.isascii() and delay.isdigit() and int(delay[:9]) <= MAX_DELAY_MS):
                raise _bad_request(f"X-Mock-Delay: invalid value {delay[:100]!r} (expected 0 to {MAX_DELAY_MS} ms)")
            await context.pause(int(delay) / 1000)
            context.now = context.sandbox.clock.now()
        context.outcome = context.get_header(OUTCOME_HEADER) or None
        text = context.get_header(TEXT_HEADER)
        context.text = unquote(text) if text else None
        forced = _read_forced_response(context)
        match = self.routes.find(context.raw_path) if forced else None
        operation = match.route.find_operation(context.method) if match else None
        if forced is None or operation is None:
            return False
        status, body = self.choose(operation, forced)
        headers = {"Preference-Applied": forced.applied} if forced.applied else {}
        if body is None and status == operation.envelope.status and operation.envelope.schema_pointer is not None:
            context.response_headers += ((n.lower().encode(), v.encode()) for n, v in headers.items())
            return False
        context.operation, context.source = operation, ResponseSource.REQUEST
        await send_response(send, context, status, body, headers=headers | dict(_RESPONSE_HEADERS.get(status, {})))
        return True

    def choose(self, operation: Operation, forced: ForcedResponse) -> tuple[int, bytes | None]:
        """Return status and body of a forced response; no body: an empty one, or the usual one of a success.

        Raises ApiError (400).
        """
        examples = {status: find_examples(self.contract, operation, status) for status in operation.responses}
        allowed = sorted({*operation.responses, *SERVER_ERRORS})
        code = forced.code
        if code is not None and (not code.isdecimal() or int(code[:4]) not in allowed):
            expected = ", ".join(map(str, allowed))
            raise _bad_request(f"The status {code[:100]!r} is not documented for {operation.id} (expected {expected}).")
        status = int(code) if code is not None else _find_status(operation, examples, forced.example)
        known = examples.get(status, {})
        if forced.example is not None:
            return status, self.encode_example(operation, status, forced.example)
        if status in operation.responses and operation.responses[status] is None:
            return status, None
        if status >= HTTPStatus.BAD_REQUEST:
            return status, build_error_body(operation, status)
        if status != operation.envelope.status:
            if not known:
                raise _bad_request(f"{operation.id} has no example for {status}.")
            return status, encode_json(next(iter(known.values())))
        return status, None

    def encode_example(self, operation: Operation, status: int, name: str) -> bytes:
        """Return an example of the contract as JSON. Raises ApiError (400) if it does not exist."""
        examples = find_examples(self.contract, operation, status)
        if name not in examples:
            expected = ", ".join(examples) or "none"
            raise _bad_request(f"{operation.id} has no example {name[:100]!r} for {status} (expected {expected}).")
        return encode_json(examples[name])


def get_response_headers(status: int) -> list[Header]:
    """Return the headers that Laravel sends with a status."""
    headers = _RESPONSE_HEADERS.get(status, {})
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _find_status(operation: Operation, examples: Mapping[int, Mapping[str, Any]], name: str | None) -> int:
    """Return the status that has an example; without one the success status."""
    return next((status for status in examples if name in examples[status]), operation.envelope.status)


def build_error_body(operation: Operation, status: int) -> bytes:
    """Return Laravel's body of an error; of a 422 with the required fields of the operation."""
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        fields = [(f.name, f.pointer) for f in operation.body_fields.values() if f.required]
        fields += [(p.name, p.pointer) for p in operation.query_parameters if p.required]
        fields = fields or [(f.name, f.pointer) for f in operation.body_fields.values()][:1] or [("data", "")]
        errors = {name: [required_error(name, pointer).message] for name, pointer in fields}
        return ApiError(ErrorKind.VALIDATION_FAILED, errors=errors).encode_body()
    return encode_json({"message": _MESSAGES.get(status) or responses.get(status, "Error")})


def find_examples(contract: Contract, operation: Operation, status: int) -> dict[str, Any]:
    """Return the examples of a response by name; one without a name is called ``example``."""
    pointer = operation.responses.get(status)
    if pointer is None:
        return {}
    media_type = contract.document.resolve(pointer.rpartition("/")[0])
    named = media_type.get("examples", {}).items()
    examples = {name: contract.document.dereference(node, "")[0].get("value") for name, node in named}
    return {_EXAMPLE: media_type[_EXAMPLE], **examples} if _EXAMPLE in media_type else examples


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
