"""A real Chromium and a real uvicorn on a free port of this machine."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from personsearch.search.exact import ExactStore
from serving.app import create_app
from serving.connections import Connection
from serving.settings import ServingSettings
from tests.serving.colours import COLOURS, ColourSource, add_figures, build_collection

KEY = "a-key-for-the-browser-01"
DIRECT = build_opener(ProxyHandler({}))
PATIENCE_MILLISECONDS = 60_000  # a busy machine is no failure
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed; `make test` installs Debian's chromium")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class RunningService:
    """A service in a thread of this process; `source` and `settings` are what it works with."""

    def __init__(self, settings: ServingSettings, source: ColourSource) -> None:
        self.settings = settings
        self.source = source
        self.app = create_app(settings, source=source)
        # The browser holds connections open that have asked nothing yet, and may open one as the service ends.
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, http=Connection, log_level="warning", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "RunningService":
        self._thread.start()
        while not (self._server.started and self.app.state.service.live.current):
            assert self._thread.is_alive()
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def address(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/"


class StrippingProxy:
    """Serves another service below a path, which it cuts off: as a company's proxy does."""

    def __init__(self, prefix: str, address: str) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.asked.append(self.path)
                if not self.path.startswith(prefix):
                    self.send_error(404)
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                passed = Request(address + self.path.removeprefix(prefix), body or None, method=self.command)
                for name, value in self.headers.items():
                    passed.add_header(name, value)
                try:
                    response = DIRECT.open(passed)
                except HTTPError as error:
                    response = error
                self.send_response(response.status)
                for name in ("Content-Type", "Content-Security-Policy", "Cache-Control"):
                    self.send_header(name, response.headers[name])
                self.end_headers()
                with suppress(OSError):  # the browser has left
                    while content := response.read1():  # a stream of events is passed on as it comes
                        self.wfile.write(content)

            do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815: named by the base class

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002: named by the base class
                """Tests print nothing."""

        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def __enter__(self) -> "StrippingProxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    settings = ServingSettings(home=tmp_path, api_keys=KEY, watch_seconds=0.2)
    gallery = add_figures(settings.gallery_folder, COLOURS)
    store = ExactStore()
    build_collection(store, gallery, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    with RunningService(settings, ColourSource(store, gallery)) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; anything the browser's console complains about fails the test, unless it was expected."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Vienna", locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []
