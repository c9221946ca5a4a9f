"""Requests to operations without an action, from the examples of the contract or from its schemas."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import SkipCheck, no_valid_request
from conformance.session.payloads import PayloadFactory
from spec.http.media_types import FORM, MULTIPART, is_json_media_type, strip_parameters
from spec.model import Operation, Parameter
from spec.sampling.schema_samples import CannotGenerate, SchemaSampler
from spec.validators import SchemaValidators

MAX_DEPTH = 12  # of nested objects and lists
MAX_REASON_CHARS = 200
EXAMPLE_TEXT = "example"  # a body of a media type without structure


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
        values: dict[str, Any] = {}
        for parameter in operation.parameters:
            if parameter.location == location and parameter.required:
                values |= _encode(parameter, self._choose_parameter(parameter))
        return values

    def build_body(self, operation: Operation) -> Any:
        """Return a body; None if the operation has none. Raises SkipCheck."""
        body = operation.request_body
        if body is None:
            return None
        document, media_type = self.payloads.contract.document, strip_parameters(body.media_type)
        owner, schema = document.resolve(body.pointer.removesuffix("/schema")), document.resolve(body.pointer)
        examples = _list_examples(owner)
        if is_json_media_type(media_type) or media_type in (FORM, MULTIPART) or "*" in media_type:
            generated = self._generate(schema, "body", body.pointer)
            return self._choose_valid((*examples, *generated), body.pointer, "the body")
        texts = [example for example in examples if isinstance(example, str)]
        if not texts and media_type.endswith(("/xml", "+xml")):
            raise SkipCheck(no_valid_request(f"no example of a body of the type {media_type}"))
        return next(iter((*texts, *self._sample({"allOf": [schema, {"type": "string"}]}))), EXAMPLE_TEXT)

    def _choose_parameter(self, parameter: Parameter) -> Any:
        document = self.payloads.contract.document
        node, _ = document.dereference(document.resolve(parameter.pointer), parameter.pointer)
        # without items, an array would be absent
        generated = self._generate(parameter.schema, parameter.name, parameter.schema_pointer, min_items=1)
        candidates = (*_list_examples(node), *generated)
        return self._choose_valid(candidates, parameter.schema_pointer, f"the parameter {parameter.name}")

    def _choose_valid(self, candidates: Iterable[Any], pointer: str, subject: str) -> Any:
        """Return the first candidate that is valid against the schema at `pointer`. Raises SkipCheck."""
        validator = self.schemas.get(pointer, "write")
        reason = ""
        for candidate in candidates:
            if validator.is_valid(candidate):
                return candidate
            reason = reason or f": {next(iter(validator.iter_errors(candidate))).message[:MAX_REASON_CHARS]}"
        problem = f"the contract has no valid example of {subject}, and none can be generated{reason}"
        raise SkipCheck(no_valid_request(problem))

    def _generate(self, schema: Any, name: str, pointer: str, *, min_items: int = 0) -> Iterator[Any]:
        """Yield values with the marker of the run, with and without the examples of properties, then any valid value.

        `pointer`: of the schema. `min_items`: of an array.
        """
        for uses_examples in (True, False):
            with suppress(RecursionError, SkipCheck):
                yield self._generate_value(schema, name, uses_examples=uses_examples, depth=0, min_items=min_items)
        is_array = min_items and isinstance(schema, dict) and schema.get("type") == "array"
        at_pointer = self.payloads.contract.document.resolve(pointer)
        yield from self._sample({"allOf": [at_pointer, {"minItems": min_items}]} if is_array else at_pointer)

    def _sample(self, schema: Any) -> Iterator[Any]:
        """Yield a valid value of a schema, if one is found."""
        sampler = SchemaSampler(self.schemas, "write")
        for only_required in (True, False):
            with suppress(CannotGenerate):
                yield sampler.sample_schema(schema, self.payloads.marker, only_required=only_required)

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


def _encode(parameter: Parameter, value: Any) -> dict[str, Any]:
    """Return the texts of a value by name; a repeated parameter has a list of texts. Raises SkipCheck."""
    name = parameter.name
    if parameter.media_type is not None:
        return {name: json.dumps(value)}
    if isinstance(value, dict):
        return _encode_object(parameter, value)
    if not isinstance(value, list):
        return {name: _format_scalar(value)}
    _require_scalars(parameter, value)
    if parameter.location == "query" and parameter.style == "form" and parameter.explode:
        return {name: [_format_scalar(item) for item in value]}
    separator = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter.style, ",")
    return {name: separator.join(map(_format_scalar, value))}


def _encode_object(parameter: Parameter, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts of an object, in the style of its parameter."""
    name, style = parameter.name, parameter.style
    if style == "deepObject":
        return {f"{name}{path}": text for path, text in _iter_nested(value)}
    _require_scalars(parameter, value.values())
    texts = {key: _format_scalar(item) for key, item in value.items()}
    if not parameter.explode:
        return {name: ",".join(text for pair in texts.items() for text in pair)}
    if parameter.location in ("query", "cookie"):
        return dict(texts)
    return {
        name: ("," if style == "simple" else _SEPARATORS[style]).join(f"{key}={text}" for key, text in texts.items())
    }


_SEPARATORS = {"label": ".", "matrix": ";"}


def _iter_nested(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path in brackets, text) of the members of an object; a list of scalars has a list of texts."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _iter_nested(item, f"{path}[{key}]")
    elif isinstance(value, list):
        yield path, [_format_scalar(item) for item in value]
    else:
        yield path, _format_scalar(value)


def _require_scalars(parameter: Parameter, values: Iterable[Any]) -> None:
    """Raise SkipCheck if a parameter contains objects or lists, for which its style has no notation."""
    if any(isinstance(item, (dict, list)) for item in values):
        raise SkipCheck(no_valid_request(f"the style of the parameter {parameter.name} cannot express its value"))


def _format_scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
