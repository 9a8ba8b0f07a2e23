"""What a running service sends to a collector of OpenTelemetry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from personsearch import tracing
from personsearch.errors import UserError
from personsearch.integrations.database.gallery import gallery_in
from serving.app import create_app
from serving.metrics import Metrics
from serving.settings import ServingSettings
from serving.source import PlatformSource
from tests.servers.collector import Collector, collecting
from tests.servers.search_service import search_service
from tests.serving.colours import COLOURS
from tests.serving.conftest import KEY
from tests.serving.test_source import install

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TEXT = "a red coat of velvet"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret,x-team=search")
        yield server


@pytest.fixture
def installed(home: Path, onnx_bundle: Path) -> ServingSettings:
    """An installation whose collection is searched in Milvus, not in memory."""
    return install(home, onnx_bundle).model_copy(update={"mirror": False, "api_keys": SecretStr(KEY)})


def searched(settings: ServingSettings, headers: dict[str, str], *, text: str = TEXT) -> dict[str, Any]:
    """The answer to a search of a service that has ended, so that all its spans are sent."""
    source = PlatformSource(settings, gallery_in(settings.gallery_folder), Metrics())
    with search_service(settings, source) as address, httpx.Client(trust_env=False, timeout=60) as client:
        asked = {"text": text, "cameras": sorted({"camera-1", "junction"}), "purpose": "case 4711"}
        answer = client.post(f"{address}/v1/search?token=hidden", json=asked, headers={"X-API-Key": KEY, **headers})
        assert client.get(f"{address}/healthz").status_code == 200
        assert client.request("STEAL", f"{address}/v1/search").status_code == 405
        return {**answer.raise_for_status().json(), "keys": client.get(f"{address}/v1/crops/nobody/image").status_code}


def below(spans: list[Any], parent: Any) -> dict[str, Any]:
    return {span.name: span for span in spans if span.parent_span_id == parent.span_id}


def value(span: Any, key: str) -> Any:
    (found,) = (each.value for each in span.attributes if each.key == key)
    return getattr(found, found.WhichOneof("value"))


def test_a_search_is_followed_down_to_the_databases(installed: ServingSettings, collector: Collector) -> None:
    searched(installed, {"traceparent": f"00-{TRACE}-{CALLER}-01"})
    spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    (request,) = (span for span in spans if span.parent_span_id.hex() == CALLER)
    assert request.name == "POST /v1/search"
    assert request.kind == request.SPAN_KIND_SERVER
    assert value(request, "http.response.status_code") == 200
    assert value(request, "http.route") == "/v1/search"
    parts = below(spans, request)
    assert {"search", "database read", "database write"} <= set(parts)
    assert value(parts["database write"], "db.system.name") == "sqlite"
    inside = below(spans, parts["search"])
    assert {"encode text", "milvus search"} <= set(inside)
    milvus = inside["milvus search"]
    assert value(milvus, "db.collection.name") == "persons_v1_1"
    for span in inside.values():
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    assert {span.trace_id for span in parts.values()} == {request.trace_id}


def test_nothing_in_a_trace_tells_who_was_searched_for_or_by_whom(
    installed: ServingSettings, collector: Collector
) -> None:
    answer = searched(installed, {"X-Request-ID": "miller-of-desk-7"})
    sent = b"".join(collector.bodies).decode("utf-8", "replace")
    assert "POST /v1/search" in sent
    assert "/v1/crops/{crop_id}/image" in sent, "a route, and not an address"
    crops = [crop.crop_id for crop in gallery_in(installed.gallery_folder).crops()]
    assert len(crops) == len(COLOURS) * 3
    secret = ["velvet", TEXT, KEY, "hidden", "4711", "camera-1", "junction", "miller", "STEAL", "nobody"]
    for word in [*secret, answer["request_id"], *crops]:
        assert word not in sent, word
    assert "healthz" not in sent


def test_the_service_and_its_headers_are_named(
    installed: ServingSettings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=site-3")
    searched(installed, {})
    told = {each.key: each.value.string_value for each in collector.requests()[0].resource_spans[0].resource.attributes}
    assert told["service.name"] == "personsearch-serving"
    assert told["deployment.environment.name"] == "site-3"
    headers = {name.lower(): text for name, text in collector.headers[0].items()}
    assert (headers["authorization"], headers["x-team"]) == ("Bearer secret", "search")
    assert headers["content-type"] == "application/x-protobuf"


def test_a_collector_that_refuses_costs_a_line_of_the_log_and_no_request(
    installed: ServingSettings, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 403
    assert searched(installed, {})["candidates"] is not None
    assert any(record.name.startswith("opentelemetry.") and "403" in record.getMessage() for record in caplog.records)
    assert "secret" not in caplog.text


def test_without_an_endpoint_nothing_is_recorded(
    installed: ServingSettings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert tracing.span("a") is tracing.step("b")
    searched(installed, {"traceparent": f"00-{TRACE}-{CALLER}-01"})
    assert collector.bodies == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            "OTEL_EXPORTER_OTLP_ENDPOINT 'collector:4317': http://HOST",
        ),
        (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hidden@collector"),
            "ENDPOINT 'http://collector/v1/traces': credentials belong in OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://me:hidden@collector:4317"),
            r"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT 'grpc://[^']*@collector:4317': http://HOST",
        ),
        (("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:port"), "OTEL_EXPORTER_OTLP_ENDPOINT: an address like"),
        (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "OTEL_EXPORTER_OTLP_PROTOCOL 'grpc': http/protobuf expected"),
    ],
)
def test_an_endpoint_that_is_not_spoken_is_refused_at_the_start(
    settings: ServingSettings, collector: Collector, monkeypatch: pytest.MonkeyPatch, given: tuple[str, str], said: str
) -> None:
    monkeypatch.setenv(*given)
    with pytest.raises(UserError, match=said) as refused:
        create_app(settings)
    assert "hidden" not in str(refused.value)
