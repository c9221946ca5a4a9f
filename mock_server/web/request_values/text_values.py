"""Convert texts to the types of schemas: values of parameters and of forms.

A tree of texts has a list of texts at each leaf, one for each time that it was sent, and mappings above: ``a[b]=1`` is
``{"a": {"b": ["1"]}}``.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from spec.document import Document

Tree = Mapping[str, Any] | Sequence[str]

_INTEGER_PATTERN = re.compile(r"-?[0-9]{1,300}", re.ASCII)
_NUMBER_PATTERN = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_INT64_LIMIT = 2**63
_INTEGER_FORMATS = ("int32", "int64")
_MAX_ALTERNATIVES = 200  # of one schema
_MAX_TREE_DEPTH = 16
_ALTERNATIVE_KEYWORDS = ("anyOf", "oneOf", "allOf")
_BRACKETED_PART = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class TextConverter:
    """Converts texts to the types of the schemas of a document."""

    document: Document

    def convert(self, schema: Mapping[str, Any], text: str) -> Any:
        """Convert `text` to the first type of the schema that it matches; unchanged if it matches none."""
        for alternative in self.iter_alternatives(schema):
            value = _convert_to_type(alternative, text)
            if value is not None:
                return value
            for choice in alternative.get("enum", ()) if "type" not in alternative else ():
                if not isinstance(choice, str) and json.dumps(choice) == text:
                    return choice
        return text

    def convert_tree(self, schema: Mapping[str, Any], node: Tree, depth: int = 0) -> Any:
        """Convert a tree of texts: of several texts of a scalar, the last one counts."""
        types = self.list_types(schema)
        if isinstance(node, Mapping):
            has_indexes = bool(node) and all(name == "" or name.isdecimal() for name in node)
            is_array = "array" in types or ("object" not in types and has_indexes)
            if depth >= _MAX_TREE_DEPTH:
                return None
            if not is_array:
                return {
                    name: self.convert_tree(self.find_property_schema(schema, name), child, depth + 1)
                    for name, child in node.items()
                }
            items = self.find_item_schema(schema)
            texts = node.get("", ())
            children = [child for key, child in node.items() if key != ""]
            # Each text of `name[]` is an item.
            children += [[text] for text in texts] if not isinstance(texts, Mapping) else [texts]
            return [self.convert_tree(items, child, depth + 1) for child in children]
        if "array" in types and (len(node) > 1 or "string" not in types):
            items = self.find_item_schema(schema)
            if len(node) == 1 and node[0][:1] == "[" and isinstance(value := parse_json_text(node[0]), list):
                return value
            return [self.convert_tree(items, [text], depth + 1) for text in node]
        text = node[-1] if node else ""
        if "object" in types and text[:1] == "{":
            return parse_json_text(text)
        return self.convert(schema, text)

    def list_types(self, schema: Mapping[str, Any]) -> frozenset[str]:
        """Return the types that a schema names or implies."""
        types: set[str] = set()
        for alternative in self.iter_alternatives(schema):
            if isinstance(alternative.get("type"), str):
                types.add(alternative["type"])
            elif "properties" in alternative or isinstance(alternative.get("additionalProperties"), dict):
                types.add("object")
            elif "items" in alternative:
                types.add("array")
        return frozenset(types)

    def find_property_schema(self, schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return the schema of a property; that of additional properties, or an empty one, if it is not declared."""
        additional: Mapping[str, Any] = {}
        for alternative in self.iter_alternatives(schema):
            node = alternative.get("properties", {}).get(name)
            if isinstance(node, dict):
                return node
            if isinstance(alternative.get("additionalProperties"), dict):
                additional = alternative["additionalProperties"]
        return additional

    def list_properties(self, schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Return the schemas of the declared properties by name."""
        properties: dict[str, Mapping[str, Any]] = {}
        for alternative in self.iter_alternatives(schema):
            properties = {**alternative.get("properties", {}), **properties}
        return properties

    def find_item_schema(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema of the items of an array; an empty one without it."""
        nodes = (alternative.get("items") for alternative in self.iter_alternatives(schema))
        return next((node for node in nodes if isinstance(node, dict)), {})

    def iter_alternatives(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Yield a schema, and the schemas that it refers to by `$ref`, `anyOf`, `oneOf` and `allOf`."""
        pending, count = [schema], 0
        while pending and count < _MAX_ALTERNATIVES:
            count += 1
            node = pending.pop(0)
            if not isinstance(node, dict):
                continue
            node, _ = self.document.dereference(node, "")
            yield node
            for keyword in _ALTERNATIVE_KEYWORDS:
                pending += node.get(keyword, ())


def parse_json_text(text: str) -> Any:
    """Return the value of a JSON text; the text itself if it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def split_name(name: str) -> list[str]:
    """Split a name with brackets: ``a[b][]`` is a, b and an empty text. Other names are one part."""
    start, bracket, _ = name.partition("[")
    if not bracket or not start:
        return [name]
    parts = _BRACKETED_PART.findall(name[len(start) :])
    is_complete = sum(len(part) + 2 for part in parts) == len(name) - len(start)
    return [start, *parts][:_MAX_TREE_DEPTH] if is_complete else [name]


def build_tree(pairs: Iterable[tuple[Sequence[str], str]]) -> dict[str, Any]:
    """Build the tree of (names, text). If a name has texts and children, its texts are dropped."""
    root: dict[str, Any] = {}
    for names, text in pairs:
        node = root
        for name in names[:-1]:
            child = node.get(name)
            if not isinstance(child, dict):
                child = node[name] = {}
            node = child
        leaf = node.setdefault(names[-1], [])
        if isinstance(leaf, list):
            leaf.append(text)
    return root


def _convert_to_type(schema: Mapping[str, Any], text: str) -> Any:
    """Convert `text` to the type of a schema; None if it does not match.

    Integers beyond 64 bits match unless the schema has a bound on that side, or a format that limits them.
    """
    type_name = str(schema.get("type", ""))
    if type_name == "integer" and _INTEGER_PATTERN.fullmatch(text):
        number = int(text)
        is_bounded = ("maximum" if number > 0 else "minimum") in schema or schema.get("format") in _INTEGER_FORMATS
        return number if -_INT64_LIMIT <= number < _INT64_LIMIT or not is_bounded else None
    if type_name == "number" and _NUMBER_PATTERN.fullmatch(text):
        real = float(text)
        if real in (float("inf"), float("-inf")):
            return None
        return int(real) if real.is_integer() and abs(real) < 2**53 else real
    if type_name == "boolean":
        return _BOOLEANS.get(text)
    return None
