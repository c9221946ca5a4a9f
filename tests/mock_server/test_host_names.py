"""Tests the kinds of host names: which refer to this machine, to the local network, or to anything else."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.web.host_names import HostKind, is_loopback, parse_host

KINDS = {
    HostKind.LOOPBACK: (
        *("localhost", "localhost.", "LOCALHOST:80", "a.localhost", "127.0.0.1", "127.8.9.1:1", "[::1]:8000"),
        "[::ffff:127.0.0.1]",
    ),
    HostKind.HOST_ALIAS: (
        *("host.docker.internal:8000", "gateway.docker.internal", "host.containers.internal", "10.0.2.2", "10.0.3.2:1"),
    ),
    HostKind.LOCAL_NETWORK: (
        *("athena", "mock:8000", "mock_server", "my-mock", "2mocks", "mac.local", "a.svc.cluster.local:80"),
        *("10.0.0.1", "172.16.0.1", "172.31.255.254:8000", "192.168.1.20", "169.254.1.1"),
        *("[fe80::1]:8000", "[fd00::1]", "[::ffff:192.168.1.20]"),
    ),
    HostKind.OTHER: (
        *("example.com", "evil.test:80", "localhost.evil.com", "local.evil.com", "10.0.2.2.nip.io", "notlocal.test"),
        *("athena.", "mac.local.", "10.0.2.2.", "host.docker.internal.", "x.docker.internal"),
        *("0x7f.1", "0x7f000001", "0x", "2130706433", "127.1", "017700000001", "0.0.0.0", "8.8.8.8", "172.32.0.1"),
        *("[::]", "[2001:db8::1]", "[::ffff:8.8.8.8]", "-a", "a-", "x" * 64),
    ),
}


@pytest.mark.parametrize(("kind", "host"), [(kind, host) for kind, hosts in KINDS.items() for host in hosts])
def test_kind_of_a_host(kind: HostKind, host: str) -> None:
    parsed_host = parse_host(host)
    assert parsed_host is not None
    assert parsed_host.kind is kind


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "a/b", "a@b", "a:b", "a:99999", "[::1", "a,b", "\xe9", ".", ".local", "a..local", "[fe80::1%25a]"],
)
def test_malformed_host_is_rejected(host: str) -> None:
    assert parse_host(host) is None


@given(st.text(max_size=60))
def test_only_loopback_names_and_addresses_are_loopback(text: str) -> None:
    host = parse_host(text)
    if host is not None and is_loopback(host.name):
        name = host.name
        assert name == "localhost" or name.endswith(".localhost") or name.startswith("127.") or ":" in name


@given(st.ip_addresses())
def test_public_addresses_are_of_the_kind_other(address: object) -> None:
    host = parse_host(f"[{address}]" if ":" in str(address) else str(address))
    assert host is not None
    assert host.kind is HostKind.OTHER or ip_address(host.name).is_private


@given(st.from_regex(r"[a-z0-9.-]{0,20}\.(com|test|io|internal)\.?", fullmatch=True))
def test_names_below_other_domains_are_of_the_kind_other(text: str) -> None:
    host = parse_host(text)
    assert host is None or host.kind is HostKind.OTHER or host.name in ("host.docker.internal",)
