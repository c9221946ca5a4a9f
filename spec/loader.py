"""Loads an OpenAPI 3.0 contract into the frozen objects of `spec.model`.

Everything is read from the file; this package contains nothing that is specific to one API.
"""

from pathlib import Path

from spec.component_schemas import ComponentSchemas
from spec.consistency import check_consistency
from spec.document import Document, escape, read_document
from spec.errors import ContractError, invalid_value
from spec.extensions import check_extensions, parse_csrf
from spec.http.servers import parse_base_paths
from spec.keyword_types import check_keyword_types
from spec.model import Contract, SessionCookie, View
from spec.operation_parser import OperationParser
from spec.printed_texts import check_printed_texts
from spec.resource_parser import parse_resources, parse_views


def load_contract(path: Path) -> Contract:
    """Load the contract file at `path`. Raises ContractError if it cannot be read or is invalid."""
    return parse_contract(read_document(path))


def parse_contract(document: Document) -> Contract:
    """Build the contract of a document. Raises ContractError for the first error in it."""
    root = document.root
    if not str(root.get("openapi", "")).startswith("3.0"):
        raise ContractError("#/openapi", invalid_value(root.get("openapi")), "3.0.x")
    for section in ("info", "paths"):
        if not isinstance(root.get(section), dict):
            raise ContractError(f"#/{section}", invalid_value(root.get(section)), "a mapping")
    check_keyword_types(document)
    check_printed_texts(document)
    check_extensions(document)
    components = ComponentSchemas.from_document(document)
    resources = parse_resources(components)
    views = parse_views(components, resources)
    info = root["info"]
    base_paths = parse_base_paths(root.get("servers"), "#/servers")
    contract = Contract(
        document,
        str(info.get("title", "")),
        str(info.get("version", "")),
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
        base_paths,
    )
    check_consistency(contract)
    return contract


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
