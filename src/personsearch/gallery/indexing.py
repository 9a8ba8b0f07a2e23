"""The stage `index`: builds a collection of one model's vectors of the whole gallery, verifies it and makes it live.

Builds take turns (a lock of the gallery, released when its process dies), because each drops the collections that
neither alias names. If machines share a store but not a gallery, the first build to finish wins and the others fail
with a message.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError, VerificationFailed
from personsearch.gallery.collections import (
    PREVIOUS_ALIAS,
    drop_unused,
    go_live,
    new_name,
    numbered,
    purge,
    remove_erased,
)
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import Synchroniser, read_pixels
from personsearch.gallery.verification import Findings, VerifyConfig, spread_evenly, verify
from personsearch.images import ImageRejected
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from personsearch.search.quantised import Centres, Coding, VectorStorage

logger = logging.getLogger(__name__)

CENTRE_SAMPLE = 64  # crops


class IndexConfig(Config):
    """Section `index` of params.yaml: how a gallery becomes a searchable collection."""

    batch_size: int = Field(default=64, ge=1)
    """Crops encoded at once."""

    rebuild: bool = False
    """Encode every crop again, even where a collection of the same model exists."""

    vectors: VectorStorage = "float32"
    """How vectors are kept and searched; `int8` and `binary` take a quarter of the bytes (docs/vectors.md)."""

    oversampling: int = Field(default=10, ge=1)
    """With `binary`: candidates scored again for each result; more is slower and more exact."""

    verify: VerifyConfig = VerifyConfig()
    """What must hold before the collection goes live."""

    @property
    def coding(self) -> Coding:
        """How a new collection keeps its vectors; its centres are measured when it is created."""
        return Coding(self.vectors, self.oversampling if self.vectors == "binary" else 1)


class IndexReport(Config):
    """What an indexing did."""

    collection: str
    """The collection that is live now."""

    previous: str | None
    """The one that was live before."""

    encoded: int
    """Crops that were encoded."""

    removed: int
    """Crops taken out because the gallery no longer holds them."""

    unreadable: int
    """Crops left out because their image cannot be read."""

    findings: Findings
    """What the verification measured."""

    sequence: int
    """Change of the gallery up to which the collection holds it."""

    seconds: float
    """How long it took."""


def build_index(
    config: IndexConfig,
    gallery: Gallery,
    encoder: Encoder,
    store: CollectionStore,
    *,
    model_name: str,
    model_version: str,
    fingerprint: str,
    dataset_hash: str,
    confirm: Callable[[], None] = lambda: None,
    between: Callable[[], None] = lambda: None,
) -> IndexReport:
    """Index the gallery with a model and make the result live.

    A collection that the same model started or finished earlier is updated instead of rebuilt, so a killed build
    resumes, a grown gallery costs only its new crops, and promoting an old model again is quick. A gallery whose crops
    were all erased empties the collections that there are. `confirm` is called just before the collection goes live;
    what it raises keeps the live one live. `between` is called after each batch of crops.

    Raises:
        UserError: there was never a crop, the store cannot be reached, or the live alias was moved in the meantime.
        VerificationFailed: the collection failed its checks; it is dropped, and the live collection stays live.
    """
    properties = CollectionProperties(
        model_name, model_version, fingerprint, dataset_hash, encoder.embedding_dim, config.coding
    )
    with gallery.building():
        start, live = time.monotonic(), store.alias_target(LIVE_ALIAS)
        if gallery.count() == 0:
            return _emptied(gallery, store, live, start)
        name = _begun(config, store, properties) or _create(config, store, properties, gallery, encoder)
        follower = Synchroniser(gallery, encoder, store.open(name), config.batch_size, between=between)
        findings = _fill(config.verify, store, follower, name=name, live=live)
        confirm()
        previous = go_live(store, name)
        follower.catch_up()  # crops erased while the alias moved were removed from the old collection only
        drop_unused(store)
        names = _without_erased(gallery, store, {name: follower.removed})
    return IndexReport(
        collection=names.get(name, name),
        previous=names.get(previous, previous) if previous else None,
        encoded=follower.encoded,
        removed=follower.removed,
        unreadable=len(follower.unreadable),
        findings=findings,
        sequence=follower.sequence,
        seconds=round(time.monotonic() - start, 2),
    )


def _emptied(gallery: Gallery, store: CollectionStore, live: str | None, start: float) -> IndexReport:
    """Remove everything from the collections of a gallery in which everything was erased."""
    if live is None or gallery.last_sequence() == 0:
        raise UserError(
            f"{gallery.folder}: the gallery is empty; add crops with `personsearch ingest VIDEO` or "
            "`personsearch gallery add-dataset`"
        )
    sequence = gallery.last_sequence()
    removed = remove_erased(store, gallery)
    drop_unused(store)
    names = _without_erased(gallery, store, removed)
    return IndexReport(
        collection=names.get(live, live),
        previous=store.alias_target(PREVIOUS_ALIAS),
        encoded=0,
        removed=removed.get(live, 0),
        unreadable=0,
        findings=Findings(crops=0, recall=1.0, spread=1.0, score_error=0.0),
        sequence=sequence,
        seconds=round(time.monotonic() - start, 2),
    )


def _without_erased(gallery: Gallery, store: CollectionStore, removed: dict[str, int]) -> dict[str, str]:
    """Remove erased crops from all collections, and from the engine's files where that or `removed` says that there
    were any. Returns the new names of the collections that have one.
    """
    found = remove_erased(store, gallery)
    return purge(store, [name for name, count in found.items() if count or removed.get(name)])


def measure_centres(gallery: Gallery, encoder: Encoder, texts: Sequence[str]) -> Centres:
    """The mean vectors of crops spread evenly over the gallery, and of texts; zero if no crop can be read."""
    sample = list(spread_evenly(gallery.crops(), gallery.count(), CENTRE_SAMPLE))
    pixels = [read for read in read_pixels(gallery, sample, encoder) if not isinstance(read, ImageRejected)]
    if not pixels:
        return Centres.zero(encoder.embedding_dim)
    return Centres.of(encoder.encode_images(np.array(pixels)), encoder.encode_texts(texts))


def _begun(config: IndexConfig, store: CollectionStore, properties: CollectionProperties) -> str | None:
    """The newest collection with these properties, if its build may be resumed."""
    if config.rebuild:
        return None
    same = [name for _, name in numbered(store) if store.properties(name) == properties]
    return same[-1] if same else None


def _create(
    config: IndexConfig, store: CollectionStore, properties: CollectionProperties, gallery: Gallery, encoder: Encoder
) -> str:
    name = new_name(store, properties.model_version)
    if properties.coding.vectors == "binary":
        centres = measure_centres(gallery, encoder, config.verify.probe_texts)
        properties = replace(properties, coding=replace(properties.coding, centres=centres))
    store.create(name, properties, crops=gallery.count())
    return name


def _fill(
    config: VerifyConfig, store: CollectionStore, follower: Synchroniser, *, name: str, live: str | None
) -> Findings:
    """Bring the collection up to date with the gallery, and verify that it may replace `live`."""
    try:
        follower.compare_all()
        findings = _verified(config, follower, store.properties(name).coding)
    except VerificationFailed as error:
        _discard(store, name)
        raise VerificationFailed(f"{name} may not be live: {error}") from error
    except UserError:
        _stop_if_overtaken(store, name, live)
        raise
    _stop_if_overtaken(store, name, live)
    return findings


def _stop_if_overtaken(store: CollectionStore, name: str, live: str | None) -> None:
    """Check that `live` is still live: our lock stops neither a rollback nor a builder with another gallery folder."""
    if name not in store.names() or store.alias_target(LIVE_ALIAS) != live:
        raise UserError(
            f"{name} does not go live: another index build or a rollback was faster; index again if it is still needed"
        )


def _verified(config: VerifyConfig, follower: Synchroniser, coding: Coding) -> Findings:
    """Verify the collection; repeat if the gallery changes in the meantime."""
    while True:
        follower.catch_up()
        follower.index.flush()
        state = follower.sequence
        try:
            return verify(
                config,
                follower.index,
                follower.gallery,
                follower.encoder,
                coding=coding,
                unreadable=len(follower.unreadable),
            )
        except VerificationFailed:
            if follower.gallery.last_sequence() == state:
                raise
            logger.info("the gallery changed during the verification; verifying again")


def _discard(store: CollectionStore, name: str) -> None:
    """Drop a collection that no alias names; one that readers use stays until a rebuild."""
    if name not in (store.alias_target(LIVE_ALIAS), store.alias_target(PREVIOUS_ALIAS)):
        store.drop(name)
