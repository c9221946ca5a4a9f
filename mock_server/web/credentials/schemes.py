"""Security schemes in the form that Connexion verifies, and their names in messages."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connexion.security import NO_VALUE, AbstractSecurityHandler

from spec.http.security import find_http_scheme
from spec.model import Contract, Operation


def build_connexion_schemes(contract: Contract) -> dict[str, dict[str, Any]]:
    """Return the schemes by name, without those of certificates (mutualTLS): the mock verifies none."""
    return {
        name: converted
        for name, scheme in contract.security_schemes.items()
        if (converted := _convert_scheme(scheme)) is not None
    }


def _convert_scheme(scheme: Mapping[str, Any]) -> dict[str, Any] | None:
    http_scheme = find_http_scheme(scheme)
    if http_scheme is not None:
        return {"type": "http", "scheme": http_scheme}
    if scheme["type"] == "mutualTLS":
        return None
    # Connexion reads a key with that keyword from the header Authorization.
    return {key: value for key, value in scheme.items() if key != "x-authentication-scheme"}


def list_http_schemes(contract: Contract) -> list[str]:
    """Return the names of the schemes in the header Authorization, each once."""
    return list(dict.fromkeys(filter(None, map(find_http_scheme, contract.security_schemes.values()))))


def list_query_keys(contract: Contract) -> frozenset[str]:
    """Return the names of the keys in the query."""
    return frozenset(scheme["name"] for scheme in contract.security_schemes.values() if scheme.get("in") == "query")


def build_example_credentials(contract: Contract, operation: Operation, token: str) -> tuple[dict[str, str], str]:
    """Return the headers and the query (with its question mark, or "") of a request with one token for all schemes.

    Of several alternatives, the bearer token is preferred.
    """
    converted = build_connexion_schemes(contract)
    alternatives = [[converted[name] for name in names if name in converted] for names in operation.security]
    alternatives.sort(key=lambda schemes: [scheme.get("scheme") for scheme in schemes] != ["bearer"])
    headers: dict[str, str] = {}
    query: list[str] = []
    for scheme in alternatives[0] if operation.requires_auth else ():
        if scheme["type"] == "http":
            value = b64encode(f"{token}:".encode()).decode() if scheme["scheme"] == "basic" else token
            headers["Authorization"] = f"{scheme['scheme'].capitalize()} {value}"
        elif scheme["in"] == "header":
            headers[scheme["name"]] = token
        elif scheme["in"] == "cookie":
            headers["Cookie"] = "; ".join(filter(None, (headers.get("Cookie"), f"{scheme['name']}={token}")))
        else:
            query.append(f"{quote(scheme['name'])}={token}")
    return headers, f"?{'&'.join(query)}" if query else ""


class HttpCredentialHandler(AbstractSecurityHandler):  # type: ignore[misc]
    """Verifies the credential of an HTTP scheme that Connexion does not know, as `digest`, as one text."""

    def get_fn(self, security_scheme: Mapping[str, Any], required_scopes: list[str]) -> Callable[[Any], Any]:
        """Return the function that verifies a request."""
        verify = self._generic_check(self._resolve_func(security_scheme), "The credential is not valid")

        def verify_request(request: Any) -> Any:
            name, credential = self.get_auth_header_value(request)
            return verify(request, credential) if name == security_scheme["scheme"] else NO_VALUE

        return verify_request


def build_challenge(schemes: Sequence[Mapping[str, Any]]) -> str:
    """Return the WWW-Authenticate header for schemes in the form of Connexion."""
    names = dict.fromkeys(scheme["scheme"].capitalize() for scheme in schemes if scheme["type"] == "http")
    keys = dict.fromkeys(f'ApiKey name="{scheme["name"]}"' for scheme in schemes if scheme["type"] == "apiKey")
    return ", ".join(names or keys) or "Bearer"


def describe_alternatives(security: Sequence[Mapping[str, Any]], schemes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a request needs, for the request log."""
    alternatives = (" and ".join(_describe(schemes[name]) for name in names) for names in security if names)
    return " or ".join(dict.fromkeys(alternatives))


def _describe(scheme: Mapping[str, Any]) -> str:
    if scheme["type"] == "http":
        return f"Authorization: {scheme['scheme'].capitalize()} {'TOKEN' if scheme['scheme'] == 'bearer' else '...'}"
    return {
        "header": f"{scheme['name']}: KEY",
        "query": f"?{scheme['name']}=KEY",
        "cookie": f"Cookie: {scheme['name']}=KEY",
    }[scheme["in"]]
