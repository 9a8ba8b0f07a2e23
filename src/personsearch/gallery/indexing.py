"""The stage `index`: builds a collection of one model's vectors of the whole gallery, verifies it and makes it live.

A build is planned in shards, ranges of crop ids. Each is filled on its own, by one process or by many at once, and
filling it again costs only what is missing. To finish, the collection is compared with the gallery once more, verified,
and made live. `build_index` does all of it; an indexing pipeline runs `Build.plan`, `fill` and `finish` in processes of
their own.

Builds take turns (a lock of the gallery, released when its process dies), because each drops the collections that
neither alias names; one whose steps run apart is left alone for as long as it progresses. If machines share a store but
not a gallery, the first build to finish wins and the others fail with a message.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from personsearch.config import Config
from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError, VerificationFailed
from personsearch.gallery.builds import BuildProgress, BuildRecords, Shard
from personsearch.gallery.collections import (
    PREVIOUS_ALIAS,
    drop_unused,
    go_live,
    new_name,
    numbered,
    purge,
    remove_erased,
)
from personsearch.gallery.encoding import CropEncoder, GalleryEncoder, read_pixels
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import Synchroniser
from personsearch.gallery.verification import Findings, VerifyConfig, spread_evenly, verify
from personsearch.images import ImageRejected
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from personsearch.search.quantised import Centres, Coding, VectorStorage

logger = logging.getLogger(__name__)

CENTRE_SAMPLE = 64  # crops
VERIFICATIONS = 4  # attempts while the gallery changes
NOTE_SECONDS = 1.0  # between notes of how far a shard is
ABANDONED_SECONDS = 1800.0  # without progress of a build whose steps run apart, until its collection may be dropped


class IndexConfig(Config):
    """Section `index` of params.yaml: how a gallery becomes a searchable collection."""

    batch_size: int = Field(default=64, ge=1)
    """Crops encoded at once."""

    shard_crops: int = Field(default=100_000, ge=1)
    """Crops of a shard, the part of a build that one step of an indexing pipeline fills."""

    processes: int = Field(default=0, ge=0, le=256)
    """Processes of this machine that decode and encode for a build; 0 is one for every four cores."""

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


@dataclass(frozen=True)
class Build:
    """A build of one model's collection: what it is made of, where, and what is called meanwhile.

    `confirm` is called just before the collection goes live; what it raises keeps the live one live. `between` is
    called after each batch of crops, `noted` whenever the progress was stored. `crop_encoder` encodes in the place of
    `encoder`. With `alone` this process holds the turn of building from the plan to the end.
    """

    config: IndexConfig
    gallery: Gallery
    encoder: Encoder
    store: CollectionStore
    properties: CollectionProperties
    crop_encoder: CropEncoder | None = None
    confirm: Callable[[], None] = lambda: None
    between: Callable[[], None] = lambda: None
    noted: Callable[[BuildProgress], None] = lambda _: None
    alone: bool = False

    def plan(self, *, apart: bool = False, one_shard: bool = False) -> list[Shard]:
        """Create the collection, or find the one that the same model started or finished earlier.

        `apart` where the shards are filled by processes that do not hold the turn of the build. `one_shard` where only
        one process may write to the store.

        Raises:
            UserError: there was never a crop, or the store cannot be reached.
        """
        with self._building():
            live = self.store.alias_target(LIVE_ALIAS) or ""
            if self.gallery.count() == 0:
                if not live or self.gallery.last_sequence() == 0:
                    raise UserError(
                        f"{self.gallery.folder}: the gallery is empty; add crops with `personsearch ingest VIDEO` or "
                        "`personsearch gallery add-dataset`"
                    )
                return [Shard(collection="", live=live, number=0, of=1, crops=0)]
            name = self._begun() or self._create()
            shards = self._shards(name, live, one_shard=one_shard)
            self._records.plan(shards, apart=apart)
        return shards

    def fill(self, shard: Shard) -> None:
        """Bring a shard up to date with the gallery: encode what is missing, remove what the gallery does not hold.

        Raises:
            UserError: a store cannot be used, or the collection was dropped.
            VerificationFailed: the model gives NaN; the collection is dropped unless it is live.
        """
        if not shard.collection:
            return
        what = f"crops, shard {shard.number + 1} of {shard.of}" if shard.of > 1 else "crops"
        follower = self.open([shard])
        note = _Note(self, shard, follower)
        with self._discarding(shard):
            follower.compare(shard.first, shard.end or None, what=what, total=shard.crops, passed=note.passed)
        note.store(finished=True)

    def finish(self, shards: Sequence[Shard]) -> IndexReport:
        """Compare the whole collection, verify it, and make it live.

        Raises:
            UserError: a store cannot be used, or the live alias was moved since the plan.
            VerificationFailed: the collection failed its checks; it is dropped, and the live collection stays live.
        """
        start, first = time.monotonic(), shards[0]
        if not first.collection:
            with self._building():
                return _emptied(self.gallery, self.store, first.live, start)
        follower = self.open(shards)
        with self._discarding(first):
            findings = self._verified(follower, shards)
        with self._building():
            _stop_if_overtaken(self.store, first.collection, first.live)
            self.confirm()
            previous = go_live(self.store, first.collection)
            follower.feeding = nullcontext  # this process holds the lock alone
            follower.remove_erased()  # what was erased while the alias moved left the old collection only
            drop_unused(self.store, spare=self._records.apart(within=ABANDONED_SECONDS))
            done = self._forgotten(first.collection)
            removed = follower.removed + done.removed
            names = _without_erased(self.gallery, self.store, {first.collection: removed})
        return IndexReport(
            collection=names.get(first.collection, first.collection),
            previous=names.get(previous, previous) if previous else None,
            encoded=follower.encoded + done.encoded,
            removed=removed,
            unreadable=len(follower.unreadable),
            findings=findings,
            sequence=follower.sequence,
            seconds=round(done.seconds, 2),
        )

    def open(self, shards: Sequence[Shard]) -> Synchroniser:
        """What brings the collection of these shards up to date."""
        encoder = self.crop_encoder or GalleryEncoder(self.gallery, self.encoder)
        index, size = self.store.open(shards[0].collection), self.config.batch_size
        return Synchroniser(self.gallery, encoder, index, size, feeding=self._feeding, between=self.between)

    def compare(self, follower: Synchroniser, shards: Sequence[Shard]) -> None:
        """Compare the whole collection with the gallery, and repair the differences."""
        sequence = self.gallery.last_sequence()
        for shard in shards:
            follower.compare(shard.first, shard.end or None, what="crops, compared", total=shard.crops)
        follower.sequence = follower.erased = sequence

    @property
    def _records(self) -> BuildRecords:
        return self.gallery.rows.builds

    def _building(self) -> AbstractContextManager[None]:
        return nullcontext() if self.alone else self.gallery.building()

    def _feeding(self) -> AbstractContextManager[None]:
        return nullcontext() if self.alone else self.gallery.feeding()

    def _begun(self) -> str | None:
        """The newest collection with these properties, if its build may be resumed."""
        if self.config.rebuild:
            return None
        same = [name for _, name in numbered(self.store) if self.store.properties(name) == self.properties]
        return same[-1] if same else None

    def _create(self) -> str:
        name, properties = new_name(self.store, self.properties.model_version), self.properties
        if properties.coding.vectors == "binary":
            centres = measure_centres(self.gallery, self.encoder, self.config.verify.probe_texts)
            properties = replace(properties, coding=replace(properties.coding, centres=centres))
        self.store.create(name, properties, crops=self.gallery.count())
        return name

    def _shards(self, name: str, live: str, *, one_shard: bool) -> list[Shard]:
        count, size, firsts = self.gallery.count(), self.config.shard_crops, [""]
        while not one_shard and (following := self.gallery.rows.crop_id_at(firsts[-1], size)):
            firsts.append(following)
        ends, last = [*firsts[1:], ""], len(firsts) - 1
        return [
            Shard(
                collection=name,
                live=live,
                number=number,
                of=len(firsts),
                first=first,
                end=end,
                crops=size if number < last else max(0, count - last * size),
            )
            for number, (first, end) in enumerate(zip(firsts, ends, strict=True))
        ]

    def _verified(self, follower: Synchroniser, shards: Sequence[Shard]) -> Findings:
        """Verify the collection; repeat a few times if the gallery changes in the meantime, which may be the reason."""
        self.compare(follower, shards)
        coding = self.store.properties(shards[0].collection).coding
        for attempt in range(1, VERIFICATIONS + 1):
            follower.catch_up()
            follower.index.flush()
            state = follower.sequence
            try:
                return verify(
                    self.config.verify,
                    follower.index,
                    self.gallery,
                    self.encoder,
                    coding=coding,
                    sequence=state,
                    unreadable=len(follower.unreadable),
                    between=self.between,
                )
            except VerificationFailed:
                if attempt == VERIFICATIONS or self.gallery.last_sequence() == state:
                    raise
                logger.info("the gallery changed during the verification; verifying again")
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _discarding(self, shard: Shard) -> Iterator[None]:
        """Drop the collection if it proves to be wrong; say so if somebody else was faster."""
        try:
            yield
        except VerificationFailed as error:
            with self._building():
                _discard(self.store, shard.collection)
                self._records.forget(shard.collection)
            raise VerificationFailed(f"{shard.collection} may not be live: {error}") from error
        except UserError:
            _stop_if_overtaken(self.store, shard.collection, shard.live)
            raise
        _stop_if_overtaken(self.store, shard.collection, shard.live)

    def _forgotten(self, collection: str) -> BuildProgress:
        """What the build has done, which is then taken from the list of those under way, as are those long given up."""
        done = _progress_of(self._records, collection)
        kept = set(self.store.names()) - {collection}
        for each in self._records.progress():
            if each.collection not in kept:
                self._records.forget(each.collection)
        return done


class _Note:
    """Stores how far a shard is, now and then."""

    def __init__(self, build: Build, shard: Shard, follower: Synchroniser) -> None:
        self._build = build
        self._shard = shard
        self._follower = follower
        self._passed = self._encoded = self._removed = 0
        self._stored_at = time.monotonic()
        follower.between = self.between

    def passed(self) -> None:
        """One more crop was compared."""
        self._passed += 1

    def between(self) -> None:
        """A batch was written."""
        if time.monotonic() - self._stored_at >= NOTE_SECONDS:
            self.store()
        self._build.between()

    def store(self, *, finished: bool = False) -> None:
        """Store it now."""
        records, follower, self._stored_at = self._build.gallery.rows.builds, self._follower, time.monotonic()
        encoded, removed = follower.encoded, follower.removed  # once: crops are written in another thread meanwhile
        done = max(0, self._passed - follower.waiting)  # in this order: others read and write meanwhile
        more = {"encoded": encoded - self._encoded, "removed": removed - self._removed}
        records.advance(self._shard, done=done, **more, finished=finished)
        self._encoded, self._removed = encoded, removed
        self._build.noted(_progress_of(records, self._shard.collection))


def build_index(build: Build) -> IndexReport:
    """Index the gallery with a model and make the result live, in one process.

    A collection that the same model started or finished earlier is updated instead of rebuilt, so a killed build
    resumes, a grown gallery costs only its new crops, and promoting an old model again is quick. A gallery whose crops
    were all erased empties the collections that there are.

    Raises:
        UserError: there was never a crop, the store cannot be reached, or the live alias was moved in the meantime.
        VerificationFailed: the collection failed its checks; it is dropped, and the live collection stays live.
    """
    with build.gallery.build_turn(), ExitStack() as held:
        if build.store.purges_by_copying:  # no erasure may replace the collection by a copy while it is written
            held.enter_context(build.gallery.building())
            build = replace(build, alone=True)
        shards = build.plan()
        for shard in shards:
            build.fill(shard)
        return build.finish(shards)


def _progress_of(records: BuildRecords, collection: str) -> BuildProgress:
    known = {each.collection: each for each in records.progress()}
    return known.get(collection) or BuildProgress(collection)


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


def _stop_if_overtaken(store: CollectionStore, name: str, live: str) -> None:
    """Check that `live` is still live: our lock stops neither a rollback nor a builder with another gallery folder."""
    if name not in store.names() or (store.alias_target(LIVE_ALIAS) or "") != live:
        raise UserError(
            f"{name} does not go live: another index build or a rollback was faster; index again if it is still needed"
        )


def _discard(store: CollectionStore, name: str) -> None:
    """Drop a collection that no alias names; one that readers use stays until a rebuild."""
    if name not in (store.alias_target(LIVE_ALIAS), store.alias_target(PREVIOUS_ALIAS)):
        store.drop(name)
