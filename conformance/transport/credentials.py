"""Where the token of a run is sent: as a security scheme of the contract says."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from conformance.transport.messages import AUTHORIZATION
from spec.model import Contract

_HEXADECIMAL = re.compile("[0-9a-fA-F-]+")


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
    def description(self) -> str:
        """What a message calls the place."""
        return f"{'query parameter' if self.location == 'query' else self.location} {self.name}"

    def is_given(self, headers: Mapping[str, str]) -> bool:
        """Whether headers that each request has contain the credential."""
        values = {name.lower(): value for name, value in headers.items()}
        if self.location == "cookie":
            return f"{self.name}=" in values.get("cookie", "")
        return self.location == "header" and self.name.lower() in values

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


def derive_invalid_tokens(token: str) -> Mapping[str, str]:
    """Return tokens that differ slightly from a valid one, by kind.

    The case is not changed if it may have no meaning: in hexadecimal digits, as of a UUID.
    """
    half = len(token) // 2
    derived = {
        "a character before the token": f"x{token}",
        "a character after the token": f"{token}x",
        "the token without its last character": token[:-1],
        "a space inside the token": f"{token[:half]} {token[half:]}",
    }
    if not _HEXADECIMAL.fullmatch(token) and token.swapcase() != token:
        derived["the letters of the token in the other case"] = token.swapcase()
    return derived


@dataclass(frozen=True, slots=True)
class OperationCredentials:
    """Where each operation gets the token. `headers`: those that each request has, which may contain other credentials.

    `formats`: operationId -> format, where it is not that of the contract. `problems`: operationId -> why the run
    cannot send the credentials that the operation requires.
    """

    formats: Mapping[str, CredentialFormat] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_contract(cls, contract: Contract, headers: Mapping[str, str]) -> "OperationCredentials":
        """Choose an alternative of each operation: the token is one credential, the others are in `headers`."""
        default = CredentialFormat.from_contract(contract)
        formats, problems = {}, {}
        for operation in contract.operations.values():
            alternatives = [_list_formats(contract, names) for names in operation.security]
            missing = [[f for f in alternative if not f.is_given(headers)] for alternative in alternatives]
            possible = [alternative for alternative in missing if len(alternative) <= 1]
            if not missing or any(not alternative or alternative == [default] for alternative in possible):
                continue
            if possible:
                formats[operation.id] = possible[0][0]
            else:
                problems[operation.id] = _describe_missing(missing[0])
        return cls(formats, problems)


def _list_formats(contract: Contract, names: Iterable[str]) -> list[CredentialFormat]:
    """Return the places of the credentials of an alternative that are parts of a request."""
    formats = (CredentialFormat.from_scheme(contract.security_schemes[name]) for name in names)
    return [created for created in formats if created is not None]


def _describe_missing(formats: list[CredentialFormat]) -> str:
    places = " and ".join(credential.description for credential in formats)
    return f"the operation requires credentials in {places}: the token is only one, add the others with --header"
