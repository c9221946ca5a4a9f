"""The adapter to openapi-core: its violations of a recorded request or response, with their locations.

It shares no code with our validators. A violation gets the location that ours report, if they agree. Credentials are
not validated, because browsers do not record them.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.request import V30RequestBodyValidator, V30RequestParametersValidator
from openapi_core.validation.request.exceptions import MissingParameterError, ParameterValidationError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import MultiDict

from conformance.har.format import HarEntry
from conformance.responses.findings import Finding, iter_causes, locate_violation
from spec.document import METHODS
from spec.model import Contract, Operation, Parameter
from spec.validators import SchemaValidators

HOST = "http://recorded.invalid"
CHECK = "request-matches-contract"
MAX_ERRORS = 5  # per request
MAX_ERROR_CHARS = 300


class OpenapiCoreValidator:
    """openapi-core with one contract."""

    def __init__(self, contract: Contract, schemas: SchemaValidators) -> None:
        root = json.loads(json.dumps(contract.document.root))
        root["servers"] = [{"url": HOST}]
        root.pop("security", None)
        for path in root["paths"].values():
            for method in METHODS:
                path.get(method, {}).pop("security", None)
        self.contract, self.schemas = contract, schemas
        # `spec.loader` has validated the document already.
        self.openapi = OpenAPI.from_dict(root, config=Config(spec_validator_cls=None))
        self.parameters = V30RequestParametersValidator(self.openapi.spec)
        self.bodies = V30RequestBodyValidator(self.openapi.spec)

    def validate_request(self, operation: Operation, entry: HarEntry, path: Mapping[str, str]) -> Iterator[Finding]:
        """The violations of a request, without those of a body that was not recorded. `path`: its path values."""
        request = _build_request(operation, entry, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # keywords of OpenAPI 3.0 that 3.1 deprecates
            errors = [e for e in self.parameters.iter_errors(request) if not _is_unrecorded(e, entry)][:MAX_ERRORS]
            body_errors = [] if entry.request_body.problem else list(self.bodies.iter_errors(request))
        yield from (self._parameter_finding(operation, error) for error in errors)
        if body_errors:
            yield from self._body_findings(operation, entry, body_errors[0])

    def validate_response(self, operation: Operation, entry: HarEntry, path: Mapping[str, str]) -> Iterator[str]:
        """The messages of openapi-core about a response."""
        response = entry.response
        media_type = response.headers.get("content-type", "")
        mock_response = MockResponse(response.content, response.status, dict(response.headers), content_type=media_type)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            errors = self.openapi.iter_response_errors(_build_request(operation, entry, path), mock_response)
            yield from [_message(error) for error in list(errors)[:MAX_ERRORS]]

    def _parameter_finding(self, operation: Operation, error: Exception) -> Finding:
        name, location = (error.name, error.location) if isinstance(error, ParameterValidationError) else ("", "")
        params = (param for param in operation.parameters if (param.name, param.location) == (name, location))
        parameter = next(params, None)
        if parameter is None:
            return Finding(CHECK, operation.pointer, None, _message(error))
        if isinstance(error, MissingParameterError):
            return Finding(CHECK, parameter.pointer, "required", f"{location} {name} is missing", name)
        pointer, keyword = self._schema_location(parameter, error)
        return Finding(CHECK, pointer, keyword, f"{location} {name}: {_message(error)}", name)

    def _schema_location(self, parameter: Parameter, error: Exception) -> tuple[str, str | None]:
        """The schema of a parameter and the violated keyword."""
        node = self.contract.document.resolve(parameter.pointer)
        if "schema" not in node:
            return parameter.pointer, None
        pointer = parameter.schema_pointer
        schema_error = _schema_error(error)
        if schema_error is None:
            return pointer, "type"
        _, pointer = self.contract.document.dereference(node["schema"], pointer)
        return pointer, str(schema_error.validator) if len(schema_error.absolute_schema_path) == 1 else None

    def _body_findings(self, operation: Operation, entry: HarEntry, error: Exception) -> Iterator[Finding]:
        """The violations that our validator finds too, each at its location; otherwise one at the body."""
        body = operation.request_body
        if body is None:
            yield Finding(CHECK, operation.pointer, "requestBody", _message(error))
            return
        findings: dict[tuple[str, str], Finding] = {}
        value = entry.request_json if _schema_error(error) is not None else None
        violations = self.schemas.get(body.pointer, "write").iter_errors(value) if value is not None else ()
        for violation in iter_causes(violations):
            location = locate_violation(body.pointer, violation.schema_path)
            path = ".".join(map(str, violation.instance_path))
            message = f"{path or 'the body'}: {violation.message[:MAX_ERROR_CHARS]}"
            findings.setdefault(location, Finding(CHECK, *location, message, path))
        yield from list(findings.values())[:MAX_ERRORS] or [Finding(CHECK, body.pointer, None, _message(error))]


def _build_request(operation: Operation, entry: HarEntry, path: Mapping[str, str]) -> MockRequest:
    arrays = {f"{param.name}[]" for param in operation.query_parameters if param.schema.get("type") == "array"}
    return MockRequest(
        HOST,
        operation.method,
        operation.path,
        path_pattern=operation.path,
        args=MultiDict([(name.removesuffix("[]") if name in arrays else name, value) for name, value in entry.query]),
        view_args=dict(path),
        headers=dict(entry.request_headers),
        data=entry.request_body.content or None,
        content_type=entry.request_headers.get("content-type", ""),
    )


def _is_unrecorded(error: Exception, entry: HarEntry) -> bool:
    """Whether a parameter is missing because the recording has no headers, or no cookies, as Chromium exports it."""
    if not isinstance(error, MissingParameterError):
        return False
    return (error.location == "cookie" and "cookie" not in entry.request_headers) or (
        error.location == "header" and not entry.request_headers.keys() - {"content-type"}
    )


def _schema_error(error: BaseException | None) -> Any:
    """The schema error that caused an error, or None."""
    while error is not None:
        if isinstance(error, InvalidSchemaValue):
            return next(iter(error.schema_errors), None)
        error = error.__cause__ or error.__context__
    return None


def _message(error: BaseException) -> str:
    """The message of the innermost error; the outer ones are generic."""
    schema_error = _schema_error(error)
    if schema_error is not None:
        path = ".".join(map(str, getattr(schema_error, "absolute_path", ())))
        message = str(schema_error.message)[:MAX_ERROR_CHARS]
        return f"{path}: {message}" if path else message
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return (str(inner) or type(inner).__name__)[:MAX_ERROR_CHARS]
