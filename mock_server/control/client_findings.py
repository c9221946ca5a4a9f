"""Where a recorded request differs from the contract: unknown parameters and fields, wrong values, deprecated use."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from mock_server.errors import ApiError
from mock_server.sandbox.journal import RecordedRequest
from mock_server.web.body import BodyMemoryLimit
from mock_server.web.connexion_app import ignore_path_record
from mock_server.web.context import RequestContext
from mock_server.web.routing import Routes
from mock_server.web.validation import RequestValidator
from mock_server.web.validation_messages import FieldError
from spec.http.media_types import is_json_media_type
from spec.model import Contract, Operation
from spec.similar_names import find_similar_name
from spec.validators import SchemaValidators

MAX_FINDINGS = 100  # of a request
_MAX_DEPTH = 20  # of the properties that are searched for unknown ones
_MAX_BODY_BYTES = 2**40  # the mock has accepted the body


@dataclass(frozen=True, slots=True)
class RequestFinding:
    """A difference. `location`: ``query.NAME``, ``body.PATH`` ...; `pointer`: into the contract."""

    kind: str
    location: str
    message: str
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class ClientFindings:
    """Compares recorded requests with a contract, as the mock validates requests."""

    contract: Contract
    routes: Routes
    schemas: SchemaValidators
    _validators: dict[str, RequestValidator] = field(default_factory=dict)

    async def find(
        self, entry: RecordedRequest, path: bytes, operation: Operation | None, context: RequestContext
    ) -> list[RequestFinding]:
        """Return the differences of a request. `path`: without the selection of a sandbox; `context`: a new one."""
        if operation is None:
            return [self._describe_unknown_route(entry, path)]
        findings = list(_iter_deprecated_parts(self.contract, operation))
        findings += self._iter_parameter_findings(entry, operation, context)
        if operation.request_body is None:
            if entry.body:
                message = f"{operation.id} has no request body."
                findings.append(RequestFinding("invalid-body", "body", message, operation.pointer))
        elif entry.body is not None and len(entry.body) == entry.body_size:
            findings += await self._find_body_findings(entry.body, operation, context)
        return findings[:MAX_FINDINGS]

    def parse_query(self, operation: Operation, raw_query: bytes) -> Mapping[str, Any]:
        """Return the valid query parameters of a request, with defaults."""
        validator = self._get_validator(operation)
        return (validator.parameters or validator.compile()).parse_query(raw_query).values

    def _describe_unknown_route(self, entry: RecordedRequest, path: bytes) -> RequestFinding:
        match = self.routes.find(path)
        if match is not None:
            message = f"{match.route.path} has no method {entry.method} (expected {match.route.allowed_methods})."
            return RequestFinding("unknown-method", "path", message, match.route.location)
        error = self.routes.not_found_error(path.decode("latin-1"))
        return RequestFinding("unknown-path", "path", f"Unknown path: {error.detail}")

    def _get_validator(self, operation: Operation) -> RequestValidator:
        validator = self._validators.get(operation.id)
        if validator is None:
            limit = BodyMemoryLimit(_MAX_BODY_BYTES)
            parts = (operation, self.contract, self.schemas, ignore_path_record, limit, _reject_call)
            validator = self._validators[operation.id] = RequestValidator(*parts)
            validator.compile()
        return validator

    def _iter_parameter_findings(
        self, entry: RecordedRequest, operation: Operation, context: RequestContext
    ) -> Iterator[RequestFinding]:
        validator = self._get_validator(operation)
        parameters = validator.parameters or validator.compile()
        parsed = parameters.parse_query(context.raw_query)
        for name in parsed.ignored:
            suggestion = _suggest_name(name, parameters.query)
            expected = ", ".join(parameters.query) or "none"
            message = f"{operation.id} has no query parameter {name[:100]}{suggestion} (expected {expected})."
            yield RequestFinding("unknown-parameter", f"query.{name}", message, operation.pointer)
        for error in parsed.errors:
            yield _describe_error("query.", error)
        headers = {name.lower(): value for name, value in entry.headers}
        for error in parameters.validate_headers(headers):
            yield _describe_error("header.", error)
        for parameter in operation.parameters:
            is_sent = parameter.name in parsed.values if parameter.location == "query" else False
            if is_sent and self._is_deprecated(parameter.pointer):
                message = f"The parameter {parameter.name} is deprecated."
                yield RequestFinding("deprecated", f"query.{parameter.name}", message, parameter.pointer)

    async def _find_body_findings(
        self, raw: bytes, operation: Operation, context: RequestContext
    ) -> list[RequestFinding]:
        request_body, validator = operation.request_body, self._get_validator(operation)
        assert request_body is not None
        assert validator.body_validator is not None

        async def receive() -> Message:
            return {"type": "http.request", "body": raw, "more_body": False}

        notes: list[str] = []
        try:
            errors = list(await validator.validate_body(context, receive, validator.body_validator, notes))
        except ApiError as error:
            return [RequestFinding("invalid-body", "body", error.message, operation.pointer)]
        findings = [_describe_error("body.", error) for error in errors]
        findings += [
            RequestFinding("invalid-value", note.split()[2], f"{note}: they are rounded.".capitalize())
            for note in notes
            if note.startswith("digits of ")
        ]
        schema = self.contract.document.resolve(request_body.pointer)
        locations = {finding.location for finding in findings}
        for finding in self._iter_property_findings(schema, _parse_body(raw, context), "body", 0):
            if finding.location not in locations:
                findings.append(finding)
            if len(findings) >= MAX_FINDINGS:  # a similar name is searched for each unknown property
                break
        return findings

    def _iter_property_findings(
        self, schema: Mapping[str, Any], value: Any, path: str, depth: int
    ) -> Iterator[RequestFinding]:
        """Yield the unknown and the deprecated properties of a value, which need not be valid."""
        schema, pointer = self._dereference(schema)
        if isinstance(value, list) and depth < _MAX_DEPTH:
            for index, item in enumerate(value):
                yield from self._iter_property_findings(schema.get("items", {}), item, f"{path}.{index}", depth + 1)
        properties = schema.get("properties", {})
        if not isinstance(value, dict) or not properties or depth > _MAX_DEPTH:
            return
        for name, item in value.items():
            location = f"{path}.{name}"
            if name in properties:
                yield from self._iter_flag_findings(properties[name], name, location, pointer)
                yield from self._iter_property_findings(properties[name], item, location, depth + 1)
            elif not schema.get("additionalProperties"):
                suggestion = _suggest_name(name, properties)
                expected = f"(expected {', '.join(properties)})"
                message = f"The contract has no property {name[:100]} here{suggestion} {expected}."
                yield RequestFinding("unknown-field", location, message, pointer)

    def _iter_flag_findings(
        self, schema: Mapping[str, Any], name: str, location: str, pointer: str | None
    ) -> Iterator[RequestFinding]:
        """Yield what the flags of a property say about its use in a request."""
        flags = {**self._dereference(schema)[0], **schema}
        if flags.get("deprecated"):
            yield RequestFinding("deprecated", location, f"The property {name} is deprecated.", pointer)
        if flags.get("readOnly"):
            message = f"The property {name} is read-only, and ignored in a request."
            yield RequestFinding("unknown-field", location, message, pointer)

    def _dereference(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
        """Return the schema that another one refers to, with its pointer if it is a component."""
        schema, location = self.contract.document.dereference(schema, "")
        while len(schema.get("allOf", ())) == 1:
            schema, location = self.contract.document.dereference(schema["allOf"][0], location)
        return schema, location or None

    def _is_deprecated(self, pointer: str) -> bool:
        return self.contract.document.resolve(pointer).get("deprecated") is True


def _suggest_name(received: str, names: Collection[str]) -> str:
    """Return the question whether a similar name was meant; "" without one."""
    similar = find_similar_name(received, names)
    return "" if similar is None else f"; did you mean {similar}?"


def _parse_body(raw: bytes, context: RequestContext) -> Any:
    """Return the value of a body as sent, without the defaults of its fields if it is JSON."""
    content_type = context.headers.get(b"content-type", b"").decode("latin-1")
    return orjson.loads(raw) if raw and is_json_media_type(content_type) else context.body or {}


def _iter_deprecated_parts(contract: Contract, operation: Operation) -> Iterable[RequestFinding]:
    if contract.document.resolve(operation.pointer).get("deprecated") is True:
        message = f"The operation {operation.id} is deprecated."
        yield RequestFinding("deprecated", "path", message, operation.pointer)


def _describe_error(prefix: str, error: FieldError) -> RequestFinding:
    expectation = f" (expected {error.expected})" if error.expected else ""
    location = prefix.removesuffix(".") if error.field == "body" else prefix + error.field
    return RequestFinding("invalid-value", location, error.message + expectation, error.location or None)


async def _reject_call(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError("recorded requests are only validated")
