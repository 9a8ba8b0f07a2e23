"""A webhook is signed, goes to public addresses alone, follows nothing, and waits for nobody for long."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from personsearch.errors import UserError
from personsearch.installation.alerts import webhook
from personsearch.installation.alerts.webhook import WebhookFailed, checked_address, send, signed_headers
from tests.installation.alerts.receiver import Receiver

SECRET = "a-secret-for-the-tests"
PUBLIC = "93.184.216.34"
NAT64 = f"https://[64:ff9b::{PUBLIC}]/"  # what every name resolves to on a network of IPv6 alone


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """HMAC-SHA256 over `msg_1.1700000000.{"a": 1}`, computed by `openssl dgst -sha256 -hmac … -binary | base64`."""
    assert signed_headers(SECRET, "msg_1", 1_700_000_000, b'{"a": 1}') == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,UfAcXczh7TTbqvGKfdKxzqO4PIgbTPHbBb2EUQxL72E=",
    }


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/hook",
        "ftp://example.org/hook",
        "https://",
        "https:///hook",
        "https://user:secret@example.org/hook",
        "https://example.org/hook#part",
        "https://example.org:99999/hook",
        "https://exa mple.org/",
        "https://example.org/\n",
        "https://localhost/hook",
        "https://LOCALHOST./hook",
        "https://127.0.0.1/hook",
        "https://10.1.2.3/hook",
        "https://192.168.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/hook",
        "https://224.0.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:127.0.0.1]/hook",
        "https://[2002:7f00:1::]/hook",
        "https://[fe80::1]/hook",
        "https://[fec0::1]/hook",
        "https://[::127.0.0.1]/hook",
        "https://[::ffff:0:127.0.0.1]/hook",
        "https://[64:ff9b::169.254.169.254]/hook",
        "https://[64:ff9b:1::7f00:1]/hook",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_no_other_address_is_taken(address: str) -> None:
    with pytest.raises(UserError, match="webhook: "):
        checked_address(address, private=False)


def test_public_addresses_are_taken_and_private_ones_where_that_is_allowed() -> None:
    for address in ("https://example.org/hook?a=b", "https://example.org:8443", f"https://{PUBLIC}/", NAT64):
        assert checked_address(address, private=False) == address
    for address in ("http://127.0.0.1:8080/hook", "https://localhost/hook", "http://[::1]/"):
        assert checked_address(address, private=True) == address
    with pytest.raises(UserError, match="without user"):
        checked_address("http://a:b@127.0.0.1/", private=True)


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(webhook.socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), (PUBLIC, "10.0.0.1"), ("64:ff9b::a9fe:a9fe",)])
def test_a_public_name_of_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    named(monkeypatch, *addresses)
    with pytest.raises(WebhookFailed, match="no public address") as refused:
        send("https://example.org/hook", {}, b"", private=False)
    # who may watch a search is not told how names of this network resolve
    assert addresses[-1] not in str(refused.value)


def test_the_body_and_the_headers_arrive_as_they_are() -> None:
    with Receiver() as receiver:
        send(receiver.address, {"webhook-id": "1"}, b'{"a": 1}', private=True)
    [(headers, body)] = receiver.taken
    assert (headers["webhook-id"], headers["content-type"], body) == ("1", "application/json", b'{"a": 1}')


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_anything_but_2xx_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    with Receiver(status) as receiver, pytest.raises(WebhookFailed, match=f"answered {status}; 2xx expected"):
        send(receiver.address, {}, b"", private=True)
    assert len(receiver.taken) == 1


def test_nobody_there_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(WebhookFailed, match="not reached"):
            send(f"http://127.0.0.1:{taken.getsockname()[1]}/", {}, b"", private=True)


@pytest.fixture
def dripping() -> Iterator[str]:
    """A receiver that answers with a byte at a time, for ever."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not ended.wait(0.05):
                    connection.sendall(b"a")
            except OSError:
                pass
            finally:
                connection.close()

        threading.Thread(target=drip, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        ended.set()


def test_one_that_never_ends_its_answer_is_left(monkeypatch: pytest.MonkeyPatch, dripping: str) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.5)
    with pytest.raises(WebhookFailed, match=r"no answer in 0\.5 s"):
        send(dripping, {}, b"", private=True)


class SlowTls:
    """Shakes hands for longer than a webhook may take."""

    def wrap_socket(self, plain: socket.socket, *, server_hostname: str) -> socket.socket:
        timeout = plain.gettimeout()
        wrapped = socket.socket(fileno=plain.detach())  # as TLS does: who has the plain one can no longer end it
        wrapped.settimeout(timeout)
        time.sleep(2 * webhook.ANSWER_SECONDS)
        return wrapped


def test_one_that_shakes_hands_until_the_limit_is_left(monkeypatch: pytest.MonkeyPatch, dripping: str) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(webhook.ssl, "create_default_context", SlowTls)
    with pytest.raises(WebhookFailed, match=r"no answer in 0\.5 s"):
        send(dripping.replace("http:", "https:"), {}, b"", private=True)
