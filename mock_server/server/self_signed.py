"""Creates a certificate for the mock, and one of its certificate authority (CA) that clients can trust.

The key of the CA is not stored: a client that trusts it trusts this one certificate, and no other can be issued.
Imports cryptography, an optional dependency (`tls`).
"""

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mock_server.server.tls import TlsError

CA_FILE, SERVER_FILE = "athena-mock-ca.pem", "athena-mock-server.pem"
VALIDITY = timedelta(days=397)  # some clients reject longer validity periods
RENEWAL_MARGIN = timedelta(days=30)
_CLOCK_TOLERANCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SelfSignedFiles:
    """PEM files: `ca`, the certificate for clients to trust; `server`, certificate, CA and key of the mock.

    `replaces_others`: clients that trust the previous `ca` of the folder must trust the new one.
    """

    ca: Path
    server: Path
    replaces_others: bool = False


def ensure_certificate(
    folder: Path, names: Collection[str], optional_names: Iterable[str], now: datetime
) -> SelfSignedFiles:
    """Return the files in `folder`.

    Creates them if they are missing, expire within RENEWAL_MARGIN or do not cover all `names`.

    `names`: host names and IP addresses. `optional_names`: the same, but not required of existing files. Raises
    TlsError.
    """
    required_names = {str(_create_alternative_name(name).value) for name in names}
    ca_path, server_path = folder / CA_FILE, folder / SERVER_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        had_ca = ca_path.exists()
        ca = _read_ca(server_path, required_names, now)
        is_created = ca is None
        if ca is None:
            server_path.unlink(missing_ok=True)
            _write_once(server_path, _create_server_file({*names, *optional_names}, now))
            ca = _read_ca(server_path, required_names, now)  # another process may have created the file
        if ca is None:
            raise TlsError(f"--tls self-signed: {server_path} is in use by another mock, with other names.")
        ca_path.write_bytes(ca)
    except FileExistsError:
        raise TlsError(f"--tls self-signed: {folder} is not a folder.") from None
    except OSError as error:
        raise TlsError(f"--tls self-signed: {error.filename or folder}: {error.strerror or error}.") from None
    return SelfSignedFiles(ca_path, server_path, replaces_others=is_created and had_ca)


def _read_ca(path: Path, names: Collection[str], now: datetime) -> bytes | None:
    """Return the certificate of the CA in a server file; None if the file cannot be used for `names` at `now`."""
    try:
        content = path.read_bytes()
        certificate, ca = x509.load_pem_x509_certificates(content)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return None
    covered_names = {str(name.value) for name in extension.value}
    is_valid = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWAL_MARGIN
    is_usable = is_valid and covered_names.issuperset(names) and b"PRIVATE KEY-----" in content
    return ca.public_bytes(Encoding.PEM) if is_usable else None


def _write_once(path: Path, content: bytes) -> None:
    """Write a private file, unless another process has written it in the meantime."""
    temporary_path = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        try:
            os.link(temporary_path, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links on this file system
            temporary_path.replace(path)
    finally:
        with suppress(OSError):
            temporary_path.unlink(missing_ok=True)


def _create_server_file(names: Collection[str], now: datetime) -> bytes:
    """Return a new certificate for `names`, its CA and its key, as PEM."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject, ca_subject = _create_name("athena-mock"), _create_name(f"athena-mock CA, {now:%Y-%m-%d %H:%M:%S}")
    ca_key_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_key_id)
    ca = (
        _build_certificate(ca_subject, ca_subject, ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_create_key_usage(for_ca=True), critical=True)
        .add_extension(ca_key_id, critical=False)
    )
    certificate = (
        _build_certificate(subject, ca_subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_create_key_usage(for_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_create_alternative_name(n) for n in sorted(names)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key_id, critical=False)
    )
    certificates = [builder.sign(ca_key, hashes.SHA256()) for builder in (certificate, ca)]
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join((*(c.public_bytes(Encoding.PEM) for c in certificates), key_pem))


def _build_certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _CLOCK_TOLERANCE).not_valid_after(now - _CLOCK_TOLERANCE + VALIDITY)


def _create_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _create_key_usage(*, for_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=for_ca,
        crl_sign=for_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _create_alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
