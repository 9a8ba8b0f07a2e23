"""Connections that send nothing, half a request, or read nothing end in time; there are never too many."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn

from serving.connections import Connection
from serving.metrics import Metrics
from serving.middleware import BodyLimit, LargeBodies

PATIENCE_SECONDS = 20.0
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE = LargeBodies("/large", max_bytes=4096, at_once=1)
ANSWER = b"x" * 64_000_000  # more than both sockets hold


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with one byte, or with more than a client that does not read can take."""
    if scope["type"] != "http":
        return
    body = ANSWER if scope["path"] == "/long" else b"x"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**limits: float) -> Iterator[int]:
    """A server whose connections have these limits; gives its port."""
    kind = type("Limited", (Connection,), limits)
    limited = BodyLimit(app, max_bytes=1024, large=LARGE, metrics=Metrics(), seconds=0.5)
    config = uvicorn.Config(limited, port=0, http=kind, ws="none", lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.force_exit = server.should_exit = True
    thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def send_slowly(client: socket.socket) -> None:
    for byte in b"X-Header: " + b"x" * 1000:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def ends(client: socket.socket) -> bool:
    """Whether the server ends the connection while we wait."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: here\r\n", REQUEST + b"GET / HT"])
def test_a_connection_without_a_whole_request_head_ends(sent: bytes) -> None:
    with serving(head_seconds=0.3) as port, connect(port) as client:
        client.sendall(sent)
        assert ends(client)


def test_bytes_one_by_one_do_not_extend_the_time() -> None:
    with serving(head_seconds=0.5) as port, connect(port) as client:
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            send_slowly(client)
        assert time.monotonic() - start < PATIENCE_SECONDS


def test_a_body_that_does_not_come_is_answered_with_408() -> None:
    with serving(head_seconds=0.5) as port, connect(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf")
        assert client.recv(12) == b"HTTP/1.1 408"
        assert ends(client)


def test_a_client_that_does_not_read_is_left() -> None:
    with serving(read_seconds=0.3) as port, connect(port) as client:
        client.sendall(REQUEST.replace(b"/ ", b"/long "))
        time.sleep(3.0)
        received = 0
        try:
            while part := client.recv(1_000_000):
                received += len(part)
        except ConnectionResetError:
            pass
        assert received < len(ANSWER)


def test_requests_one_after_the_other_share_a_connection() -> None:
    with serving(head_seconds=0.3, read_seconds=0.3) as port, closing(HTTPConnection("127.0.0.1", port)) as client:
        client.connect()
        first = client.sock
        for _ in range(6):
            client.request("GET", "/")
            assert client.getresponse().read() == b"x"
            time.sleep(0.2)
            assert client.sock is first


def test_one_connection_too_many_ends_at_once() -> None:
    with serving(most=3) as port:
        clients = [connect(port) for _ in range(3)]
        asked = []
        for client in clients:
            client.sendall(REQUEST)
            asked.append(client.recv(8))
        assert all(answer.startswith(b"HTTP/1.1") for answer in asked)
        with connect(port) as another:
            assert ends(another)
        for client in clients:
            client.close()


def test_a_slow_body_does_not_hold_the_application() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.sleep(PATIENCE_SECONDS)
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    limit = BodyLimit(app, max_bytes=1024, large=LARGE, metrics=Metrics(), seconds=0.05)
    # In a thread: a browser that an earlier test of this process used may still have a loop running in this one.
    asked = limit({"type": "http", "headers": [], "method": "POST", "path": "/"}, never, keep)
    thread = threading.Thread(target=asyncio.run, args=(asked,))
    thread.start()
    thread.join()
    assert sent[0]["status"] == 408
