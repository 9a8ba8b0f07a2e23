"""The promoter: indexes the gallery when the alias `champion` moves or the gallery changes.

It polls, because MLflow does not fire webhooks for every way to move an alias. Its last observation is in
`<home>/promoter.json`. A worker in a process of its own builds the collection, verifies it before it goes live and tags
the model version.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.installation.index_worker import IndexWorker, WorkerFailed
from personsearch.installation.platforms import Platforms
from personsearch.installation.promotion import tag_failure
from personsearch.installation.settings import Settings
from personsearch.search.index import LIVE_ALIAS

logger = logging.getLogger(__name__)

HEARTBEAT = "promoter.json"
POLL_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 120.0


class Wanted(Config):
    """What the live index should hold: a model version's vectors of the gallery as of a change number."""

    version: str
    """Model version in the registry."""

    sequence: int
    """Change number of the gallery."""


class Heartbeat(Config):
    """What the promoter last saw and did."""

    looked_at: float
    """When, in seconds since 1970."""

    state: str
    """What it is doing or waiting for, in words."""

    failed: bool = False
    """Whether it could not look, or could not index what it saw."""

    indexed: Wanted | None = None
    """What the live index holds; null before the first indexing."""

    collection: str = ""
    """The collection that holds it."""


class World(Protocol):
    """What the promoter looks at and works on. Each method raises UserError if it fails."""

    def champion(self) -> str | None:
        """The version that the alias names, None if there is none."""
        ...

    def last_sequence(self) -> int:
        """The number of the gallery's latest change."""
        ...

    def live_collection(self) -> str | None:
        """The collection that the vector store holds live, None if there is none."""
        ...

    def index(self, version: str, beat: Callable[[], None]) -> str:
        """Bring the live index to this version; returns the collection that is live afterwards.

        Calls `beat` as long as the work progresses.
        """
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be indexed and why, how often in a row, and when it is tried again."""

    wanted: Wanted
    reason: str
    times: int
    again_at: float


class Promoter:
    """Keeps the live index at the champion and the gallery as they are now."""

    def __init__(self, home: Path, world: World, *, clock: Callable[[], float] = time.time) -> None:
        self._path = home / HEARTBEAT
        self._world = world
        self._clock = clock
        heartbeat = read_heartbeat(home)
        self._indexed, self._collection = heartbeat.indexed, heartbeat.collection
        self._failure: Failure | None = None

    def look(self) -> str:
        """Look once and index where needed. Returns what was seen; never raises."""
        failed = False
        try:
            state = self._follow()
        except UserError as error:
            state, failed = str(error), True
        self._beat(state, failed=failed)
        return state

    def _follow(self) -> str:
        version = self._world.champion()
        if version is None:
            return "no champion yet"
        wanted = Wanted(version=version, sequence=self._world.last_sequence())
        # The store is asked, because it may have been lost, replaced or rolled back since we indexed.
        if wanted == self._indexed and self._world.live_collection() == self._collection:
            return f"version {version} is live"
        if wanted.sequence == 0:
            return f"version {version} waits: the gallery is empty"
        if self._failure and self._failure.wanted == wanted and self._clock() < self._failure.again_at:
            raise UserError(f"{self._failure.reason}; it will be tried again")
        return self._bring(wanted)

    def _bring(self, wanted: Wanted) -> str:
        beat = partial(self._beat, f"indexing with version {wanted.version}")
        beat()
        try:
            self._collection = self._world.index(wanted.version, beat)
        except UserError as error:
            self._failure = self._failed_again(wanted, str(error))
            raise
        self._indexed, self._failure = wanted, None
        return f"version {wanted.version} is live"

    def _failed_again(self, wanted: Wanted, reason: str) -> Failure:
        """Wait longer each time: a fault of the network passes soon, a broken model does not."""
        times = 1 + (self._failure.times if self._failure and self._failure.wanted == wanted else 0)
        return Failure(
            wanted, reason, times, self._clock() + min(POLL_SECONDS * 2 ** (times - 1), LONGEST_RETRY_SECONDS)
        )

    def _beat(self, state: str, *, failed: bool = False) -> None:
        beat = Heartbeat(
            looked_at=self._clock(), state=state, failed=failed, indexed=self._indexed, collection=self._collection
        )
        write_json(self._path, beat.model_dump(mode="json"))


def read_heartbeat(home: Path) -> Heartbeat:
    """What the promoter last saw; empty if it never ran or its file is damaged."""
    try:
        return Heartbeat.model_validate_json((home / HEARTBEAT).read_bytes())
    except (OSError, ValueError):
        return Heartbeat(looked_at=0.0, state="never ran")


class Installation:
    """The world of a running installation."""

    def __init__(self, settings: Settings, params: Path) -> None:
        self._platforms = Platforms(settings)
        self._worker = IndexWorker(settings, params)

    def champion(self) -> str | None:
        return self._platforms.registry().champion()

    def last_sequence(self) -> int:
        return self._platforms.gallery().last_sequence()

    def live_collection(self) -> str | None:
        try:
            return self._platforms.store().alias_target(LIVE_ALIAS)
        except UserError:
            self._platforms.forget_store()
            raise
        finally:
            self._platforms.release()

    def index(self, version: str, beat: Callable[[], None]) -> str:
        try:
            collection = self._worker.index(version, beat)
        except WorkerFailed as error:
            with suppress(UserError):  # the registry may be out of reach too
                tag_failure(self._platforms.registry(), version, str(error))
            raise
        logger.info("indexed with version %s: %s", version, collection)
        return collection


def run_promoter(settings: Settings, params: Path) -> None:
    """Look every few seconds until the process stops. `params` may hold a section `index`, read for each build."""
    promoter = Promoter(settings.home, Installation(settings, params))
    said = ""
    while True:
        if (state := promoter.look()) != said:
            logger.info("%s", state)
            said = state
        time.sleep(POLL_SECONDS)
