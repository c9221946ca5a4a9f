"""Transport of Schemathesis's cases: through the write guard and the session; it opens no connections."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx
import requests
from requests.structures import CaseInsensitiveDict
from schemathesis.core import NotSet
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.transport.requests import REQUESTS_TRANSPORT, RequestsTransport

from conformance.errors import SkipCheck, SkipReason, SuiteError
from conformance.schemathesis_engine.write_guard import BlockedRequest, CaseRequest, WriteGuard
from conformance.session.session import Session
from conformance.transport.messages import AUTHORIZATION, Actor, Exchange, Request
from spec.document import UNSAFE_METHODS
from spec.model import Operation

PLACEHOLDER_BASE_URL = "http://target.invalid"
PLACEHOLDER_TOKEN = "Bearer the-token-of-the-run"  # Schemathesis does not get the token
JSON_MEDIA_TYPE = "application/json"
# Headers that Schemathesis or requests add.
LIBRARY_HEADERS = ("user-agent", "accept-encoding", "connection", "content-length", "x-schemathesis-testcaseid")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")


class RunAborted(KeyboardInterrupt):
    """The run cannot continue. A KeyboardInterrupt, because Schemathesis then stops at once without handling it."""


class CaseTransport(RequestsTransport):
    """Sends cases and records their exchanges until `forget`.

    `exchanges`: by case id. `block_reasons`: by id of a case that was not sent. `abort_error`: what aborted the run.
    """

    def __init__(self, session: Session, guard: WriteGuard) -> None:
        super().__init__()
        self._copy_serializers_from(REQUESTS_TRANSPORT)
        self.session = session
        self.guard = guard
        self.exchanges: dict[str, Exchange] = {}
        self.block_reasons: dict[str, SkipReason] = {}
        self.abort_error: SuiteError | None = None
        self.engine_errors: list[tuple[str, Exception]] = []

    def operation(self, case: Case[Any]) -> Operation:
        return self.session.contract.operations[case.operation.definition.raw["operationId"]]

    def send(self, case: Case[Any], *, session: requests.Session | None = None, **kwargs: Any) -> Response:
        """Send a case and return the response; a neutral one if the case is blocked. Raises RunAborted."""
        if self.abort_error is not None:
            raise RunAborted
        operation = self.operation(case)
        prepared_request: requests.PreparedRequest | None = None
        try:
            headers = CaseInsensitiveDict({**(case.headers or {}), **(kwargs.get("headers") or {})})
            self._authorize(operation, case, uses_run_token=headers.get(AUTHORIZATION) == PLACEHOLDER_TOKEN)
            prepared_request = self._prepare_request(case, kwargs)
            exchange = self._send_case(operation, case, prepared_request)
        except (SkipCheck, httpx.InvalidURL) as error:
            reason = SkipReason(str(error)) if isinstance(error, httpx.InvalidURL) else error.reason
            self.block_reasons[case.id] = reason
            return _empty_response(operation, prepared_request or self._prepare_request(case, kwargs))
        except SuiteError as error:
            self.abort_error = error
            raise RunAborted from None
        self.exchanges[case.id] = exchange
        self.guard.observe(operation, exchange)
        response = exchange.response
        response_headers = {name: [value] for name, value in response.headers.items()}
        # Schemathesis parses without limits; what is not JSON is a finding of our response checks.
        content = b"" if response.json_problem else response.content
        return Response(response.status, response_headers, content, prepared_request, response.elapsed, verify=False)

    def forget(self, case_ids: Mapping[str, Any]) -> None:
        for case_id in case_ids:
            self.exchanges.pop(case_id, None)
            self.block_reasons.pop(case_id, None)

    def _authorize(self, operation: Operation, case: Case[Any], *, uses_run_token: bool) -> None:
        """Change a case so that it may be sent. Raises BlockedRequest."""
        if case.method.lower() != operation.method:
            if case.method.lower() in UNSAFE_METHODS:
                raise BlockedRequest(f"{case.method} {operation.path} is not an operation of the contract")
            return
        body = None if isinstance(case.body, NotSet) else case.body
        is_valid = case.meta is None or case.meta.generation.mode.is_positive
        case_request = CaseRequest(case.path_parameters or {}, case.query, body, is_valid)
        authorized_request = self.guard.authorize(operation, case_request, uses_run_token=uses_run_token)
        if authorized_request is not case_request:
            case.path_parameters = dict(authorized_request.path)
            if not isinstance(case.body, NotSet):
                case.body = authorized_request.body

    def _prepare_request(self, case: Case[Any], kwargs: Mapping[str, Any]) -> requests.PreparedRequest:
        options = {name: kwargs[name] for name in ("headers", "params", "cookies") if kwargs.get(name)}
        data = self.serialize_case(case, **options)
        parts = {name: data[name] for name in ("params", "data", "json", "files", "cookies") if name in data}
        url, headers = PLACEHOLDER_BASE_URL + data["url"], dict(data["headers"])
        return requests.Request(data["method"], url, headers, **parts).prepare()

    def _send_case(self, operation: Operation, case: Case[Any], prepared_request: requests.PreparedRequest) -> Exchange:
        sent = {name: value for name, value in prepared_request.headers.items() if name.lower() not in LIBRARY_HEADERS}
        headers = {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in sent.items()}
        if headers.get("Accept") == "*/*":
            del headers["Accept"]
        actor = Actor.OWNER if headers.get(AUTHORIZATION) == PLACEHOLDER_TOKEN else Actor.ANONYMOUS
        if actor == Actor.OWNER:
            del headers[AUTHORIZATION]
        if not all(HEADER_VALUE.fullmatch(value) for value in headers.values()):
            raise BlockedRequest("invalid header value")
        sent_operation, path, query = self._split_url(operation, prepared_request)
        if actor == Actor.OWNER:  # Schemathesis generates API keys
            for part in self.session.client.credentials.find(operation.id):
                headers, query = part.format.remove(headers, query)
        method = case.method.lower()
        if method != operation.method:  # the session would count its response as a success of the operation
            client = self.session.client
            wire_format = client.wire_formats.get(operation.id)
            request = Request(
                operation.id,
                method,
                sent_operation.path,
                path,
                query,
                actor=actor,
                headers=headers,
                wire_format=wire_format,
            )
            return Exchange(request, client.retrier.send(client.target, request, may_retry=True))
        body, raw = _decode_body(prepared_request, headers)
        return self.session.client.send(
            sent_operation, path=path, query=query, body=body, raw=raw, actor=actor, headers=headers
        )

    def _split_url(
        self, operation: Operation, prepared_request: requests.PreparedRequest
    ) -> tuple[Operation, dict[str, str], tuple[tuple[str, str], ...]]:
        """Split a URL into (operation, path values, query); a URL that does not match becomes the operation's path."""
        parts = urlsplit(str(prepared_request.url))
        target = parts.path.removeprefix(self.session.contract.base_path)
        try:
            query = tuple(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=False, errors="strict"))
            match = re.fullmatch(re.sub(r"\\\{([^{}]+)\\\}", "([^/]*)", re.escape(operation.path)), target)
            if match is not None:
                values = [unquote(value, errors="strict") for value in match.groups()]
                return operation, dict(zip(operation.path_parameter_names, values, strict=True)), query
        except ValueError:
            target = f"{target}?{parts.query}" if parts.query else target
            query = ()
        return replace(operation, path=quote(target, safe="/%?&=+:;,@!$'()*~-._[]")), {}, query


def _decode_body(prepared_request: requests.PreparedRequest, headers: dict[str, str]) -> tuple[Any, bytes | None]:
    """Return (JSON, None) if the session would encode it to the same bytes, otherwise (None, bytes)."""
    content = prepared_request.body
    if content is None:
        return None, None
    raw = content.encode() if isinstance(content, str) else content
    if not isinstance(raw, bytes):
        raise BlockedRequest("streamed request body")
    if headers.get("Content-Type") == JSON_MEDIA_TYPE:
        try:
            value = json.loads(raw)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return None, raw
        if value is not None and json.dumps(value).encode() == raw:
            del headers["Content-Type"]
            return value, None
    return None, raw


def _empty_response(operation: Operation, prepared_request: requests.PreparedRequest) -> Response:
    """A response that no Schemathesis check fails on."""
    error_statuses = [status for status in operation.responses if status >= 400]
    status = 404 if 404 in error_statuses else min(error_statuses, default=404)
    return Response(status, {}, b"", prepared_request, 0.0, verify=False)
