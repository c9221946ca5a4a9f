"""Requests to operations without an action, from the examples of the contract or from its schemas."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import SkipCheck, not_testable
from conformance.session.payloads import PayloadFactory
from spec.http.media_types import FORM, MULTIPART, is_json_media_type, strip_parameters
from spec.model import Operation, Parameter
from spec.validators import SchemaValidators

MAX_DEPTH = 12  # of nested objects and lists


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """The parts of a request, as `TrackedClient.send` takes them."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class ExampleValues:
    """Chooses values of parameters and bodies: an example, the default or a value of an enum, else a generated one."""

    payloads: PayloadFactory
    schemas: SchemaValidators

    def build_request(self, operation: Operation) -> ExampleRequest:
        """Build a valid request. Raises SkipCheck."""
        headers = self.encode_parameters(operation, "header")
        cookies = self.encode_parameters(operation, "cookie")
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        path, query = self.encode_parameters(operation, "path"), self.encode_parameters(operation, "query")
        return ExampleRequest(path, query, headers, self.build_body(operation))

    def encode_parameters(self, operation: Operation, location: str) -> dict[str, Any]:
        """Return the values of the required parameters at a location. Raises SkipCheck."""
        parameters = (p for p in operation.parameters if p.location == location and p.required)
        return {p.name: _encode(p, self._choose_parameter(p)) for p in parameters}

    def build_body(self, operation: Operation) -> Any:
        """Return a body; None if the operation has none. Raises SkipCheck."""
        body = operation.request_body
        if body is None:
            return None
        media_type = strip_parameters(body.media_type)
        if not (is_json_media_type(media_type) or media_type in (FORM, MULTIPART) or "*" in media_type):
            raise SkipCheck(not_testable(f"no example of a body of the type {media_type}"))
        owner = self.payloads.contract.document.resolve(body.pointer.removesuffix("/schema"))
        schema = self.payloads.contract.document.resolve(body.pointer)
        return self._choose_valid((*_list_examples(owner), *self._generate(schema, "body")), body.pointer, "the body")

    def _choose_parameter(self, parameter: Parameter) -> Any:
        document = self.payloads.contract.document
        node, _ = document.dereference(document.resolve(parameter.pointer), parameter.pointer)
        generated = self._generate(parameter.schema, parameter.name, min_items=1)  # without items, it would be absent
        candidates = (*_list_examples(node), *generated)
        return self._choose_valid(candidates, parameter.schema_pointer, f"the parameter {parameter.name}")

    def _choose_valid(self, candidates: tuple[Any, ...], pointer: str, subject: str) -> Any:
        """Return the first candidate that is valid against the schema at `pointer`. Raises SkipCheck."""
        validator = self.schemas.get(pointer, "write")
        for candidate in candidates:
            if validator.is_valid(candidate):
                return candidate
        raise SkipCheck(not_testable(f"the contract has no valid example of {subject}, and none can be generated"))

    def _generate(self, schema: Any, name: str, *, min_items: int = 0) -> Iterator[Any]:
        """Yield a value with the examples of the properties, and one without them; nothing for a recursive schema.

        `min_items`: of an array.
        """
        for uses_examples in (True, False):
            try:
                yield self._generate_value(schema, name, uses_examples=uses_examples, depth=0, min_items=min_items)
            except (RecursionError, SkipCheck):
                return

    def _generate_value(self, schema: Any, name: str, *, uses_examples: bool, depth: int, min_items: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise SkipCheck("the schema is recursive")
        resolved = self.payloads.resolve_schema(schema) if isinstance(schema, dict) else {}
        for keyword in ("example", "default") if uses_examples else ():
            if keyword in resolved:
                return resolved[keyword]
        json_type = resolved.get("type", "object" if "properties" in resolved else "")
        if json_type == "object" and "enum" not in resolved:
            required = resolved.get("required", ())
            return {
                key: self._generate_value(value, key, uses_examples=uses_examples, depth=depth + 1)
                for key, value in resolved.get("properties", {}).items()
                if key in required and not self.payloads.resolve_schema(value).get("readOnly")
            }
        if json_type == "array" and "enum" not in resolved:
            items = resolved.get("items", {})
            count = max(min_items, int(resolved.get("minItems", 0)))
            return [self._generate_value(items, name, uses_examples=uses_examples, depth=depth + 1)] * count
        return self.payloads.generate_value(resolved, name)


def _list_examples(node: Mapping[str, Any]) -> list[Any]:
    """Return the values of `example` and `examples` of a parameter or a media type."""
    named = node.get("examples")
    values = [item["value"] for item in named.values() if "value" in item] if isinstance(named, dict) else []
    return [*([node["example"]] if "example" in node else []), *values]


def _encode(parameter: Parameter, value: Any) -> Any:
    """Return a value as text, or as a list of texts for a repeated parameter. Raises SkipCheck for objects."""
    if parameter.media_type is not None:
        return json.dumps(value)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(i, (dict, list)) for i in value)):
        raise SkipCheck(not_testable(f"the parameter {parameter.name} is an object"))
    if not isinstance(value, list):
        return _format_scalar(value)
    if parameter.location == "query" and parameter.style == "form" and parameter.explode:
        return [_format_scalar(item) for item in value]
    separator = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter.style, ",")
    return separator.join(map(_format_scalar, value))


def _format_scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
