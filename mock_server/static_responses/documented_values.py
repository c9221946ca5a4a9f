"""The value of a documented response: an example that is valid, else one generated from the schema."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from mock_server.static_responses.media_types import is_json, is_structured
from mock_server.static_responses.response_definitions import MediaType, ResponseDefinition
from spec.document import Document
from spec.validators import SchemaValidators

UNNAMED_EXAMPLE = "example"
EXAMPLE_FILLER = "example"
MAX_REASON_CHARS = 200  # a validator quotes the value
EXAMPLE_BASE_URL = "https://example.com/"  # of relative references in examples with `format: uri`

# Reports (JSON pointer, problem) of an example that is not used, or a schema without a valid value.
ReportProblem = Callable[[str, str], None]


def find_named_examples(document: Document, media_type: MediaType) -> dict[str, Any]:
    """Return the examples of a media type by name; one without a name is called ``example``."""
    named: dict[str, Any] = {}
    if UNNAMED_EXAMPLE in media_type.node:
        named[UNNAMED_EXAMPLE] = media_type.node[UNNAMED_EXAMPLE]
    for name, node in (media_type.node.get("examples") or {}).items():
        example, _ = document.dereference(node, "")
        if "value" in example:
            named[name] = example["value"]
    return named


@dataclass(frozen=True, slots=True)
class DocumentedValues:
    """Finds the values of documented responses. `report`: called for each part of the contract that is not used."""

    schemas: SchemaValidators
    report: ReportProblem

    def create(self, media_type: MediaType, seed: str) -> Any:
        """Return the first valid example of a media type or of its schema, else a generated value."""
        pointer = media_type.schema_pointer
        examples = list(self.iter_examples(media_type))
        for location, example in examples:
            value = self.match_schema(pointer, example, media_type.name)
            if value is not None:
                return _restore_integers(value[0])
            reason = self.describe_violation(str(pointer), example)
            completed = self.complete_uris(str(pointer), example)
            if completed is not None:
                self.report(location, f"{reason}; relative URIs of the example are sent with {EXAMPLE_BASE_URL}")
                return _restore_integers(completed)
            self.report(location, f"{reason}; a generated value is sent instead of the example")
        if pointer is None:
            return {} if is_json(media_type.name) else EXAMPLE_FILLER
        from spec.sampling.schema_samples import CannotGenerate, SchemaSampler  # not needed at the start

        sampler = SchemaSampler(self.schemas)
        if not is_structured(media_type.name):
            with suppress(CannotGenerate):
                return sampler.sample_schema(
                    {"allOf": [self.schemas.document.resolve(pointer), {"type": "string"}]}, seed
                )
        try:
            return sampler.sample(pointer, seed)
        except CannotGenerate:
            self.report(pointer, "found no value that matches the schema; an invalid one is sent")
            return examples[0][1] if examples else None

    def iter_examples(self, media_type: MediaType) -> Iterator[tuple[str, Any]]:
        """Yield the examples of a media type, then those of its schema, each with its location."""
        document = self.schemas.document
        for name, value in find_named_examples(document, media_type).items():
            is_unnamed = name == UNNAMED_EXAMPLE and UNNAMED_EXAMPLE in media_type.node
            yield f"{media_type.pointer}/{'example' if is_unnamed else f'examples/{name}'}", value
        if media_type.schema_pointer is not None:
            schema, pointer = document.resolve(media_type.schema_pointer), media_type.schema_pointer
            if isinstance(schema, dict):
                schema, pointer = document.dereference(schema, pointer)
                if "example" in schema:
                    yield f"{pointer}/example", schema["example"]
                elif isinstance(schema.get("examples"), list) and schema["examples"]:
                    yield f"{pointer}/examples/0", schema["examples"][0]

    def match_schema(self, pointer: str | None, example: Any, media_type: str) -> tuple[Any] | None:
        """Return the value of an example if it is valid, in a tuple. An example of JSON may be the text of it."""
        is_free = pointer is None or (isinstance(example, str) and not is_json(media_type))
        if is_free or self.schemas.get(str(pointer), "read").is_valid(example):
            return (example,)
        if isinstance(example, str):
            try:
                value = json.loads(example)
            except ValueError:
                return None
            if self.schemas.get(str(pointer), "read").is_valid(value):
                return (value,)
        return None

    def describe_violation(self, pointer: str, example: Any) -> str:
        """Return why an example is invalid: the property, the value and the reason."""
        violation = next(iter(self.schemas.get(pointer, "read").iter_errors(example)), None)
        if violation is None:
            return "the example does not match its schema"
        path = ".".join(map(str, violation.instance_path))
        place = f"the property {path} of the example" if path else "the example"
        return f"{place} does not match its schema: {violation.message[:MAX_REASON_CHARS]}"

    def complete_uris(self, pointer: str, example: Any) -> Any:
        """Return an example with absolute URIs where `format: uri` has relative ones; None if it is invalid then."""
        validator = self.schemas.get(pointer, "read")
        holder = [copy.deepcopy(example)]
        for violation in validator.iter_errors(example):
            if violation.schema_path[-1:] != ["format"] or not isinstance(violation.instance, str):
                return None
            parent: Any = holder
            *steps, last = 0, *violation.instance_path
            for step in steps:
                parent = parent[step]
            with suppress(ValueError):  # not a URI at all
                parent[last] = urljoin(EXAMPLE_BASE_URL, violation.instance)
        return holder[0] if validator.is_valid(holder[0]) else None

    def create_headers(self, definition: ResponseDefinition, seed: str) -> dict[str, str]:
        """Return values for the headers that the contract requires of a response."""
        headers = {}
        for name, (node, pointer) in definition.headers.items():
            if node.get("required") is True and name.lower() not in _MANAGED_HEADERS:
                text = self.create_header(node, pointer, f"{seed}/{name}")
                if text.isprintable() and _is_latin(name + text):
                    headers[name] = text
        return headers

    def create_header(self, node: Any, pointer: str, seed: str) -> str:
        if "example" in node:
            return _encode_header(node["example"])
        if "schema" not in node:
            return EXAMPLE_FILLER
        media_type = MediaType("application/json", pointer, node, f"{pointer}/schema")
        return _encode_header(self.create(media_type, seed))


def _restore_integers(value: Any) -> Any:
    """Return a value with integers in place of integral floats beyond 64 bits, as which the file was read."""
    if isinstance(value, dict):
        return {name: _restore_integers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_restore_integers(item) for item in value]
    if isinstance(value, float) and abs(value) >= _MAX_INTEGER and value.is_integer():
        return int(value)
    return value


_MAX_INTEGER = 2.0**63
_MANAGED_HEADERS = frozenset({"content-type", "content-length", "transfer-encoding", "connection", "date", "server"})


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _encode_header(value: Any) -> str:
    """Encode a value in the style `simple`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(_encode_header, value))
    if isinstance(value, dict):
        return ",".join(f"{name},{_encode_header(item)}" for name, item in value.items())
    return "" if value is None else str(value)
