"""The responses of operations without an action."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mock_server.static_responses.documented_values import DocumentedValues
from mock_server.static_responses.media_types import (
    encode_json,
    encode_value,
    get_content_type,
    is_json,
)
from mock_server.static_responses.negotiation import choose_media_type
from mock_server.static_responses.response_definitions import ResponseDefinition, ResponseDefinitions
from spec.model import STATIC_ACTION, Contract, Operation

_BODILESS_STATUSES = (204, 205, 304)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class StaticResponse:
    """A complete response. `body`: None without a body; then `content_type` is empty."""

    status: int
    body: bytes | None
    content_type: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SuccessResponses:
    """Creates documented responses on first use, and keeps them. `definitions`: by operationId."""

    contract: Contract
    values: DocumentedValues
    definitions: dict[str, ResponseDefinitions] = field(default_factory=dict)
    created: dict[tuple[str, int, str], StaticResponse] = field(default_factory=dict)

    def get_definitions(self, operation: Operation) -> ResponseDefinitions:
        """Return the documented responses of an operation."""
        definitions = self.definitions.get(operation.id)
        if definitions is None:
            definitions = ResponseDefinitions.from_operation(self.contract.document, operation.pointer)
            self.definitions[operation.id] = definitions
        return definitions

    def find_status(self, operation: Operation) -> int:
        """Return the status of a success."""
        if operation.action == STATIC_ACTION:
            return self.get_definitions(operation).find_success_status()
        return operation.envelope.status

    def get(self, operation: Operation, accept: bytes | None = None, status: int | None = None) -> StaticResponse:
        """Return the response with a documented status; default: that of a success.

        If the client accepts none of the documented media types, the first one is used.
        """
        definitions = self.get_definitions(operation)
        status = self.find_status(operation) if status is None else status
        definition = definitions.find(status)
        names = tuple(media_type.name for media_type in definition.media_types) if definition else ()
        name = (choose_media_type(accept, names) or choose_media_type(None, names) or "") if names else ""
        key = (operation.id, status, name)
        response = self.created.get(key)
        if response is None:
            response = self.created[key] = self.create(operation, definition, status, name)
        return response

    def replace_properties(self, response: StaticResponse, pointer: str, values: Mapping[str, Any]) -> StaticResponse:
        """Return a response in JSON with other values of its properties, as far as they are valid.

        `pointer`: of the schema of the response.
        """
        if not is_json(response.content_type.decode()) or not response.body:
            return response
        document = json.loads(response.body)
        if not isinstance(document, dict):
            return response
        validator = self.values.schemas.get(pointer, "read")
        for name, value in values.items():
            changed = document | {name: value}
            if name in document and validator.is_valid(changed):
                document = changed
        return replace(response, body=encode_json(document))

    def create(
        self, operation: Operation, definition: ResponseDefinition | None, status: int, name: str
    ) -> StaticResponse:
        """Create a response in the media type `name`; empty: without a body."""
        if definition is None:
            return StaticResponse(status, None, b"", {})
        seed = f"{self.contract.title}/{operation.id}/{status}"
        headers = self.values.create_headers(definition, seed)
        if status in _REDIRECTS and "location" not in map(str.lower, headers):
            headers["Location"] = self.find_location(definition, seed)
        media_type = next((m for m in definition.media_types if m.name == name), None)
        if media_type is None or status in _BODILESS_STATUSES:
            return StaticResponse(status, None, b"", headers)
        body = encode_value(self.values.create(media_type, seed), name)
        return StaticResponse(status, body, get_content_type(name), headers)

    def find_location(self, definition: ResponseDefinition, seed: str) -> str:
        """Return a value for Location: as documented, else the root of the API."""
        for name, (node, pointer) in definition.headers.items():
            if name.lower() == "location":
                text = self.values.create_header(node, pointer, seed)
                if text.isascii() and text.isprintable():
                    return text
        return f"{self.contract.base_path}/"
