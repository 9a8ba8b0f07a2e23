"""The promoter: indexes the gallery when the alias `champion` moves, and lets the live index follow the gallery.

Any number may run on one database: one leads, by a lease, the others stand by and take over when it ends. It looks when
a webhook of MLflow has come, and polls, because MLflow fires none for some ways to move an alias, and one may be lost.
What it did is in the database, for the next one.
A worker in a process of its own builds collections, verifies them before they go live, tags the model version, and
follows the gallery.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from personsearch.errors import LeaseLost, UserError
from personsearch.installation.index_worker import IndexWorker, Outcome, WorkerFailed, load_libraries
from personsearch.installation.leadership import Leadership, holder_name
from personsearch.installation.part_leases import PartLeases
from personsearch.installation.platforms import Platforms
from personsearch.installation.process_metrics import BackupMetrics, PromoterMetrics, answering
from personsearch.installation.promoter_memory import open_memory
from personsearch.installation.promotion import tag_failure
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import DatabaseLeases, Lease
from personsearch.integrations.database.notices import ALIAS_MOVED, BACKED_UP, DatabaseNotices
from personsearch.integrations.database.parts import DatabaseParts, Reached
from personsearch.integrations.database.promotions import Promotion
from personsearch.integrations.database.schema import open_database
from personsearch.search.index import LIVE_ALIAS

if TYPE_CHECKING:
    from personsearch.integrations.database.promotions import DatabasePromotions

logger = logging.getLogger(__name__)

LEASE = "promoter"
RETRY_SECONDS = 2.0  # between a look that failed and the next
FOLLOW_SECONDS = 0.1  # between looks at the gallery
BEAT_SECONDS = 2.0  # between heartbeats that say nothing new
LONGEST_RETRY_SECONDS = 120.0
LONGEST_OUTAGE_SECONDS = 4.0  # of a live collection, whose model works: an engine is away and may come back at any time
QUIET_SECONDS = 30.0  # without a change of the gallery, until what was erased leaves the engine's files
LONGEST_UNPURGED_SECONDS = 600.0
IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class World(Protocol):
    """What the promoter looks at and works on. Each method raises UserError if it fails."""

    def champion(self) -> str | None:
        """The version that the alias names, None if there is none."""
        ...

    def notices(self) -> int:
        """How many webhooks have said that an alias moved."""
        ...

    def last_sequence(self) -> int:
        """The number of the gallery's latest change."""
        ...

    def live_collection(self) -> str | None:
        """The collection that the vector store holds live, None if there is none."""
        ...

    def index(self, version: str, lease: Lease, beat: Callable[[], None], *, afresh: bool = False) -> Outcome:
        """Bring the live index to this version and closer to the gallery. Calls `beat` at least every second. With
        `afresh` everything is compared, as if nothing had been followed yet.

        Raises LeaseLost, as `beat` does, where another promoter may lead.
        """
        ...

    def follow(self, leases: dict[int, Lease], of: int, beat: Callable[[], None]) -> Outcome:
        """Bring parts of the live collection, of `of`, closer to the gallery; as `index` otherwise."""
        ...

    def purge(self, lease: Lease, beat: Callable[[], None]) -> Outcome:
        """Remove what was erased from the engine's files too."""
        ...

    def stand_by(self) -> None:
        """Stop indexing at once, and get ready to do it again."""
        ...

    def close(self) -> None:
        """Stop for good."""
        ...


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts that this process follows, and how far all of them are."""

    leases: PartLeases
    progress: DatabaseParts


class Promoter:
    """Keeps the live index at the champion and the gallery as they are now, while it leads."""

    def __init__(
        self,
        world: World,
        promotions: "DatabasePromotions",
        leadership: Leadership,
        *,
        clock: Callable[[], float] = time.monotonic,
        parts: SharedParts | None = None,
    ) -> None:
        """With `parts` several processes follow the gallery, each its own parts; without, the one that leads."""
        self._world = world
        self._parts = parts
        self._promotions = promotions
        self._leadership = leadership
        self._clock = clock
        self._said, self._said_at = ("", False), -BEAT_SECONDS
        self.failures = 0  # looks that saw something fail
        self._noticed = 0
        self._counted: dict[str, Reached] = {}  # of the live collection: what parts did, as far as it is stored as done
        self._seen = -1  # change of the gallery that this one's parts have reached while it stands by
        self._sequence = -1  # of the gallery when it was last looked at, -1 while not leading
        self._changed_at = self._purged_at = clock()
        self._doubted = False  # the store was away, and a small one that was killed may have lost what it had taken

    @property
    def leads(self) -> bool:
        """Whether the last look was a leader's."""
        return self._sequence >= 0

    @property
    def failed(self) -> bool:
        """Whether the last look saw something fail."""
        return self._said[1]

    def look(self) -> str:
        """Look once and index where needed. Returns what was seen; never raises UserError."""
        failed = False
        try:
            state = self._act(self._lead)
        except UserError as error:
            state, failed = str(error), True
            self.failures += 1
        self._beat(state, failed=failed)
        return state

    def keep_up(self) -> None:
        """Look again if an alias is said to have moved since the last look; if only the gallery has changed, follow it
        without asking the registry.
        """
        with suppress(UserError):  # the next look says it
            seen, latest = self._sequence if self.leads else self._seen, self._world.last_sequence()
            if self.leads and self._world.notices() != self._noticed:
                self.look()
            elif (self.leads or self._parts) and latest != seen:
                self._act(self._follow_live)

    def close(self) -> None:
        """Hand over to a promoter that stands by."""
        self._world.close()
        with suppress(UserError):
            if self._parts:
                self._parts.leases.close()
            self._leadership.close()
            self._promotions.forget(self._leadership.holder)

    def _act(self, lead: Callable[[Lease], str]) -> str:
        """Do a leader's work if this process leads, and follow its own parts if it does not."""
        try:
            lease = self._leadership.take()
            state = lead(lease) if lease else self._stand_by()
            if self._parts and not lease:
                self._seen = self._follow_parts(self._parts)
        except LeaseLost as error:
            self._leadership.lose()
            state = self._stand_by(str(error))
        return state

    def _stand_by(self, why: str = "") -> str:
        if self.leads:
            self._world.stand_by()
            self._sequence = -1
        return why or f"stands by: {self._leadership.leader() or 'nobody'} leads"

    def _lead(self, lease: Lease) -> str:
        if not self.leads:
            self._sequence = 0
            self._beat("takes over")
        self._noticed = self._world.notices()  # before the alias is read
        try:
            version = self._world.champion()
        except UserError:
            self._follow_live(lease)
            raise
        if version is None:
            self._follow_live(lease)
            return "no champion yet"
        self._sequence, live = self._world.last_sequence(), self._promotions.live()
        # The store is asked, because it may have been lost, replaced or rolled back since we indexed.
        if live and live.version == version and self._live_collection() == live.collection:
            if self._parts:
                own = self._follow_parts(self._parts)
                live = self._reached(self._parts, live, lease)
                state = self._rest(live, lease)
                self._sequence = min(self._sequence, own)  # to go on at once where more has come
                return state
            if live.sequence == self._sequence and not self._doubted:
                return self._rest(live, lease)
        elif self._sequence == 0:
            return f"version {version} waits: the gallery is empty"
        else:
            live = None
        last = self._promotions.of_version(version)
        if last is not None and last.wait:
            self._follow_live(lease)
            raise UserError(f"{last.failure}; it will be tried again")
        return self._bring(version, live, last, lease)

    def _follow_live(self, lease: Lease) -> str:
        """Let the live collection follow the gallery, whichever version is champion."""
        if self._parts:
            self._sequence = self._follow_parts(self._parts)
            return ""
        self._sequence, live = self._world.last_sequence(), self._promotions.live()
        behind = live is not None and (live.sequence != self._sequence or self._doubted)
        if live and behind and self._live_collection() == live.collection:
            last = self._promotions.of_version(live.version)
            if last is None or not last.wait:
                return self._bring(live.version, live, last, lease)
        return ""

    def _live_collection(self) -> str | None:
        try:
            return self._world.live_collection()
        except UserError:
            self._doubted = True
            raise

    def _follow_parts(self, parts: SharedParts) -> int:
        """Follow with the parts that this process has now; returns the change of the gallery that they have reached."""
        latest, held = self._world.last_sequence(), parts.leases.take()
        if not held:
            return latest
        try:
            return self._world.follow(held, parts.leases.parts, parts.leases.alive).sequence
        except LeaseLost as error:  # of a part: another follows it now
            logger.warning("%s", error)
            return latest

    def _reached(self, parts: SharedParts, live: Promotion, lease: Lease) -> Promotion:
        """What is live, as far as all parts have followed."""
        reached = parts.progress.reached(parts.leases.parts, live.collection)
        if reached is None or reached.sequence <= live.sequence:
            return live
        self._changed_at = self._clock()
        before = self._counted.get(live.collection, Reached(0, 0, 0))
        self._counted = {live.collection: reached}
        encoded = live.encoded + reached.encoded - before.encoded
        unpurged = live.unpurged + reached.removed - before.removed
        live = replace(live, sequence=reached.sequence, encoded=encoded, unpurged=unpurged)
        self._promotions.advance(live, lease)
        return live

    def _rest(self, live: Promotion, lease: Lease) -> str:
        quiet = self._clock() - self._changed_at >= QUIET_SECONDS
        if live.unpurged and (quiet or self._clock() - self._purged_at >= LONGEST_UNPURGED_SECONDS):
            self._purged_at = self._clock()
            purged = self._world.purge(lease, self._leadership.check)
            self._promotions.advance(replace(live, collection=purged.collection, unpurged=0), lease)
        behind = self._sequence - live.sequence
        return f"version {live.version} is live" + (f", {behind} changes behind the gallery" if behind > 0 else "")

    def _bring(self, version: str, live: Promotion | None, last: Promotion | None, lease: Lease) -> str:
        if live is None:
            self._beat(f"indexing with version {version}")
        try:
            beat = partial(self._working, version, builds=live is None)
            done = self._world.index(version, lease, beat, afresh=self._doubted)
        except LeaseLost:
            raise
        except UserError as error:
            with suppress(UserError):
                if self._world.champion() not in (None, version):  # no fault of the version: it may come back at once
                    return str(error)
            longest = LONGEST_RETRY_SECONDS if live is None else LONGEST_OUTAGE_SECONDS
            self._promotions.failed(version, str(error), _wait_after(last, longest), lease)
            raise
        self._doubted = False
        self._changed_at = self._clock()
        if live is None:
            self._promotions.went_live(_followed(Promotion(version), done), lease)
        elif last is not None and last.failure:  # a row after that of the failure says that it has passed
            self._promotions.went_live(_followed(live, done), lease)
        else:
            self._promotions.advance(_followed(live, done), lease)
        behind, self._sequence = self._sequence - done.sequence, min(self._sequence, done.sequence)
        return f"version {version} is live" + (f", {behind} changes behind the gallery" if behind > 0 else "")

    def _working(self, version: str, *, builds: bool) -> None:
        self._leadership.check()
        if builds:
            self._beat(f"indexing with version {version}")

    def _beat(self, state: str, *, failed: bool = False) -> None:
        if (state, failed) == self._said and self._clock() - self._said_at < BEAT_SECONDS:
            return
        self._said, self._said_at = (state, failed), self._clock()
        try:
            self._promotions.beat(self._leadership.holder, leads=self.leads, state=state, failed=failed)
        except UserError as error:
            logger.warning("the heartbeat cannot be stored: %s", error)


def _followed(live: Promotion, done: Outcome) -> Promotion:
    encoded = live.encoded + done.encoded
    unpurged = live.unpurged + done.removed if done.followed else 0  # a build has purged
    return replace(live, collection=done.collection, sequence=done.sequence, encoded=encoded, unpurged=unpurged)


def _wait_after(last: Promotion | None, longest: float) -> float:
    """Wait longer each time: a fault of the network passes soon, a broken model does not."""
    attempts = last.attempts if last is not None and last.failure else 0
    return min(RETRY_SECONDS * 2.0**attempts, longest)


class Installation:
    """The world of a running installation."""

    def __init__(self, settings: Settings, params: Path, pipeline: Path | None = None) -> None:
        self._platforms = Platforms(settings)
        self._settings = settings
        self._params = params
        self._pipeline = pipeline
        self._worker = IndexWorker(settings, params, pipeline)
        self._notices = DatabaseNotices(open_database(settings.database_address))

    def champion(self) -> str | None:
        return self._platforms.registry().champion()

    def notices(self) -> int:
        return self._notices.number(ALIAS_MOVED)

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

    def stand_by(self) -> None:
        self.close()
        self._worker = IndexWorker(self._settings, self._params, self._pipeline)

    def close(self) -> None:
        self._worker.close()

    def index(self, version: str, lease: Lease, beat: Callable[[], None], *, afresh: bool = False) -> Outcome:
        try:
            return self._worker.index(version, lease, beat, afresh=afresh)
        except WorkerFailed as error:
            with suppress(UserError):  # the registry may be out of reach too
                tag_failure(self._platforms.registry(), version, str(error))
            raise

    def follow(self, leases: dict[int, Lease], of: int, beat: Callable[[], None]) -> Outcome:
        return self._worker.follow(leases, of, beat)

    def purge(self, lease: Lease, beat: Callable[[], None]) -> Outcome:
        return self._worker.purge(lease, beat)


def _seconds_until_next_look(promoter: Promoter, settings: Settings) -> float:
    if not promoter.leads:
        return settings.lease_seconds / 6
    return min(RETRY_SECONDS, settings.poll_seconds) if promoter.failed else settings.poll_seconds


def run_promoter(settings: Settings, params: Path, pipeline: Path | None = None) -> None:
    """Lead or stand by until the process stops. `params` may hold a section `index`, read for each build; `pipeline` is
    the compiled one that builds on a cluster, where one is to build.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for name, value in IMPATIENCE.items():  # it asks again soon, and follows the gallery meanwhile
        os.environ.setdefault(name, value)
    database, holder = open_database(settings.database_address), holder_name()
    leases = DatabaseLeases(database)
    times = {"seconds": settings.lease_seconds, "silence": settings.index_stall_seconds}
    leadership, parts = Leadership(leases, LEASE, holder=holder, **times), None
    if settings.follower_parts > 1:
        shared = PartLeases(leases, settings.follower_parts, holder=holder, **times)
        parts = SharedParts(shared, DatabaseParts(database))
    promoter = Promoter(Installation(settings, params, pipeline), open_memory(settings), leadership, parts=parts)
    load_libraries()  # a standby, too, so that it takes over within seconds
    backups = BackupMetrics(partial(DatabaseNotices(database).number, BACKED_UP))
    with closing(promoter), answering(settings.metrics, PromoterMetrics(promoter), backups):
        _look_again_and_again(promoter, settings)


def _look_again_and_again(promoter: Promoter, settings: Settings) -> None:
    said = ""
    while True:
        began = time.monotonic()
        if (state := promoter.look()) != said:
            logger.info("%s", state)
            said = state
        now = time.monotonic()
        # while an engine keeps whoever asks waiting, half of the time is left to follow the gallery
        until = now + max(_seconds_until_next_look(promoter, settings), now - began if promoter.failed else 0.0)
        while time.monotonic() < until:
            time.sleep(min(FOLLOW_SECONDS, max(0.0, until - time.monotonic())))
            promoter.keep_up()
