"""Where the token of a run is sent: as a security scheme of the contract says."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from conformance.transport.messages import AUTHORIZATION
from spec.model import Contract


@dataclass(frozen=True, slots=True)
class CredentialFormat:
    """The place of a token in a request. `location`: ``header``, ``query`` or ``cookie``. `prefix`: in the header."""

    location: str = "header"
    name: str = AUTHORIZATION
    prefix: str = "Bearer "

    @classmethod
    def from_contract(cls, contract: Contract) -> "CredentialFormat":
        """Return the format of the first scheme that a client can send; bearer tokens are preferred."""
        required = {name for o in contract.operations.values() for names in o.security for name in names}
        schemes = [scheme for name, scheme in contract.security_schemes.items() if name in required]
        formats = [created for created in map(cls.from_scheme, schemes) if created is not None]
        return cls() if cls() in formats or not formats else formats[0]

    @classmethod
    def from_scheme(cls, scheme: Mapping[str, str]) -> "CredentialFormat | None":
        """Return the format of a security scheme; None if a token cannot be sent in it (``mutualTLS``)."""
        match scheme:
            case {"type": "http", "scheme": name} if name.lower() != "bearer":
                return cls(prefix=f"{name.capitalize()} ")
            case {"type": "http" | "oauth2" | "openIdConnect"}:
                return cls()
            case {"type": "apiKey", "in": location, "name": name}:
                return cls(location, name, "")
        return None

    @property
    def is_authorization(self) -> bool:
        """Whether it is the header Authorization."""
        return self.name == AUTHORIZATION

    def add(self, token: str, target: str, headers: dict[str, str]) -> str:
        """Add the token to `headers`, or to the target of a request; return the target. Existing headers stay."""
        if self.location == "query":
            return f"{target}{'&' if '?' in target else '?'}{quote(self.name)}={quote(token)}"
        if self.location == "cookie":
            headers.setdefault("Cookie", f"{self.name}={token}")
        elif self.prefix == "Basic ":
            pair = token if ":" in token else f"{token}:"
            headers.setdefault(self.name, self.prefix + base64.b64encode(pair.encode()).decode())
        else:
            headers.setdefault(self.name, self.prefix + token)
        return target
