"""Follows the live alias: loads the collection that it names, with its encoder, and swaps without losing a request."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personsearch.encoders.encoder import Encoder
from personsearch.search.calibration import Reference
from personsearch.search.crop import Crop
from personsearch.search.filters import CropFilter
from personsearch.search.index import CollectionProperties
from personsearch.search.query import Query
from personsearch.search.searcher import Answer
from serving.metrics import Metrics

logger = logging.getLogger(__name__)

STARTING = "starting: the live collection has not been looked up yet"
NO_COLLECTION = "there is no live collection yet: promote a model version and index the gallery"
WARM_UP_QUERY = Query(("a person in a dark jacket",))
LONGEST_RETRY_SECONDS = 60.0
FOLLOW_SECONDS = 0.2  # between looks at the gallery


class LiveSearch(Protocol):
    """One collection, with the encoder of the model that made its vectors."""

    @property
    def collection(self) -> str: ...

    @property
    def properties(self) -> CollectionProperties: ...

    @property
    def encoder(self) -> Encoder:
        """The model that made its vectors."""
        ...

    @property
    def sequence(self) -> int:
        """Crops erased up to this change number of the gallery are no longer in memory."""
        ...

    def search_for(self, query: Query, *, k: int, crop_filter: CropFilter, group_by_track: bool) -> Answer:
        """Candidates, best first, and whether the best one is reliable."""
        ...

    def vector_of(self, crop_id: str) -> tuple[Crop, NDArray[np.float32]] | None:
        """A crop of the collection with its vector, None if it holds none."""
        ...

    def vectors_of(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        """Those of these crops that the collection holds, with their vectors [N, D]."""
        ...

    def stored(self, crop_ids: Sequence[str]) -> tuple[list[Crop], NDArray[np.float32]]:
        """The same of what the store holds, which is ahead of what is in memory."""
        ...

    @property
    def is_calibrated(self) -> bool:
        """Whether candidates have a confidence."""
        ...

    def confidences(
        self, text: str, crops: Sequence[Crop], vectors_ND: NDArray[np.float32], crop_filter: CropFilter
    ) -> list[tuple[float, float]]:
        """The score of each of these crops, and the confidence that a search for `text` shows for it."""
        ...

    @property
    def reference(self) -> Reference | None:
        """The pictures that the model was calibrated on, None for one that was not."""
        ...

    def refresh(self) -> int:
        """Catch up with added and erased crops. Returns the collection's number of crops."""
        ...

    def take_over(self, before: "LiveSearch | None") -> None:
        """Use what the collection before has in memory, if that is of the same model: a purge may only have copied it
        under another name. A refresh follows, which finds differences.
        """
        ...

    def follow(self) -> None:
        """The same for what the gallery has changed, which costs next to nothing where that is nothing."""
        ...


class LiveSource(Protocol):
    """Where live collections come from."""

    def target(self) -> str | None:
        """The collection that should be live; None if there is none yet."""
        ...

    def load(self) -> LiveSearch:
        """Load the collection that should be live now."""
        ...


class LiveWatcher:
    """Keeps `current` on the collection that the alias names; if that cannot be loaded, on the previous one. `crops` is
    how many that holds.

    A request reads `current` once and keeps that object, so a swap never affects a request in flight.
    """

    def __init__(self, source: LiveSource, *, interval_seconds: float, metrics: Metrics) -> None:
        self.current: LiveSearch | None = None
        self.crops: int | None = None
        self.problem = STARTING
        self._source = source
        self._interval = interval_seconds
        self._metrics = metrics
        self._failures = 0
        self._failed: str | None = None
        self._retry_at = 0.0
        self._looking = threading.Lock()  # a collection catches up in one thread at a time
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-watcher", daemon=True)

    def start(self) -> None:
        """Look now and then at the interval, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, without waiting for a collection that is being loaded."""
        self._stopping.set()

    def look(self) -> None:
        """Look at the alias once and swap, refresh, or record the problem. Never raises."""
        with self._looking:
            self._look()

    def follow(self) -> None:
        """Take in what the gallery has changed. Never raises: what fails, the next look says."""
        with self._looking:
            if self.current is None:
                return
            try:
                self.current.follow()
            except Exception as error:
                logger.debug("collection %s does not follow the gallery: %s", self.current.collection, error)

    def successor(self, live: LiveSearch) -> LiveSearch | None:
        """What took the place of a collection that cannot be searched any more; None where nothing did.

        Raises:
            UserError: the store cannot be reached.
        """
        if self._source.target() not in (None, live.collection):
            self.look()
        return None if self.current is live else self.current

    def _look(self) -> None:
        try:
            target = self._source.target()
            if target is None:
                self.problem = NO_COLLECTION
            elif self._is_still(target):
                self._succeed()
            elif target != self._failed or time.monotonic() >= self._retry_at:
                self._swap(target)
        except Exception as error:  # whatever fails in a platform, the service continues with what it has
            self.problem = f"the live collection cannot be looked up: {error}"
            logger.warning("%s", self.problem)
        self._metrics.ready.set(self.current is not None)

    def _is_still(self, target: str) -> bool:
        """Whether the target is already live and answers; if its connection broke, a swap opens a new one."""
        if self.current is None or target != self.current.collection:
            return False
        try:
            self._count(self.current.refresh())
        except Exception as error:
            logger.warning("collection %s must be opened again: %s", target, error)
            return False
        return True

    def _swap(self, target: str) -> None:
        """Make the target live, or what has taken its place while it was being loaded."""
        while True:
            try:
                loaded = self._source.load()
                # warm up before the swap: the first search of an engine is slow, and a broken one must not go live
                loaded.search_for(WARM_UP_QUERY, k=1, crop_filter=CropFilter(), group_by_track=False)
                loaded.take_over(self.current)
                crops = loaded.refresh()
                break
            except Exception as error:  # whatever is wrong with the new collection, the previous one stays live
                if (now := self._source.target()) in (None, target):
                    self._fail(target, error)
                    return
                logger.info("collection %s was replaced by %s before it was loaded", target, now)
                target = str(now)
        self.current = loaded  # one assignment, so a request sees either the old collection or the new one
        self._count(crops)
        self._metrics.live_switches.inc()
        self._succeed()
        logger.info("live: collection %s, model version %s", loaded.collection, loaded.properties.model_version)

    def _count(self, crops: int) -> None:
        self.crops = crops
        self._metrics.live_crops.set(crops)

    def _succeed(self) -> None:
        self.problem, self._failures, self._failed = "", 0, None

    def _fail(self, target: str, error: Exception) -> None:
        self._failures += 1
        self._failed = target
        self._retry_at = time.monotonic() + min(self._interval * 2**self._failures, LONGEST_RETRY_SECONDS)
        self.problem = f"collection {target} cannot go live: {error}"
        self._metrics.live_failures.inc()
        logger.error("%s", self.problem)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self.look()
            until = time.monotonic() + self._interval
            while (left := until - time.monotonic()) > 0 and not self._stopping.wait(min(FOLLOW_SECONDS, left)):
                self.follow()
