"""What happens to an installation at the same time: people search, cameras send, crops are erased, models move, and
processes are killed.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue

from benchmarks.support.load import TEXTS, K, Service
from benchmarks.support.machines import Installation, Process, is_ready
from personsearch.errors import UserError
from personsearch.gallery.store import Gallery
from personsearch.installation.erasure import erase
from personsearch.installation.leadership import is_of_process
from personsearch.installation.platforms import Platforms
from personsearch.installation.promoter import LEASE
from personsearch.installation.settings import Settings
from personsearch.integrations.database.leases import DatabaseLeases
from personsearch.integrations.database.schema import open_database
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS, MAX_K

LOOK_SECONDS = 0.25
STORE_LOOK_SECONDS = 0.5
AGAIN_SECONDS = 1.0  # until a camera sends again what was not stored
ERASED_EVERY = 5
ERASED_AFTER_SECONDS = 3.0
ERASURE_SECONDS = 5.0  # between two erasures, each of whatever is due
SLICE_SECONDS = 5
SLICES_AT_ONCE = 4
DOWN_SECONDS = 3.0
BACK_SECONDS = 120.0
PICTURE_EVERY = 10
MOST = 200  # candidates of one search
SENT_AT_ONCE = 16  # crops of one request at most, where they come faster than they are taken


@dataclass
class Traffic:
    """The threads of a load, which end when told to."""

    service: Service
    machines: Installation
    gallery: Gallery
    pictures: dict[str, bytes]
    kills: int = 0
    moves: int = 0
    recoveries: dict[str, float] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    engines_killed: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failures: list[BaseException] = field(default_factory=list)

    def begin(self, work: Callable[[], None]) -> None:
        """Run one kind of traffic in a thread of its own; what it raises, `end` raises."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._failures.append(error)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def end(self) -> None:
        """Stop everything, and wait for it."""
        self.stop.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def search(self, seed: int, pause: float) -> None:
        """One person, who searches, looks at a picture now and then, and thinks in between."""
        numbers = random.Random(seed)
        while not self.stop.wait(pause * numbers.uniform(0.5, 1.5)):
            found = self.service.search(
                numbers.randrange(len(TEXTS)), group_by_track=numbers.random() < 0.5, k=numbers.choice((K, 3 * K))
            )
            if found and numbers.randrange(PICTURE_EVERY) == 0:
                self.service.look(numbers.choice(found))

    def send(self, crop_ids: Sequence[str], rate: float, senders: int = 4) -> None:
        """Cameras that send so many crops a second; what is not stored is sent again, as long as it takes."""
        waiting: SimpleQueue[str] = SimpleQueue()
        done = threading.Event()

        def one() -> None:
            while not self.stop.is_set():
                try:
                    crop_ids = [waiting.get(timeout=LOOK_SECONDS)]
                except Empty:
                    if done.is_set():
                        return
                    continue
                with suppress(Empty):
                    while len(crop_ids) < SENT_AT_ONCE:
                        crop_ids.append(waiting.get_nowait())
                while not self.service.send({crop_id: self.pictures[crop_id] for crop_id in crop_ids}):
                    if self.stop.wait(AGAIN_SECONDS):
                        return

        threads = [threading.Thread(target=one, daemon=True) for _ in range(senders)]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        for number, crop_id in enumerate(crop_ids):
            if self.stop.wait(max(0.0, start + number / rate - time.monotonic())):
                break
            self.service.crops.take(crop_id)
            waiting.put(crop_id)
        done.set()
        for thread in threads:
            thread.join()

    def erase(self) -> None:
        """A privacy officer, who has every fifth crop erased some seconds after it came."""
        platforms, crops = Platforms(Settings()), self.service.crops
        while not self.stop.wait(ERASURE_SECONDS):
            now = time.monotonic()
            due = [
                crop_id
                for place, (crop_id, since) in enumerate(list(crops.acknowledged.items()))
                if place % ERASED_EVERY == 0 and crop_id not in crops.erased and since + ERASED_AFTER_SECONDS < now
            ]
            if not due:
                continue
            crops.doom(due)
            with suppress(UserError):  # an engine is away: the same again
                erase(CropFilter(crop_ids=tuple(due)), self.gallery, open_store=platforms.store)
                crops.erase(due)

    def probe(self) -> None:
        """Searches for the crops that came last, until they are found."""
        while not self.stop.wait(LOOK_SECONDS):
            for second in sorted(self._slices(self.service.crops.waiting()))[:SLICES_AT_ONCE]:
                self.find_slice(second)

    def watch_store(self) -> None:
        """Sees when the live collection has the vectors of the crops that came last."""
        platforms = Platforms(Settings())
        while not self.stop.wait(STORE_LOOK_SECONDS):
            if not (waiting := self.service.crops.waiting_for_vectors()[:MOST]):
                continue
            try:
                held, _ = platforms.store().open(LIVE_ALIAS).fetch(waiting)
            except UserError:  # it is away
                platforms.forget_store()
                continue
            self.service.crops.store([crop.crop_id for crop in held])

    def find_slice(self, second: int) -> set[str]:
        """The crops of some seconds that a search finds."""
        first = datetime.fromtimestamp(second, UTC)
        found = self.service.search(
            0,
            k=MOST,
            group_by_track=False,
            after=first.isoformat(),
            before=(first + timedelta(seconds=SLICE_SECONDS)).isoformat(),
        )
        self.service.crops.see(found or ())
        return set(found or ())

    def move(self, versions: Sequence[str], every: float) -> None:
        """Somebody who makes each of the versions the champion in turn."""
        registry = Platforms(Settings()).registry()
        for number, version in enumerate(versions):
            if self.stop.wait(every if number else every / 2):
                return
            while not self.stop.is_set():
                try:
                    registry.promote(version)
                    break
                except UserError:  # the registry is away
                    self.stop.wait(AGAIN_SECONDS)
            self.moves += 1

    def kill_replicas(self, every: float) -> None:
        """Kills one replica after the other, each once all are ready."""
        victim = 0
        while not self.stop.wait(every):
            while not all(map(is_ready, self.machines.addresses)):
                if self.stop.wait(LOOK_SECONDS):
                    return
            self.machines.replicas[victim].kill()
            self.kills += 1
            victim = (victim + 1) % len(self.machines.replicas)

    def kill_engines(self, between: float) -> None:
        """Kills each engine once, then the promoter that leads; waits each time until crops are found again."""
        for name, engine in self.machines.engines.servers.items():
            if self.stop.wait(between):
                return
            with self.service.outages.one():
                engine.kill()
                start = time.monotonic()
                self.stop.wait(DOWN_SECONDS)
                engine.start()
            self._recover(name, start)
        if self.stop.wait(between):
            return
        if leader := self._leader():
            leader.kill()
            self._recover("follower", time.monotonic())
        self.engines_killed.set()

    def _recover(self, name: str, start: float) -> None:
        """Wait until a crop that was acknowledged after an engine was killed is found."""
        crops = self.service.crops
        while not self.stop.is_set() and time.monotonic() - start < BACK_SECONDS:
            newest = [crop_id for crop_id, at in list(crops.acknowledged.items()) if at > start + DOWN_SECONDS]
            if newest and not set(newest[:3]) & set(crops.waiting()):
                self.recoveries[name] = time.monotonic() - start
                return
            time.sleep(LOOK_SECONDS)

    def _leader(self) -> Process | None:
        holder = DatabaseLeases(open_database(Settings().database_address)).holder(LEASE) or ""
        pids = {each.process.pid: each for each in self.machines.promoters if each.process is not None}
        return next((each for pid, each in pids.items() if is_of_process(holder, pid)), None)

    def lost(self, seconds: float) -> list[str]:
        """The acknowledged crops that no search finds, however long it is tried."""
        deadline, kept = time.monotonic() + seconds, set(self.service.crops.kept())
        missing = kept
        while missing and time.monotonic() < deadline:
            found = [self.find_slice(second) for second in sorted(self._slices(missing))]
            missing = missing.difference(*found)
            time.sleep(LOOK_SECONDS)
        return sorted(missing)

    def _slices(self, crop_ids: Sequence[str] | set[str]) -> set[int]:
        taken_at = self.service.crops.taken_at
        return {int(taken_at[each].timestamp()) // SLICE_SECONDS * SLICE_SECONDS for each in crop_ids}


def held_after_erasure(settings: Settings, erased: Sequence[str]) -> int:
    """How many rows of erased crops the collections hold."""
    store = Platforms(settings).store()
    given = CropFilter(crop_ids=tuple(erased))
    return sum(store.open(name).count(given) for name in store.names()) if erased else 0


assert MOST <= MAX_K
