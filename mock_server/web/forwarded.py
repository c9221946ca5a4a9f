"""Headers in which a proxy states the URL that the client used: ``Forwarded`` (RFC 7239) and ``X-Forwarded-*``.

They affect the URLs in responses only. The ``Host`` header decides whether a request is served.
"""

import re
from collections.abc import Callable, Mapping

from mock_server.web.host_names import MAX_PORT, parse_host

_FORWARDED = b"forwarded"
_PREFIX_PATTERN = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,8}/?", re.ASCII)
_PORT_PATTERN = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
# `name=value` and the separator after it. An unquoted port is accepted, since many proxies send one.
_PAIR_PATTERN = re.compile(
    r"[ \t]*(?:([A-Za-z0-9!#$%&'*+.^_`|~-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,\"]+)))?[ \t]*([;,]|$)", re.ASCII
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def apply_forwarded(headers: Mapping[bytes, bytes], base_url: str) -> tuple[str, tuple[str, ...]]:
    """Replace scheme, host, port and prefix of `base_url`; return it with the names of invalid headers.

    The first value of a list is used: set by the proxy nearest to the client. `Forwarded` takes precedence. The
    forwarded host need not be allowed, since it does not grant access.
    """
    sent_names = [name for name in _VALIDATORS if name in headers]
    values = {name: headers[name].decode("latin-1").partition(",")[0].strip() for name in sent_names}
    valid_values = {name: text for name, text in values.items() if _VALIDATORS[name](text)}
    invalid_names = [name for name in values if name not in valid_values]
    standard_values = _parse_forwarded(headers[_FORWARDED].decode("latin-1")) if _FORWARDED in headers else {}
    if standard_values is None:
        standard_values, invalid_names = {}, [_FORWARDED, *invalid_names]
    scheme, _, host = base_url.partition("://")
    scheme = standard_values.get("proto", valid_values.get(b"x-forwarded-proto", scheme)).lower()
    host = standard_values.get("host", valid_values.get(b"x-forwarded-host", host))
    port = valid_values.get(b"x-forwarded-port")
    if port is not None and "host" not in standard_values:
        host = _replace_port(host, "" if port == _DEFAULT_PORTS[scheme] else f":{port}")
    prefix = valid_values.get(b"x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix}", tuple(name.decode() for name in invalid_names)


def _parse_forwarded(text: str) -> dict[str, str] | None:
    """Return the parameters of the first element of `Forwarded`; None if it is malformed or has an invalid value."""
    parameters: dict[str, str] = {}
    position, separator = 0, ";"
    while separator == ";":
        match = _PAIR_PATTERN.match(text, position)
        if match is None or (match[1] or "").lower() in parameters:
            return None
        if match[1]:
            quoted_value, unquoted_value = match[2], match[3]
            value = unquoted_value if quoted_value is None else re.sub(r"\\(.)", r"\1", quoted_value)
            parameters[match[1].lower()] = value
        position, separator = match.end(), match[4]
    is_valid = all(_PARAMETER_VALIDATORS.get(name, bool)(value) for name, value in parameters.items())
    return parameters if is_valid else None


def _replace_port(host: str, port: str) -> str:
    """Replace the port of a valid ``host[:port]``. `port`: with a colon, or empty."""
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name + port


def _is_host(text: str) -> bool:
    port = text.rpartition("]")[2].partition(":")[2]
    return parse_host(text) is not None and (not port or _is_port(port))


def _is_scheme(text: str) -> bool:
    return text.lower() in _DEFAULT_PORTS


def _is_port(text: str) -> bool:
    return _PORT_PATTERN.fullmatch(text) is not None and int(text) <= MAX_PORT


def _is_prefix(text: str) -> bool:
    return _PREFIX_PATTERN.fullmatch(text) is not None


# Header, or parameter of Forwarded -> validator of its value.
_VALIDATORS: Mapping[bytes, Callable[[str], bool]] = {
    b"x-forwarded-host": _is_host,
    b"x-forwarded-proto": _is_scheme,
    b"x-forwarded-port": _is_port,
    b"x-forwarded-prefix": _is_prefix,
}
_PARAMETER_VALIDATORS: Mapping[str, Callable[[str], bool]] = {"host": _is_host, "proto": _is_scheme}
FORWARDED_HEADERS = frozenset({_FORWARDED, *_VALIDATORS})
