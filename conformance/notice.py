"""What any answer shows by itself: its status, its media type, its schema, a fault of the server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.breach import details, peculiar, place_in
from conformance.exchange import BEARER, Exchange
from spec.contract import Operation
from spec.document import escape
from spec.schemas import SchemaValidators

# These belong to the server and stand on no operation.
OF_THE_SERVER = frozenset({405, 406, 408, 413, 414, 429, 431, 502, 503, 504})
TRACES = (
    b"Traceback (most recent call last)",
    b"Stack trace:",
    b"#0 /",
    b"/vendor/laravel/",
    b"SQLSTATE[",
    b'"exception":',
    b'"trace":',
)
MOST = 5  # breaches told of one answer


@dataclass(frozen=True, slots=True)
class Notice:
    """A broken promise that an answer shows. `law`: the law that tells of it. `keyword`: decides the grade."""

    law: str
    pointer: str
    keyword: str | None
    said: str
    parameter: str = ""


def notices(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Notice]:
    """What is wrong with an answer, whatever the request was."""
    response = exchange.response
    if response.status >= 500 and response.status not in OF_THE_SERVER:
        what = peculiar(schemas, operation, exchange.request)
        said = f"answered {response.status}, a fault of the server" + (f" ({what})" if what else "")
        yield Notice("no-server-error", operation.pointer, None, said, what)
    marks = TRACES if response.status >= 400 else TRACES[:1]  # a success may speak of the others
    found = next((mark for mark in marks if mark in response.content), None)
    if found is not None:
        said = f"an answer of {response.status} shows what is inside of the server: {found.decode()!r}"
        what = peculiar(schemas, operation, exchange.request)
        yield Notice("no-traceback", operation.pointer, None, said, f"{response.status} {what}".rstrip())
    if exchange.request.method != operation.method or response.status in OF_THE_SERVER or response.status >= 500:
        return
    if response.status == 401 and 401 not in operation.responses and _asked_by_nobody(exchange) and operation.security:
        return  # what is secured says so by itself
    if response.status not in operation.responses:
        due = ", ".join(map(str, operation.responses))
        at = f"{operation.pointer}/responses"
        yield Notice("status-is-documented", at, "*", f"answered {response.status}, due: {due}", str(response.status))
        return
    yield from _of_body(schemas, operation, exchange)


def _asked_by_nobody(exchange: Exchange) -> bool:
    return exchange.request.as_ == "nobody" or BEARER in exchange.request.headers


def _of_body(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Notice]:
    response = exchange.response
    pointer = operation.responses[response.status]
    if pointer is None:
        return
    media = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if not (media == "application/json" or media.endswith("+json")):
        said = f"{response.status} came as {media or 'no media type'}, due: application/json"
        yield Notice("content-type-is-json", pointer, None, said, str(response.status))
    body = response.json
    if body is None and response.content.strip() != b"null":
        yield Notice("answers-fit-the-schema", pointer, None, f"the body of {response.status} is no JSON")
        return
    told: set[tuple[str, str, str]] = set()
    for breach in schemas.get(pointer, "read").iter_errors(body):
        place, keyword = place_of(pointer, breach.schema_path)
        at = ".".join(map(str, breach.instance_path))
        said = f"{at or 'the body'} of {response.status}: {breach.message[:300]}"
        for detail in details(keyword, breach):
            what = f"{place_in(breach.instance_path)} {detail}".strip()
            if (place, keyword, what) not in told and len(told) < MOST:
                told.add((place, keyword, what))
                yield Notice("answers-fit-the-schema", place, keyword, said, what)


def place_of(pointer: str, path: list[Any]) -> tuple[str, str]:
    """Where in the contract a breach's keyword stands: pointer of the schema, and the keyword.

    A validator's root is ``allOf: [the schema]``; what it refers to stands at its own place in the document.
    """
    *above, keyword = [str(part) for part in path] or ["type"]
    if above[:2] == ["allOf", "0"]:
        above = above[2:]
    else:
        pointer = "#"
    return "/".join([pointer, *map(escape, above)]), keyword
