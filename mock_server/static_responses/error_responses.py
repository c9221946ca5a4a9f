"""The response of an error, in the format that the contract documents for the operation.

Laravel's body is sent where the contract has it: if the documented schema has a `message` and accepts that body. A
status that is not documented for the operation, and an unknown path, have the format that more than half of the
operations have for the status, or for any error. Without such a format they have problem details (RFC 9457).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from mock_server.errors import ApiError, ErrorKind
from mock_server.json_encoding import encode_json
from mock_server.static_responses.documented_values import DocumentedValues
from mock_server.static_responses.media_types import encode_value, get_content_type, is_json
from mock_server.static_responses.negotiation import choose_media_type
from mock_server.static_responses.response_definitions import MediaType, ResponseDefinition, ResponseDefinitions
from mock_server.static_responses.success_responses import SuccessResponses
from spec.model import Contract, Operation

if TYPE_CHECKING:
    from mock_server.static_responses.error_bodies import ErrorDetails

PROBLEM_CONTENT_TYPE = b"application/problem+json"
_JSON_CONTENT_TYPE = b"application/json"
_UNKNOWN_RECORD = (ErrorKind.RECORD_NOT_FOUND, ErrorKind.OTHER_TENANT)
_LARAVEL_BODY = {"message": "The given data was invalid."}
_LARAVEL_VALIDATION_BODY = _LARAVEL_BODY | {"errors": {"name": ["The name field is required."]}}


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """The format of an error. `media_type`: None for no body, or for a format that the contract does not document."""

    content_type: bytes
    is_laravel: bool = False
    media_type: MediaType | None = None


_LARAVEL_FORMAT = ErrorFormat(_JSON_CONTENT_TYPE, is_laravel=True)
_PROBLEM_FORMAT = ErrorFormat(PROBLEM_CONTENT_TYPE)
_EMPTY_FORMAT = ErrorFormat(b"")


@dataclass(slots=True)
class ErrorResponses:
    """Creates the bodies of errors.

    `formats`: by operationId, status, and whether fields are invalid.
    """

    contract: Contract
    successes: SuccessResponses
    values: DocumentedValues
    formats: dict[tuple[str, int, bool], ErrorFormat] = field(default_factory=dict)
    common_responses: dict[str, ResponseDefinition | None] = field(default_factory=dict)

    def find_status(self, operation: Operation | None, error: ApiError) -> int:
        """Return the status of an error; of invalid input the one that the operation documents.

        A request body that refers to an unknown record is invalid input if the operation documents no 404.
        """
        if operation is None:
            return error.status
        has_only_body = operation.request_body is not None and not operation.path_parameter_names
        is_unknown_reference = has_only_body and error.kind in _UNKNOWN_RECORD
        is_invalid_input = is_unknown_reference and not operation.documents(HTTPStatus.NOT_FOUND)
        if error.kind is ErrorKind.VALIDATION_FAILED or is_invalid_input:
            return operation.validation_status or error.status
        return error.status

    def encode(self, operation: Operation | None, error: ApiError) -> tuple[bytes | None, bytes]:
        """Return the body of an error and its content type; None for no body."""
        has_fields = error.kind is ErrorKind.VALIDATION_FAILED or bool(error.errors)
        error_format = self.get_format(operation, error.status, has_fields=has_fields)
        if error_format.is_laravel:
            return error.encode_body(), error_format.content_type
        from mock_server.static_responses.error_bodies import ErrorDetails  # not needed at the start

        details = ErrorDetails(error.status, error.message, error.errors)
        if error_format is _PROBLEM_FORMAT:
            return _encode_problem(details), PROBLEM_CONTENT_TYPE
        media_type = error_format.media_type
        if media_type is None:
            return None, b""
        return self.encode_documented(media_type, details), error_format.content_type

    def encode_documented(self, media_type: MediaType, details: "ErrorDetails") -> bytes:
        """Return a body of a documented media type."""
        if not is_json(media_type.name) or media_type.schema_pointer is None:
            return encode_value(details.message, media_type.name)
        from mock_server.static_responses.error_bodies import ErrorBodyBuilder
        from spec.sampling.schema_samples import CannotGenerate

        try:
            value = ErrorBodyBuilder(self.values.schemas).build(media_type.schema_pointer, details)
        except CannotGenerate:
            value = self.values.create(media_type, str(details.status))
        return encode_value(value, media_type.name)

    def get_format(self, operation: Operation | None, status: int, *, has_fields: bool) -> ErrorFormat:
        """Return the format of an error with this status."""
        key = ("" if operation is None else operation.id, status, has_fields)
        error_format = self.formats.get(key)
        if error_format is None:
            error_format = self.formats[key] = self.find_format(operation, status, has_fields=has_fields)
        return error_format

    def find_format(self, operation: Operation | None, status: int, *, has_fields: bool) -> ErrorFormat:
        definition = None if operation is None else self.successes.get_definitions(operation).find(status)
        if definition is None:
            definition = self.find_substitute(operation, status)
            if definition is None:
                return _PROBLEM_FORMAT
        names = tuple(media_type.name for media_type in definition.media_types)
        if not names:
            return _EMPTY_FORMAT
        name = choose_media_type(None, names)
        media_type = next(m for m in definition.media_types if m.name == name)
        is_laravel = self.accepts_laravel(media_type, has_fields=has_fields)
        return ErrorFormat(get_content_type(media_type.name), is_laravel, media_type)

    def accepts_laravel(self, media_type: MediaType, *, has_fields: bool) -> bool:
        """Whether a schema has Laravel's `message`, or no properties, and accepts Laravel's body."""
        pointer = media_type.schema_pointer
        if not is_json(media_type.name):
            return False
        if pointer is None:
            return True
        from spec.sampling.merged_schema import MergedSchema

        document, schemas = self.contract.document, self.values.schemas
        merged = MergedSchema.from_schemas(document, [document.resolve(pointer)])
        has_message = "message" in merged.properties or not (merged.properties or merged.choices)
        body = _LARAVEL_VALIDATION_BODY if has_fields else _LARAVEL_BODY
        return has_message and schemas.get(pointer, "read").is_valid(body)

    def find_substitute(self, operation: Operation | None, status: int) -> ResponseDefinition | None:
        """Return the response whose format an undocumented error has: of the status, the operation or any error."""
        common = self.find_common_response(str(status))
        if common is None and operation is not None:
            common = _find_majority(self.iter_error_responses(operation))
        return common or self.find_common_response()

    def find_common_response(self, status: str = "") -> ResponseDefinition | None:
        """Return the response whose schema more than half of the operations have for a status, or for any error."""
        if status not in self.common_responses:
            operations = self.contract.operations.values()
            responses = (response for op in operations for response in self.iter_error_responses(op, status))
            self.common_responses[status] = _find_majority(responses)
        return self.common_responses[status]

    def iter_error_responses(self, operation: Operation, status: str = "") -> Iterator[ResponseDefinition]:
        """Yield the documented errors of an operation that have a body: the one of a status, or all."""
        definitions = self.successes.get_definitions(operation)
        has_success = any(key[0] in "23" for key in definitions.by_key)  # else `default` documents it
        classes = "45d" if has_success else "45"
        errors = {key: response for key, response in definitions.by_key.items() if key[0] in classes}
        found = ResponseDefinitions(errors).find(int(status)) if status else None
        for response in [found] if status else errors.values():
            if response is not None and response.media_types:
                yield response


def _find_majority(responses: Iterable[ResponseDefinition]) -> ResponseDefinition | None:
    """Return a response with the schema that more than half of the responses have."""
    by_schema: dict[str, list[ResponseDefinition]] = {}
    for response in responses:
        by_schema.setdefault(repr(response.media_types[0].node.get("schema")), []).append(response)
    most = max(by_schema.values(), key=len, default=[])
    return most[0] if len(most) * 2 > sum(map(len, by_schema.values())) else None


def _encode_problem(details: "ErrorDetails") -> bytes:
    """Return problem details (RFC 9457)."""
    problem = {"type": "about:blank", "title": details.title, "status": details.status, "detail": details.message}
    return encode_json(problem | ({"errors": details.errors} if details.errors else {}))
