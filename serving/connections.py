"""Limits on connections: uvicorn's own limits begin only once a whole request has arrived."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

ENDLESS = "/events"  # the end of the path of such a stream


class Connection(H11Protocol):
    """One client: `uvicorn --http serving.connections:Connection`.

    It ends if no request head arrives in time or the client stops reading; one more than `most` ends at once. The
    time that a body may take is the application's matter.
    """

    most = 500  # below the usual limit of 1024 open files
    head_seconds = 10.0
    read_seconds = 30.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head = _Timer(self.loop)
        self._reading = _Timer(self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._bound_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._reading.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._bound_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bound_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading.stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._bound_reading()

    def shutdown(self) -> None:
        """A stream of events has no end of its own, and the server waits for every answer."""
        super().shutdown()
        is_open = self.cycle is not None and not self.cycle.response_complete
        if is_open and self.scope["path"].endswith(ENDLESS):
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._bound_reading()

    def _bound_head(self) -> None:
        """Bytes that come one by one do not extend the time; between requests uvicorn's keep-alive limit holds."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._head.stop()
        elif self.timeout_keep_alive_task is None:
            self._head.start(self.head_seconds, self.transport.abort)

    def _bound_reading(self) -> None:
        """A transport that is closing waits for its client to read what is left."""
        self._reading.start(self.read_seconds, self.transport.abort)


class _Timer:
    """Calls once after a time, unless it is stopped; starting it again does not extend the time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(seconds, call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
