"""Rejects control characters in the texts of a contract that are printed on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from spec.document import Document, escape
from spec.errors import ContractError, ProblemCollector, invalid_value


def check_printed_texts(document: Document) -> None:
    """Raise ContractError for each text of a contract that is printed on a terminal and has control characters."""
    problems = ProblemCollector(document.name)
    for location, text in _iter_printed_texts(document.root):
        if not text.isprintable():
            problems.add(ContractError(location, invalid_value(text), "printable characters"))
    problems.raise_problems()


def join_lines(text: Any) -> str:
    """Return a text as one line, with single spaces."""
    return " ".join(str(text).split())


def _iter_printed_texts(root: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (location, text): title and version, URLs, paths, operation ids and the names of components."""
    info = root["info"]
    yield from ((f"#/info/{name}", join_lines(info.get(name, ""))) for name in ("title", "version"))
    for index, server in enumerate(root.get("servers") or ()):
        yield f"#/servers/{index}/url", str(server.get("url", ""))
    for path, item in root["paths"].items():
        yield "#/paths", str(path)
        for method, operation in item.items():
            if isinstance(operation, dict) and "operationId" in operation:
                yield f"#/paths/{escape(path)}/{escape(method)}/operationId", str(operation["operationId"])
    for kind, components in (root.get("components") or {}).items():
        yield from ((f"#/components/{kind}", str(name)) for name in components if isinstance(components, dict))
