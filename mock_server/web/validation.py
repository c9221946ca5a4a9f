"""Holds each request to the contract before any action sees it: parameters, media types, body.

One `RequestValidator` an operation, compiled when it is first needed; what it found out about a query string is kept. The record
in the path comes first: what is to be refused is refused in the order 401, 404, 403, and only then 400, 415 and 422.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.web import body
from mock_server.web.context import RequestContext, get_context, memoize
from mock_server.web.parameters import OperationParameters, ParsedParameters, check_styles, collect_defaults
from mock_server.web.validation_messages import FieldError, field_errors, required_error, type_error
from spec.document import snake_case
from spec.loader import Contract, Operation, RequestBody
from spec.validators import SchemaValidators, Validator

READ_HEADERS = (b"accept",)  # those that are read, beside the contract's own
_MAX_CACHED_QUERY_BYTES = 2048


# Raises Refusal where an operation's path names no record that the viewer may do this to.
CheckPathRecord = Callable[[RequestContext, Operation], None]


class RequestValidator:
    """What one operation asks of a request."""

    def __init__(
        self,
        operation: Operation,
        contract: Contract,
        schemas: SchemaValidators,
        check_path_record: CheckPathRecord,
        memory_limit: body.BodyMemoryLimit,
        next_app: ASGIApp,
    ) -> None:
        self.operation = operation
        self.contract = contract
        self.schemas = schemas
        self.check_path_record = check_path_record
        self.memory_limit = memory_limit
        self.next_app = next_app
        self.parameters: OperationParameters | None = None
        self.query_cache: dict[bytes, ParsedParameters] = {}
        self.accept_cache: dict[bytes, bool] = {}
        self.media_type_cache: dict[bytes, str] = {}
        self.body_validator: Validator | None = None
        self.lenient_validator: Validator | None = None
        self.missing_field_errors: dict[str, FieldError] = {}
        self.required_fields: frozenset[str] = frozenset()
        self.field_order: dict[str, int] = {}
        self.known_fields: frozenset[str] | None = None
        self.defaults: Mapping[str, Any] = {}

    def compile(self) -> OperationParameters:
        """Make everything ready that the first request needs."""
        operation = self.operation
        self.parameters = OperationParameters.from_operation(self.contract.document, self.schemas, operation)
        if operation.request_body is not None:
            self.body_validator = self.schemas.get(operation.request_body.pointer, "write")
            fields = operation.request_body.fields
            self.field_order = {name: index for index, name in enumerate(fields)}
            if operation.action != "update":  # which changes what is sent and assumes nothing of the rest
                self.defaults = collect_defaults(self.contract.document, fields)
            self.required_fields = frozenset(name for name, field in fields.items() if field.required)
            schema, _ = self.contract.document.dereference(
                self.contract.document.resolve(operation.request_body.pointer), ""
            )
            if fields and not schema.get("additionalProperties"):
                self.known_fields = frozenset(
                    name for name, field in fields.items() if not field.schema.get("readOnly")
                )
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
                if error.kind not in (
                    ErrorKind.BODY_TOO_LARGE,
                    ErrorKind.OVERLOADED,
                ):  # of which the rest is still to come
                    self.check_path_record(context, self.operation)
                raise
        if errors:
            self.check_path_record(context, self.operation)
            raise self.create_validation_error(errors)
        context.notes = tuple(notes)
        await self.next_app(scope, receive, send)

    def validate_head(self, context: RequestContext) -> tuple[list[FieldError], list[str]]:
        """Put the parameters into the exchange; (what is wrong with them, what was ignored). Raises Refusal (406)."""
        parameters = self.parameters or self.compile()
        accept = context.headers.get(b"accept")
        if accept is not None and not self.accepts_json(accept):
            detail = f"Accept {accept.decode('latin-1')!r}; the answer is application/json"
            raise ApiError(ErrorKind.NOT_ACCEPTABLE, detail, message="The answer can only be application/json.")
        parsed = self.query_cache.get(context.raw_query) or self.parse_query(parameters, context.raw_query)
        errors = list(parsed.errors)
        if parameters.headers:
            errors += parameters.parse_headers(context.headers).errors
        context.query = parsed.values
        return errors, [*context.notes, *(f"query.{name}" for name in parsed.ignored)]

    def parse_query(self, parameters: OperationParameters, raw: bytes) -> ParsedParameters:
        parsed = parameters.parse_query(raw)
        return (
            memoize(self.query_cache, raw, parsed)
            if len(raw) < _MAX_CACHED_QUERY_BYTES and not parsed.errors
            else parsed
        )

    def accepts_json(self, accept: bytes) -> bool:
        cached = self.accept_cache.get(accept)
        return (
            memoize(self.accept_cache, accept, _accepts_json(accept.decode("latin-1")), 256)
            if cached is None
            else cached
        )

    async def validate_body(
        self, context: RequestContext, receive: Receive, validator: Validator, notes: list[str]
    ) -> Iterable[FieldError]:
        """Read the body into the exchange; what is wrong with it. Nothing sent is read as an empty object."""
        request_body = self.operation.request_body
        assert request_body is not None
        raw = await body.read_body(context, receive, self.memory_limit)
        if raw:
            body.check_media_type(context.headers, self.media_type_cache)
            value, has_floats = body.parse_json(raw)
        else:
            value, has_floats = {}, False
        if not validator.is_valid(value):
            return self.find_body_errors(request_body, validator, value)
        if not raw and request_body.required:
            return (required_error("body", request_body.pointer),)
        if self.known_fields is not None and isinstance(value, dict) and not self.known_fields.issuperset(value):
            notes.extend(f"body.{name}" for name in value if name not in self.known_fields)
        if has_floats:
            notes.extend(f"digits of {path} (beyond 64 bits)" for path in body.find_rounded_integers(raw))
        context.body = {**self.defaults, **value} if self.defaults else value
        return ()

    def find_body_errors(self, request_body: RequestBody, validator: Validator, value: Any) -> list[FieldError]:
        """What is wrong with a body. That only fields are missing, as mostly, is known without asking for each."""
        if self.lenient_validator is None:
            self.lenient_validator = self.schemas.build_without_required(request_body.pointer, "write")
            violations = (violation for violation in validator.iter_errors({}) if violation.kind.name == "required")
            missing_errors = field_errors(violations, request_body.pointer, required_fields=self.required_fields)
            self.missing_field_errors = {error.field: error for error in missing_errors}
        if isinstance(value, dict) and self.lenient_validator.is_valid(value):
            missing_here = [error for name, error in self.missing_field_errors.items() if name not in value]
            if missing_here:
                return missing_here
        errors = field_errors(validator.iter_errors(value), request_body.pointer, required_fields=self.required_fields)
        return [self.refine_reference_error(error, value) if isinstance(value, dict) else error for error in errors]

    def refine_reference_error(self, error: FieldError, value: Mapping[str, Any]) -> FieldError:
        """A complaint about a key whose kind another field of the body says: in the words of that kind's keys."""
        body_field = self.operation.request_body.fields.get(error.field) if self.operation.request_body else None
        relation_setter = body_field.relation_setter if body_field else None
        if (
            body_field is None
            or relation_setter is None
            or relation_setter.discriminator is None
            or error.field not in value
        ):
            return error
        type_name, key = value.get(relation_setter.discriminator), value[error.field]
        resource = next(
            (candidate for candidate in self.contract.resources.values() if snake_case(candidate.name) == type_name),
            None,
        )
        if resource is None:
            return error
        key_type_name, key_type = ("integer", int) if resource.has_integer_key else ("string", str)
        has_key_type = isinstance(key, key_type) and not isinstance(key, bool)
        return error if has_key_type else type_error(error.field, key_type_name, body_field.pointer)

    def create_validation_error(self, failures: Iterable[FieldError]) -> ApiError:
        """The refusal (422) that names every broken field, in the order of the contract's."""
        ordered_errors = sorted(failures, key=lambda error: self.field_order.get(error.field.partition(".")[0], -1))
        errors: dict[str, list[str]] = {}
        details: list[str] = []
        for error in ordered_errors:
            messages = errors.setdefault(error.field, [])
            if error.message not in messages:
                messages.append(error.message)
                expectation = f" (allowed: {error.expected})" if error.expected else ""
                details.append(f"{error.field}: {error.message}{expectation}")
        return ApiError(
            ErrorKind.VALIDATION_FAILED, "; ".join(details), errors=errors, location=ordered_errors[0].location
        )


def _accepts_json(accept: str) -> bool:
    ranges: dict[str, bool] = {}
    for part in accept.lower().split(","):
        media, *parameters = (p.strip() for p in part.split(";"))
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        ranges[media] = quality.strip("0.") != ""
    if ranges.keys() == {""}:
        return True
    for media in ("application/json", "application/*", "*/*", "*"):
        if media in ranges:
            return ranges[media]
    return False


class RequestValidatorAPI(RoutedAPI):  # type: ignore[misc]
    """Makes a Check of each operation."""

    def __init__(
        self, *args: Any, contract: Contract, schemas: SchemaValidators, look_up: CheckPathRecord, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.contract = contract
        self.schemas = schemas
        self.check_path_record = look_up
        self.memory_limit = body.BodyMemoryLimit()
        self.operations: Mapping[str, RequestValidator]
        check_styles(contract)
        self.add_paths()

    def make_operation(self, operation: Any) -> RequestValidator:
        contract_operation = self.contract.operations[operation.operation_id]
        return RequestValidator(
            contract_operation, self.contract, self.schemas, self.check_path_record, self.memory_limit, self.next_app
        )


class ValidationMiddleware(RoutedMiddleware):  # type: ignore[misc]
    """Connexion's place for request validation."""

    api_cls = RequestValidatorAPI
