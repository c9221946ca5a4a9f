"""Validate parameters, media types and body of each request against the contract.

There is one `RequestValidator` per operation, compiled at its first request, with a cache of parsed query strings.
Errors have the precedence 401, 404, 403, then 400, 415 and 422.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson
from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.sized_cache import SizedCache
from mock_server.static_responses.media_types import JSON_MEDIA_TYPE, get_content_type, is_json
from mock_server.static_responses.negotiation import choose_media_type
from mock_server.static_responses.response_definitions import ResponseDefinitions
from mock_server.web import body
from mock_server.web.context import RequestContext, get_context
from mock_server.web.credentials.schemes import list_query_keys
from mock_server.web.parameters import OperationParameters, ParsedParameters, collect_defaults
from mock_server.web.request_values.bodies import BodyFormats, ParsedBody
from mock_server.web.request_values.text_values import TextConverter
from mock_server.web.validation_messages import (
    MAX_FIELD_CHARS,
    FieldError,
    describe_error,
    describe_names,
    field_errors,
    list_field_errors,
    required_error,
    type_error,
)
from mock_server.web.violations import find_violations
from spec.document import snake_case
from spec.model import STATIC_ACTION, Contract, Operation, RequestBody
from spec.validators import SchemaValidators, Validator

READ_HEADERS = (b"accept",)  # in addition to header parameters
_MAX_QUERY_CACHE_BYTES = 512 * 1024  # of each operation
# A response (422) lists at most this many messages, and this many bytes of field names and messages.
MAX_LISTED_ERRORS, MAX_ERROR_BYTES = 100, 40 * 1024
_JSON_ONLY = (JSON_MEDIA_TYPE,)
MAX_NOTES = 20  # of the ignored parts of a request

# Raises ApiError (404, 403) unless the viewer may use the operation on the record in the path.
CheckPathRecord = Callable[[RequestContext, Operation], None]


@dataclass(eq=False, slots=True)
class RequestValidator:
    """Validates the requests of one operation.

    `is_strict`: reject unknown query parameters, and state received and expected values in messages.
    """

    operation: Operation
    contract: Contract
    schemas: SchemaValidators
    check_path_record: CheckPathRecord
    memory_limit: body.BodyMemoryLimit
    next_app: ASGIApp
    is_strict: bool = False
    parameters: OperationParameters | None = None
    query_cache: SizedCache[bytes, ParsedParameters] = field(
        default_factory=lambda: SizedCache(_MAX_QUERY_CACHE_BYTES, _measure_query)
    )
    body_validator: Validator | None = None
    lenient_validator: Validator | None = None
    missing_field_errors: Mapping[str, FieldError] = field(default_factory=dict)
    required_fields: frozenset[str] = frozenset()
    field_order: Mapping[str, int] = field(default_factory=dict)
    known_fields: frozenset[str] | None = None
    body_formats: BodyFormats | None = None
    accepts_no_body: bool = False  # an absent body is not the same as an empty object
    defaults: Mapping[str, Any] = field(default_factory=dict)
    media_types: tuple[str, ...] = (JSON_MEDIA_TYPE,)  # of a success; none: any is accepted

    def compile(self) -> OperationParameters:
        """Compile parameters and body schema."""
        operation = self.operation
        self.media_types = _list_media_types(self.contract, operation)
        self.parameters = OperationParameters.from_operation(
            self.contract.document, self.schemas, operation, list_query_keys(self.contract)
        )
        if operation.request_body is not None:
            self.body_validator = self.schemas.get(operation.request_body.pointer, "write")
            fields = operation.request_body.fields
            self.field_order = {name: index for index, name in enumerate(fields)}
            if operation.action != "update":  # an update changes the sent fields only
                self.defaults = collect_defaults(self.contract.document, fields)
            self.required_fields = frozenset(name for name, f in fields.items() if f.required)
            document = self.contract.document
            self.body_formats = BodyFormats.from_request_body(document, self.schemas, operation.request_body)
            schema, _ = document.dereference(document.resolve(operation.request_body.pointer), "")
            types = TextConverter(document).list_types(schema)
            self.accepts_no_body = operation.action == STATIC_ACTION or bool(types and "object" not in types)
            is_open = bool(schema.get("additionalProperties") or schema.keys() & {"anyOf", "oneOf"})
            if fields and not is_open:
                self.known_fields = frozenset(n for n, f in fields.items() if not f.schema.get("readOnly"))
        return self.parameters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = get_context(scope)
        errors, notes = self.validate_head(context)
        if self.body_validator is not None:
            try:
                errors += await self.validate_body(context, receive, self.body_validator, notes)
            except body.ClientDisconnect:
                return
            except ApiError as error:
                if error.kind not in (ErrorKind.BODY_TOO_LARGE, ErrorKind.OVERLOADED):  # the body is incomplete
                    self.check_path_record(context, self.operation)
                raise
        if errors:
            self.check_path_record(context, self.operation)
            raise self.create_validation_error(errors)
        context.notes = tuple(notes)
        await self.next_app(scope, receive, send)

    def validate_head(self, context: RequestContext) -> tuple[list[FieldError], list[str]]:
        """Parse the parameters into the context; return (errors, ignored names). Raises ApiError (406)."""
        parameters = self.parameters or self.compile()
        accept, media_types = context.headers.get(b"accept"), self.media_types
        if accept is not None or media_types != _JSON_ONLY:
            self.negotiate(context, accept, media_types)
        parsed = self.query_cache.entries.get(context.raw_query) or self.parse_query(parameters, context.raw_query)
        errors = list(parsed.errors)
        if parameters.headers or parameters.cookies:
            errors += parameters.validate_headers(context.headers)
        if parameters.path:
            context.path_parameters, path_errors = parameters.parse_path(context.path_parameters)
            errors += path_errors
        context.query = parsed.values
        if self.is_strict:
            return errors + [self.create_unknown_parameter_error(name) for name in parsed.ignored], [*context.notes]
        return errors, [*context.notes, *(f"query.{name}" for name in parsed.ignored)]

    def negotiate(self, context: RequestContext, accept: bytes | None, media_types: tuple[str, ...]) -> None:
        """Choose the media type of the response. Raises ApiError (406)."""
        media_type = choose_media_type(accept, media_types) if media_types else JSON_MEDIA_TYPE
        if media_type is None:
            expected = ", ".join(media_types)
            detail = f"Accept: invalid value {(accept or b'').decode('latin-1')!r} (expected {expected})"
            message = f"The response is only available as {expected}."
            raise ApiError(ErrorKind.NOT_ACCEPTABLE, detail, message=message)
        if media_type != JSON_MEDIA_TYPE:
            context.content_type = (b"content-type", get_content_type(media_type))

    def create_unknown_parameter_error(self, name: str) -> FieldError:
        """Return the error for a query parameter that the operation does not have."""
        field_name, names = name[:MAX_FIELD_CHARS], [parameter.name for parameter in self.operation.query_parameters]
        message = f"The parameter {field_name} does not exist (expected {describe_names(field_name, names)})."
        return FieldError(field_name, message, self.operation.pointer)

    def parse_query(self, parameters: OperationParameters, raw: bytes) -> ParsedParameters:
        parsed = parameters.parse_query(raw)
        if not parsed.errors:
            self.query_cache.put(raw, parsed)
        return parsed

    async def validate_body(
        self, context: RequestContext, receive: Receive, validator: Validator, notes: list[str]
    ) -> Iterable[FieldError]:
        """Parse the body into the context; return its errors. An absent body is an empty object."""
        request_body = self.operation.request_body
        assert request_body is not None
        raw = await body.read_body(context, receive, self.memory_limit)
        if not raw and self.accepts_no_body:
            return (required_error("body", request_body.pointer),) if request_body.required else ()
        if raw and self.body_formats is not None:
            return self.validate_formatted_body(context, self.body_formats.parse(context.headers, raw), raw, notes)
        if raw:
            body.check_media_type(context.headers)
            value, has_floats = body.parse_json(raw)
        else:
            value, has_floats = {}, False
        if not validator.is_valid(value):
            return self.find_body_errors(request_body, validator, value)
        if not raw and request_body.required:
            return (required_error("body", request_body.pointer),)
        self.use_body(context, value, notes)
        if has_floats:
            notes.extend(f"digits of {path} (beyond 64 bits)" for path in body.find_rounded_integers(raw))
        return ()

    def validate_formatted_body(
        self, context: RequestContext, parsed: ParsedBody, raw: bytes, notes: list[str]
    ) -> Iterable[FieldError]:
        """Put a body of one of several media types into the context; return its errors."""
        if parsed.validator is not None and not parsed.validator.is_valid(parsed.value):
            violations = find_violations(parsed.validator, parsed.value, None, self.field_order)
            return list_field_errors(violations, parsed.pointer, required_fields=self.required_fields)
        self.use_body(context, parsed.value, notes)
        if parsed.has_floats:
            notes.extend(f"digits of {path} (beyond 64 bits)" for path in body.find_rounded_integers(raw))
        return ()

    def use_body(self, context: RequestContext, value: Any, notes: list[str]) -> None:
        """Put a valid body with the defaults of its fields into the context; note its unknown fields."""
        if self.known_fields is not None and isinstance(value, dict) and not self.known_fields.issuperset(value):
            unknown_names = islice((name for name in value if name not in self.known_fields), MAX_NOTES)
            notes.extend(f"body.{name[:MAX_FIELD_CHARS]}" for name in unknown_names)
        context.body = {**self.defaults, **value} if self.defaults and isinstance(value, dict) else value

    def find_body_errors(self, request_body: RequestBody, validator: Validator, value: Any) -> list[FieldError]:
        """Return the errors of a body. Errors of missing fields, the most common case, are precomputed."""
        if self.lenient_validator is None:
            self.lenient_validator = self.schemas.build_without_required(request_body.pointer, "write")
            missing = (violation for violation in validator.iter_errors({}) if violation.kind.name == "required")
            missing_errors = field_errors(missing, request_body.pointer, required_fields=self.required_fields)
            self.missing_field_errors = {error.field: error for error in missing_errors}
        if isinstance(value, dict) and self.lenient_validator.is_valid(value):
            errors = [error for name, error in self.missing_field_errors.items() if name not in value]
            if errors:
                return errors
        violations = find_violations(validator, value, self.lenient_validator, self.field_order)
        errors = list_field_errors(violations, request_body.pointer, required_fields=self.required_fields)
        return [self.refine_reference_error(error, value) if isinstance(value, dict) else error for error in errors]

    def refine_reference_error(self, error: FieldError, value: Mapping[str, Any]) -> FieldError:
        """Replace the type error of a polymorphic key by that of the resource which the discriminator names."""
        body_field = self.operation.request_body.fields.get(error.field) if self.operation.request_body else None
        setter = body_field.relation_setter if body_field else None
        if body_field is None or setter is None or setter.discriminator is None or error.field not in value:
            return error
        type_name, key = value.get(setter.discriminator), value[error.field]
        resource = next((r for r in self.contract.resources.values() if snake_case(r.name) == type_name), None)
        if resource is None:
            return error
        key_type_name, key_type = ("integer", int) if resource.has_integer_key else ("string", str)
        has_key_type = isinstance(key, key_type) and not isinstance(key, bool)
        return error if has_key_type else type_error(error.field, key_type_name, body_field.pointer)

    def create_validation_error(self, failures: Iterable[FieldError]) -> ApiError:
        """Return the error (422) with the invalid fields, in the order of the contract; of many, the first."""
        ordered_errors = sorted(failures, key=lambda error: self.field_order.get(error.field.partition(".")[0], -1))
        errors: dict[str, list[str]] = {}
        details: list[str] = []
        remaining_bytes = MAX_ERROR_BYTES
        distinct_errors: dict[tuple[str, str], FieldError] = {}
        for error in ordered_errors:
            distinct_errors.setdefault((error.field, error.message), error)
        for error in islice(distinct_errors.values(), MAX_LISTED_ERRORS):
            message = describe_error(self.contract.document, error) if self.is_strict else error.message
            remaining_bytes -= len(orjson.dumps((error.field, message)))
            if remaining_bytes < 0 and errors:
                break
            errors.setdefault(error.field, []).append(message)
            expectation = f" (expected {error.expected})" if error.expected else ""
            details.append(f"{error.field}: {error.message}{expectation}")
        return ApiError(
            ErrorKind.VALIDATION_FAILED,
            "; ".join(details),
            errors=errors,
            unlisted_count=len(distinct_errors) - len(details),
            is_count_minimum=any(error.has_more for error in ordered_errors),
            location=ordered_errors[0].location,
        )


def _measure_query(raw: bytes, _: ParsedParameters) -> int:
    """Estimate the bytes of a parsed query string: a value of two characters takes a hundred bytes."""
    return 1_000 + 20 * len(raw)


def _list_media_types(contract: Contract, operation: Operation) -> tuple[str, ...]:
    """Return the media types of a success, of which an action creates only JSON; none: the response has no body."""
    definitions = ResponseDefinitions.from_operation(contract.document, operation.pointer)
    definition = definitions.find(definitions.find_success_status())
    names = tuple(media_type.name for media_type in definition.media_types) if definition else ()
    if operation.action == STATIC_ACTION:
        return names
    return tuple(name for name in names if is_json(name)) or _JSON_ONLY


class RequestValidatorAPI(RoutedAPI):  # type: ignore[misc]
    """Creates a RequestValidator for each operation."""

    def __init__(
        self,
        *args: Any,
        contract: Contract,
        schemas: SchemaValidators,
        check_path_record: CheckPathRecord,
        max_body_bytes: int,
        is_strict: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.contract = contract
        memory_limit = body.BodyMemoryLimit(max_body_bytes)
        self.shared = (contract, schemas, check_path_record, memory_limit, self.next_app, is_strict)
        self.add_paths()

    def make_operation(self, operation: Any) -> RequestValidator:
        return RequestValidator(self.contract.operations[operation.operation_id], *self.shared)


class ValidationMiddleware(RoutedMiddleware):  # type: ignore[misc]
    """Connexion's middleware for request validation."""

    api_cls = RequestValidatorAPI
