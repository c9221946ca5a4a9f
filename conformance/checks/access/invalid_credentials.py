"""Credentials that no target accepts, in the security schemes that an operation declares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from conformance.transport.credentials import CredentialFormat
from conformance.transport.messages import AUTHORIZATION
from spec.model import Contract, Operation

NO_TOKEN = "no token"
OTHER_SCHEMES = ("Basic ZGVtbzpkZW1v", "Digest username=demo", "Conformance demo")  # of the header Authorization
UNKNOWN_CREDENTIAL = "invalid-conformance-token"


@dataclass(frozen=True, slots=True)
class InvalidCredential:
    """Headers and query parameters of a request."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_formats(cls, formats: Iterable[CredentialFormat]) -> "InvalidCredential":
        """Create unknown credentials at the given places."""
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        for created in formats:
            if created.location == "query":
                query[created.name] = UNKNOWN_CREDENTIAL
            else:
                created.add(UNKNOWN_CREDENTIAL, "", headers)
        return cls(headers, query)


def build_invalid_credentials(contract: Contract, operation: Operation) -> dict[str, InvalidCredential]:
    """Return kind -> credential. Kinds of the header Authorization only if the operation declares a scheme in it."""
    alternatives = {names: list_formats(contract, names) for names in operation.security}
    formats = [created for alternative in alternatives.values() for created in alternative]
    credentials = {NO_TOKEN: InvalidCredential(), **_build_authorization_values(formats)}
    for names, alternative in alternatives.items():
        if any(not created.is_authorization for created in alternative):
            subject = f"an unknown {names[0]} credential" if len(names) == 1 else f"unknown {' and '.join(names)}"
            credentials[subject] = InvalidCredential.from_formats(alternative)
    return credentials


def _build_authorization_values(formats: Iterable[CredentialFormat]) -> dict[str, InvalidCredential]:
    declared = [created for created in formats if created.is_authorization]
    if not declared:
        return {}
    main = CredentialFormat() if CredentialFormat() in declared else declared[0]
    credentials = {"an unknown token": InvalidCredential.from_formats([main])}
    if not all(created.prefix for created in declared):  # each value of the header is an API key, with any scheme
        return credentials
    scheme, schemes = main.prefix.strip(), {created.prefix.strip() for created in declared}
    other = next(value for value in OTHER_SCHEMES if value.split()[0] not in schemes)
    return {
        "another scheme": InvalidCredential({AUTHORIZATION: other}),
        "a scheme and no token": InvalidCredential({AUTHORIZATION: scheme}),
        **credentials,
        "a malformed token": InvalidCredential({AUTHORIZATION: f"{scheme} , ;=?"}),
    }


def list_formats(contract: Contract, names: Iterable[str]) -> list[CredentialFormat]:
    """Return the places of the credentials of an alternative that are parts of a request."""
    formats = (CredentialFormat.from_scheme(contract.security_schemes[name]) for name in names)
    return [created for created in formats if created is not None]
