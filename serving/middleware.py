"""Middleware around every request: an id, a size limit, security headers, metrics, and a catch-all for bugs."""

import asyncio
import logging
import re
import time
import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personsearch import tracing
from serving.metrics import Metrics
from serving.problems import problem_response

logger = logging.getLogger(__name__)

BODY_SECONDS = 10.0
UNTRACED = ("/healthz", "/readyz", "/metrics")
METHODS = frozenset(HTTPMethod)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class RequestEnvelope:
    """Gives each request an id, adds security headers and measures the time. Answers HEAD as GET, without the body.

    The id is the service's own, because records are found by it: a client's well-formed id only becomes its first part.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        presented = Headers(scope=scope).get("x-request-id", "")
        request_id = uuid.uuid4().hex
        if REQUEST_ID.fullmatch(presented):
            request_id = f"{presented}.{request_id}"
        scope["request_id"] = request_id
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        started = False
        start = time.perf_counter()

        async def send_enveloped(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                _add_headers(MutableHeaders(scope=message), request_id)
            elif inner is not scope:
                message = {**message, "body": b""}
            await send(message)

        inner = scope
        if scope["method"] == "HEAD":
            inner = {**scope, "method": "GET"}
        with _traced(scope) as span:
            try:
                await self.app(inner, receive, send_enveloped)
            except Exception:
                logger.exception("request %s failed", request_id)
                if started:
                    raise
                detail = "Internal error. The service's log has the details under this request id."
                response = problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail, request_id)
                await response(scope, receive, send_enveloped)
            finally:
                route = getattr(inner.get("route"), "path", "none")
                self.metrics.request(scope["method"], route, status, time.perf_counter() - start)
                span.rename(f"{_method(scope)} {route}")
                span.tell({"http.route": route, "http.response.status_code": int(status)})


@dataclass(frozen=True, slots=True)
class LargeBodies:
    """Where bodies of up to `max_bytes` may be posted, `at_once` of them at the same time.

    Every body for `path` counts, and those for the paths in `when_announced` whose announced length is over the usual
    limit. Bodies are read before keys are checked, so their number bounds the memory that strangers can fill.
    """

    path: str
    max_bytes: int
    at_once: int
    when_announced: tuple[str, ...] = ()

    def include(self, scope: Scope, usual_bytes: int) -> bool:
        """Whether a request's body counts as large."""
        if scope["method"] != "POST":
            return False
        announced = Headers(scope=scope).get("content-length", "0")
        is_longer = announced.isdigit() and int(announced) > usual_bytes
        return scope["path"] == self.path or (is_longer and scope["path"] in self.when_announced)


class BodyLimit:
    """Refuses a body over a size with 413, whether or not its length was announced, and a slow one with 408."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, large: LargeBodies, metrics: Metrics, seconds: float = BODY_SECONDS
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.large = large
        self.metrics = metrics
        self.seconds = seconds
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif not self.large.include(scope, self.max_bytes):
            await self._bounded(scope, receive, send, self.max_bytes)
        elif self._open >= self.large.at_once:
            await self._postpone(scope, receive, send)
        else:
            self._open += 1
            try:
                await self._bounded(scope, receive, send, self.large.max_bytes)
            finally:
                self._open -= 1

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > max_bytes:
            await self._refuse(scope, receive, send, max_bytes)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(receive, max_bytes)
        except TimeoutError:
            detail = f"The body took more than {self.seconds:g} s to arrive."
            problem = problem_response(HTTPStatus.REQUEST_TIMEOUT, detail, scope.get("request_id", ""))
            await problem(scope, receive, send)
            return
        if body is None:
            await self._refuse(scope, receive, send, max_bytes)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive, max_bytes: int) -> bytes | None:
        """The whole body, or None if it is too long; if the client disconnects, what has arrived."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > max_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _postpone(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.metrics.refused.labels("queue").inc()
        detail = f"{self.large.at_once} such requests are being read or stored. Try again in 1 s."
        headers = {"Retry-After": "1"}
        problem = problem_response(HTTPStatus.TOO_MANY_REQUESTS, detail, scope.get("request_id", ""), headers=headers)
        await problem(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        detail = f"The body is too large; at most {max_bytes:,} bytes expected."
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        await problem_response(status, detail, scope.get("request_id", ""))(scope, receive, send)


def without_query(record: logging.LogRecord) -> bool:
    """A filter for uvicorn's access log: cuts the query off each address, where somebody may have put a key."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


def _traced(scope: Scope) -> AbstractContextManager[tracing.Span]:
    """A request's span, below that of a caller who traces too. Probes have none."""
    if scope["path"] in UNTRACED:
        return nullcontext(tracing.NOTHING)
    method = _method(scope)
    return tracing.span(method, {"http.request.method": method}, headers=Headers(scope=scope))


def _method(scope: Scope) -> str:
    """The method if HTTP knows it: anybody may send any word as one."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _add_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")
