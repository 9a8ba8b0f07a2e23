"""Sends this process's spans to OpenTelemetry, where an endpoint is set.

The variables are OpenTelemetry's: OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT), …_HEADERS, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_…, OTEL_SDK_DISABLED.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from personsearch import __version__, tracing
from personsearch.addresses import hide_credentials, is_on_this_machine, split_credentials
from personsearch.errors import UserError
from personsearch.tracing import Attributes

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
FLUSH_MILLISECONDS = 5000


@contextmanager
def traced(service: str) -> Iterator[None]:
    """Record spans while the block runs, as `service` unless OTEL_SERVICE_NAME says otherwise; nothing without an
    endpoint.

    Raises:
        UserError: the endpoint or the protocol is none that is spoken here.
    """
    address = traces_address(os.environ)
    if address is None:
        yield
        return
    provider = _provider(service, address)
    tracing.use(OpenTelemetryTracer(provider.get_tracer("personsearch", __version__)))
    try:
        yield
    finally:
        tracing.use(None)
        provider.force_flush(FLUSH_MILLISECONDS)
        provider.shutdown()


def traces_address(environment: Mapping[str, str]) -> str | None:
    """Where spans are posted, None if nowhere.

    Raises:
        UserError: it is no address of HTTP, or another protocol is asked for.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    address = environment.get(TRACES_ENDPOINT, "")
    name = TRACES_ENDPOINT if address else ENDPOINT
    if not address and (base := environment.get(ENDPOINT, "")):
        address = f"{base.rstrip('/')}/v1/traces"
    if not address:
        return None
    if not address.startswith(("http://", "https://")):
        shown = hide_credentials(environment[name])
        raise UserError(f"{name} {shown!r}: http://HOST:4318 or https://HOST expected")
    try:
        bare, user, password = split_credentials(address)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    if user or password:
        raise UserError(f"{name} {bare!r}: credentials belong in OTEL_EXPORTER_OTLP_HEADERS (Authorization=Basic …)")
    protocol = next((environment[each] for each in PROTOCOLS if environment.get(each)), SPOKEN)
    if protocol != SPOKEN:
        raise UserError(f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r}: {SPOKEN} expected; collectors take it on port 4318")
    return address


def _provider(service: str, address: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(address)))
    return provider


def _exporter(address: str) -> "OTLPSpanExporter":
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = requests.Session()
    session.trust_env = not is_on_this_machine(address)  # a proxy does not reach a collector of this machine
    return OTLPSpanExporter(address, session=session)


class OpenTelemetryTracer:
    """A Tracer of OpenTelemetry's SDK. Exceptions are told by their type alone: their texts may quote a query."""

    def __init__(self, tracer: "trace.Tracer") -> None:
        self._tracer = tracer

    def is_open(self) -> bool:
        from opentelemetry import trace

        return trace.get_current_span().get_span_context().is_valid

    @contextmanager
    def span(self, name: str, attributes: Attributes, headers: Mapping[str, str] | None) -> Iterator["OpenSpan"]:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = None if headers is None else TraceContextTextMapPropagator().extract(headers)
        kind = SpanKind.INTERNAL if headers is None else SpanKind.SERVER
        with self._tracer.start_as_current_span(
            name, parent, kind, dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield OpenSpan(span)
            except BaseException as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise


class OpenSpan:
    """A Span of OpenTelemetry's SDK."""

    def __init__(self, span: "trace.Span") -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)
