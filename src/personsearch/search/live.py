"""Opens the live index: the collection that the alias names, with the model that made its vectors.

A collection names its model, so a query is never compared with another model's vectors.
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
        """The bundle of a version, which must have this fingerprint."""
        ...


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """What answers queries now, and what it was made with."""

    searcher: Searcher
    collection: str
    properties: CollectionProperties
    bundle: Bundle


def open_live(
    store: CollectionStore,
    models: ModelSource,
    encoder_factory: Callable[[Bundle], Encoder],
    *,
    alias: str = LIVE_ALIAS,
) -> LiveIndex:
    """Open the collection that the alias names now, with its own model.

    Raises:
        UserError: nothing is live, the model cannot be had, it is not the one that the collection names, or it does
            not reproduce its golden embeddings.
    """
    collection = store.alias_target(alias)
    if collection is None:
        raise UserError(f"no collection is live (alias {alias!r}); run `personsearch index`")
    properties = store.properties(collection)
    bundle = models.fetch(properties.model_version, properties.fingerprint)
    if bundle.fingerprint != properties.fingerprint:
        raise UserError(
            f"{collection} was made by model {properties.fingerprint}, not by {bundle} ({bundle.fingerprint})"
        )
    encoder = encoder_factory(bundle)
    if encoder.embedding_dim != properties.embedding_dim:
        raise UserError(
            f"{collection} holds {properties.embedding_dim} dimensions, the model gives {encoder.embedding_dim}"
        )
    verify_golden(bundle, encoder)
    searcher = Searcher(encoder, store.open(collection), read_calibration(bundle.path(CALIBRATION)))
    return LiveIndex(searcher, collection, properties, bundle)
