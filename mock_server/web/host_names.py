"""Parses host names of requests and origins, and classifies those that public DNS cannot resolve.

A web page attacks a server by DNS rebinding: it resolves its public name to the address of the server. Without
configuration, the mock serves only names that an attacker cannot register, and local IP addresses, which need no
resolution.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

MAX_PORT = 65535
# Names and addresses by which a container or an emulator reaches its host machine, including services that listen on
# loopback only: Docker (2), Podman, the Android emulator and Genymotion. The names are not public.
HOST_ALIASES = ("host.docker.internal", "gateway.docker.internal", "host.containers.internal", "10.0.2.2", "10.0.3.2")
_LOCAL_NETWORKS = tuple(
    ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)

_HOST_PATTERN = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_EMPTY_LABEL = re.compile(r"^\.|\.\.")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_LOCAL_NAME = re.compile(rf"{_LABEL}|(?:{_LABEL}\.)+local", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # browsers parse such names as IPv4 addresses


class HostKind(Enum):
    """What a host name refers to, by its form.

    LOOPBACK: always this machine. HOST_ALIAS: this machine, as seen from a container or an emulator. LOCAL_NETWORK: a
    single label, ``*.local``, or a private, link-local or unique local address. OTHER: everything else.
    """

    LOOPBACK = "loopback"
    HOST_ALIAS = "host alias"
    LOCAL_NETWORK = "local network"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ParsedHost:
    """A host: its name in lower case, without brackets, port and trailing dot."""

    name: str
    kind: HostKind


@lru_cache(256)
def parse_host(authority: str) -> ParsedHost | None:
    """Parse ``host[:port]``; None if it is malformed."""
    match = _HOST_PATTERN.fullmatch(authority)
    if match is None or int(match[2] or 0) > MAX_PORT or _EMPTY_LABEL.search(match[1]):
        return None
    name = match[1].strip("[]").lower()
    return ParsedHost(name.removesuffix("."), _classify(name))


def is_loopback(host: str) -> bool:
    """Return whether a host name or address without brackets and port always refers to this machine."""
    return _classify(host) is HostKind.LOOPBACK


@lru_cache(256)
def _classify(name: str) -> HostKind:
    """Return the kind of a name in lower case. A name with a trailing dot is public, except ``localhost.``"""
    relative_name = name.removesuffix(".")
    address = parse_address(relative_name)
    if relative_name == "localhost" or relative_name.endswith(".localhost") or (address and address.is_loopback):
        return HostKind.LOOPBACK
    if name in HOST_ALIASES:
        return HostKind.HOST_ALIAS
    if name != relative_name:
        return HostKind.OTHER
    if address is not None:
        is_local = any(address in network for network in _LOCAL_NETWORKS)
    else:
        is_local = _LOCAL_NAME.fullmatch(name) is not None and not _NUMBER.fullmatch(name)
    return HostKind.LOCAL_NETWORK if is_local else HostKind.OTHER


def parse_address(name: str) -> IPv4Address | IPv6Address | None:
    """Parse an IP address; None if it is malformed. An IPv4-mapped address is returned as IPv4."""
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
