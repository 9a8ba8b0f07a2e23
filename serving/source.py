"""Loads live collections from Milvus and their models from MLflow; both libraries are imported on first use."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from personsearch.bundle import Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.site_calibration import read_site_calibration
from personsearch.search.calibration import CalibratedCurve
from personsearch.search.index import LIVE_ALIAS
from personsearch.search.live import open_live
from serving.index_search import IndexSearch
from serving.live import LiveSearch
from serving.metrics import Metrics
from serving.query_encoder import QueryEncoder
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from personsearch.installation.platforms import Platforms

logger = logging.getLogger(__name__)

MEBIBYTE = 2**20


class PlatformSource:
    """The collection that the live alias in Milvus names, with the model version that the collection names."""

    def __init__(self, settings: ServingSettings, gallery: Gallery, metrics: Metrics) -> None:
        self._settings = settings
        self._gallery = gallery
        self._metrics = metrics
        self._platforms: Platforms | None = None
        self._complaint = ""
        self._encoder_of: tuple[str, Encoder] | None = None  # the last model's, which the next collection often has too

    def target(self) -> str | None:
        """The alias's target. Raises UserError if Milvus does not answer; the next call connects again."""
        platforms = self._opened()
        try:
            return platforms.store().alias_target(LIVE_ALIAS)
        except Exception:
            platforms.forget_store()
            raise

    def load(self) -> LiveSearch:
        """Open the live collection.

        Raises:
            UserError: its model is missing, is another one, or fails its golden inputs.
        """
        platforms = self._opened()
        live = open_live(platforms.store(), platforms.registry(), self._encoder)
        return IndexSearch(
            live.collection,
            live.properties,
            live.searcher,
            self._gallery,
            mirror_memory=self._settings.mirror_memory * MEBIBYTE if self._settings.mirror else 0,
            site=partial(self._site_curve, live.bundle.fingerprint),
        )

    def _site_curve(self, fingerprint: str) -> CalibratedCurve | None:
        """The site's calibration for this model. A damaged one is not used, and the log says so once."""
        try:
            calibration = read_site_calibration(self._settings.home, fingerprint)
        except UserError as error:
            if str(error) != self._complaint:
                logger.error("%s; the model's own calibration is used", error)
            self._complaint = str(error)
            return None
        self._complaint = ""
        return calibration

    def _encoder(self, bundle: Bundle) -> Encoder:
        from personsearch.encoders.load_graph import load_graph_encoder

        if self._encoder_of is None or self._encoder_of[0] != bundle.fingerprint:
            encoder = load_graph_encoder(bundle, threads=self._settings.encoder_threads)
            self._encoder_of = bundle.fingerprint, QueryEncoder(encoder, metrics=self._metrics)
        return self._encoder_of[1]

    def _opened(self) -> "Platforms":
        if self._platforms is None:
            from personsearch.installation.platforms import Platforms

            self._platforms = Platforms(self._settings)
        return self._platforms
