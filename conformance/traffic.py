"""Judges recorded traffic: every request and every answer, by openapi-core and by what any answer shows.

A request that the contract does not admit and that was refused is as it should be. What was left out of a recording
is not judged; what does not belong to the API is counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.exchange import BEARER, Exchange, Request, Response
from conformance.har import Entry, origin_of
from conformance.laws import answers
from conformance.notice import OF_THE_SERVER, Notice, notices
from conformance.outcome import Outcome, Promise, Verdict
from conformance.routes import Route, route
from conformance.second_validator import RecordedRequest, SecondValidator
from spec.contract import Contract, Operation
from spec.provenance import get_provenance

SENTENCES = {
    "requests-fit-the-contract": "A request that is granted is one that the contract admits.",
    "paths-are-in-the-contract": "Every path and method that is used stands in the contract.",
    "parameters-are-in-the-contract": "Every query parameter that is sent stands in the contract.",
    **{law.id: law.sentence for law in answers.LAWS},
}
ALWAYS = frozenset(law.id for law in answers.LAWS if law.always)
OF_BODIES = frozenset({"content-type-is-json", "answers-fit-the-schema"})
SECRET = 8  # characters of a cookie that is hidden wherever it stands
MOST = 1_000  # broken promises that are told apart
_VARYING = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|.{65,}")


@dataclass(slots=True)
class TrafficFindings:
    """What became of a recording. `seen`: (operationId, status) -> how often. `skipped`: why entries were not judged
    -> how many. `secrets`: credentials that stand in it."""

    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    secrets: set[str] = field(default_factory=set)
    entries: int = 0
    _broken: dict[str, tuple[Outcome, int]] = field(default_factory=dict)
    _asked: dict[tuple[str, str], Promise] = field(default_factory=dict)

    def keep(self, promise: Promise) -> None:
        """Note that a law was asked of an operation."""
        self._asked.setdefault((promise.law, promise.operation), promise)

    def broke(self, outcome: Outcome) -> None:
        """Note a broken promise, or that it was broken again."""
        mark = outcome.promise.fingerprint
        first, times = self._broken.get(mark, (outcome, 0))
        if times or len(self._broken) < MOST:
            self._broken[mark] = first, times + 1

    def outcomes(self) -> list[Outcome]:
        """One for each broken promise, and one for each law that an operation keeps."""
        told = [replace(o, said=f"{o.said} ({times} times)") if times > 1 else o for o, times in self._broken.values()]
        broken = {(o.promise.law, o.promise.operation) for o in told}
        kept = [Outcome(promise, Verdict.KEPT) for at, promise in self._asked.items() if at not in broken]
        return [*told, *kept]


def judge(contract: Contract, second: SecondValidator, entries: list[Entry], base: str) -> TrafficFindings:
    """Judge all entries at addresses below `base`."""
    judged = TrafficFindings()
    for entry in entries:
        judged.secrets |= set(_credentials(contract, entry))
        found = _belongs(contract, entry, base)
        if isinstance(found, str):
            judged.skipped[found] += 1
            continue
        judged.entries += 1
        _judge(contract, second, entry, found, judged, base)
    return judged


def _belongs(contract: Contract, entry: Entry, base: str) -> Route | str | None:
    """The path that it is about, None when it is of the API and of no path; a text: why it is not judged."""
    if entry.socket:
        return "web sockets and event streams"
    path = urlsplit(entry.url).path if origin_of(entry.url) else ""
    prefix = urlsplit(base).path
    if origin_of(entry.url) != origin_of(base) or not f"{path}/".startswith(f"{prefix}/"):
        return "other hosts and paths"
    if entry.method in ("options", "head"):
        return "OPTIONS and HEAD"
    if entry.status == 0:
        return "without an answer"
    if entry.status == 304:
        return "answered from a cache (304)"
    return route(contract, path.removeprefix(prefix).rstrip("/") or "/")


def _judge(
    contract: Contract, second: SecondValidator, entry: Entry, found: Route | None, judged: TrafficFindings, base: str
) -> None:
    operation = found.operations.get(entry.method) if found else None
    if found is None or operation is None:
        _unknown(entry, found, judged, base)
        return
    asked = RecordedRequest(found.values, tuple(_pairs(entry)), entry.headers, entry.body)
    response = Response(entry.status, entry.answered, entry.content or b"", entry.seconds)
    exchange = Exchange(_request(operation, asked), response)
    judged.seen[operation.id, entry.status] += 1
    told = [
        *_of_parameters(contract, operation, asked),
        *_of_request(second, operation, asked, response),
        *_of_answer(second, operation, asked, exchange, kept=entry.content is not None),
    ]
    for law in _laws(response, kept=entry.content is not None):
        judged.keep(_promise(contract, operation, Notice(law, operation.pointer, None, "")))
    for notice in told:
        said = f"{notice.said} ({entry.place})"
        judged.broke(Outcome(_promise(contract, operation, notice), Verdict.BROKEN, said, (exchange,)))


def _laws(response: Response, *, kept: bool) -> Iterator[str]:
    """The laws that a recorded exchange can break. `kept`: whether the answer's body is in the recording."""
    for law in SENTENCES:
        needs = (law not in OF_BODIES or kept) and (law != "requests-fit-the-contract" or response.ok)
        if needs and law != "paths-are-in-the-contract":
            yield law


def _promise(contract: Contract, operation: Operation, notice: Notice) -> Promise:
    known = get_provenance(contract.document, notice.pointer, notice.keyword)
    always = notice.law in ALWAYS
    sentence = SENTENCES[notice.law]
    keyword = notice.keyword or ""
    return Promise(notice.law, operation.id, sentence, notice.pointer, known, always, notice.parameter, keyword)


def _unknown(entry: Entry, found: Route | None, judged: TrafficFindings, base: str) -> None:
    """A path or method that is not in the contract; what varies in it is left out, so that it is told once."""
    law = "paths-are-in-the-contract"
    path = urlsplit(entry.url).path.removeprefix(urlsplit(base).path)
    shown = found.template if found else "/".join("*" if _VARYING.fullmatch(p) else p for p in path.split("/"))
    name = f"{entry.method.upper()} {shown}"[:200]
    said = f"it was answered {entry.status}, and is not in the contract ({entry.place})"
    promise = Promise(law, name, SENTENCES[law], "#/paths", "inferred")
    request = Request(name, entry.method, path, query=tuple(_pairs(entry)), as_=_speaks(entry.headers))
    response = Response(entry.status, entry.answered, entry.content or b"", entry.seconds)
    if entry.status in (404, 405):
        judged.keep(promise)  # nobody has promised it, and the backend does not have it either
    else:
        judged.broke(Outcome(promise, Verdict.BROKEN, said, (Exchange(request, response),)))


def _of_parameters(contract: Contract, operation: Operation, asked: RecordedRequest) -> Iterator[Notice]:
    """Query parameters that the contract does not name."""
    known = {p.name for p in operation.query_parameters}
    for name in dict.fromkeys(name for name, _ in asked.query):
        if name not in known and name.removesuffix("[]") not in known and name.split("[")[0] not in known:
            said = f"{name[:80]!a} is sent, and is not in the contract"
            at = f"{operation.pointer}/parameters"
            place = at if "parameters" in contract.document.resolve(operation.pointer) else operation.pointer
            yield Notice("parameters-are-in-the-contract", place, "unnamed", said, name[:80])


def _of_request(
    second: SecondValidator, operation: Operation, asked: RecordedRequest, response: Response
) -> Iterator[Notice]:
    if response.ok:
        for found in second.on_request(operation, asked):
            said = f"{found.said}; it was answered {response.status}"
            yield Notice("requests-fit-the-contract", found.pointer, found.keyword, said, found.parameter)


def _of_answer(
    second: SecondValidator, operation: Operation, asked: RecordedRequest, exchange: Exchange, *, kept: bool
) -> Iterator[Notice]:
    """What our own validators see, at its place; what openapi-core alone sees, at the answer."""
    found = list(notices(second.schemas, operation, exchange))
    status = exchange.response.status
    yield from (notice for notice in found if kept or notice.law not in OF_BODIES)
    if kept and not found and status in operation.responses and status not in OF_THE_SERVER:
        place = operation.responses[status] or f"{operation.pointer}/responses/{status}"
        for said in second.on_answer(operation, asked, exchange.response):
            yield Notice("answers-fit-the-schema", place, None, f"{status}: {said}", "openapi-core")


def _pairs(entry: Entry) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(urlsplit(entry.url).query, keep_blank_values=True, max_num_fields=10_000)


def _request(operation: Operation, asked: RecordedRequest) -> Request:
    """The request as reports show it: without headers, for they hold credentials."""
    body, raw = _body(asked.body)
    kind = {name: value for name, value in asked.headers.items() if name == "content-type" and raw is not None}
    return Request(
        operation.id,
        operation.method,
        operation.path,
        dict(asked.values),
        asked.query,
        body,
        raw,
        _speaks(asked.headers),
        kind,
    )


def _body(body: bytes | None) -> tuple[Any, bytes | None]:
    """(JSON, bytes that are none)."""
    if not body:
        return None, None
    try:
        return json.loads(body), None
    except (ValueError, RecursionError):
        return None, body


def _speaks(headers: dict[str, str] | Any) -> str:
    return "self" if BEARER.lower() in headers or "cookie" in headers else "nobody"


def _credentials(contract: Contract, entry: Entry) -> Iterator[str]:
    """Values that no report may show: of credential headers, whole and without their scheme, and of cookies."""
    named = {str(scheme.get("name", "")).lower() for scheme in contract.security_schemes.values()}
    for headers in (entry.headers, entry.answered):
        for name, value in headers.items():
            if name in named or name in (BEARER.lower(), "proxy-authorization", "x-api-key", "x-xsrf-token"):
                yield from (value, value.rsplit(" ", 1)[-1])
            elif name in ("cookie", "set-cookie"):
                parts = (part.split("=", 1)[-1].strip() for part in re.split("[;,]", value))
                yield from (part for part in parts if len(part) >= SECRET)
