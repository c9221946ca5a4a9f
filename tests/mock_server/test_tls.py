"""Tests https: with a certificate that the mock creates, with files of the user, and errors of both."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mock_server.cli.main import main, parse_settings
from tests.mock_process import ROOT
from tests.mock_server.test_command import environment, run_library_mock, without_notes

cryptography = pytest.importorskip("cryptography", reason="the optional dependency tls is not installed")
from mock_server.cli import certificates  # noqa: E402
from mock_server.server import self_signed, tls  # noqa: E402

__all__ = ["environment"]

API = "/api/v1"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
AUTHORIZATION = {"Authorization": "Bearer demo-token"}


@pytest.fixture(scope="module")
def banner(environment: dict[str, str]) -> Iterator[str]:
    options = ("--tls", "self-signed", "--allowed-hosts", "Mock.example.test,[fd00:0::7]")
    athena = ("--contract", str(ROOT / "spec" / "openapi.yaml"), "--dataset", "demo")
    with run_library_mock(environment, *athena, *options) as (_, text):
        yield text


def find_port(text: str) -> int:
    return int(re.findall(r"https://127\.0\.0\.1:(\d+)/", text)[0])


def find_ca(text: str) -> Path:
    return Path(re.findall(r"^Certificate for clients to trust\n  (.+)$", text, re.MULTILINE)[0])


def get(text: str, path: str, host: str = "127.0.0.1") -> httpx.Response:
    context = ssl.create_default_context(cafile=find_ca(text))
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(f"https://{host}:{find_port(text)}{path}", headers=AUTHORIZATION)


# A certificate that the mock creates ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_banner_has_https_urls_only(banner: str) -> None:
    assert banner.startswith("https://127.0.0.1:")
    assert "http://" not in banner
    assert find_ca(banner).is_file()


def test_client_that_trusts_the_certificate_gets_https_urls(banner: str) -> None:
    url = f"https://127.0.0.1:{find_port(banner)}"
    assert f'servers: [{{url: "{url}{API}"}}]' in get(banner, "/openapi.yaml").text
    page = get(banner, f"{API}/agents?per_page=2").json()
    assert page["meta"]["path"] == f"{url}{API}/agents"
    assert page["links"]["next"].startswith(f"{url}{API}/agents?")
    assert page["data"][1]["profile_photo_url"].startswith(f"{url}/storage/agents/")


def test_client_that_does_not_trust_the_certificate_fails(banner: str) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://127.0.0.1:{find_port(banner)}/", trust_env=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_command_of_the_banner_works(banner: str) -> None:
    command = re.findall(r"^  (curl .*[^2])$", banner, re.MULTILINE)[0]
    assert f"--cacert {find_ca(banner)} " in command
    result = subprocess.run(f"{command} --silent --noproxy '*' -w '%{{http_code}}'", shell=True, capture_output=True)
    assert (result.returncode, result.stdout[-3:]) == (0, b"200")


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "127.0.0.1", "::1", "host.docker.internal", "gateway.docker.internal", "10.0.2.2", "10.0.3.2"),
        *("mock.example.test", "fd00::7", socket.gethostname()),
    ],
)
def test_certificate_covers_a_name(banner: str, name: str) -> None:
    context = ssl.create_default_context(cafile=find_ca(banner))
    with (
        socket.create_connection(("127.0.0.1", find_port(banner)), timeout=10) as sock,
        context.wrap_socket(sock, server_hostname=name) as connection,
    ):
        assert connection.version() in ("TLSv1.2", "TLSv1.3")


def test_certificate_does_not_cover_other_names(banner: str) -> None:
    context = ssl.create_default_context(cafile=find_ca(banner))
    with (
        socket.create_connection(("127.0.0.1", find_port(banner)), timeout=10) as sock,
        pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.example\.test'"),
    ):
        context.wrap_socket(sock, server_hostname="other.example.test")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_http_request_to_an_https_port_returns_advice_to_use_https(banner: str, method: str) -> None:
    content = b"x" * 100_000 if method in ("POST", "PUT") else None
    response = httpx.request(method, f"http://127.0.0.1:{find_port(banner)}/", content=content, trust_env=False)
    assert (response.status_code, response.headers["x-mock-reason"]) == (400, "validation")
    if method != "HEAD":
        assert response.json() == {"message": "This port serves HTTPS, not HTTP: use https:// in the URL."}
    assert get(banner, "/__mock/health").status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.slow
def test_signal_stops_the_server_with_open_connections(environment: dict[str, str], tmp_path: Path) -> None:
    with run_library_mock(environment, "--tls", f"self-signed:{tmp_path}/new/tls") as (mock, text):
        assert find_ca(text) == tmp_path / "new" / "tls" / self_signed.CA_FILE
        context = ssl.create_default_context(cafile=find_ca(text))
        with (
            httpx.Client(verify=context, trust_env=False) as client,
            socket.create_connection(("127.0.0.1", find_port(text))),  # without a handshake
        ):
            assert client.get(f"https://localhost:{find_port(text)}/openapi.json").status_code == 200
            mock.send_signal(signal.SIGTERM)
            _, errors = mock.communicate(timeout=10)
    assert (mock.returncode, without_notes(errors)) == (0, "")


# Its files ------------------------------------------------------------------------------------------------------------


def test_files_are_reused_until_they_expire(tmp_path: Path) -> None:
    files = self_signed.ensure_certificate(tmp_path, ["localhost", "FD00:0::7"], ["laptop"], NOW)
    content = files.server.read_bytes()
    assert sorted(tmp_path.iterdir()) == [files.ca, files.server]
    files.ca.unlink()
    later = NOW + self_signed.VALIDITY - self_signed.RENEWAL_MARGIN - timedelta(days=2)
    assert self_signed.ensure_certificate(tmp_path, ["localhost"], ["other"], later) == files
    assert files.server.read_bytes() == content
    assert content.split(b"-----END CERTIFICATE-----\n")[1] in files.ca.read_bytes()
    self_signed.ensure_certificate(tmp_path, ["localhost"], [], later + timedelta(days=2))
    assert files.server.read_bytes() != content


@pytest.mark.parametrize(
    "content", [b"", b"damaged", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / self_signed.SERVER_FILE).write_bytes(content)
    files = self_signed.ensure_certificate(tmp_path, ["localhost"], [], NOW)
    tls.create_tls_context(files.server, files.server)


def test_another_name_needs_another_certificate(tmp_path: Path) -> None:
    files = self_signed.ensure_certificate(tmp_path, ["localhost"], [], NOW)
    content = files.server.read_bytes()
    assert not files.replaces_others
    files = self_signed.ensure_certificate(tmp_path, ["localhost", "a.test"], [], NOW)
    assert files.server.read_bytes() != content
    assert files.replaces_others
    assert not self_signed.ensure_certificate(tmp_path, ["a.test"], [], NOW).replaces_others


@pytest.mark.slow
def test_replaced_certificate_is_reported(environment: dict[str, str], tmp_path: Path) -> None:
    option = ("--tls", f"self-signed:{tmp_path}")
    with run_library_mock(environment, *option) as (mock, text):
        first_ca = find_ca(text).read_bytes()
        mock.kill()
        assert "replaced" not in mock.communicate()[1]
    with run_library_mock(environment, *option, "--allowed-hosts", "a.test") as (mock, text):
        assert find_ca(text).read_bytes() != first_ca
        mock.kill()
        warning = f"replaced the certificate in {tmp_path}: clients must trust the new file"
        assert f"athena-mock: warning: {warning}\n" in mock.communicate()[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_key_is_private_and_the_key_of_the_ca_is_not_stored(tmp_path: Path) -> None:
    files = self_signed.ensure_certificate(tmp_path, ["localhost"], [], NOW)
    assert files.server.stat().st_mode & 0o077 == 0
    assert files.server.read_bytes().count(b"PRIVATE KEY-----") == 2  # begin and end of one key
    assert b"PRIVATE" not in files.ca.read_bytes()
    with pytest.raises(tls.TlsError, match="does not belong to"):
        tls.create_tls_context(files.ca, files.server)


def test_certificate_of_a_faster_process_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = self_signed._create_server_file

    def create_slowly(names: set[str], now: datetime) -> bytes:
        monkeypatch.setattr(self_signed, "_create_server_file", create)
        self_signed.ensure_certificate(tmp_path, names, [], now)
        contents.append((tmp_path / self_signed.SERVER_FILE).read_bytes())
        return create(names, now)

    contents: list[bytes] = []
    monkeypatch.setattr(self_signed, "_create_server_file", create_slowly)
    files = self_signed.ensure_certificate(tmp_path, ["localhost"], [], NOW)
    assert [files.server.read_bytes()] == contents
    assert files.ca.read_bytes() in contents[0]


def test_names_of_the_certificate_depend_on_the_settings() -> None:
    def list_names(*arguments: str) -> frozenset[str]:
        return certificates.list_certificate_names(parse_settings(arguments))

    common_names = list_names()
    assert list_names("--host", "0.0.0.0", "--allowed-hosts", "*") == common_names
    assert list_names("--host", "::") == common_names
    assert list_names("--host", "Mac.local", "--allowed-hosts", "[fd00::7]") - common_names == {"mac.local", "fd00::7"}
    assert list_names("--host", "no name") == list_names("--host", "fe80::1%eth0") == common_names


# Files of the user ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """PEM files: certificate and key, another key, the same key with a password, damaged files, and one without PEM."""
    folder = tmp_path_factory.mktemp("pem")
    server, other = (
        self_signed.ensure_certificate(folder / name, ["localhost"], [], datetime.now(UTC)).server.read_bytes()
        for name in ("server", "other")
    )
    contents = {
        "cert": server.removesuffix(find_key(server)),
        "key": find_key(server),
        "other": find_key(other),
        "none": b"nothing\n",
    }
    contents["encrypted"] = encrypt(find_key(server))
    contents["damaged"] = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"
    contents["empty"] = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    contents["chain"] = contents["cert"] + contents["empty"]
    for name, content in contents.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: folder / f"{name}.pem" for name in (*contents, "missing")}


def find_key(content: bytes) -> bytes:
    return content[content.index(b"-----BEGIN PRIVATE KEY") :]


def encrypt(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encryption = serialization.BestAvailableEncryption(b"secret")
    loaded_key = serialization.load_pem_private_key(key, None)
    return loaded_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_files_of_the_user_are_served(environment: dict[str, str], pem: dict[str, Path]) -> None:
    variables = {"ATHENA_MOCK_TLS_CERT": str(pem["cert"]), "ATHENA_MOCK_TLS_KEY": str(pem["key"])}
    with run_library_mock(environment | variables) as (_, text):
        assert text.startswith("https://127.0.0.1:")
        assert "to trust" not in text
        assert f"  curl --cacert {pem['cert']} -H " in text
        context = ssl.create_default_context(cafile=pem["cert"])
        url = f"https://localhost:{find_port(text)}/__mock/health"
        assert httpx.get(url, verify=context, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--tls-cert", "cert"), "--tls-cert needs --tls-key."),
        (("--tls-key", "key"), "--tls-key needs --tls-cert."),
        (("--tls", "self-signed", "--tls-cert", "cert"), "--tls self-signed cannot be combined with --tls-cert"),
        (("--tls-cert", "missing", "--tls-key", "key"), "missing.pem' does not exist."),
        (("--tls-cert", "cert", "--tls-key", "missing"), "missing.pem' does not exist."),
        (("--tls-cert", "cert", "--tls-key", "other"), "other.pem: does not belong to the first certificate of"),
        (("--tls-cert", "none", "--tls-key", "key"), "none.pem: the file has no PEM block with a certificate."),
        (("--tls-cert", "cert", "--tls-key", "cert"), "cert.pem: the file has no PEM block with a private key."),
        (("--tls-cert", "cert", "--tls-key", "encrypted"), "the key is encrypted (expected a key without a password)."),
        (("--tls-cert", "cert", "--tls-key", "damaged"), "damaged.pem: the private key is damaged, or of a type that"),
        (("--tls-cert", "empty", "--tls-key", "key"), "--tls-cert {empty}: a PEM block is damaged or is not an X.509"),
        (("--tls-cert", "chain", "--tls-key", "key"), "--tls-cert {chain}: a PEM block is damaged or is not an X.509"),
        (("--tls", "self-signed:cert"), "cert.pem is not a folder."),
        (("--tls", "self-signed:"), "'self-signed:' is not self-signed, or self-signed:FOLDER."),
        (("--tls", "yes"), "'yes' is not self-signed, or self-signed:FOLDER."),
    ],
)
def test_invalid_files_are_an_error(
    pem: dict[str, Path], arguments: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {name: str(path) for name, path in pem.items()} | {"self-signed:cert": f"self-signed:{pem['cert']}"}
    assert main([paths.get(argument, argument) for argument in arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("athena-mock: ")
    assert errors.count("\n") == 1
    assert error.format_map(paths) in errors


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delattr("mock_server.server.self_signed")
    monkeypatch.setitem(sys.modules, "mock_server.server.self_signed", None)
    assert main(["--tls", "self-signed", "--host", "no such host"]) == 2
    assert "the package cryptography is not installed. Install it (pip install" in capsys.readouterr().err
