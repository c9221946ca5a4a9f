"""Loads a contract, an OpenAPI 3.0 or 3.1 document, into the frozen objects of `spec.model`.

Everything is read from the file; this package contains nothing that is specific to one API.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spec.component_schemas import ComponentSchemas
from spec.consistency import check_consistency
from spec.document import Document, escape, read_document
from spec.errors import ContractError, invalid_value
from spec.extensions import check_extensions, parse_csrf
from spec.http.servers import parse_base_paths
from spec.keyword_types import check_keyword_types
from spec.model import Contract, SessionCookie, View
from spec.normalization.canonical_form import is_openapi_31, normalize_document
from spec.operation_parser import OperationParser
from spec.printed_texts import check_printed_texts, join_lines
from spec.resource_parser import parse_resources, parse_views

_VERSION_PATTERN = re.compile(r"3\.[01](\.[0-9]+)?(-.+)?")


def load_contract(path: Path) -> Contract:
    """Load the contract file at `path`. Raises ContractError if it cannot be read or is invalid."""
    return parse_contract(read_document(path))


def parse_contract(document: Document) -> Contract:
    """Build the contract of a document. Raises ContractError for the first error in it."""
    _check_root(document.root)
    check_keyword_types(document, is_31=is_openapi_31(document.root))
    document = normalize_document(document)
    root = document.root
    check_printed_texts(document)
    ignored_extensions = check_extensions(document)
    components = ComponentSchemas.from_document(document)
    resources = parse_resources(components)
    views = parse_views(components, resources)
    info = root["info"]
    base_paths = parse_base_paths(root.get("servers"), "#/servers")
    contract = Contract(
        document,
        join_lines(info.get("title", "")),
        join_lines(info.get("version", "")),
        base_paths[0],
        OperationParser(components, resources, views).parse_operations(),
        resources,
        views,
        root.get("components", {}).get("securitySchemes", {}),
        next((r for r in resources.values() if r.members_relation), None),
        next((r for r in resources.values() if r.credentials), None),
        {name: _list_views(name, views) for name in resources},
        tuple(r.name for r in resources.values() if r.access_grant),
        _parse_session_cookie(document),
        ignored_extensions,
        base_paths,
    )
    check_consistency(contract)
    return contract


def _check_root(root: Mapping[str, Any]) -> None:
    """Check the version of OpenAPI, and the parts that each document has."""
    version = root.get("openapi")
    if not _VERSION_PATTERN.fullmatch(str(version)):
        raise ContractError("#/openapi", invalid_value(version), "3.0.x or 3.1.x")
    sections = ("info",) if is_openapi_31(root) and "paths" not in root else ("info", "paths")
    for section in sections:
        if not isinstance(root.get(section), dict):
            raise ContractError(f"#/{section}", invalid_value(root.get(section)), "a mapping")


def _parse_session_cookie(document: Document) -> SessionCookie | None:
    """Parse the security schemes in a cookie; return the first one."""
    cookies = []
    for name, scheme in document.root.get("components", {}).get("securitySchemes", {}).items():
        csrf = parse_csrf(scheme, f"#/components/securitySchemes/{escape(name)}") or ("", "")
        if (scheme.get("type"), scheme.get("in")) == ("apiKey", "cookie"):
            cookies.append(SessionCookie(name, str(scheme.get("name", "")), *csrf))
    return cookies[0] if cookies else None


def _list_views(resource: str, views: dict[str, View]) -> tuple[View, ...]:
    """Return the views of a resource; the one with its name is first."""
    return tuple(sorted((v for v in views.values() if v.resource == resource), key=lambda view: view.name != resource))
