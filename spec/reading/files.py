"""Reads the file of a contract and the files in its folder that it refers to, as one document."""

import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from spec.document import (
    Document,
    check_size,
    escape,
    find_external_reference,
    is_literal,
    load_mapping,
    maps_names,
    split_pointer,
)
from spec.errors import ContractError, ContractErrors, ProblemCollector
from spec.reading.anchors import resolve_anchors

MAX_FILES = 5_000
MAX_FILE_BYTES = 100_000_000  # parsing YAML takes a second for each megabyte
# Keyword -> section of the components for what its values refer to.
_SECTIONS = {
    "parameters": "parameters",
    "responses": "responses",
    "headers": "headers",
    "examples": "examples",
    "links": "links",
    "callbacks": "callbacks",
    "securitySchemes": "securitySchemes",
    "requestBody": "requestBodies",
    "requestBodies": "requestBodies",
    "schema": "schemas",
    "schemas": "schemas",
}
# Section -> what replaces a reference that cannot be resolved, so that the rest of the contract is checked.
_PLACEHOLDERS: Mapping[str, Mapping[str, Any]] = {
    "parameters": {"name": "", "in": "header", "schema": {}},
    "responses": {"description": ""},
    "requestBodies": {"content": {}},
    "securitySchemes": {"type": "http", "scheme": "bearer"},
}
NEWLINE = b"\n"
_NO_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")

Load = Callable[[bytes, str], dict[str, Any]]  # parses the content of the file with this name
Target = tuple[Path, str]  # a file and a JSON pointer in it


def read_document(path: Path, load: Load = load_mapping) -> Document:
    """Read the contract file at `path`, and the files that it refers to. Raises ContractError.

    What is in other files becomes a component, a path item or a part of the place that refers to it. `load`: parses the
    bytes of the file at `path`.
    """
    content = _read_bytes(path)
    with _name_file(str(path)):
        root = resolve_anchors(load(content, str(path)), content)
    if find_external_reference(root, content) is None:
        return Document(str(path), content, root)
    bundler = _Bundler(path, root, content)
    bundled = bundler.bundle()
    check_size(bundled, str(path))
    document = Document(str(path), content, bundled, dict(sorted(bundler.contents.items())), bundler.origins)
    problems = list(bundler.problems)
    if problems:
        raise UnresolvedReferences(document, problems)
    return document


class UnresolvedReferences(ContractErrors):
    """References that cannot be resolved. `document`: the contract with placeholders for what they refer to."""

    def __init__(self, document: Document, problems: Sequence[ContractError]) -> None:
        super().__init__(document.name, problems)
        self.document = document


@contextmanager
def _name_file(name: str) -> Iterator[None]:
    """Add the name of a file to the location in a ContractError that the block raises."""
    try:
        yield
    except ContractError as error:
        if len(error.problems) == 1 and error.location.startswith(("line ", "#")):
            raise ContractError(f"{name}, {error.location}", error.problem, error.expected) from None
        raise


def _read_bytes(path: Path) -> bytes:
    """Read a file. Raises ContractError, also for what is no file: reading a pipe may wait without end."""
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ContractError(str(path), "a pipe, socket or device", "an OpenAPI file")
        if status.st_size > MAX_FILE_BYTES:
            raise ContractError(str(path), f"a file of {status.st_size:,} bytes", f"at most {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ContractError(str(path), error.strerror or "unreadable file", "a readable OpenAPI file") from None


class _Bundler:
    """Moves the parts of other files into the document of the root file.

    `contents`: the other files by name. `origins`: pointer of a moved part -> where it comes from.
    """

    def __init__(self, path: Path, root: dict[str, Any], content: bytes) -> None:
        self.name = str(path)
        self.path = path.resolve()
        self.folder = self.path.parent
        self.root = root
        self.content = content
        self.documents: dict[Path, Any] = {self.path: root}
        self.contents: dict[str, bytes] = {}
        self.origins: dict[str, str] = {}
        self.problems = ProblemCollector(str(path))
        self.components: dict[str, dict[str, Any]] = {}
        self.own_names: dict[str, set[str]] = {}  # names of the components of the root file, by section
        self.pointers: dict[tuple[str, Target], str] = {}
        self.pending: list[tuple[str, Target, str]] = []  # section, source and pointer of components to convert
        self.inlined: list[Target] = []

    def bundle(self) -> dict[str, Any]:
        """Return the document with references to itself only; with placeholders for parts that have `problems`."""
        components = self.root.get("components")
        for section, entries in components.items() if isinstance(components, dict) else ():
            with self.problems.collect():
                self._register_section(section, entries)
        bundled = self._convert(self.root, self.path, "")
        while self.pending:
            self._convert_pending(*self.pending.pop())
        merged: dict[str, Any] = bundled.get("components", {})
        for section, entries in self.components.items():
            merged[section] = {**merged.get(section, {}), **entries}
        return {**bundled, "components": merged} if merged else bundled

    def _register_section(self, section: str, entries: Any) -> None:
        """Note the components of the root file, and which of them are the place of a part of another file."""
        base, pointer = self.path, f"/components/{section}"
        if isinstance(entries, dict) and isinstance(entries.get("$ref"), str):  # the file has the map of names
            reference = entries["$ref"]
            base, pointer = self._locate(reference, base)
            entries = self._resolve((base, pointer), reference, self.path)
        self.own_names[section] = set(entries) if isinstance(entries, dict) else set()
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            place = f"#/components/{section}/{escape(name)}"
            self.pointers[section, (base, f"{pointer}/{escape(name)}")] = place
            reference = entry.get("$ref") if isinstance(entry, dict) and len(entry) == 1 else None
            if isinstance(reference, str) and (base != self.path or not reference.startswith("#")):
                with self.problems.collect():
                    self.pointers.setdefault((section, self._locate(reference, base)), place)

    def _convert_pending(self, section: str, target: Target, pointer: str) -> None:
        name = split_pointer(pointer)[-1]
        with self.problems.collect():
            part = self._resolve(target, f"{self._describe(target[0])}#{target[1]}", target[0])
            self.components[section][name] = self._convert(part, target[0], section)

    def _locate(self, reference: str, base: Path) -> Target:
        """Return the file and pointer of a reference. Raises ContractError if the file is outside of the folder."""
        name, _, pointer = reference.partition("#")
        location = self._locate_text(base, reference)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:|//", name):
            expected = f"a file in {self.folder}; to include it: {self._suggest_bundling()}"
            raise ContractError(location, f"external reference {reference!r}", expected)
        path = (base.parent / unquote(name)).resolve() if name else base
        if not path.is_relative_to(self.folder):
            remedy = (
                f"move {self.path.name} to a folder that contains both, or join the files: {self._suggest_bundling()}"
            )
            expected = f"a file in {self.folder}; {remedy}"
            raise ContractError(location, f"reference {reference!r} to a file outside", expected)
        if pointer and not pointer.startswith("/"):
            raise ContractError(location, f"reference {reference!r} to an anchor", "a JSON pointer (#/...)")
        return path, unquote(pointer)

    def _suggest_bundling(self) -> str:
        return f"npx @redocly/cli bundle {shlex.quote(self.name)} --output bundled.yaml"

    def _locate_text(self, path: Path, reference: str) -> str:
        """Return the name of a file, with the first line that contains a reference, if one does."""
        content = self.content if path == self.path else self.contents.get(self._describe(path), b"")
        before, found, _ = content.partition(reference.encode())
        line = f", line {before.count(NEWLINE) + 1}" if found else ""
        return f"{self._describe(path)}{line}"

    def _describe(self, path: Path) -> str:
        return self.name if path == self.path else str(path.relative_to(self.folder))

    def _resolve(self, target: Target, reference: str, base: Path) -> Any:
        """Return the part of a file that a target names."""
        path, pointer = target
        if path not in self.documents:
            if len(self.documents) >= MAX_FILES:
                raise ContractError(self.name, f"more than {MAX_FILES} files", "a smaller contract")
            try:
                content = _read_bytes(path)
            except ContractError as error:
                problem = f"reference {reference!r}: {error.problem}"
                raise ContractError(self._locate_text(base, reference), problem, error.expected) from None
            self.contents[self._describe(path)] = content
            with _name_file(self._describe(path)):
                self.documents[path] = resolve_anchors(load_mapping(content, self._describe(path)), content)
        node = self.documents[path]
        for part in split_pointer(pointer):
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                expected = f"a part of {self._describe(path)}"
                location = self._locate_text(base, reference)
                raise ContractError(location, f"unresolved reference {reference}", expected) from None
        return node

    def _convert(self, node: Any, base: Path, section: str, *, keys_are_names: bool = False) -> Any:
        """Return a copy of a part of the file `base`. `section`: the section for what a reference in it names."""
        if isinstance(node, list):
            return [self._convert(value, base, section) for value in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            with self.problems.collect():
                if keys_are_names:
                    return self._inline(node["$ref"], base, section, keys_are_names=True)
                return self._convert_reference(node, base, section)
            return dict(_PLACEHOLDERS.get(section, {}))
        if keys_are_names:
            return {name: self._convert(value, base, section) for name, value in node.items()}
        return {key: self._convert_keyword(key, value, base, section) for key, value in node.items()}

    def _convert_keyword(self, key: str, value: Any, base: Path, section: str) -> Any:
        if key == "discriminator" and isinstance(value, dict) and isinstance(value.get("mapping"), dict):
            mapping = {name: self._convert_mapping(target, base) for name, target in value["mapping"].items()}
            return {**value, "mapping": mapping}
        if is_literal(key) and not (key == "examples" and isinstance(value, dict)):
            return value
        inner = _SECTIONS.get(key, section if section == "schemas" else "")
        return self._convert(value, base, inner, keys_are_names=maps_names(key, value) or key == "examples")

    def _convert_mapping(self, target: Any, base: Path) -> Any:
        """Return a value of the mapping of a discriminator: the name of a component, or a reference."""
        if not isinstance(target, str) or not ("#" in target or "/" in target or Path(target).suffix):
            return target
        result = {"$ref": target}
        with self.problems.collect():
            result = self._convert_reference(result, base, "schemas")
        return result["$ref"]

    def _convert_reference(self, node: Mapping[str, Any], base: Path, section: str) -> Any:
        """Return what replaces an object with a reference: an object, or the text or list that it refers to."""
        reference = node["$ref"]
        siblings = {key: self._convert_keyword(key, v, base, section) for key, v in node.items() if key != "$ref"}
        target = self._locate(reference, base)
        if target[0] == self.path:
            return {"$ref": f"#{target[1]}", **siblings}
        if not section:
            part = self._inline(reference, base, section)
            return {**part, **siblings} if isinstance(part, dict) else part
        pointer = self.pointers.get((section, target)) or self._choose_place(section, target)
        if pointer not in self.origins:
            self._resolve(target, reference, base)
            self.origins[pointer] = f"{self._describe(target[0])}#{target[1]}"
            self.components.setdefault(section, {})[split_pointer(pointer)[-1]] = {}  # takes the name
            self.pending.append((section, target, pointer))
        return {"$ref": pointer, **siblings}

    def _inline(self, reference: str, base: Path, section: str, *, keys_are_names: bool = False) -> Any:
        """Return a part of another file that cannot be a component, such as a path item or a description."""
        target = self._locate(reference, base)
        if target in self.inlined:
            location = self._locate_text(base, reference)
            raise ContractError(location, f"circular reference {reference}", "a reference that ends")
        part = self._resolve(target, reference, base)
        if keys_are_names and not isinstance(part, dict):
            problem = f"reference {reference} to a {type(part).__name__}"
            raise ContractError(self._locate_text(base, reference), problem, "a reference to a mapping")
        self.inlined.append(target)
        try:
            return self._convert(part, target[0], section, keys_are_names=keys_are_names)
        finally:
            self.inlined.pop()

    def _choose_place(self, section: str, target: Target) -> str:
        """Return the pointer of the component that a part of another file becomes."""
        path, pointer = target
        last = split_pointer(pointer)[-1] if pointer.strip("/") else path.name.partition(".")[0]
        base_name = _NO_NAME_CHARACTERS.sub("_", last) or section
        taken = self.components.get(section, {}).keys() | self.own_names.get(section, set())
        name, number = base_name, 2
        while name in taken:
            name, number = f"{base_name}_{number}", number + 1
        place = f"#/components/{section}/{escape(name)}"
        self.pointers[section, target] = place
        return place
