"""Checks the JSON type of each OpenAPI keyword, so that the parsers need not."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spec.document import METHODS, Document, KeywordObjects, escape, iter_keyword_objects
from spec.errors import ContractError, ProblemCollector, invalid_value


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_object_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_object, value.values()))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_string_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_string, value))


def _is_extensible_map(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_object(v) for key, v in value.items() if not key.startswith("x-"))


def _is_schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))


def _is_schema_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_schema, value))


# The test of the entries of a mapping or list, and their description.
_ENTRY_TYPES: Mapping[Callable[[Any], bool], tuple[Callable[[Any], bool], str]] = {
    _is_object_map: (_is_object, "a mapping"),
    _is_extensible_map: (_is_object, "a mapping"),
    _is_object_list: (_is_object, "a mapping"),
    _is_schema_map: (_is_schema, "a mapping or a boolean"),
    _is_schema_list: (_is_schema, "a mapping or a boolean"),
    _is_string_list: (_is_string, "a string"),
}

KeywordType = tuple[Callable[[Any], bool], str]
# Keyword -> predicate for valid values and their description.
KEYWORD_TYPES: Mapping[str, KeywordType] = {
    **dict.fromkeys(
        (*METHODS, "requestBody", "schema", "items", "not", "components", "x-resource"), (_is_object, "a mapping")
    ),
    **dict.fromkeys(
        ("properties", "schemas", "responses", "content", "headers", "requestBodies", "securitySchemes", "paths"),
        (_is_object_map, "a mapping of names to mappings"),
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "servers", "security"), (_is_object_list, "a list of mappings")),
    **dict.fromkeys(("enum", "tags", "x-effects"), (_is_list, "a list")),
    **dict.fromkeys(("$ref", "operationId", "type", "format", "x-action"), (_is_string, "a string")),
    "required": (
        lambda value: isinstance(value, bool) or _is_string_list(value),
        "a list of names, or a boolean for a parameter",
    ),
    "additionalProperties": (lambda value: isinstance(value, (bool, dict)), "a mapping or a boolean"),
}


# Keywords of which files of other authors may have other values: extensions next to paths and responses, and null
# for the schema of a parameter or media type that has none.
_EXTENSIBLE_TYPES = {
    **KEYWORD_TYPES,
    "schema": (lambda value: value is None or _is_object(value), "a mapping"),
    **dict.fromkeys(("paths", "responses"), (_is_extensible_map, "a mapping of names to mappings")),
}
# OpenAPI 3.1: a schema may be a boolean, and have several types.
_TYPES_OF_31 = {
    **_EXTENSIBLE_TYPES,
    **dict.fromkeys(("items", "not"), (_is_schema, "a mapping or a boolean")),
    "schema": (lambda value: value is None or _is_schema(value), "a mapping or a boolean"),
    **dict.fromkeys(("properties", "schemas"), (_is_schema_map, "a mapping of names to schemas")),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), (_is_schema_list, "a list of schemas")),
    "type": (lambda value: _is_string(value) or _is_string_list(value), "a string or a list of strings"),
}


_SCHEMA_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SECURITY_SCHEMES = "#/components/securitySchemes/"  # their types are not those of schemas


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


# Keywords that `athena-contract diff` compares as they are, and validators require to be valid.
_VALIDATED_TYPES: Mapping[str, KeywordType] = {
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        (_is_count, "an integer of at least 0"),
    ),
    **dict.fromkeys(("minimum", "maximum"), (_is_number, "a number")),
    **dict.fromkeys(
        ("exclusiveMinimum", "exclusiveMaximum"),
        (lambda value: _is_number(value) or isinstance(value, bool), "a boolean or a number"),
    ),
    **dict.fromkeys(
        ("nullable", "readOnly", "writeOnly", "uniqueItems"), (lambda value: isinstance(value, bool), "true or false")
    ),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "pattern": (_is_string, "a regular expression"),
    "patternProperties": (_is_schema_map, "a mapping of patterns to schemas"),
}


def check_structure(document: Document, *, is_31: bool) -> None:
    """Raise ContractError for each keyword whose value has another type than OpenAPI 3.0, or 3.1, defines."""
    objects = list(iter_keyword_objects(document.root))
    _check_types(document, objects, _TYPES_OF_31 if is_31 else _EXTENSIBLE_TYPES)


def check_keyword_types(document: Document, objects: KeywordObjects, *, is_31: bool) -> None:
    """Raise ContractError for the errors of `check_structure`, and for those that make a schema useless."""
    types = _TYPES_OF_31 if is_31 else _EXTENSIBLE_TYPES
    listed = (*_SCHEMA_TYPES, "null") if is_31 else _SCHEMA_TYPES
    names = {*listed, "null"}  # files of 3.0 have it too
    has_type = types["type"][0]

    def is_type(value: Any) -> bool:
        values = value if isinstance(value, list) else [value]
        return has_type(value) and bool(values) and all(name in names for name in values)

    _check_types(document, objects, {**types, **_VALIDATED_TYPES, "type": (is_type, ", ".join(listed))})


def _check_types(document: Document, objects: KeywordObjects, types: Mapping[str, KeywordType]) -> None:
    problems = ProblemCollector(document.name)
    for node, pointer in objects:
        if not pointer.rpartition("/")[0].endswith("/links"):
            for problem in _iter_problems(node, pointer, types):
                problems.add(problem)
    for path in document.root.get("paths", {}):
        if not path.startswith(("/", "x-")):
            problems.add(ContractError(f"#/paths/{escape(path)}", invalid_value(path), "a path that starts with /"))
    problems.raise_problems()


def _iter_problems(node: Mapping[str, Any], pointer: str, types: Mapping[str, KeywordType]) -> Iterator[ContractError]:
    is_scheme = pointer.startswith(_SECURITY_SCHEMES)
    for key, value in node.items():
        if key in types and not (is_scheme and key == "type") and not types[key][0](value):
            yield from _iter_value_problems(value, f"{pointer}/{escape(key)}", types[key])
    if isinstance(node.get("required"), bool) and _is_schema_only(node):
        expected = "a list of names, next to the properties"
        yield ContractError(f"{pointer}/required", invalid_value(node["required"]), expected)
    if "parameters" in node:
        yield from _iter_parameter_problems(node["parameters"], f"{pointer}/parameters")


def _iter_value_problems(value: Any, location: str, keyword_type: KeywordType) -> Iterator[ContractError]:
    """Yield the problems of the entries of a mapping or list, or the one of another value."""
    is_valid, expected = keyword_type
    is_entry_valid, expected_entry = _ENTRY_TYPES.get(is_valid, (None, ""))
    if is_entry_valid is None or not isinstance(value, (dict, list)):
        yield ContractError(location, invalid_value(value), expected)
        return
    if is_valid([] if isinstance(value, dict) else {}):  # the other kind of collection
        yield ContractError(location, invalid_value(value), expected)
        return
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        is_extension = is_valid is _is_extensible_map and str(key).startswith("x-")
        if not (is_extension or is_entry_valid(entry)):
            yield ContractError(f"{location}/{escape(str(key))}", invalid_value(entry), expected_entry)


def _is_schema_only(node: Mapping[str, Any]) -> bool:
    """Whether an object is a schema, and not a parameter, header or request body."""
    return ("type" in node and not node.keys() & {"in", "schema", "content"}) or "properties" in node


def _iter_parameter_problems(value: Any, location: str) -> Iterator[ContractError]:
    """Yield the problems of a list of parameters, or a mapping in the components."""
    if not (_is_object_list(value) or _is_object_map(value)):
        yield ContractError(location, invalid_value(value), "a list of mappings")
        return
    for key, node in value.items() if isinstance(value, dict) else enumerate(value):
        for field in ("name", "in"):
            if "$ref" not in node and not _is_string(node.get(field)):
                yield ContractError(f"{location}/{escape(str(key))}", f"missing {field}", f"{field}: a string")
