"""The credentials in a recording, which reports must not show."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from conformance.har.format import HarEntry
from conformance.transport.messages import AUTHORIZATION
from spec.model import Contract

CREDENTIAL_HEADERS = (AUTHORIZATION.lower(), "proxy-authorization", "x-api-key", "x-xsrf-token")
MIN_COOKIE_SECRET_CHARS = 8  # shorter values of cookies are not redacted
# Recorders join the cookies of several headers by a line break or a comma, which the date of an attribute contains too.
_NEXT_COOKIE = re.compile(r"\n|,(?=\s*[^\s;,=]+=)")


def find_credentials(contract: Contract, entry: HarEntry) -> Iterator[str]:
    """Values to redact: credential headers, with and without their scheme, cookies, and the password of the URL."""
    scheme_names = {str(scheme.get("name", "")).lower() for scheme in contract.security_schemes.values()}
    for name, value in (*entry.request_headers.items(), *entry.response.headers.items()):
        if name in scheme_names or name in CREDENTIAL_HEADERS:
            yield from (value, value.rsplit(" ", 1)[-1])
        elif name in ("cookie", "set-cookie"):
            yield from filter(_is_secret, _cookie_values(name, value))
    for value in filter(_is_secret, entry.cookies):
        yield from (value, unquote(value))
    yield from _url_passwords(entry.url)


def _cookie_values(header: str, value: str) -> Iterator[str]:
    """The values of the cookies in a header, without their attributes."""
    for cookie in _NEXT_COOKIE.split(value):
        pairs = cookie.split(";")
        for pair in pairs if header == "cookie" else pairs[:1]:
            yield pair.split("=", 1)[-1].strip().strip('"')


def _is_secret(value: str) -> bool:
    return len(value) >= MIN_COOKIE_SECRET_CHARS


def _url_passwords(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
