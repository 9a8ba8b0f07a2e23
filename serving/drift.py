"""Drift by camera, for Prometheus: what the newest crops look like beside those that the model was calibrated on."""

import logging
import threading
from collections import deque
from collections.abc import Iterable

import numpy as np
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from personsearch.gallery.store import Gallery
from personsearch.search.calibration import Reference
from personsearch.search.crop import Crop
from personsearch.search.drift import NEWEST, CameraDrift, measure_drift
from serving.live import LiveWatcher

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
CHANGES = 20_000  # of the gallery, among which the newest crops are looked for


class DriftWatch(Collector):
    """Looks at an interval, in a thread of its own, and says at each scrape what it saw last."""

    def __init__(self, gallery: Gallery, live: LiveWatcher) -> None:
        self._gallery = gallery
        self._live = live
        self._found: dict[str, CameraDrift] = {}
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look under way ends with the process."""
        self._stopping.set()

    def look(self) -> None:
        """Measure every camera's newest crops. Never raises: no search depends on it."""
        with self._looking:
            try:
                self._found = self._measured()
            except Exception as error:  # whatever fails in a platform, the service continues
                logger.warning("drift cannot be measured: %s", error)

    @property
    def found(self) -> dict[str, CameraDrift]:
        """What the last look saw, by camera."""
        return self._found

    def collect(self) -> Iterable[Metric]:
        """The figures of the last look, by camera."""
        shift = GaugeMetricFamily(
            "personsearch_camera_shift",
            "Distance of a camera's newest crops from those of the calibration, in their deviations.",
            labels=["camera"],
        )
        quality = GaugeMetricFamily(
            "personsearch_camera_quality", "Mean quality of a camera's newest crops.", labels=["camera"]
        )
        for camera, drift in self._found.items():
            shift.add_metric([camera], drift.shift)
            quality.add_metric([camera], drift.quality)
        return [shift, quality]

    def _measured(self) -> dict[str, CameraDrift]:
        live = self._live.current
        if live is None:
            return {}
        since = max(self._gallery.last_sequence() - CHANGES, 0)
        newest: dict[str, deque[Crop]] = {}
        for crop in self._gallery.crops_since(since):
            newest.setdefault(crop.camera_id, deque(maxlen=NEWEST)).append(crop)
        vectors = {}
        for camera, crops in newest.items():
            held, image_ND = live.vectors_of([crop.crop_id for crop in crops])
            if held:
                vectors[camera] = image_ND
        if not vectors:
            return {}
        quality = {camera: float(np.mean([crop.quality for crop in newest[camera]])) for camera in vectors}
        # A model without a reference: each camera is compared with all of them.
        return measure_drift(vectors, quality, live.reference or Reference.of(np.concatenate(list(vectors.values()))))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(INTERVAL_SECONDS)
