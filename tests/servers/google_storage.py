"""Google Cloud Storage for tests: its XML, which is S3's, from a store that speaks S3, for whoever shows a token."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "token-of-tests"
OWN = {"authorization", "host", "connection", "content-length", "transfer-encoding"}


class Google(ThreadingHTTPServer):
    """Passes requests on to the store behind it, without the token."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store = urlsplit(endpoint).netloc

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Google
    protocol_version = "HTTP/1.1"

    def log_message(self, *given: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {}, b"<Error><Code>AuthenticationRequired</Code></Error>")
            return
        behind = http.client.HTTPConnection(self.server.store, timeout=60)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in OWN}
            behind.request(self.command, self.path, body, kept)
            answer = behind.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            behind.close()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        for name, value in headers.items():
            if name.lower() not in OWN and name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def google_storage(endpoint: str) -> Iterator[Google]:
    """One in front of a store, while the block runs."""
    server = Google(endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
