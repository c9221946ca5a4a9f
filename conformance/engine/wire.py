"""Where Schemathesis's cases go: through the guard, then through the run's session, never to a socket of its own."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx
import requests
from schemathesis.core import NotSet
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.transport.requests import REQUESTS_TRANSPORT, RequestsTransport

from conformance.cause import SkipReason
from conformance.engine.guard import Guard, HeldBack, Sent
from conformance.errors import SkipCheck, SuiteError
from conformance.exchange import AUTHORIZATION, Exchange, Request
from conformance.session import Session
from spec.contract import Operation
from spec.document import UNSAFE_METHODS

NOWHERE = "http://target.invalid"
PLACEHOLDER = "Bearer the-token-of-the-run"  # Schemathesis never learns the token itself
JSON = "application/json"
# Headers that Schemathesis or requests add by themselves.
ADDED = frozenset({"user-agent", "accept-encoding", "connection", "content-length", "x-schemathesis-testcaseid"})
FIELD = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")


class Ended(KeyboardInterrupt):
    """The run cannot go on. Schemathesis takes it for Ctrl-C, ends at once, and swallows nothing."""


class Wire(RequestsTransport):
    """Sends cases, and remembers what went over it until it is forgotten.

    `exchanges`: id of a case -> what was asked and answered. `held`: id of a case that was not sent -> why. `ended`:
    what ended the run.
    """

    def __init__(self, session: Session, guard: Guard) -> None:
        super().__init__()
        self._copy_serializers_from(REQUESTS_TRANSPORT)
        self.session = session
        self.guard = guard
        self.exchanges: dict[str, Exchange] = {}
        self.held: dict[str, SkipReason] = {}
        self.ended: SuiteError | None = None
        self.troubles: list[tuple[str, Exception]] = []

    def operation(self, case: Case[Any]) -> Operation:
        """The contract's operation of a case."""
        return self.session.contract.operations[case.operation.definition.raw["operationId"]]

    def send(self, case: Case[Any], *, session: requests.Session | None = None, **given: Any) -> Response:
        """The answer to a case; one that says nothing when the case is held back. Raises Ended."""
        operation = self.operation(case)
        prepared: requests.PreparedRequest | None = None
        try:
            own = _authorization(case, given.get("headers")) == PLACEHOLDER
            self._admit(operation, case, own_token=own)
            prepared = self._prepared(case, given)
            exchange = self._sent(operation, case, prepared)
        except (HeldBack, SkipCheck, httpx.InvalidURL) as error:
            self.held[case.id] = SkipReason(str(error)) if isinstance(error, httpx.InvalidURL) else error.reason
            return _nothing(operation, prepared or self._prepared(case, given))
        except SuiteError as error:
            self.ended = error
            raise Ended from None
        self.exchanges[case.id] = exchange
        self.guard.learn(operation, exchange)
        answer = exchange.response
        headers = {name: [value] for name, value in answer.headers.items()}
        return Response(answer.status, headers, answer.content, prepared, answer.elapsed, verify=False)

    def forget(self, ids: Mapping[str, Any]) -> None:
        """Let go of what is not needed any more."""
        for one in ids:
            self.exchanges.pop(one, None)
            self.held.pop(one, None)

    def _admit(self, operation: Operation, case: Case[Any], *, own_token: bool) -> None:
        """Turn a case into what may be sent. Raises HeldBack."""
        if case.method.lower() != operation.method:
            if case.method.lower() in UNSAFE_METHODS:
                raise HeldBack(f"{case.method} {operation.path} is no operation of the contract")
            return
        body = None if isinstance(case.body, NotSet) else case.body
        valid = case.meta is None or case.meta.generation.mode.is_positive
        sent = Sent(case.path_parameters or {}, case.query, body, valid)
        admitted = self.guard.admit(operation, sent, own_token=own_token)
        if admitted is not sent:
            case.path_parameters = dict(admitted.path)
            if not isinstance(case.body, NotSet):
                case.body = admitted.body

    def _prepared(self, case: Case[Any], given: Mapping[str, Any]) -> requests.PreparedRequest:
        known = {name: given[name] for name in ("headers", "params", "cookies") if given.get(name)}
        data = self.serialize_case(case, **known)
        parts = {name: data[name] for name in ("params", "data", "json", "files", "cookies") if name in data}
        return requests.Request(data["method"], NOWHERE + data["url"], dict(data["headers"]), **parts).prepare()

    def _sent(self, operation: Operation, case: Case[Any], prepared: requests.PreparedRequest) -> Exchange:
        headers = {name: _text(value) for name, value in prepared.headers.items() if name.lower() not in ADDED}
        if headers.get("Accept") == "*/*":
            del headers["Accept"]
        said = headers.pop(AUTHORIZATION, None)
        as_ = "self" if said == PLACEHOLDER else "nobody"
        if said is not None and as_ == "nobody":
            headers[AUTHORIZATION] = said
        if not all(FIELD.fullmatch(value) for value in headers.values()):
            raise HeldBack("a header that cannot be sent")
        if case.method.lower() != operation.method:
            return self._asked(operation, case.method.lower(), prepared, headers, as_)
        body, raw = _body(prepared, headers)
        asked, path, query = self._split(operation, prepared)
        return self.session.send(asked, path=path, query=query, body=body, raw=raw, actor=as_, headers=headers)

    def _asked(
        self, operation: Operation, method: str, prepared: requests.PreparedRequest, headers: dict[str, str], as_: str
    ) -> Exchange:
        """A method that the contract does not know there; what it answers is no success of the operation."""
        asked, path, query = self._split(operation, prepared)
        request = Request(operation.id, method, asked.path, path, query, actor=as_, headers=headers)
        return Exchange(request, self.session.retrier.send(self.session.target, request, may_retry=True))

    def _split(
        self, operation: Operation, prepared: requests.PreparedRequest
    ) -> tuple[Operation, dict[str, str], tuple[tuple[str, str], ...]]:
        """(operation, path, query) whose target is the URL; what cannot be said so stands in the operation's path."""
        parts = urlsplit(str(prepared.url))
        target = parts.path.removeprefix(self.session.contract.base_path)
        try:
            query = tuple(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=False, errors="strict"))
            found = re.fullmatch(re.sub(r"\\\{([^{}]+)\\\}", "([^/]*)", re.escape(operation.path)), target)
            if found is not None:
                values = [unquote(value, errors="strict") for value in found.groups()]
                return operation, dict(zip(operation.path_parameter_names, values, strict=True)), query
        except ValueError:
            target = f"{target}?{parts.query}" if parts.query else target
            query = ()
        return replace(operation, path=quote(target, safe="/%?&=+:;,@!$'()*~-._[]")), {}, query


def _authorization(case: Case[Any], headers: Mapping[str, Any] | None) -> str | None:
    for given in (headers or {}, case.headers or {}):
        for name, value in given.items():
            if name.lower() == AUTHORIZATION.lower():
                return str(value)
    return None


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _body(prepared: requests.PreparedRequest, headers: dict[str, str]) -> tuple[Any, bytes | None]:
    """(JSON, None) where that says the same, else (None, the bytes)."""
    content = prepared.body
    if content is None:
        return None, None
    raw = content.encode() if isinstance(content, str) else content
    if not isinstance(raw, bytes):
        raise HeldBack("a body that is no bytes")
    if headers.get("Content-Type") == JSON:
        try:
            value = json.loads(raw)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return None, raw
        if value is not None and json.dumps(value).encode() == raw:
            del headers["Content-Type"]
            return value, None
    return None, raw


def _nothing(operation: Operation, prepared: requests.PreparedRequest) -> Response:
    """An answer from which Schemathesis learns nothing."""
    refusals = [status for status in operation.responses if status >= 400]
    status = 404 if 404 in refusals else min(refusals, default=404)
    return Response(status, {}, b"", prepared, 0.0, verify=False)
