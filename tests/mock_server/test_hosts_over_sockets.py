"""Which Host headers a running mock accepts, on loopback and on all addresses, and the advice for the others."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.mock_server.test_command import environment, run_library_mock, without_notes

__all__ = ["environment"]

LOCAL_HOSTS = ("localhost", "app.localhost", "127.0.0.1", "127.8.9.1", "[::1]")
HOST_ALIASES = (
    *("host.docker.internal", "gateway.docker.internal", "host.containers.internal"),
    *("10.0.2.2", "10.0.3.2"),
)
NETWORK_HOSTS = (
    *("athena", "mock", "my_mock", "mac.local", "10.1.2.3", "172.16.0.1", "192.168.1.20", "169.254.1.1"),
    *("[fe80::1]", "[fd00::1]"),
)
# Host -> the value of --allowed-hosts that accepts it.
PUBLIC_HOSTS = {
    "example.com": "example.com",
    "evil.test": "evil.test",
    "localhost.evil.com": "localhost.evil.com",
    "10.0.2.2.nip.io": "10.0.2.2.nip.io",
    "Example.COM.": "example.com",
    "athena.": "athena",
    "0x7f.1": "0x7f.1",
    "2130706433": "2130706433",
    "8.8.8.8": "8.8.8.8",
    "[2001:db8::1]": "2001:db8::1",
}


def send(port: int, host: str) -> tuple[int, str]:
    """Send a request with a Host header; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/__mock/health", headers={"Host": f"{host}:{port}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def find_port(banner: str) -> int:
    return int(re.findall(r":(\d+)/", banner)[0])


@pytest.fixture(scope="module")
def loopback_port(environment: dict[str, str]) -> Iterator[int]:
    with run_library_mock(environment) as (_, banner):
        yield find_port(banner)


@pytest.fixture(scope="module")
def network_port(environment: dict[str, str]) -> Iterator[int]:
    with run_library_mock(environment, "--host", "0.0.0.0") as (_, banner):
        yield find_port(banner)


@pytest.mark.parametrize("host", [*LOCAL_HOSTS, *HOST_ALIASES])
def test_mock_on_loopback_serves_this_machine(loopback_port: int, host: str) -> None:
    assert send(loopback_port, host)[0] == 200


@pytest.mark.parametrize("host", [*NETWORK_HOSTS, *PUBLIC_HOSTS, "0.0.0.0"])
def test_mock_on_loopback_rejects_other_hosts(loopback_port: int, host: str) -> None:
    assert send(loopback_port, host)[0] == 421


@pytest.mark.parametrize("host", [*LOCAL_HOSTS, *HOST_ALIASES, *NETWORK_HOSTS, "0.0.0.0"])
def test_mock_on_all_addresses_serves_the_local_network(network_port: int, host: str) -> None:
    assert send(network_port, host)[0] == 200


@pytest.mark.parametrize(("host", "value"), PUBLIC_HOSTS.items())
def test_mock_on_all_addresses_rejects_public_hosts_with_advice(network_port: int, host: str, value: str) -> None:
    status, body = send(network_port, host)
    assert status == 421
    assert f" --allowed-hosts {value} " in json.loads(body)["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.slow
def test_advice_of_the_log_is_right(environment: dict[str, str]) -> None:
    values = ",".join(PUBLIC_HOSTS.values())
    with run_library_mock(environment, "--host", "0.0.0.0", "--allowed-hosts", values) as (_, banner):
        assert {host: send(find_port(banner), host)[0] for host in PUBLIC_HOSTS} == dict.fromkeys(PUBLIC_HOSTS, 200)
    with run_library_mock(environment) as (mock, banner):
        for host in PUBLIC_HOSTS:
            send(find_port(banner), host)
        mock.send_signal(signal.SIGTERM)
        lines = _read_errors(mock)
    advice = [re.findall(r"421 GET .* to serve it, use --allowed-hosts (\S+) ", line) for line in lines]
    assert advice == [[value] for value in PUBLIC_HOSTS.values()]


def _read_errors(mock: "subprocess.Popen[str]") -> list[str]:
    return without_notes(mock.communicate(timeout=20)[1]).splitlines()
