"""Live collections from Milvus, their models from MLflow. Platforms are imported when the first look is taken."""

from typing import Any

from personsearch.bundle import fingerprint
from personsearch.errors import UserError
from personsearch.search.index import LIVE_ALIAS, CollectionStore
from serving.index_search import IndexSearch
from serving.live import LiveSearch, LiveSource
from serving.metrics import Metrics
from serving.query_encoder import QueryEncoder
from serving.settings import ServingSettings


def open_source(settings: ServingSettings, metrics: Metrics) -> LiveSource:
    """The source that an installation's addresses name; nothing is contacted yet."""
    return PlatformSource(settings, metrics)


class PlatformSource:
    """The collection that Milvus' live alias names, with the model version that the collection names."""

    def __init__(self, settings: ServingSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._store: CollectionStore | None = None

    def target(self) -> str | None:
        return self._opened_store().alias_target(LIVE_ALIAS)

    def load(self, collection: str) -> LiveSearch:
        """Raises UserError where the model is missing or is not the one that made the vectors."""
        from personsearch.integrations.mlflow_registry import ModelRegistry
        from personsearch.search.onnx_encoder import OnnxEncoder

        store = self._opened_store()
        properties = store.properties(collection)
        bundle = ModelRegistry(self._settings.mlflow_address, properties.model_name).download(properties.model_version)
        if (found := fingerprint(bundle)) != properties.fingerprint:
            raise UserError(
                f"{collection}: its vectors were made by fingerprint {properties.fingerprint}, model version "
                f"{properties.model_version} has {found}"
            )
        encoder = QueryEncoder(OnnxEncoder(bundle, threads=self._settings.encoder_threads), metrics=self._metrics)
        index = store.open(collection)
        return IndexSearch(collection, properties, index, encoder, mirror=self._settings.mirror)

    def _opened_store(self) -> CollectionStore:
        if self._store is None:
            from personsearch.integrations.milvus_index import MilvusStore

            store: Any = MilvusStore(self._settings.milvus_address)
            self._store = store
        return self._store
