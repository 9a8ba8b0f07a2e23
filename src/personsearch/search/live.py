"""Opens the live index: the collection that the alias names, with the model that made its vectors.

The collection itself names its model and not a setting: so promoting a model and swapping collections can happen at any
time, and a query is never compared with another model's vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from personsearch.bundle import CALIBRATION, Bundle
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.golden import verify_golden
from personsearch.errors import UserError
from personsearch.search.calibration import read_calibration
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from personsearch.search.searcher import Searcher


class ModelSource(Protocol):
    """Where bundles come from; the MLflow registry is one."""

    def fetch(self, version: str, fingerprint: str) -> Bundle:
        """The bundle of a version; it must have this fingerprint."""
        ...


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """The index that answers queries now, with its collection and its model."""

    searcher: Searcher
    collection: str
    properties: CollectionProperties
    bundle: Bundle


def open_live(store: CollectionStore, models: ModelSource, encoder_factory: Callable[[Bundle], Encoder]) -> LiveIndex:
    """Open the live collection with its own model.

    Raises:
        UserError: nothing is live, the model cannot be fetched, it is not the one that the collection names, or it
            does not reproduce its golden embeddings.
    """
    collection = store.alias_target(LIVE_ALIAS)
    if collection is None:
        raise UserError(f"no collection is live (alias {LIVE_ALIAS!r}); run `personsearch index`")
    properties = store.properties(collection)
    bundle = models.fetch(properties.model_version, properties.fingerprint)
    if bundle.fingerprint != properties.fingerprint:
        raise UserError(
            f"{collection}: made by model {properties.fingerprint}, but {bundle} has fingerprint {bundle.fingerprint}"
        )
    encoder = encoder_factory(bundle)
    if encoder.embedding_dim != properties.embedding_dim:
        raise UserError(
            f"{collection}: {properties.embedding_dim} dimensions, but the model's vectors have {encoder.embedding_dim}"
        )
    verify_golden(bundle, encoder)  # this machine's engine may compute otherwise than the one that made the vectors
    searcher = Searcher(encoder, store.open(collection), read_calibration(bundle.path(CALIBRATION)))
    return LiveIndex(searcher, collection, properties, bundle)
