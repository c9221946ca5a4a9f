"""Properties of the envelope and headers that a success response has in addition to the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from mock_server.static_responses.media_types import encode_json
from mock_server.static_responses.success_responses import StaticResponse, SuccessResponses
from spec.model import Operation


@dataclass(frozen=True, slots=True)
class Completion:
    """Additions to the responses of an operation.

    `properties`: JSON members, each followed by a comma. `location`: the name of the header with the URL of a created
    record; empty if none is documented. `record_path`: its path, with ``{}`` for the key. `key_path`: of the key in the
    body.
    """

    properties: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    record_path: str = ""
    key_path: tuple[str, ...] = ()

    def complete(self, body: bytes) -> bytes:
        """Add the properties to a JSON object with at least one member."""
        return b"{" + self.properties + body[1:] if self.properties else body

    def build_headers(self, base_url: str, body: bytes | None, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers. `values`: the attributes of the record if the body does not show it."""
        if not self.location:
            return {**self.headers}
        value = values if body is None else orjson.loads(body)
        for name in self.key_path[-1:] if body is None else self.key_path:
            value = value[name]
        return {**self.headers, self.location: base_url + self.record_path.replace("{}", quote(str(value), safe=""))}


NO_COMPLETION = Completion()


@dataclass(frozen=True, slots=True)
class ResponseCompleter:
    """Finds the additions to the responses of generic actions. `completions`: by operationId."""

    successes: SuccessResponses
    completions: dict[str, Completion] = field(default_factory=dict)

    def get(self, operation: Operation) -> Completion:
        """Return the additions to the responses of an operation."""
        completion = self.completions.get(operation.id)
        if completion is None:
            completion = self.completions[operation.id] = self.create(operation)
        return completion

    def create(self, operation: Operation) -> Completion:
        if not operation.is_generic:
            return NO_COMPLETION
        status, seed = operation.envelope.status, f"{self.successes.contract.title}/{operation.id}"
        definition = self.successes.get_definitions(operation).find(status)
        headers = self.successes.values.create_headers(definition, seed) if definition else {}
        properties = self.create_properties(operation, seed)
        location = next((name for name in definition.headers if name.lower() == "location"), "") if definition else ""
        record_path = self.find_record_path(operation) if location and operation.action == "create" else ""
        if record_path:
            resource = self.successes.contract.resources[operation.resource or ""]
            key_path = tuple(filter(None, (operation.envelope.data_property, resource.key_attribute)))
            return Completion(properties, headers, location, record_path, key_path)
        return Completion(properties, headers) if properties or headers else NO_COMPLETION

    def find_record_path(self, operation: Operation) -> str:
        """Return the path of the records of an operation's resource, with ``{}`` for the key; "" without one."""
        contract = self.successes.contract
        for other in contract.operations.values():
            is_retrieve = other.action == "retrieve" and other.resource == operation.resource
            if is_retrieve and len(other.path_parameter_names) == 1:
                path = other.path.replace(f"{{{other.path_parameter_names[0]}}}", "{}")
                return (other.base_paths or contract.base_paths)[0] + path
        return ""

    def create_properties(self, operation: Operation, seed: str) -> bytes:
        """Return the required properties of the envelope that neither contain the data nor describe the page."""
        envelope, schemas = operation.envelope, self.successes.values.schemas
        if envelope.schema_pointer is None or envelope.data_property is None:
            return b""
        from spec.sampling.merged_schema import MergedSchema  # these modules are not needed at the start

        merged = MergedSchema.from_schemas(schemas.document, [schemas.document.resolve(envelope.schema_pointer)])
        known = {envelope.data_property, *envelope.pagination, *envelope.page_properties}
        names = [name for name in merged.required if name not in known]
        if not names:
            return b""
        from spec.sampling.schema_samples import CannotGenerate, SchemaSampler

        try:
            sample = SchemaSampler(schemas).sample(envelope.schema_pointer, seed)
        except CannotGenerate:
            return b""
        return b"".join(b"%s:%s," % (encode_json(name), encode_json(sample[name])) for name in names if name in sample)

    def create_body(self, operation: Operation, accept: bytes | None, values: Mapping[str, Any]) -> StaticResponse:
        """Return the documented response with the values of a record for properties of the same name."""
        response = self.successes.get(operation, accept)
        pointer = operation.envelope.schema_pointer
        return response if pointer is None else self.successes.replace_properties(response, pointer, values)
