"""A server is asked for a sign of life as MLflow's client will ask it: certificates, credentials, proxies."""

import base64
import datetime
import http.server
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from personsearch.errors import UserError
from personsearch.integrations.mlflow.connection import connect, experiment_id
from personsearch.integrations.mlflow.registry import ModelRegistry

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
MLFLOW = ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH", "URI")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect` sets variables, which end with the test."""
    for name in (*VARIABLES, *(f"MLFLOW_TRACKING_{name}" for name in MLFLOW)):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


class Server(http.server.ThreadingHTTPServer):
    """Answers `status` to everything and notes what it was asked, and by whom."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.asked: list[tuple[str, str]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "").removeprefix("Basic ")
        self.server.asked.append((self.path, base64.b64decode(authorization).decode()))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


def address(server: Server, scheme: str = "http", credentials: str = "") -> str:
    return f"{scheme}://{credentials}127.0.0.1:{server.server_address[1]}"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own authority")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a TLS server, and the authority that it needs."""
    authority, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    server = Server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield address(server, "https"), authority


def test_an_unknown_authority_is_refused(tls: tuple[str, Path]) -> None:
    with pytest.raises(UserError, match=r"MLflow cannot be reached: .*self.signed certificate"):
        connect(tls[0])


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_taken_from_where_mlflow_takes_it(
    tls: tuple[str, Path], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tls[1]))
    assert connect(tls[0]).tracking_uri == tls[0]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_checked_where_mlflow_does_not(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    assert connect(tls[0]).tracking_uri == tls[0]


def test_credentials_in_an_address_work_and_are_never_shown(server: Server, tmp_path: Path) -> None:
    secret = address(server, credentials="ann:p%40ss@")
    client = connect(secret)
    assert client.tracking_uri == address(server)
    assert server.asked[0] == ("/health", "ann:p@ss")
    server.status = 401
    with pytest.raises(UserError) as refused:
        ModelRegistry(secret, "personsearch", cache=tmp_path).version("1")
    assert server.asked[-1][1] == "ann:p@ss"
    assert "ss@" not in str(refused.value)
    assert "p%40ss" not in str(refused.value)


def test_an_address_out_of_reach_is_named_without_its_password(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UserError) as refused:
        connect(f"http://ann:secret@127.0.0.1:{port}")
    reason = "Connection refused; start the server, or correct PERSONSEARCH_MLFLOW_URI"
    assert str(refused.value) == f"http://127.0.0.1:{port}: MLflow cannot be reached: {reason}"
    with pytest.raises(UserError, match="the address of MLflow: an address like") as unreadable:
        connect("http://ann:sec/ret@127.0.0.1")
    assert "ret@" not in str(unreadable.value)


def test_this_machine_is_reached_without_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Server(status=503)) as proxy:
        monkeypatch.setenv("http_proxy", address(proxy))
        client = connect(address(server))
        client.get_experiment_by_name("x")
        assert proxy.asked == []
        assert len(server.asked) == 2
    assert "127.0.0.1" in os.environ["no_proxy"]


@pytest.mark.parametrize("status", [407, 503, None])
def test_a_proxy_that_fails_is_named(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer would pass for MLflow's, and its silence for MLflow's too."""
    with serving(Server(status=status or 200)) as proxy:
        there = address(proxy, credentials="ann:secret@")
        if status is None:
            proxy.shutdown()
            proxy.server_close()
        monkeypatch.setenv("http_proxy", there)
        with pytest.raises(UserError, match=r"cannot be reached through the proxy http://\*\*\*@127") as refused:
            connect("http://mlflow.example:5000")
        assert "secret" not in str(refused.value)
        assert ("Connection refused" if status is None else str(status)) in str(refused.value)


def test_a_database_and_its_artifacts_are_private(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        uri = f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}"
        experiment_id(connect(uri), uri)
    finally:
        os.umask(earlier)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "home").iterdir()}
    assert modes == {"mlflow.db": "0o600", "mlflow-artifacts": "0o700"}
    assert oct((tmp_path / "home").stat().st_mode & 0o777) == "0o700"
