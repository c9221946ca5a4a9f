"""The security schemes of a contract."""

from collections.abc import Mapping
from typing import Any

from spec.document import Document, escape
from spec.errors import ContractError, invalid_value

# Type -> the keywords that a scheme of that type needs.
_REQUIRED_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "apiKey": ("in", "name"),
    "http": ("scheme",),
    "oauth2": (),
    "openIdConnect": (),
    "mutualTLS": (),
}
_KEY_LOCATIONS = ("header", "query", "cookie")


def parse_security_schemes(document: Document) -> dict[str, Mapping[str, Any]]:
    """Return the security schemes by name, without references. Raises ContractError."""
    nodes = document.root.get("components", {}).get("securitySchemes", {})
    return {name: _parse_scheme(document, name, node) for name, node in nodes.items()}


def _parse_scheme(document: Document, name: str, node: Any) -> Mapping[str, Any]:
    location = f"#/components/securitySchemes/{escape(name)}"
    if not isinstance(node, dict):
        raise ContractError(location, invalid_value(node), "a security scheme")
    scheme, location = document.dereference(node, location)
    kind = scheme.get("type")
    if not isinstance(kind, str) or kind not in _REQUIRED_KEYWORDS:
        raise ContractError(f"{location}/type", invalid_value(kind), f"one of {', '.join(_REQUIRED_KEYWORDS)}")
    for keyword in _REQUIRED_KEYWORDS[kind]:
        value = scheme.get(keyword)
        if not isinstance(value, str) or not value.strip():
            raise ContractError(f"{location}/{keyword}", invalid_value(value), f"{keyword}: a text")
    if kind == "apiKey" and scheme["in"] not in _KEY_LOCATIONS:
        raise ContractError(f"{location}/in", invalid_value(scheme["in"]), f"one of {', '.join(_KEY_LOCATIONS)}")
    return scheme


def find_http_scheme(scheme: Mapping[str, Any]) -> str | None:
    """Return the lower-case name of the scheme in the header Authorization; None if the credential is not there.

    A token of OAuth 2 or OpenID Connect is a bearer token.
    """
    if scheme["type"] in ("oauth2", "openIdConnect"):
        return "bearer"
    return str(scheme["scheme"]).strip().lower() if scheme["type"] == "http" else None
