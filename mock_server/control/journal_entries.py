"""Describes the entries of a request journal as JSON, and as an HTTP Archive (HAR 1.2). Secrets are redacted."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from mock_server.control.client_findings import ClientFindings
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.journal import HeaderList, RecordedRequest
from mock_server.sandbox.rules import MatchedRequest
from mock_server.sandbox.sandbox import Sandbox
from mock_server.web.context import RequestContext
from mock_server.web.routing import Routes
from mock_server.web.rule_responses import RULE_HEADER
from mock_server.web.sandbox_selection import PATH_PREFIX
from spec.model import Contract, Operation
from spec.redaction import SecretRedactor
from spec.validators import SchemaValidators
from spec.version import get_version

_REASON_HEADER = b"x-mock-reason"
_MOCK_PARAMETERS = (b"__code", b"__example")  # not defined by the contract
_DEFAULT_MEDIA_TYPE = "text/plain"
_MAX_NESTING_DEPTH = 200  # of a body that is described as JSON: orjson encodes 254 levels, among them those around it
_UNKNOWN_SIZE = -1  # in a HAR file: of a body that a fault broke


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry with the operation and the parts of its URL. `path`: without the selection of a sandbox."""

    entry: RecordedRequest
    operation: Operation | None
    path: bytes
    origin: str
    base_path: str

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        return dict(parse_qsl(self.entry.raw_query.decode("latin-1"), keep_blank_values=True))

    @property
    def relative_path(self) -> str:
        """The path below the base path."""
        return self.path.decode("latin-1").removeprefix(self.base_path)

    def to_matched_request(self) -> MatchedRequest:
        """Return the request as the conditions of rules are applied to it."""
        entry = self.entry
        request = MatchedRequest.from_bytes(
            self.operation, entry.method, self.relative_path, entry.raw_query, entry.headers, None
        )
        try:
            return replace(request, body=_parse_json(entry.body or b"null"))
        except ValueError:
            return request


@dataclass(frozen=True, slots=True)
class JournalReader:
    """Reads the journals of sandboxes that serve `contract`."""

    contract: Contract
    routes: Routes
    findings: ClientFindings
    redactor: SecretRedactor

    @classmethod
    def from_contract(cls, contract: Contract, schemas: SchemaValidators) -> "JournalReader":
        routes = Routes.from_contract(contract)
        redactor = SecretRedactor.from_contract(contract, ())
        return cls(contract, routes, ClientFindings(contract, routes, schemas), redactor)

    def create_view(self, entry: RecordedRequest, sandbox_name: str) -> EntryView:
        """Find the operation of an entry, and split its URL."""
        path, prefix = entry.raw_path, PATH_PREFIX + sandbox_name.encode()
        if path.startswith(prefix + b"/"):
            path = path[len(prefix) :]
        match = self.routes.find(path)
        operation = match.route.find_operation(entry.method) if match else None
        origin = entry.base_url.removesuffix(prefix.decode())
        base_path = match.route.base_path if match else self.contract.base_path
        return EntryView(entry, operation, path, origin, base_path)

    async def describe(self, view: EntryView, sandbox: Sandbox, *, has_bodies: bool = True) -> dict[str, Any]:
        """Return an entry as JSON, with the findings about the request. Without `has_bodies`, both bodies are None."""
        entry, operation = view.entry, view.operation
        context = self._create_context(view, sandbox)
        findings = await self.findings.find(entry, view.path, operation, context)
        response_headers = dict(entry.response_headers)
        rule, reason = response_headers.get(RULE_HEADER), response_headers.get(_REASON_HEADER)
        return {
            "id": entry.number,
            "request_id": entry.request_id,
            "time": format_timestamp(entry.now),
            "received_at": format_timestamp(entry.received_at),
            "duration_ms": round(entry.duration * 1000, 3),
            "operation": operation.id if operation else None,
            "source": entry.source.value,
            "rule": rule.decode("latin-1") if rule else None,
            "fault": entry.fault or None,
            "reason": reason.decode("latin-1") if reason else None,
            "detail": self.redactor.remove_secrets(entry.rejection) or None,
            "request": {
                "method": entry.method,
                "url": self._build_url(view, entry.raw_path),
                "path": self.redactor.remove_secrets(view.relative_path),
                "query": self.redactor.redact_secrets(view.query),
                "headers": self._describe_headers(entry.headers),
                "body": self._describe_body(entry.body, entry.body_size) if has_bodies else None,
                "body_bytes": entry.body_size,
            },
            "response": self._describe_response(entry, operation, has_bodies),
            "findings": [self.redactor.redact_secrets(asdict(finding)) for finding in findings],
        }

    def _describe_response(
        self, entry: RecordedRequest, operation: Operation | None, has_body: bool
    ) -> dict[str, Any] | None:
        if not entry.status:
            return None
        body = _get_sent_body(entry)
        size = 0 if body is None else entry.response_body_size
        return {
            "status": entry.status,
            "is_documented": operation is not None and entry.status in operation.responses,
            "headers": self._describe_headers(entry.response_headers),
            "body": self._describe_body(body, size) if has_body else None,
            "body_bytes": size,
        }

    def _describe_headers(self, headers: HeaderList) -> dict[str, str]:
        joined: dict[str, str] = {}
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return self.redactor.redact_headers(joined)

    def _describe_body(self, body: bytes | None, size: int) -> Any:
        """Return a body as JSON; as text if it is incomplete, not JSON or nested too deeply; None without a body."""
        if not body:
            return None
        if len(body) == size:
            try:
                return self.redactor.redact_secrets(_parse_json(body))
            except ValueError:
                pass
        return self.redactor.redact_body(body, len(body))

    def _build_url(self, view: EntryView, path: bytes) -> str:
        query = view.entry.raw_query.decode("latin-1")
        url = f"{view.origin}{path.decode('latin-1')}"
        return self.redactor.remove_secrets(f"{url}?{query}" if query else url)

    def _create_context(self, view: EntryView, sandbox: Sandbox) -> RequestContext:
        """Return the context with which the request can be validated again."""
        entry = view.entry
        query = b"&".join(p for p in entry.raw_query.split(b"&") if p.partition(b"=")[0] not in _MOCK_PARAMETERS)
        headers = {name.lower(): value for name, value in entry.headers}
        return RequestContext(
            entry.request_id,
            entry.method,
            view.path,
            query,
            headers,
            [],
            entry.base_url,
            entry.now,
            sandbox,
            entry.received_at,
        )

    # HTTP Archive

    def build_archive(self, views: list[EntryView], base_url: str) -> dict[str, Any]:
        """Return the entries as a HAR file.

        All URLs start with `base_url`, also those of requests that select the sandbox by path or host, or that name the
        mock in another way (localhost, 127.0.0.1): they are requests to one API.
        """
        creator = {"name": "athena-mock", "version": get_version()}
        entries = [self._build_har_entry(replace(view, origin=base_url)) for view in views]
        return {"log": {"version": "1.2", "creator": creator, "entries": entries}}

    def _build_har_entry(self, view: EntryView) -> dict[str, Any]:
        entry = view.entry
        duration = round(entry.duration * 1000, 3)
        url = self._build_url(view, view.path)
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        request = {
            "method": entry.method,
            "url": url,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _build_har_items(self._describe_headers(entry.headers)),
            "queryString": [{"name": name, "value": value} for name, value in query],
            "headersSize": -1,
            "bodySize": entry.body_size,
        }
        if entry.body and len(entry.body) == entry.body_size:
            request["postData"] = {"mimeType": _get_media_type(entry.headers), "text": self._redact_text(entry.body)}
        return {
            "startedDateTime": entry.received_at.isoformat().replace("+00:00", "Z"),
            "time": duration,
            "request": request,
            "response": self._build_har_response(entry),
            "cache": {},
            "timings": {"send": 0, "wait": duration, "receive": 0},
        }

    def _build_har_response(self, entry: RecordedRequest) -> dict[str, Any]:
        body = _get_sent_body(entry)
        is_broken = bool(entry.fault and entry.status) and entry.response_body is None
        size = _UNKNOWN_SIZE if is_broken else entry.response_body_size if body else 0
        content: dict[str, Any] = {"size": size, "mimeType": "x-unknown"}
        if body:
            content["mimeType"] = _get_media_type(entry.response_headers)
        if body and len(body) == entry.response_body_size:
            content["text"] = self._redact_text(body)
        return {
            "status": entry.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _build_har_items(self._describe_headers(entry.response_headers)),
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": content["size"],
        }

    def _redact_text(self, body: bytes) -> str:
        """Return a complete body as text, unchanged if it contains no secret."""
        try:
            value = _parse_json(body)
        except ValueError:
            return self.redactor.redact_body(body, len(body))
        redacted = self.redactor.redact_secrets(value)
        return body.decode() if redacted == value else orjson.dumps(redacted).decode()


def _parse_json(body: bytes) -> Any:
    """Return a body as JSON. Raises ValueError if it is not JSON, or nested too deeply."""
    value = orjson.loads(body)
    level, depth = [value], 0
    while level := [child for node in level for child in _list_children(node)]:
        depth += 1
        if depth > _MAX_NESTING_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_NESTING_DEPTH} levels")
    return value


def _list_children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _get_sent_body(entry: RecordedRequest) -> bytes | None:
    """Return the body of the response; None for HEAD, whose response has no body."""
    return None if entry.method == "HEAD" else entry.response_body


def _build_har_items(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _get_media_type(headers: HeaderList) -> str:
    content_type = {name.lower(): value for name, value in headers}.get(b"content-type", b"")
    return content_type.decode("latin-1") or _DEFAULT_MEDIA_TYPE
