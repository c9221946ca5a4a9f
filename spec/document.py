"""Safe YAML and JSON parsing of contract files, and access to their parts by JSON pointer."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from spec.errors import ContractError, ProblemCollector
from spec.reading.yaml_loader import StrictLoader, StringKeyLoader, check_finite, parse_integer

MAX_NODES = 1_000_000
MAX_DEPTH = 64
# PyYAML composes recursively in C. Its stack overflows at about 20,000 levels; fewer brackets cannot be that deep.
MIN_BRACKETS_FOR_DEPTH_CHECK = 10_000
METHODS = ("get", "put", "post", "delete", "patch", "options", "head", "trace")
UNSAFE_METHODS = ("post", "put", "patch", "delete")  # RFC 9110, section 9.2.1

# Keywords whose values map names chosen by the author, which are not keywords.
NAME_MAP_KEYWORDS = frozenset(
    {"properties", "headers", "schemas", "responses", "examples", "requestBodies", "securitySchemes", "links", "paths"}
    | {"callbacks", "content", "variables", "encoding", "patternProperties", "mapping", "pathItems", "webhooks"}
    | {"$defs", "definitions", "dependentSchemas", "dependentRequired", "scopes"}
)
# Those that may have extensions next to the names.
EXTENSIBLE_MAPS = frozenset({"paths", "responses", "callbacks"})
# Keywords whose values are literals.
LITERAL_KEYWORDS = frozenset({"example", "default", "enum", "value"})
# Keywords that change neither which records and requests are valid nor what the server does with them. `info` and
# `tags` describe the document; `x-faker` only determines generated values.
ANNOTATION_KEYWORDS = frozenset(
    {"description", "summary", "title", "example", "examples", "externalDocs", "info", "tags", "deprecated"}
    | {"x-source", "x-evidence", "x-faker"}
)
# The first alternative consumes escaped backslashes, so that the `\\u` of the second is an escape.
_SURROGATE_PAIR = re.compile(rb"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_ENCODED_REFERENCE = re.compile(rb"""\$ref["']?[ \t]*:[ \t]*["']?#/[^"'\r\n]*%""")
_REFERENCE = re.compile(rb"""\$ref["']?[ \t]*:[ \t]*["']?#/""")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A contract file: its bytes and the parsed JSON value.

    `files`: the bytes of the other files that it refers to, by name. `origins`: pointer -> file and pointer of the
    parts that come from these.
    """

    name: str
    content: bytes
    root: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        digest = hashlib.sha256(self.content)
        for name, content in self.files.items():
            digest.update(f"\0{name}\0".encode() + content)
        return digest.hexdigest()

    @property
    def semantic_digest(self) -> str:
        """SHA-256 of the meaning, in hexadecimal: without comments, order of keys and ANNOTATION_KEYWORDS."""
        canonical = json.dumps(_remove_annotations(self.root), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def resolve(self, pointer: str) -> Any:
        """Return the value at `pointer` (``#/components/schemas/User``). Raises ContractError."""
        node: Any = self.root
        for part in split_pointer(pointer):
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ContractError(self.name, f"unresolved reference {pointer}", "a pointer into this file") from None
        return node

    def dereference(self, node: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str]:
        """Follow a chain of references; return the object at its end and its pointer."""
        for _ in range(MAX_DEPTH):
            if "$ref" not in node:
                return node, pointer
            pointer = node["$ref"]
            node = self.resolve(pointer)
            if not isinstance(node, dict):
                raise ContractError(pointer, f"invalid type {type(node).__name__}", "a mapping")
        raise ContractError(pointer, "circular reference", "a reference that ends at an object")


def parse_document(content: bytes, name: str) -> Document:
    """Parse the bytes of a contract file; `name` is used in errors. Raises ContractError."""
    root = load_mapping(content, name)
    external = find_external_reference(root, content)
    if external is not None:
        pointer, target = external
        raise ContractError(pointer, f"external reference {target!r}", "references within this file (#/...)")
    return Document(name, content, root)


def load_mapping(content: bytes, name: str) -> dict[str, Any]:
    """Parse a contract file, or a part of one, without following references. Raises ContractError."""
    root = _load(content, name, StringKeyLoader)
    if not isinstance(root, dict):
        problem = "an empty document" if root is None else f"a {_describe_type(root)}"
        raise ContractError(name, problem, "an OpenAPI document (a mapping)")
    if _ENCODED_REFERENCE.search(content):
        for node, _ in _iter_containers(root, name):
            if isinstance(node, dict) and isinstance(node.get("$ref"), str):
                node["$ref"] = unquote(node["$ref"])  # a reference is a URI
    check_size(root, name)
    return root


def check_size(root: Any, name: str) -> None:
    """Raise ContractError for a value with too many parts, or with too deep ones."""
    for _ in _iter_containers(root, name):
        pass


def find_external_reference(root: Mapping[str, Any], content: bytes) -> tuple[str, str] | None:
    """Return the first reference that is no JSON pointer into the document, with its pointer.

    `content`: the file; it is searched first, since most files have no such reference.
    """
    if len(_REFERENCE.findall(content)) == content.count(b"$ref"):
        return None
    components = root.get("components")
    maps = [("#/paths", root.get("paths"))]  # of names, which may be in another file as a whole
    maps += [(f"#/components/{k}", v) for k, v in components.items()] if isinstance(components, dict) else []
    for pointer, node in chain(maps, ((pointer, node) for node, pointer in iter_keyword_objects(root))):
        target = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(target, str) and not target.startswith("#/"):
            return pointer, target
    return None


def parse_yaml(content: bytes, name: str) -> Any:
    """Parse YAML or JSON to a JSON value of limited depth and size, with any scalar as key. Raises ContractError."""
    root = _load(content, name, StrictLoader)
    check_size(root, name)
    return root


def _describe_type(value: Any) -> str:
    names = {list: "list", str: "text", bool: "boolean"}
    return names.get(type(value), "number")


def _load(content: bytes, name: str, loader: type[StrictLoader]) -> Any:
    """Parse JSON if the content starts with a brace and is well-formed JSON, else YAML.

    libyaml rejects the escapes of surrogate pairs, with which JSON writers encode characters beyond U+FFFF.
    """
    try:
        text = content.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return _load_json(text, name)
    except json.JSONDecodeError as error:
        if Path(name).suffix == ".json":
            location = f"{name}, line {error.lineno}, column {error.colno}"
            raise ContractError(location, error.msg, "well-formed JSON") from None
    except UnicodeDecodeError:
        pass
    return _load_yaml(content, name, loader)


def _load_json(text: str, name: str) -> Any:
    """Parse JSON as strictly as YAML. Raises ContractError, or JSONDecodeError if it is not well-formed."""

    def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            keys = [key for key, _ in pairs]
            duplicate = next(key for key in keys if keys.count(key) > 1)
            raise ContractError(name, f"duplicate key {duplicate!r}", "unique keys")
        return members

    try:
        root = json.loads(
            text,
            object_pairs_hook=build_object,
            parse_int=lambda digits: check_finite(parse_integer(digits), digits, name),
            parse_float=lambda digits: check_finite(float(digits), digits, name),
            parse_constant=lambda constant: check_finite(float(constant), constant, name),
        )
    except RecursionError:
        raise ContractError(name, f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels") from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(root, name)
    return root


def _check_surrogates(root: Any, name: str) -> None:
    """Reject strings with half of a surrogate pair: they are no Unicode text."""
    for node, pointer in _iter_containers(root, name):
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in entries:
            for text in (text for text in (key, value) if isinstance(text, str)):
                match = _SURROGATE.search(text)
                if match is not None:
                    location = pointer if text is key else f"{pointer}/{escape(str(key))}"
                    raise ContractError(location, f"lone surrogate \\u{ord(match[0]):04x}", "pairs of surrogates")


def join_surrogates(content: bytes) -> bytes:
    """Replace escapes of surrogate pairs by the characters themselves, for libyaml."""

    def join(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            return match[0]
        high, low = int(match[1], 16), int(match[2], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)).encode()

    return _SURROGATE_PAIR.sub(join, content)


def _load_yaml(content: bytes, name: str, loader: type[StrictLoader]) -> Any:
    try:
        _check_depth(content)
        return _construct(loader(content), name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        context = "" if error.context is None else f" {error.context}"
        if error.context_mark is not None and error.context_mark is not mark:
            context += f" that starts in line {error.context_mark.line + 1}"
        raise ContractError(location, f"{error.problem}{context}", "well-formed YAML or JSON") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split()).replace(' in "<byte string>",', " at")
        raise ContractError(name, problem, "well-formed YAML or JSON") from None
    except RecursionError:
        raise ContractError(name, "infinite nesting", f"at most {MAX_DEPTH} levels") from None


def _construct(loader: StrictLoader, name: str) -> Any:
    """Return the value that a loader reads. Raises ContractError for all duplicate keys."""
    try:
        root = loader.get_single_data()
    finally:
        loader.dispose()
    problems = ProblemCollector(name)
    for _, problem in sorted(loader.duplicates, key=lambda entry: entry[0]):
        problems.add(problem)
    problems.raise_problems()
    return root


def _check_depth(content: bytes) -> None:
    """Check the nesting depth before the recursive parser runs."""
    if content.count(b"[") + content.count(b"{") < MIN_BRACKETS_FOR_DEPTH_CHECK:
        return
    depth = 0
    for event in yaml.parse(content, Loader=StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            location = f"line {event.start_mark.line + 1}" if event.start_mark else "unknown line"
            raise ContractError(location, f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")


def _iter_containers(root: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each mapping and list with its pointer; limit depth and size after alias expansion."""
    count = 0
    stack: list[tuple[Any, str, int]] = [(root, "#", 0)] if isinstance(root, (dict, list)) else []
    while stack:
        node, pointer, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise ContractError(name, f"more than {MAX_NODES} values (aliases expanded)", "a smaller document")
        if depth > MAX_DEPTH:
            raise ContractError(pointer[:120], f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        yield node, pointer
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        stack += [(v, f"{pointer}/{escape(str(k))}", depth + 1) for k, v in entries if isinstance(v, (dict, list))]


def escape(part: str) -> str:
    """Escape one part of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def split_pointer(pointer: str) -> list[str]:
    """Split a JSON pointer into its unescaped parts."""
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.removeprefix("#").split("/")[1:]]


KeywordObjects = Sequence[tuple[Mapping[str, Any], str]]  # with their pointers; see `iter_keyword_objects`


class _Keys(Enum):
    """What the keys of a mapping are."""

    KEYWORDS = auto()
    NAMES = auto()  # chosen by the author; the values have keywords
    FIELDS = auto()  # keywords whose values are literals


_Entry = tuple[Any, str, _Keys]  # a mapping or list, its pointer, and what its keys are


def iter_keyword_objects(
    node: Any, pointer: str = "#", *, keys_are_names: bool = False
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each object whose keys are keywords (not names, not in a literal value), with its pointer."""
    stack: list[_Entry] = [(node, pointer, _Keys.NAMES if keys_are_names else _Keys.KEYWORDS)]
    while stack:
        node, pointer, keys = stack.pop()
        if isinstance(node, dict) and keys is not _Keys.NAMES:
            yield node, pointer
        if keys is not _Keys.FIELDS:
            stack += _list_children(node, pointer, keys)[::-1]  # the first child is visited first


def _list_children(node: Any, pointer: str, keys: _Keys) -> list[_Entry]:
    """Return the mappings and lists in a node that may have keywords."""
    if isinstance(node, list):
        return [(v, f"{pointer}/{i}", _Keys.KEYWORDS) for i, v in enumerate(node) if isinstance(v, (dict, list))]
    if not isinstance(node, dict):
        return []
    values = [(k, v, f"{pointer}/{escape(k)}") for k, v in node.items() if isinstance(v, (dict, list))]
    if keys is _Keys.NAMES:
        return [(value, child, _Keys.KEYWORDS) for _, value, child in values]
    return [entry for key, value, child in values for entry in _list_entries(key, value, child)]


def _list_entries(key: str, value: Any, pointer: str) -> list[_Entry]:
    """Return the mappings and lists that the value of a keyword consists of."""
    if key == "links" and isinstance(value, dict):
        return [(v, f"{pointer}/{escape(k)}", _Keys.FIELDS) for k, v in value.items() if isinstance(v, dict)]
    if key == "x-resource" and isinstance(value, dict):
        return [(value.get("stores"), f"{pointer}/stores", _Keys.NAMES)]
    if key in EXTENSIBLE_MAPS and isinstance(value, dict):
        return [({k: v for k, v in value.items() if not k.startswith("x-")}, pointer, _Keys.NAMES)]
    if is_literal(key) or key == "security":  # the keys of a security requirement are names
        return []
    return [(value, pointer, _Keys.NAMES if maps_names(key, value) else _Keys.KEYWORDS)]


def maps_names(key: str, value: Any) -> bool:
    """Whether the value of a keyword maps names, and not keywords."""
    return isinstance(value, dict) and (key in NAME_MAP_KEYWORDS or key == "parameters")


def is_literal(key: str) -> bool:
    """Whether the value of a keyword is a literal, and not a part of the document with keywords."""
    return key in LITERAL_KEYWORDS or key in ("examples", "const") or key.startswith("x-")


def _remove_annotations(node: Any, *, keys_are_names: bool = False) -> Any:
    """Return a copy of a part of a document without the annotation keywords."""
    if isinstance(node, list):
        return [_remove_annotations(value) for value in node]
    if not isinstance(node, dict):
        return node
    if keys_are_names:
        return {name: _remove_annotations(value) for name, value in node.items()}
    return {key: _remove_value_annotations(key, value) for key, value in node.items() if key not in ANNOTATION_KEYWORDS}


def _remove_value_annotations(key: str, value: Any) -> Any:
    """Return a copy of the value of one keyword without the annotation keywords."""
    if key == "x-resource" and isinstance(value, dict) and "stores" in value:
        return value | {"stores": _remove_annotations(value["stores"], keys_are_names=True)}
    if is_literal(key):
        return value
    return _remove_annotations(value, keys_are_names=maps_names(key, value))


_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    """``WorkflowExecution`` or ``workflowExecution`` -> ``workflow_execution``."""
    return _CAMEL_CASE_BOUNDARY.sub("_", name).lower()
