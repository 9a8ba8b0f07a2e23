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
from personsearch.search.calibration import CalibratedCurve, read_calibration
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from personsearch.search.searcher import Searcher


class ModelSource(Protocol):
    """Where bundles come from; the MLflow registry is one."""

    def fetch(self, version: str, fingerprint: str) -> Bundle:
        """The bundle of a version; it must have this fingerprint."""
        ...


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The collection that answers queries now, and the model that made it."""

    collection: str
    properties: CollectionProperties
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """The index that answers queries now, with its collection and its model."""

    searcher: Searcher
    collection: str
    properties: CollectionProperties
    bundle: Bundle


SiteCurve = Callable[[str], CalibratedCurve | None]
"""The calibration of the site for the model of a fingerprint, which replaces the model's own; None if it has none."""


def no_site_curve(fingerprint: str) -> CalibratedCurve | None:
    """For whoever wants a model's own calibration."""
    return None


def open_live(
    store: CollectionStore,
    models: ModelSource,
    encoder_factory: Callable[[Bundle], Encoder],
    site: SiteCurve = no_site_curve,
) -> LiveIndex:
    """Open the live collection with its own model, calibrated by the site if it was.

    Raises:
        UserError: as `live_model`, or the model does not reproduce its golden embeddings.
    """
    live = live_model(store, models)
    bundle, properties = live.bundle, live.properties
    encoder = encoder_factory(bundle)
    if encoder.embedding_dim != properties.embedding_dim:
        raise UserError(
            f"{live.collection}: {properties.embedding_dim} dimensions, but the model's vectors have "
            f"{encoder.embedding_dim}"
        )
    verify_golden(bundle, encoder)  # this machine's engine may compute otherwise than the one that made the vectors
    own = read_calibration(bundle.path(CALIBRATION))
    by_site = site(bundle.fingerprint)
    calibration = by_site.with_curves_of(own) if by_site else own
    searcher = Searcher(encoder, store.open(live.collection), calibration)
    return LiveIndex(searcher, live.collection, properties, bundle)


def live_model(store: CollectionStore, models: ModelSource) -> LiveModel:
    """The live collection and its model.

    Raises:
        UserError: nothing is live, the model cannot be fetched, or it is not the one that the collection names.
    """
    collection = store.alias_target(LIVE_ALIAS)
    if collection is None:
        raise UserError(
            f"no collection is live (alias {LIVE_ALIAS!r}); promote a version: "
            "`personsearch models`, `personsearch promote VERSION`"
        )
    properties = store.properties(collection)
    bundle = models.fetch(properties.model_version, properties.fingerprint)
    if bundle.fingerprint != properties.fingerprint:
        raise UserError(
            f"{collection}: made by model {properties.fingerprint}, but {bundle} has fingerprint {bundle.fingerprint}"
        )
    return LiveModel(collection, properties, bundle)
