"""The differences of two contracts, and whether they break clients."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from spec.comparison.changes import (
    Change,
    ChangeKind,
    Flow,
    build_added,
    compare_required,
    compare_texts,
)
from spec.comparison.normal_form import normalize
from spec.comparison.schemas import SchemaComparison
from spec.document import METHODS, Document, escape

_PATH_PARAMETER = re.compile(r"\{([^}]*)\}")


def compare_contracts(old: Document, new: Document) -> list[Change]:
    """Return the differences of two documents of OpenAPI 3.0 or 3.1, each once. Raises ContractError."""
    return list(dict.fromkeys(_ContractComparison(normalize(old), normalize(new)).compare()))


class _ContractComparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new
        self.schemas = SchemaComparison(old, new)

    def compare(self) -> Iterator[Change]:
        yield from compare_texts(self.old.root["info"], self.new.root["info"], "info")
        yield from _compare_servers(self.old.root, self.new.root, "servers")
        old, new = _list_operations(self.old), _list_operations(self.new)
        names = _match_operations(old, new)
        for name, new_name in names.items():
            if new_name is None:
                yield Change(ChangeKind.BREAKING, name, "operation removed")
            else:
                yield from _compare_path_parameters(name, new_name)
                operation = _rename_path_parameters(new[new_name], new_name, name)
                yield from self._compare_operations(old[name], operation, new_name)
        for name in (name for name in new if name not in names.values()):
            yield Change(ChangeKind.COMPATIBLE, name, "operation added")
        yield from self.schemas.compare_components()

    def _compare_operations(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        yield from compare_texts(old, new, name)
        yield from _compare_operation_ids(old.get("operationId"), new.get("operationId"), name)
        yield from _compare_servers(old, new, f"{name} servers")
        yield from _compare_security(*self._list_security(old, new), name)
        yield from self._compare_parameters(old["parameters"], new["parameters"], name)
        yield from self._compare_request_bodies(old.get("requestBody"), new.get("requestBody"), f"{name} request body")
        yield from self._compare_responses(old.get("responses", {}), new.get("responses", {}), name)

    def _list_security(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return the alternative requirements of both operations as texts."""
        requirements = [node.get("security", document.root.get("security")) for node, document in self._pair(old, new)]
        first, second = (
            [_format_requirement(each) for each in (alternatives or [{}])] for alternatives in requirements
        )
        return first, second

    def _pair(self, old: Any, new: Any) -> tuple[tuple[Any, Document], tuple[Any, Document]]:
        return (old, self.old), (new, self.new)

    def _compare_parameters(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        for key in [*old, *(key for key in new if key not in old)]:
            location = f"{name} {key}"
            if key not in new:
                yield Change(ChangeKind.BREAKING, location, "parameter removed")
            elif key not in old:
                yield build_added(location, "parameter", required=bool(new[key].get("required")))
            else:
                yield from self._compare_values(old[key], new[key], location, Flow.REQUEST)

    def _compare_values(self, old: Any, new: Any, location: str, flow: Flow) -> Iterator[Change]:
        """Compare two parameters, or two headers."""
        yield from compare_texts(old, new, location)
        yield from compare_required(old, new, location, flow)
        yield from self.schemas.compare(old.get("schema", {}), new.get("schema", {}), location, frozenset({flow}))

    def _compare_request_bodies(self, old: Any, new: Any, location: str) -> Iterator[Change]:
        old, new = (self._dereference(node, document) for node, document in self._pair(old, new))
        if not old or not new:
            if new:
                yield build_added(location, "body", required=bool(new.get("required")))
            elif old:
                yield Change(ChangeKind.BREAKING, location, "body removed")
            return
        yield from compare_required(old, new, location, Flow.REQUEST)
        yield from self._compare_content(old, new, location, Flow.REQUEST)

    def _compare_responses(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        for status in [*old, *(status for status in new if status not in old)]:
            location = f"{name} {status}"
            if status not in new:
                kind = ChangeKind.BREAKING if status.startswith("2") else ChangeKind.COMPATIBLE
                yield Change(kind, location, "status removed")
            elif status not in old:
                yield Change(ChangeKind.COMPATIBLE, location, "status added")
            elif isinstance(old[status], dict) and isinstance(new[status], dict):
                reference = old[status].get("$ref")
                if reference is not None and reference == new[status].get("$ref"):
                    location = reference.removeprefix("#/components/")
                responses = [self._dereference(n[status], document) for n, document in self._pair(old, new)]
                yield from compare_texts(responses[0], responses[1], location)
                yield from self._compare_headers(responses[0], responses[1], location)
                yield from self._compare_content(responses[0], responses[1], location, Flow.RESPONSE)

    def _compare_headers(self, old: Mapping[str, Any], new: Mapping[str, Any], location: str) -> Iterator[Change]:
        """Compare the headers of two responses."""
        old, new = ({name.lower(): (name, node) for name, node in r.get("headers", {}).items()} for r in (old, new))
        for key in [*old, *(key for key in new if key not in old)]:
            name = (new.get(key) or old[key])[0]
            if key not in new:
                yield Change(ChangeKind.BREAKING, location, f"header {name} removed")
            elif key not in old:
                yield Change(ChangeKind.COMPATIBLE, location, f"header {name} added")
            else:
                headers = [self._dereference(node, document) for node, document in self._pair(old[key][1], new[key][1])]
                yield from self._compare_values(headers[0], headers[1], f"{location} header {name}", Flow.RESPONSE)

    def _compare_content(self, old: Any, new: Any, location: str, flow: Flow) -> Iterator[Change]:
        """Compare the media types of a body and their schemas."""
        contents = old.get("content", {}), new.get("content", {})
        for media_type in (name for name in contents[0] if name not in contents[1]):
            yield Change(ChangeKind.BREAKING, location, f"media type {media_type} removed")
        for media_type in (name for name in contents[1] if name not in contents[0]):
            yield Change(ChangeKind.COMPATIBLE, location, f"media type {media_type} added")
        for media_type in (name for name in contents[0] if name in contents[1]):
            schemas = [content[media_type].get("schema", {}) for content in contents]
            yield from self.schemas.compare(schemas[0], schemas[1], location, frozenset({flow}))

    def _dereference(self, node: Any, document: Document) -> Any:
        return document.dereference(node, "")[0] if node else node


# Operations


def _list_operations(document: Document) -> dict[str, dict[str, Any]]:
    """Return ``GET /agents`` -> the operation, with its resolved parameters by ``query parameter page``."""
    operations = {}
    paths = {path: item for path, item in document.root["paths"].items() if path.startswith("/")}
    for path, node in paths.items():
        item, _ = document.dereference(node, f"#/paths/{escape(path)}")
        for method in (method for method in METHODS if method in item):
            nodes = (*item.get("parameters", ()), *item[method].get("parameters", ()))
            parameters = [document.dereference(node, f"#/paths/{escape(path)}")[0] for node in nodes]
            by_name = {f"{p.get('in')} parameter {p.get('name')}": p for p in parameters}
            servers = {"servers": item["servers"]} if "servers" in item else {}
            operations[f"{method.upper()} {path}"] = {**servers, **item[method], "parameters": by_name}
    return operations


def _match_operations(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str | None]:
    """Map the names of the old operations to those of the new ones, which may name path parameters differently."""
    renamed = {_PATH_PARAMETER.sub("{}", name): name for name in new if name not in old}
    return {name: name if name in new else renamed.get(_PATH_PARAMETER.sub("{}", name)) for name in old}


def _list_renamed_parameters(old_name: str, new_name: str) -> list[tuple[str, str]]:
    names = zip(_PATH_PARAMETER.findall(old_name), _PATH_PARAMETER.findall(new_name), strict=True)
    return [(old, new) for old, new in names if old != new]


def _compare_path_parameters(old_name: str, new_name: str) -> Iterator[Change]:
    path = new_name.partition(" ")[2]
    for old, new in _list_renamed_parameters(old_name, new_name):
        yield Change(ChangeKind.COMPATIBLE, path, f"path parameter {old} renamed to {new}")


def _rename_path_parameters(operation: Mapping[str, Any], name: str, old_name: str) -> Mapping[str, Any]:
    """Return an operation whose path parameters have the names of the old operation."""
    names = {new: old for old, new in _list_renamed_parameters(old_name, name)}
    prefix = "path parameter "
    parameters = {
        f"{prefix}{names.get(key.removeprefix(prefix), key.removeprefix(prefix))}" if key.startswith(prefix) else key: p
        for key, p in operation["parameters"].items()
    }
    return {**operation, "parameters": parameters}


def _compare_operation_ids(old: Any, new: Any, name: str) -> Iterator[Change]:
    """Compare operation ids: generated clients name their methods after them."""
    if old == new:
        return
    if old is None:
        yield Change(ChangeKind.COMPATIBLE, name, f"operationId {new} added")
    elif new is None:
        yield Change(ChangeKind.BREAKING, name, f"operationId {old} removed")
    else:
        yield Change(ChangeKind.BREAKING, name, f"operationId: {old} to {new}")


def _compare_servers(old: Mapping[str, Any], new: Mapping[str, Any], location: str) -> Iterator[Change]:
    """Compare the URLs of servers. It breaks clients if a base path is no longer served; hosts are configured."""
    urls = [[str(server.get("url", "/")) for server in node.get("servers", [])] for node in (old, new)]
    if urls[0] == urls[1]:
        return
    paths = [{_get_path(url) for url in each or ["/"]} for each in urls]
    kind = ChangeKind.COMPATIBLE if paths[0] <= paths[1] else ChangeKind.BREAKING
    first, second = (", ".join(each) or "none" for each in urls)
    yield Change(kind, location, f"{first} to {second}")


def _get_path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:  # an invalid host
        return url


def _format_requirement(requirement: Mapping[str, Any]) -> str:
    """Return a security requirement as text: the schemes that a request needs together."""
    schemes = [f"{name} ({', '.join(map(str, scopes))})" if scopes else name for name, scopes in requirement.items()]
    return " and ".join(schemes) or "none"


def _compare_security(old: Sequence[str], new: Sequence[str], name: str) -> Iterator[Change]:
    """Compare alternative security requirements: a client that meets one of the old ones must still be accepted."""
    if set(old) != set(new):
        is_compatible = set(old) <= set(new) or "none" in new
        kind = ChangeKind.COMPATIBLE if is_compatible else ChangeKind.BREAKING
        yield Change(kind, name, f"security: {' or '.join(old)} to {' or '.join(new)}")
