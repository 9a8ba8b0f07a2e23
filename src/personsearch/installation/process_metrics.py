"""Metrics for Prometheus of the processes that answer no requests: `personsearch watch` and `personsearch promoter`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from personsearch.errors import UserError, engine_failures
from personsearch.gallery.watch.health import StreamHealth, read_health

STREAM_COUNTS = {
    "frames": "Frames that arrived.",
    "dropped": "Frames left out because they were late or the detector was busy.",
    "damaged": "Packets and frames that could not be decoded.",
    "reconnects": "Connections after the first.",
    "people": "Tracks stored.",
    "crops": "Crops stored.",
    "lost": "People who could not be stored.",
}
STREAM_GAUGES: dict[str, tuple[str, Callable[[StreamHealth], float | None]]] = {
    "up": ("1 while frames arrive.", lambda stream: float(stream.state == "watching")),
    "waiting": ("People who wait to be stored.", lambda stream: stream.waiting),
    "lag_seconds": ("From when a frame was taken until it was looked at.", lambda stream: stream.lag),
    "last_frame_timestamp_seconds": ("When the last frame arrived.", lambda stream: stream.last_frame_at),
    "clock_offset_seconds": ("By how much the camera's clock is ahead.", lambda stream: stream.clock_offset),
}


class EngineMetrics(Collector):
    """What databases, stores and registries refused to this process."""

    def collect(self) -> Iterable[Metric]:
        failures = CounterMetricFamily(
            "personsearch_engine_failures", "Calls of an engine that failed.", labels=["engine"]
        )
        for engine, count in engine_failures().items():
            failures.add_metric([engine], count)
        yield failures


class StreamMetrics(Collector):
    """How the streams of this process are, as they were last written below `folder`, by camera."""

    def __init__(self, folder: Path, cameras: Iterable[str]) -> None:
        self._folder = folder
        self._cameras = set(cameras)

    def collect(self) -> Iterable[Metric]:
        streams = [stream for stream in read_health(self._folder) if stream.camera in self._cameras]
        for name, meaning in STREAM_COUNTS.items():
            counter = CounterMetricFamily(f"personsearch_stream_{name}", meaning, labels=["camera"])
            for stream in streams:
                counter.add_metric([stream.camera], getattr(stream, name))
            yield counter
        for name, (meaning, value_of) in STREAM_GAUGES.items():
            gauge = GaugeMetricFamily(f"personsearch_stream_{name}", meaning, labels=["camera"])
            for stream in streams:
                if (value := value_of(stream)) is not None:
                    gauge.add_metric([stream.camera], value)
            yield gauge


class LookingPromoter(Protocol):
    """What a promoter says of itself."""

    failures: int

    @property
    def leads(self) -> bool: ...


class PromoterMetrics(Collector):
    """Whether this promoter leads, and how often it saw something fail."""

    def __init__(self, promoter: LookingPromoter) -> None:
        self._promoter = promoter

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("personsearch_promoter_leads", "1 while it leads.", value=float(self._promoter.leads))
        yield CounterMetricFamily(
            "personsearch_promoter_failures", "Looks that saw something fail.", value=self._promoter.failures
        )


class BackupMetrics(Collector):
    """When the last whole backup began; nothing where there was none, or while the database cannot say."""

    def __init__(self, last_backup: Callable[[], int]) -> None:
        """`last_backup` gives milliseconds since 1970, 0 where there was none."""
        self._last_backup = last_backup

    def collect(self) -> Iterable[Metric]:
        gauge = GaugeMetricFamily("personsearch_last_backup_timestamp_seconds", "When the last whole backup began.")
        with suppress(UserError):
            if moment := self._last_backup():
                gauge.add_metric([], moment / 1000)
        yield gauge


@contextmanager
def answering(address: str | None, *collectors: Collector) -> Iterator[int]:
    """Answer at `HOST:PORT` while the block runs, and yield the port; None answers nowhere.

    Raises:
        UserError: the address is none, or is taken.
    """
    if address is None:
        yield 0
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"PERSONSEARCH_METRICS {address!r}: HOST:PORT such as 127.0.0.1:9464 expected")
    registry = CollectorRegistry()
    for collector in (EngineMetrics(), *collectors):
        registry.register(collector)
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, OverflowError) as error:
        raise UserError(f"PERSONSEARCH_METRICS {address!r}: cannot listen there: {error}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
