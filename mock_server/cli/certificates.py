"""The certificate of the mock: files of the user, or files that the mock creates."""

import hashlib
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mock_server.cli.settings import MockSettings, SelfSignedTls

if TYPE_CHECKING:
    import ssl

_HOST_NAME = re.compile(r"[a-z0-9_.-]+")
_INSTALL_ADVICE = (
    "--tls self-signed: the package cryptography is not installed. Install it (pip install 'athena-contract[tls]'), "
    "or use --tls-cert and --tls-key."
)


@dataclass(frozen=True, slots=True)
class TlsSetup:
    """The TLS context of the server.

    `ca`: a file with which clients trust the mock. `is_created`: whether the mock created it. `warning`: a message for
    the user.
    """

    context: "ssl.SSLContext"
    ca: Path
    is_created: bool = False
    warning: str | None = None


def create_tls_setup(settings: MockSettings) -> TlsSetup | None:
    """Return the TLS setup for the settings; None for http.

    Raises click.UsageError if the certificate cannot be used or created.
    """
    if settings.tls is None and settings.tls_cert is None:
        return None
    from mock_server.server import tls  # only imported when needed, as `ssl` takes 10 ms

    try:
        if settings.tls is not None:
            return _create_self_signed(settings.tls, settings)
        if settings.tls_cert is not None and settings.tls_key is not None:
            return TlsSetup(tls.create_tls_context(settings.tls_cert, settings.tls_key), settings.tls_cert)
    except tls.TlsError as error:
        raise click.UsageError(str(error)) from None
    return None


def _create_self_signed(options: SelfSignedTls, settings: MockSettings) -> TlsSetup:
    from mock_server.image_cache import find_cache_folder
    from mock_server.sandbox.clock import get_system_time
    from mock_server.server import tls

    try:
        from mock_server.server import self_signed
    except ImportError:
        raise tls.TlsError(_INSTALL_ADVICE) from None
    names = list_certificate_names(settings)
    folder = options.folder
    if folder is None:
        digest = hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:12]
        folder = find_cache_folder() / f"tls-{digest}"
    machine_names = filter(_is_certificate_name, [socket.gethostname().lower()])
    files = self_signed.ensure_certificate(folder, names, machine_names, get_system_time())
    warning = (
        f"replaced the certificate in {folder}: clients must trust the new file" if files.replaces_others else None
    )
    return TlsSetup(tls.create_tls_context(files.server, files.server), files.ca.absolute(), True, warning)


def list_certificate_names(settings: MockSettings) -> frozenset[str]:
    """Return the names and addresses that a created certificate must cover, except the name of the machine."""
    from mock_server.web.host_names import HOST_ALIASES

    names = {"localhost", "127.0.0.1", "::1", *HOST_ALIASES, settings.host.lower(), *settings.allowed_hosts}
    return frozenset(name for name in names - {"0.0.0.0", "::"} if _is_certificate_name(name))


def _is_certificate_name(name: str) -> bool:
    try:
        return "%" not in name and bool(ip_address(name))
    except ValueError:
        return _HOST_NAME.fullmatch(name) is not None
