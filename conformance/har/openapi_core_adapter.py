"""The one adapter to openapi-core: what it objects to in a recorded request or answer, and where the contract says so.

It shares no code with our own validators. What it calls wrong is told at the place that ours name, where they agree.
Credentials are not judged: browsers leave them out of what they record.
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
from spec.loader import Contract, Operation, Parameter
from spec.validators import SchemaValidators

HOST = "http://recorded.invalid"
MAX_ERRORS = 5  # objections told of one request
MAX_ERROR_CHARS = 300  # characters of one


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A recorded request. `query`: pairs; `headers`: lower-case names; `body`: None when it was not kept."""

    values: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class ValidationFinding:
    """What is wrong, at a place of the contract. `parameter`: the parameter or the body's property, or ""."""

    pointer: str
    keyword: str | None
    message: str
    parameter: str = ""


class OpenapiCoreValidator:
    """openapi-core on one contract."""

    def __init__(self, contract: Contract, schemas: SchemaValidators) -> None:
        root = json.loads(json.dumps(contract.document.root))
        root["servers"] = [{"url": HOST}]
        root.pop("security", None)
        for path in root["paths"].values():
            for method in METHODS:
                path.get(method, {}).pop("security", None)
        self.contract, self.schemas = contract, schemas
        # That the document is OpenAPI, `spec.loader` has seen: openapi-core needs as long again for it.
        self.openapi = OpenAPI.from_dict(root, config=Config(spec_validator_cls=None))
        self.parameters = V30RequestParametersValidator(self.openapi.spec)
        self.bodies = V30RequestBodyValidator(self.openapi.spec)

    def validate_request(self, operation: Operation, recorded: RecordedRequest) -> Iterator[ValidationFinding]:
        """What it objects to in a request; a body that was not kept is not judged."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.1 frowns on what 3.0 says
            request = self._request(operation, recorded)
            for error in list(self.parameters.iter_errors(request))[:MAX_ERRORS]:
                yield self._on_parameter(operation, error)
            errors = [] if recorded.body is None else list(self.bodies.iter_errors(request))
        if errors:
            yield from self._on_body(operation, recorded, errors[0])

    def validate_response(self, operation: Operation, recorded: RecordedRequest, response: Response) -> Iterator[str]:
        """What it objects to in an answer, in its own words."""
        kind = response.headers.get("content-type", "")
        mock_response = MockResponse(response.content, response.status, dict(response.headers), content_type=kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for error in list(self.openapi.iter_response_errors(self._request(operation, recorded), mock_response))[
                :MAX_ERRORS
            ]:
                yield _said(error)

    def _request(self, operation: Operation, recorded: RecordedRequest) -> MockRequest:
        lists = {p.name for p in operation.query_parameters if p.schema.get("type") == "array"}
        pairs = [(n.removesuffix("[]") if n.removesuffix("[]") in lists else n, value) for n, value in recorded.query]
        return MockRequest(
            HOST,
            operation.method,
            operation.path,
            path_pattern=operation.path,
            args=MultiDict(pairs),
            view_args=dict(recorded.values),
            headers=dict(recorded.headers),
            data=recorded.body or None,
            content_type=recorded.headers.get("content-type", ""),
        )

    def _on_parameter(self, operation: Operation, error: Exception) -> ValidationFinding:
        name, where = (error.name, error.location) if isinstance(error, ParameterValidationError) else ("", "")
        parameter = next((p for p in operation.parameters if (p.name, p.location) == (name, where)), None)
        if parameter is None:
            return ValidationFinding(operation.pointer, None, _said(error))
        if isinstance(error, MissingParameterError):
            return ValidationFinding(parameter.pointer, "required", f"{where} {name} is missing", name)
        return ValidationFinding(*self._place(parameter, error), f"{where} {name}: {_said(error)}", name)

    def _place(self, parameter: Parameter, error: Exception) -> tuple[str, str | None]:
        """The schema of a parameter and the keyword that a value breaks."""
        node = self.contract.document.resolve(parameter.pointer)
        if "schema" not in node:
            return parameter.pointer, None
        at = f"{parameter.pointer}/schema"
        breach = _breach(error)
        if breach is None:
            return at, "type"
        _, at = self.contract.document.dereference(node["schema"], at)
        return at, str(breach.validator) if len(breach.absolute_schema_path) == 1 else None

    def _on_body(self, operation: Operation, asked: RecordedRequest, error: Exception) -> Iterator[ValidationFinding]:
        """Where our own validator sees it too, each breach at its place; else at the body."""
        body = operation.request_body
        if body is None:
            yield ValidationFinding(operation.pointer, "requestBody", _said(error))
            return
        told: set[tuple[str, str]] = set()
        value = _json(asked.body) if _breach(error) is not None else None
        for breach in self.schemas.get(body.pointer, "write").iter_errors(value) if value is not None else ():
            place = locate_violation(body.pointer, breach.schema_path)
            if place not in told and len(told) < MAX_ERRORS:
                told.add(place)
                at = ".".join(map(str, breach.instance_path))
                yield ValidationFinding(*place, f"{at or 'the body'}: {breach.message[:MAX_ERROR_CHARS]}", at)
        if not told:
            yield ValidationFinding(body.pointer, None, _said(error))


def _breach(error: BaseException | None) -> Any:
    """The schema error behind an objection, if there is one."""
    while error is not None:
        if isinstance(error, InvalidSchemaValue):
            return next(iter(error.schema_errors), None)
        error = error.__cause__ or error.__context__
    return None


def _said(error: BaseException) -> str:
    """The innermost words: the outer ones say only that it is wrong."""
    breach = _breach(error)
    if breach is not None:
        at = ".".join(map(str, getattr(breach, "absolute_path", ())))
        return f"{at}: {breach.message[:MAX_ERROR_CHARS]}" if at else str(breach.message)[:MAX_ERROR_CHARS]
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return (str(inner) or type(inner).__name__)[:MAX_ERROR_CHARS]


def _json(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
