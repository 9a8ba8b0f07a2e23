"""The search service on a free port of this machine, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from serving.app import create_app
from serving.live import LiveSource
from serving.settings import ServingSettings


@contextmanager
def search_service(settings: ServingSettings, source: LiveSource) -> Iterator[str]:
    """Its address, while it runs; a collection is live when it begins."""
    app = create_app(settings, source=source)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and app.state.service.live.current):
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
