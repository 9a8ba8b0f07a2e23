"""A process that stays ready to index and to follow the gallery, with its model loaded.

It works for the promoter that leads, which a failing or crashing build thus cannot take down. It reports every item of
its work; work that reports nothing for long, such as with a graph that never returns, is ended.
"""

import logging
import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch import progress
from personsearch.errors import LeaseLost, UserError
from personsearch.installation.settings import Settings
from personsearch.processes import end_with_parent, why_it_failed
from personsearch.tracing import span

if TYPE_CHECKING:
    from personsearch.gallery.following import Follower
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.gallery.store import Gallery
    from personsearch.installation.cluster_build import ClusterBuild
    from personsearch.installation.platforms import Platforms
    from personsearch.installation.promotion import IndexModel
    from personsearch.integrations.database.engine import Database
    from personsearch.integrations.database.leases import Lease
    from personsearch.integrations.milvus.store import MilvusStore
    from personsearch.integrations.mlflow.registry import ModelRegistry

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
FEED_SECONDS = 0.3  # between turns of the live collection during a build
STOP_SECONDS = 10.0
START_SECONDS = 120.0  # until the libraries are loaded, on a busy machine


@dataclass(frozen=True, slots=True)
class Request:
    """Work on behalf of a lease: bring the live index to a version, or with no version purge what was erased. With
    `afresh` what was followed before is not relied on.
    """

    lease: "Lease"
    version: str = ""
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """Follow parts of the gallery, of `of`, each on behalf of its lease."""

    leases: "dict[int, Lease]"
    of: int


@dataclass(frozen=True, slots=True)
class Beat:
    """The work has progressed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the collection that is live afterwards, or why it failed.

    `followed` says that it was live before and only followed the gallery, whose change `sequence` it has reached.
    """

    collection: str = ""
    sequence: int = 0
    encoded: int = 0
    removed: int = 0
    followed: bool = False
    failure: str = ""
    lost: bool = False


class WorkerFailed(UserError):
    """The worker's process ended or stood still, so it could not say why at the version itself."""


class IndexWorker:
    """Works in a process of its own, which is started at once and again after it has ended."""

    def __init__(self, settings: Settings, params: Path, pipeline: Path | None = None) -> None:
        """`pipeline` is the compiled one that builds on a cluster; without it builds are made here."""
        self._settings = settings
        self._params = params
        self._pipeline = pipeline
        self._start()

    def index(self, version: str, lease: "Lease", beat: Callable[[], None], *, afresh: bool = False) -> Outcome:
        """Index with a model version while it is the champion, or follow with it, comparing everything if `afresh`.
        Calls `beat` every second.

        Raises:
            UserError: it failed.
            WorkerFailed: its process ended, or made no progress.
            LeaseLost: another promoter leads.
        """
        return self._work(Request(lease, version, afresh), f"indexing with version {version}", beat)

    def follow(self, leases: "dict[int, Lease]", of: int, beat: Callable[[], None]) -> Outcome:
        """Bring parts of the live collection, of `of`, closer to the gallery; raises as `index`."""
        return self._work(FollowRequest(leases, of), "following", beat)

    def purge(self, lease: "Lease", beat: Callable[[], None]) -> Outcome:
        """Remove what was erased from the engine's files; raises as `index`."""
        return self._work(Request(lease), "removing what was erased from files", beat)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._requests.close()

    def _start(self) -> None:
        # A forked child would inherit the threads' locks of gRPC and MLflow in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self._requests, answers = context.Pipe()
        self._process = context.Process(
            target=serve,
            args=(answers, self._settings.home, self._params, self._pipeline),
            name="index",
            daemon=True,
        )
        self._process.start()
        self._ready = False
        answers.close()

    def _work(self, request: Request | FollowRequest, what: str, beat: Callable[[], None]) -> Outcome:
        if not self._process.is_alive():
            self._start()
        try:
            self._requests.send(request)
            outcome = self._outcome(what, beat)
        except (EOFError, OSError) as error:
            self._process.join(STOP_SECONDS)
            why = why_it_failed(self._process.exitcode or 0, "")
            raise WorkerFailed(f"{what} failed: {why}") from error
        if outcome.lost:
            raise LeaseLost(outcome.failure)
        if outcome.failure:
            raise UserError(f"{what} failed: {outcome.failure}")
        return outcome

    def _outcome(self, what: str, beat: Callable[[], None]) -> Outcome:
        stall = self._settings.index_stall_seconds
        until = time.monotonic() + (stall if self._ready else max(stall, START_SECONDS))
        while time.monotonic() < until:
            if self._requests.poll(min(BEAT_SECONDS, stall)):
                answer = self._requests.recv()
                if isinstance(answer, Outcome):
                    return answer
                self._ready, until = True, time.monotonic() + stall
            beat()
        self._process.kill()
        self._process.join()
        raise WorkerFailed(f"{what} failed: no progress for {stall:g} s")


def serve(requests: Connection, home: Path, params: Path, pipeline: Path | None = None) -> None:
    """Do what is asked for until the other end closes; runs in the worker's process."""
    from personsearch.installation.cluster_build import ClusterBuild
    from personsearch.installation.platforms import Platforms
    from personsearch.integrations.database.schema import open_database
    from personsearch.integrations.telemetry.tracer import traced

    end_with_parent()  # work that stands still would outlive a killed promoter and hold the lock
    settings = Settings(home=home)
    database = open_database(settings.database_address)
    cluster = ClusterBuild(pipeline, settings.kubeflow_namespace) if pipeline else None
    resident = Resident(Platforms(settings), params, database, cluster)
    load_libraries()
    last = 0.0

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last >= BEAT_SECONDS:
            last = time.monotonic()
            try:
                requests.send(Beat())
            except OSError:  # the promoter was killed, which is no fault of the version that is indexed
                raise SystemExit(1) from None

    progress.listener = beat
    with traced("personsearch-promoter"), suppress(EOFError, OSError, KeyboardInterrupt, SystemExit):
        requests.send(Beat())
        while True:
            requests.send(resident.work(requests.recv()))


@dataclass(frozen=True, slots=True)
class Task:
    """A request to index, with what it takes."""

    request: Request
    config: "IndexConfig"
    registry: "ModelRegistry"
    gallery: "Gallery"
    store: "MilvusStore"
    model: "IndexModel"


class Resident:
    """What stays between requests: connections, the model, and how far the live collection has followed the gallery."""

    def __init__(
        self, platforms: "Platforms", params: Path, database: "Database", cluster: "ClusterBuild | None" = None
    ) -> None:
        from personsearch.integrations.database.leases import DatabaseLeases
        from personsearch.integrations.database.parts import DatabaseParts

        self._platforms = platforms
        self._cluster = cluster
        self._params = params
        self._leases = DatabaseLeases(database)
        self._progress = DatabaseParts(database)
        self._model: IndexModel | None = None
        self._follower: Follower | None = None
        self._parts: dict[int, Follower] = {}  # by number, where several processes follow
        self._feed_at = 0.0
        self._tagged = ""  # the collection whose version says that it is live

    def work(self, request: Request | FollowRequest) -> Outcome:
        """Do what a request asks for. Never raises."""
        try:
            if isinstance(request, FollowRequest):
                with span("follow", {"parts": len(request.leases)}):
                    return self._follow_parts(request)
            with span("index" if request.version else "purge"):
                return self._index(request) if request.version else self._purge(request)
        except LeaseLost as error:
            return Outcome(failure=str(error), lost=True)
        except UserError as error:
            self._tagged = ""
            return Outcome(failure=str(error))
        finally:
            self._platforms.release()

    def _index(self, request: Request) -> Outcome:
        from personsearch.installation.promotion import failure_tagged

        registry = self._platforms.registry()
        if request.afresh:
            self._follower = None
        with failure_tagged(registry, request.version):
            config = self._config()
            gallery, store = self._platforms.gallery(), self._platforms.store()
            task = Task(request, config, registry, gallery, store, self._loaded(registry, request.version))
            outcome = self._follow(task)
            if outcome is None:
                outcome = self._build_on_cluster(task, self._cluster) if self._cluster else self._build(task)
        if self._tagged != outcome.collection:
            self._tag(registry, store, outcome.collection)
        return outcome

    def _tag(self, registry: "ModelRegistry", store: "MilvusStore", collection: str) -> None:
        from personsearch.installation.promotion import tag_collections

        try:
            tag_collections(registry, store)
            self._tagged = collection
        except UserError as error:  # the index is live all the same
            logger.warning("the versions' tags do not say yet what is live: %s", error)

    def _follow(self, task: "Task") -> Outcome | None:
        """Let the live collection follow the gallery; None if it is of another model."""
        from personsearch.gallery.following import Follower

        follower, properties = self._follower, task.model.properties(task.config, task.registry.model_name)
        if follower is None or (follower.encoder, follower.properties) != (task.model.encoder, properties):
            follower = Follower(task.gallery, task.model.encoder, properties, task.config.batch_size)
        done = follower.follow(task.store, lambda: self._leases.check(task.request.lease))
        if done is None:  # the follower of the live one stays, to feed it during the build
            return None
        self._follower = follower
        return Outcome(done.collection, done.sequence, done.encoded, done.removed, followed=True)

    def _follow_parts(self, request: FollowRequest) -> Outcome:
        from personsearch.gallery.following import Follower
        from personsearch.gallery.synchronise import Part
        from personsearch.search.index import LIVE_ALIAS

        registry, gallery, store = self._platforms.registry(), self._platforms.gallery(), self._platforms.store()
        live = store.alias_target(LIVE_ALIAS)
        if live is None:
            return Outcome(sequence=gallery.last_sequence(), followed=True)
        properties = store.properties(live)
        model, config = self._loaded(registry, properties.model_version), self._config()
        if model.fingerprint != properties.fingerprint:
            raise UserError(f"{live}: was made by another model than version {model.version} is now")
        kept = {number: each for number, each in self._parts.items() if each.encoder is model.encoder}
        self._parts = {number: each for number, each in kept.items() if number in request.leases}
        encoded, removed, sequence = 0, 0, gallery.last_sequence()
        for number, lease in request.leases.items():
            part = Part(number, request.of)
            if number not in self._parts or self._parts[number].properties != properties:
                self._parts[number] = Follower(gallery, model.encoder, properties, config.batch_size, part)
            done = self._parts[number].follow(store, partial(self._leases.check, lease))
            if done is None:  # another model has just gone live
                return Outcome(followed=True)
            encoded, removed = encoded + done.encoded, removed + done.removed
            sequence = min(sequence, done.sequence)
            self._progress.advance(
                lease,
                number,
                request.of,
                done.collection,
                sequence=done.sequence,
                encoded=done.encoded,
                removed=done.removed,
            )
        return Outcome(live, sequence, encoded, removed, followed=True)

    def _config(self) -> "IndexConfig":
        from personsearch.gallery.indexing import IndexConfig

        given = self._params.is_file()
        return IndexConfig.from_yaml(self._params, "index", optional=True) if given else IndexConfig()

    def _build(self, task: "Task") -> Outcome:
        from personsearch.installation.promotion import build, check_champion

        def confirm() -> None:
            check_champion(task.registry, task.request.version)
            self._leases.check(task.request.lease)

        report = build(
            task.config,
            task.registry,
            task.store,
            task.gallery,
            task.model,
            confirm=confirm,
            between=lambda: self._feed(task.store),
        )
        logger.info("indexed with version %s: %s", task.model.version, report.collection)
        return Outcome(report.collection, report.sequence, report.encoded, report.removed)

    def _build_on_cluster(self, task: "Task", cluster: "ClusterBuild") -> Outcome:
        from personsearch.search.index import LIVE_ALIAS

        def between() -> None:
            self._leases.check(task.request.lease)
            self._feed(task.store)
            if progress.listener is not None:
                progress.listener()

        sequence = task.gallery.last_sequence()  # what comes later, the first turn of following adds
        cluster.run(task.config, task.registry.model_name, task.request.version, between=between)
        live = task.store.alias_target(LIVE_ALIAS)
        if live is None or task.store.properties(live).model_version != task.request.version:
            raise UserError(f"the run of version {task.request.version} has succeeded, but {live} is live")
        logger.info("indexed with version %s on the cluster: %s", task.model.version, live)
        return Outcome(live, sequence)

    def _feed(self, store: "MilvusStore") -> None:
        """Keep the live collection in step while the next one is built beside it, now and then."""
        if time.monotonic() < self._feed_at:
            return
        try:
            for follower in [self._follower] if self._follower else self._parts.values():
                follower.feed(store)
        except UserError as error:  # no reason to give up the build, which may be what mends it
            logger.warning("the live collection does not follow the gallery during this build: %s", error)
            self._follower = None
            self._parts = {}
        self._feed_at = time.monotonic() + FEED_SECONDS

    def _purge(self, request: Request) -> Outcome:
        from personsearch.gallery.collections import numbered, purge
        from personsearch.search.index import LIVE_ALIAS

        gallery, store = self._platforms.gallery(), self._platforms.store()
        with gallery.building():
            self._leases.check(request.lease)
            names = purge(store, [name for _, name in numbered(store)])
            for follower in [*self._parts.values(), *([self._follower] if self._follower else [])]:
                follower.renamed(names)
            self._tagged = ""
            return Outcome(store.alias_target(LIVE_ALIAS) or "")

    def _loaded(self, registry: "ModelRegistry", version: str) -> "IndexModel":
        """A version's model, loaded once for as long as it is asked for."""
        from personsearch.installation.promotion import load_model

        if self._model is None or self._model.version != version:
            self._model = None  # before the next one is loaded
            self._model = load_model(registry, version)
        return self._model


def load_libraries() -> None:
    """Import what the first look or build would wait for."""
    import mlflow.artifacts  # noqa: F401
    import onnxruntime  # noqa: F401
    import pymilvus  # noqa: F401
