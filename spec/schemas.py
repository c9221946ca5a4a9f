"""The one translation from an OpenAPI 3.0 schema to a compiled validator (JSON Schema Draft 2020-12).

Draft 4 and 7 of jsonschema-rs accept ``AAA`` as a uuid and call 1.0 no integer, so everything becomes 2020-12. What
3.0 says in its own way is written out: ``nullable``, boolean ``exclusiveMinimum``, and who may send what: ``read``
(an answer) has no writeOnly properties, ``write`` (a request) ignores readOnly ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jsonschema_rs

from spec.document import Document, parts_of

Direction = Literal["read", "write"]

# Said otherwise in 2020-12, or nothing that a value could break.
_REWRITTEN = frozenset(
    {"nullable", "readOnly", "writeOnly", "required", "exclusiveMinimum", "exclusiveMaximum", "default", "example"}
    | {"externalDocs", "xml", "discriminator", "deprecated", "description", "title"}
)
_MAPS = frozenset({"properties", "patternProperties"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf"})
_SCHEMAS = frozenset({"items", "not", "additionalProperties"})


class Breach(Protocol):
    """One way in which a value breaks its schema."""

    @property
    def message(self) -> str: ...
    @property
    def instance_path(self) -> list[Any]: ...
    @property
    def schema_path(self) -> list[Any]: ...
    @property
    def kind(self) -> Any: ...
    @property
    def instance(self) -> Any: ...


class Validator(Protocol):
    """A compiled schema."""

    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterable[Breach]: ...


@dataclass(frozen=True, slots=True)
class Schemas:
    """Validators of one document, compiled when first asked for and kept in `compiled`."""

    document: Document
    compiled: dict[tuple[str, Direction], Validator]

    @classmethod
    def of(cls, document: Document) -> "Schemas":
        """The validators of `document`."""
        return cls(document, {})

    def validator(self, pointer: str, direction: Direction) -> Validator:
        """The validator of the schema at `pointer`, for answers (``read``) or requests (``write``)."""
        found = self.compiled.get((pointer, direction))
        if found is None:
            schema = standalone(self.document, self.document.at(pointer), direction)
            found = self.compiled[pointer, direction] = jsonschema_rs.Draft202012Validator(
                schema, validate_formats=True
            )
        return found

    def lenient(self, pointer: str, direction: Direction) -> Validator:
        """A validator of what the schema at `pointer` says beside which properties are required at its top."""
        schema, _ = self.document.follow(self.document.at(pointer), pointer)
        rest = {word: value for word, value in schema.items() if word != "required"}
        return jsonschema_rs.Draft202012Validator(standalone(self.document, rest, direction), validate_formats=True)


def standalone(document: Document, schema: Mapping[str, Any], direction: Direction) -> dict[str, Any]:
    """`schema` translated, with everything that it refers to at the place it stands in the document."""
    waiting: list[str] = []
    root: dict[str, Any] = {"allOf": [translate(schema, direction, waiting.append)]}
    seen: set[str] = set()
    while waiting:
        pointer = waiting.pop()
        if pointer in seen:
            continue
        seen.add(pointer)
        *above, last = parts_of(pointer)
        at: Any = root
        for part in above:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        at[int(last) if isinstance(at, list) else last] = translate(document.at(pointer), direction, waiting.append)
    return root


def translate(schema: Mapping[str, Any], direction: Direction, refer: Callable[[str], Any]) -> dict[str, Any]:
    """One schema as Draft 2020-12; `refer` is told each reference."""
    if "$ref" in schema:
        refer(schema["$ref"])
        return {"$ref": schema["$ref"]}
    unseen = "writeOnly" if direction == "read" else "readOnly"
    gone = {name for word in _MAPS for name, below in schema.get(word, {}).items() if _flag(below, unseen)}

    def translated(key: str, value: Any) -> Any:
        if key in _MAPS:
            kept = {k: translate(v, direction, refer) for k, v in value.items() if k not in gone}
            # Hidden ones are refused in an answer; server-set ones are ignored when sent.
            return kept | dict.fromkeys(gone & value.keys(), direction == "write")
        if key in _LISTS:
            return [translate(v, direction, refer) for v in value]
        if key in _SCHEMAS and isinstance(value, dict):
            return translate(value, direction, refer)
        return value

    out = {k: translated(k, v) for k, v in schema.items() if k not in _REWRITTEN and not k.startswith("x-")}
    _rewrite(schema, out, gone)
    return out


def _rewrite(schema: Mapping[str, Any], out: dict[str, Any], gone: set[str]) -> None:
    """Write out what 3.0 says in its own way."""
    for bound in ("Minimum", "Maximum"):
        if schema.get(f"exclusive{bound}") is True and bound.lower() in out:
            out[f"exclusive{bound}"] = out.pop(bound.lower())
    required = [name for name in schema.get("required", ()) if name not in gone]
    if required:
        out["required"] = required
    if schema.get("nullable") is True and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]


def _flag(schema: Any, word: str) -> bool:
    return isinstance(schema, dict) and schema.get(word) is True
