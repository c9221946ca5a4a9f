"""Rules of RFC 9110 and RFC 9112 for the head of a request that the parser does not enforce."""

import re
from collections.abc import Sequence

from mock_server.errors import ApiError, ErrorKind

HeaderFields = list[tuple[bytes, bytes]]

# Header fields that `validate_head` reads, in addition to repeated ones.
EXAMINED_FIELDS = frozenset((b"expect", b"transfer-encoding", b"upgrade"))
_ABSOLUTE_FORM = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)")
_SCHEMES = (b"http", b"https")
_CONTINUE = b"100-continue"
# HeaderFields whose value is used, so that a second one with another value would be ambiguous.
_SINGLE_FIELDS = ("Host", "Authorization", "Content-Type", "Content-Length")


class IgnoredFields(HeaderFields):
    """Stays empty: trailer fields are not merged into the header fields (RFC 9110, 6.5.1)."""

    def append(self, field: tuple[bytes, bytes], /) -> None:
        """Ignore a field."""


def build_head(method: str, target: bytes, http_version: str, fields: HeaderFields) -> bytes:
    """Return the bytes of a head, up to the empty line."""
    lines = [b"%s %s HTTP/%s" % (method.encode(), target, http_version.encode())]
    lines += [b"%s: %s" % field for field in fields]
    return b"\r\n".join((*lines, b"", b""))


def validate_head(target: bytes, fields: HeaderFields, http_version: str) -> bool:
    """Validate a head; replace the Host field by the authority of an absolute-form target.

    Returns True if the client expects `100 Continue`. Raises ApiError with status 400 for a repeated field of
    _SINGLE_FIELDS, an invalid authority, a transfer coding in HTTP/1.0 or one other than `chunked`, and 417 for an
    unknown expectation.
    """
    _check_single_fields(fields)
    _normalize_host(target, fields, http_version)
    _check_transfer_coding(_get_values(fields, b"transfer-encoding"), http_version)
    return _expects_continue(_get_values(fields, b"expect"), http_version)


def _get_values(fields: HeaderFields, name: bytes) -> list[bytes]:
    return [value for field_name, value in fields if field_name == name]


def _check_single_fields(fields: HeaderFields) -> None:
    for name in _SINGLE_FIELDS:
        count = len(_get_values(fields, name.lower().encode()))
        if count > 1:
            detail = f"{count} {name} headers (expected one)"
            raise _bad_request(detail, f"The request has more than one {name} header.")


def _normalize_host(target: bytes, fields: HeaderFields, http_version: str) -> None:
    hosts = _get_values(fields, b"host")
    absolute_form = _ABSOLUTE_FORM.match(target)
    if absolute_form is None or not (hosts or http_version == "1.0"):
        return  # HTTP/1.1 requires a Host header also with an absolute form
    scheme, authority = absolute_form.groups()
    if scheme.lower() not in _SCHEMES or b"@" in authority:
        detail = f"request target: invalid value {target[:200].decode('latin-1')!r} (expected http://HOST/PATH)"
        raise _bad_request(detail, "The request target is not a URL of this server.")
    fields[:] = [field for field in fields if field[0] != b"host"]
    fields.append((b"host", authority))


def _check_transfer_coding(codings: Sequence[bytes], http_version: str) -> None:
    if codings and http_version == "1.0":
        detail = "Transfer-Encoding in HTTP/1.0 (expected Content-Length, or HTTP/1.1)"
        raise _bad_request(detail, "HTTP/1.0 has no transfer codings.")
    for coding in codings:
        if coding.strip().lower() != b"chunked":
            detail = f"Transfer-Encoding: invalid value {coding[:200].decode('latin-1')!r} (expected chunked)"
            raise _bad_request(detail, "The transfer coding is not supported.")


def _expects_continue(values: Sequence[bytes], http_version: str) -> bool:
    if http_version == "1.0":
        return False  # HTTP/1.0 has no interim responses
    expectations = {item.strip().lower() for value in values for item in value.split(b",")} - {b""}
    if expectations - {_CONTINUE}:
        received = b", ".join(values)[:200].decode("latin-1")
        detail = f"Expect: invalid value {received!r} (expected 100-continue)"
        raise ApiError(ErrorKind.EXPECTATION_FAILED, detail, message="The expectation is not supported.")
    return _CONTINUE in expectations


def _bad_request(detail: str, message: str) -> ApiError:
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=message)
