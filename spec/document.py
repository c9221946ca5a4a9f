"""Reads a contract's file into plain JSON, safely, and finds its parts by JSON pointer."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from spec.errors import ContractError

MAX_NODES = 1_000_000
MAX_DEPTH = 64
# Composing recurses in C and has stack for some 20,000 levels. Only a text with this many brackets can be so deep.
MANY_BRACKETS = 10_000
METHODS = ("get", "put", "post", "delete", "patch", "options", "head", "trace")
WRITES = ("post", "put", "patch", "delete")  # those that HTTP does not call safe

# Under these keywords stand names that the contract's author chose, not keywords.
NAME_MAPS = frozenset(
    {"properties", "headers", "schemas", "responses", "examples", "requestBodies", "securitySchemes", "links", "paths"}
    | {"callbacks", "content", "variables", "encoding", "patternProperties", "mapping"}
)
# Under these stand literal values.
LITERALS = frozenset({"example", "default", "enum", "value"})


_YAML = "tag:yaml.org,2002:"


class _Loader(yaml.CSafeLoader):
    """JSON's values, written as YAML; a key given twice is an error. Keys may be any scalar."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ContractError(_line(key), "a list or mapping as a key", "a name")
            self.note_key(key)
            if key.value in seen:
                raise ContractError(_line(key), f"the key {key.value!r} a second time", "each key once")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def note_key(self, key: yaml.ScalarNode) -> None:
        """Called for each key before it is constructed."""


class _NameLoader(_Loader):
    """The same with texts for keys, as in a contract (``200:`` too)."""

    def note_key(self, key: yaml.ScalarNode) -> None:
        if key.tag != f"{_YAML}merge":
            key.tag = f"{_YAML}str"


class _PlaceLoader(yaml.CSafeLoader):
    """For who asks where things stand and not what they are: which type a plain text has takes a third of reading."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """No type at all."""
        return f"{_YAML}str"


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _scalar(make: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`make`, held to what JSON can say: PyYAML stumbles over ``0x_`` and ``!!int x``, and knows infinity."""

    def construct(loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            value = make(loader, node)
        except (ValueError, LookupError):
            raise ContractError(_line(node), repr(node.value)[:80], f"a value of {node.tag}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ContractError(_line(node), node.value[:80], "a finite number")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise ContractError(_line(node), node.value[:80], "an integer of 64 bits")
        return value

    return construct


_CONSTRUCTORS = yaml.CSafeLoader.yaml_constructors
_Loader.yaml_constructors = {
    **{tag: make for tag, make in _CONSTRUCTORS.items() if tag is None},  # refuses any other tag (!!binary, !!set ...)
    **{f"{_YAML}{kind}": _CONSTRUCTORS[f"{_YAML}{kind}"] for kind in ("null", "str", "seq", "map")},
    **{f"{_YAML}{kind}": _scalar(_CONSTRUCTORS[f"{_YAML}{kind}"]) for kind in ("bool", "int", "float")},
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_YAML}timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """A contract as it was read: the file's bytes and the JSON that they say."""

    name: str
    text: bytes
    root: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()

    def at(self, pointer: str) -> Any:
        """The value at `pointer` (``#/components/schemas/User``)."""
        node: Any = self.root
        for part in parts_of(pointer):
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise ContractError(
                    self.name, f"a reference to {pointer}", "a place that exists in this file"
                ) from None
        return node

    def follow(self, node: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str]:
        """The object that a chain of references ends at, and its own pointer."""
        for _ in range(MAX_DEPTH):
            if "$ref" not in node:
                return node, pointer
            pointer = node["$ref"]
            node = self.at(pointer)
        raise ContractError(pointer, "references that lead in a circle", "a reference that ends at an object")


def read(path: Path) -> Document:
    """Read the contract at `path`; raises ContractError when it is no usable YAML or JSON document."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ContractError(str(path), error.strerror or "no readable file", "a readable OpenAPI 3.0 file") from None
    return from_bytes(text, str(path))


def from_bytes(text: bytes, name: str) -> Document:
    """Read a contract from the bytes of a file; `name` is used in errors."""
    root = _loaded(text, name, _NameLoader)
    if not isinstance(root, dict):
        raise ContractError(name, f"a {type(root).__name__}", "an OpenAPI document (a mapping)")
    for node, pointer in _containers(root, name):
        target = node.get("$ref") if isinstance(node, dict) else None
        if isinstance(target, str) and not target.startswith("#/"):
            raise ContractError(pointer, f"a reference to {target!r}", "references within this file (#/...)")
    return Document(name, text, root)


def value_of(text: bytes, name: str) -> Any:
    """The JSON value that YAML says, of bounded depth and size; keys may be any scalar. Raises ContractError."""
    root = _loaded(text, name, _Loader)
    for _ in _containers(root, name):
        pass
    return root


def _loaded(text: bytes, name: str, loader: type[_Loader]) -> Any:
    try:
        _check_depth(text)
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ContractError(name, " ".join(str(error).split()), "well-formed YAML or JSON") from None
    except RecursionError:
        raise ContractError(name, "nesting without end", f"at most {MAX_DEPTH} levels") from None


def _check_depth(text: bytes) -> None:
    """Bound the depth before anything recurses."""
    if text.count(b"[") + text.count(b"{") < MANY_BRACKETS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            at = f"line {event.start_mark.line + 1}" if event.start_mark else "somewhere"
            raise ContractError(at, f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")


def _containers(root: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Every mapping and list with its pointer. Bounds depth and size as they are when aliases are written out."""
    count = 0
    stack: list[tuple[Any, str, int]] = [(root, "#", 0)] if isinstance(root, (dict, list)) else []
    while stack:
        node, pointer, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise ContractError(name, f"more than {MAX_NODES} values (aliases written out)", "a smaller document")
        if depth > MAX_DEPTH:
            raise ContractError(pointer[:120], f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        yield node, pointer
        items = node.items() if isinstance(node, dict) else enumerate(node)
        stack += [(v, f"{pointer}/{escape(str(k))}", depth + 1) for k, v in items if isinstance(v, (dict, list))]


def escape(part: str) -> str:
    """One part of a JSON pointer, escaped."""
    return part.replace("~", "~0").replace("/", "~1")


def parts_of(pointer: str) -> list[str]:
    """The parts of a JSON pointer, unescaped."""
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer.removeprefix("#").split("/")[1:]]


def keywords(node: Any, pointer: str = "#", *, names: bool = False) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Every object of the document that holds keywords (not names, not literal values), with its pointer."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from keywords(value, f"{pointer}/{index}")
    elif isinstance(node, dict) and names:
        for key, value in node.items():
            yield from keywords(value, f"{pointer}/{escape(key)}")
    elif isinstance(node, dict):
        yield node, pointer
        for key, value in node.items():
            yield from _below(key, value, f"{pointer}/{escape(key)}")


def _below(key: str, value: Any, pointer: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """What holds keywords within the value of one keyword."""
    if key == "links" and isinstance(value, dict):  # a link's own parts are literal values
        yield from ((link, f"{pointer}/{escape(k)}") for k, link in value.items() if isinstance(link, dict))
    elif not _literal(key, value):
        named = isinstance(value, dict) and (key in NAME_MAPS or key == "parameters")
        yield from keywords(value, pointer, names=named)


def _literal(key: str, value: Any) -> bool:
    return key in LITERALS or key.startswith("x-") or (key == "examples" and isinstance(value, dict))


def lines(text: bytes) -> dict[str, int]:
    """JSON pointer -> line (from 1) of everything in a contract's text. Takes some 0.3 s for 5,000 lines: ask once."""
    found: dict[str, int] = {}

    def walk(node: yaml.Node, pointer: str) -> None:
        found.setdefault(pointer, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below = f"{pointer}/{escape(str(key.value))}"
                found[below] = key.start_mark.line + 1
                walk(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, f"{pointer}/{index}")

    root = yaml.compose(text, Loader=_PlaceLoader)
    if root is not None:
        walk(root, "#")
    return found


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    """``WorkflowExecution`` or ``workflowExecution`` -> ``workflow_execution``."""
    return _CAMEL.sub("_", name).lower()
