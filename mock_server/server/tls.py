"""The TLS context of the server, from a certificate and its key."""

import ssl
from pathlib import Path
from typing import NoReturn

from mock_server.errors import ApiError, ErrorKind

_MAX_PEM_BYTES = 1024 * 1024


class TlsError(Exception):
    """A certificate or key cannot be used. The message is shown to the user."""


class _Handshake(ssl.SSLObject):
    """The server's side of a TLS connection, which responds to a plain http request instead of a handshake.

    OpenSSL recognizes GET, HEAD, POST and PUT requests.
    """

    outgoing: ssl.MemoryBIO
    has_responded = False

    def do_handshake(self) -> None:
        """Do a step of the handshake; for an http request, write the response and wait for the client to close."""
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason != "HTTP_REQUEST" or self.has_responded:
                raise
            self.has_responded = True
            self.outgoing.write(_build_http_response())
            raise ssl.SSLWantReadError from None


class _Context(ssl.SSLContext):
    """A TLS context whose connections respond to plain http requests."""

    sslobject_class = _Handshake

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        handshake = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(handshake, _Handshake)
        handshake.outgoing = outgoing
        return handshake


def _build_http_response() -> bytes:
    error = ApiError(ErrorKind.BAD_REQUEST, message="This port serves HTTPS, not HTTP: use https:// in the URL.")
    body = error.encode_body()
    lines = (
        "HTTP/1.1 400 Bad Request",
        f"X-Mock-Reason: {error.reason}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


def create_tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context for PEM files: a certificate, followed by its chain, and its key. Raises TlsError."""
    _check_pem("--tls-cert", certificate, b"CERTIFICATE-----", "a certificate")
    _check_pem("--tls-key", key, b"PRIVATE KEY-----", "a private key")

    def reject_password() -> NoReturn:
        raise TlsError(f"--tls-key {key}: the key is encrypted (expected a key without a password).")

    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, reject_password)
    except ssl.SSLError as error:
        raise TlsError(_describe_error(error, certificate, key)) from None
    return context


def _describe_error(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    """Describe which of the files cannot be used, and why."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"--tls-key {key}: does not belong to the first certificate of --tls-cert {certificate}."
    if not _is_readable_certificate(certificate):
        return f"--tls-cert {certificate}: a PEM block is damaged or is not an X.509 certificate."
    if error.reason is None:
        return f"--tls-key {key}: the private key is damaged, or of a type that is not supported."
    return f"--tls-cert {certificate}: {error.reason.lower().replace('_', ' ')}."  # for example: ee key too small


def _is_readable_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return False
    return True


def _check_pem(option: str, path: Path, marker: bytes, expected: str) -> None:
    """Raise TlsError unless a file has a PEM block of a type that ends with `marker`."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise TlsError(f"{option} {path}: {error.strerror or error}.") from None
    if b"-----BEGIN " not in content or marker not in content:
        raise TlsError(f"{option} {path}: the file has no PEM block with {expected}.")
