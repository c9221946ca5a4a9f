"""The credentials of a run, from its settings."""

from conformance.config.settings import Settings
from conformance.transport.credentials import OperationCredentials, SchemeCredential, split_headers
from spec.model import Contract


def resolve_credentials(
    settings: Settings, contract: Contract
) -> tuple[tuple[tuple[str, str], ...], OperationCredentials]:
    """Return the headers of each request that are no credentials, and the credentials of each operation."""
    headers, credentials = split_headers(contract, settings.header)
    for scheme, variable in settings.credential:
        if scheme in settings.credential_values:
            credentials[scheme] = SchemeCredential(settings.credential_values[scheme], variable)
    return headers, OperationCredentials.from_contract(contract, credentials, token_env=settings.token_env)
