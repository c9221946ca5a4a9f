"""The adapter to openapi-core: its violations of a recorded request or response, with their locations.

It shares no code with our validators. A violation gets the location that ours report, if they agree. Credentials are
not validated, because browsers do not record them.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.request import V30RequestBodyValidator, V30RequestParametersValidator
from openapi_core.validation.request.exceptions import MissingParameterError, ParameterValidationError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import MultiDict

from conformance.responses.findings import locate_violation
from conformance.transport.messages import Response
from spec.document import METHODS
from spec.model import Contract, Operation, Parameter
from spec.validators import SchemaValidators

HOST = "http://recorded.invalid"
MAX_ERRORS = 5  # per request
MAX_ERROR_CHARS = 300


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A recorded request. `headers`: lower-case names. `body`: None if it was not recorded."""

    values: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class ValidationFinding:
    """A violation and its location. `parameter`: the parameter or the property of the body, or ""."""

    pointer: str
    keyword: str | None
    message: str
    parameter: str = ""


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

    def validate_request(self, operation: Operation, recorded: RecordedRequest) -> Iterator[ValidationFinding]:
        """The violations of a request, without those of a body that was not recorded."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # keywords of OpenAPI 3.0 that 3.1 deprecates
            request = self._build_request(operation, recorded)
            for error in list(self.parameters.iter_errors(request))[:MAX_ERRORS]:
                yield self._parameter_finding(operation, error)
            errors = [] if recorded.body is None else list(self.bodies.iter_errors(request))
        if errors:
            yield from self._body_findings(operation, recorded, errors[0])

    def validate_response(self, operation: Operation, recorded: RecordedRequest, response: Response) -> Iterator[str]:
        """The messages of openapi-core about a response."""
        kind = response.headers.get("content-type", "")
        mock_response = MockResponse(response.content, response.status, dict(response.headers), content_type=kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            errors = self.openapi.iter_response_errors(self._build_request(operation, recorded), mock_response)
            yield from [_message(error) for error in list(errors)[:MAX_ERRORS]]

    def _build_request(self, operation: Operation, recorded: RecordedRequest) -> MockRequest:
        arrays = {param.name for param in operation.query_parameters if param.schema.get("type") == "array"}
        names = {f"{name}[]": name for name in arrays}
        return MockRequest(
            HOST,
            operation.method,
            operation.path,
            path_pattern=operation.path,
            args=MultiDict([(names.get(name, name), value) for name, value in recorded.query]),
            view_args=dict(recorded.values),
            headers=dict(recorded.headers),
            data=recorded.body or None,
            content_type=recorded.headers.get("content-type", ""),
        )

    def _parameter_finding(self, operation: Operation, error: Exception) -> ValidationFinding:
        name, location = (error.name, error.location) if isinstance(error, ParameterValidationError) else ("", "")
        params = (param for param in operation.parameters if (param.name, param.location) == (name, location))
        parameter = next(params, None)
        if parameter is None:
            return ValidationFinding(operation.pointer, None, _message(error))
        if isinstance(error, MissingParameterError):
            return ValidationFinding(parameter.pointer, "required", f"{location} {name} is missing", name)
        pointer, keyword = self._schema_location(parameter, error)
        return ValidationFinding(pointer, keyword, f"{location} {name}: {_message(error)}", name)

    def _schema_location(self, parameter: Parameter, error: Exception) -> tuple[str, str | None]:
        """The schema of a parameter and the violated keyword."""
        node = self.contract.document.resolve(parameter.pointer)
        if "schema" not in node:
            return parameter.pointer, None
        pointer = f"{parameter.pointer}/schema"
        schema_error = _schema_error(error)
        if schema_error is None:
            return pointer, "type"
        _, pointer = self.contract.document.dereference(node["schema"], pointer)
        return pointer, str(schema_error.validator) if len(schema_error.absolute_schema_path) == 1 else None

    def _body_findings(
        self, operation: Operation, recorded: RecordedRequest, error: Exception
    ) -> Iterator[ValidationFinding]:
        """The violations that our validator finds too, each at its location; otherwise one at the body."""
        body = operation.request_body
        if body is None:
            yield ValidationFinding(operation.pointer, "requestBody", _message(error))
            return
        locations: set[tuple[str, str]] = set()
        value = _parse_json(recorded.body) if _schema_error(error) is not None else None
        for violation in self.schemas.get(body.pointer, "write").iter_errors(value) if value is not None else ():
            location = locate_violation(body.pointer, violation.schema_path)
            if location not in locations and len(locations) < MAX_ERRORS:
                locations.add(location)
                path = ".".join(map(str, violation.instance_path))
                message = f"{path or 'the body'}: {violation.message[:MAX_ERROR_CHARS]}"
                yield ValidationFinding(*location, message, path)
        if not locations:
            yield ValidationFinding(body.pointer, None, _message(error))


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


def _parse_json(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
