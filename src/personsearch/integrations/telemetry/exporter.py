"""Posts spans as OTLP in protobuf over HTTP, which every collector takes.

OpenTelemetry's own exporter would bring three packages; its protobuf messages and SDK come with MLflow's client.
"""

import logging
import os
import urllib.error
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import unquote
from urllib.request import Request, build_opener

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from personsearch.addresses import direct_opener, hide_credentials, is_on_this_machine

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
TIMEOUT_SECONDS = 10.0

logger = logging.getLogger(__name__)


class OtlpExporter(SpanExporter):
    """Posts to one address. What cannot be sent is dropped, and the first failure of a row is a warning."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._headers = {"Content-Type": "application/x-protobuf", **_headers()}
        self._failed = False

    def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
        request = Request(self._address, encoded(spans).SerializeToString(), self._headers, method="POST")
        opener = direct_opener() if is_on_this_machine(self._address) else build_opener()
        try:
            opener.open(request, timeout=TIMEOUT_SECONDS).close()
        except (OSError, HTTPException) as error:
            if not self._failed:
                reason = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
                logger.warning("traces cannot be sent to %s for now: %s", hide_credentials(self._address), reason)
            self._failed = True
            return SpanExportResult.FAILURE
        self._failed = False
        return SpanExportResult.SUCCESS


def encoded(spans: "Sequence[ReadableSpan]") -> ExportTraceServiceRequest:
    """Spans of one process as OTLP's message."""
    resource = spans[0].resource
    scopes = groupby(spans, key=lambda span: span.instrumentation_scope)
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_attributes(resource.attributes)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name=scope.name, version=scope.version or "") if scope else None,
                        spans=list(map(_span, of_scope)),
                    )
                    for scope, of_scope in scopes
                ],
            )
        ]
    )


def _span(span: "ReadableSpan") -> Span:
    context = span.get_span_context()
    assert context is not None
    return Span(
        trace_id=context.trace_id.to_bytes(16),
        span_id=context.span_id.to_bytes(8),
        parent_span_id=span.parent.span_id.to_bytes(8) if span.parent else b"",
        trace_state=context.trace_state.to_header(),
        name=span.name,
        kind=Span.SpanKind.Value(f"SPAN_KIND_{span.kind.name}"),
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        attributes=_attributes(span.attributes or {}),
        status=Status(
            code=Status.StatusCode.Value(f"STATUS_CODE_{span.status.status_code.name}"),
            message=span.status.description or "",
        ),
    )


def _attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in values.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def _headers() -> dict[str, str]:
    """Name=value, separated by commas, each percent-encoded."""
    given = next((value for name in HEADERS if (value := os.environ.get(name, ""))), "")
    pairs = (pair.partition("=") for pair in given.split(",") if "=" in pair)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}
