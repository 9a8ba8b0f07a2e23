"""A process that stays ready to index, so that a promotion does not wait for Python and its libraries to load.

It works for the promoter, which a failing or crashing build thus cannot take down. It reports every item of its work;
a build that reports nothing for long, such as one whose graph never returns, is ended.
"""

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from personsearch import progress
from personsearch.errors import UserError
from personsearch.installation.settings import Settings
from personsearch.processes import end_with_parent, why_it_failed

if TYPE_CHECKING:
    from personsearch.installation.platforms import Platforms

BEAT_SECONDS = 1.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Beat:
    """The build has progressed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a build: the collection that is live afterwards, or why it failed."""

    collection: str = ""
    failure: str = ""


class WorkerFailed(UserError):
    """The worker's process ended or stood still, so it could not say why at the version itself."""


class IndexWorker:
    """Indexes in a process of its own, which is started at once and again after it has ended."""

    def __init__(self, settings: Settings, params: Path) -> None:
        self._settings = settings
        self._params = params
        self._start()

    def index(self, version: str, beat: Callable[[], None]) -> str:
        """Index with a model version while it is the champion; returns the live collection. Calls `beat` all along.

        Raises:
            UserError: it failed.
            WorkerFailed: its process ended, or made no progress.
        """
        if not self._process.is_alive():
            self._start()
        try:
            self._requests.send(version)
            return self._outcome(version, beat)
        except (EOFError, OSError) as error:
            self._process.join(STOP_SECONDS)
            why = why_it_failed(self._process.exitcode or 0, "")
            raise WorkerFailed(f"indexing with version {version} failed: {why}") from error

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._process.join(STOP_SECONDS)
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        # A forked child would inherit the threads' locks of gRPC and MLflow in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self._requests, answers = context.Pipe()
        self._process = context.Process(
            target=serve, args=(answers, self._settings.home, self._params), name="index", daemon=True
        )
        self._process.start()
        answers.close()

    def _outcome(self, version: str, beat: Callable[[], None]) -> str:
        while self._requests.poll(self._settings.index_stall_seconds):
            answer = self._requests.recv()
            if isinstance(answer, Beat):
                beat()
            elif answer.failure:
                raise UserError(f"indexing with version {version} failed: {answer.failure}")
            else:
                return str(answer.collection)
        self._process.kill()
        self._process.join()
        stall = f"no progress for {self._settings.index_stall_seconds:g} s"
        raise WorkerFailed(f"indexing with version {version} failed: {stall}")


def serve(requests: Connection, home: Path, params: Path) -> None:
    """Index for every version that comes in, until the other end closes; runs in the worker's process."""
    from personsearch.installation.platforms import Platforms

    end_with_parent()  # a build that stands still would outlive a killed promoter and hold the lock
    platforms = Platforms(Settings(home=home))
    _load_libraries()
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
    with suppress(EOFError, OSError, KeyboardInterrupt, SystemExit):
        while True:
            requests.send(_index(platforms, params, str(requests.recv())))


def _index(platforms: "Platforms", params: Path, version: str) -> Outcome:
    from personsearch.gallery.indexing import IndexConfig
    from personsearch.installation.promotion import failure_tagged, index_version

    try:
        registry = platforms.registry()
        with failure_tagged(registry, version):
            config = IndexConfig.from_yaml(params, "index", optional=True) if params.is_file() else IndexConfig()
            gallery, store = platforms.gallery(), platforms.store()
        report = index_version(config, registry, store, gallery, version, while_champion=True)
    except UserError as error:
        return Outcome(failure=str(error))
    finally:
        platforms.release()
    return Outcome(collection=report.collection)


def _load_libraries() -> None:
    import mlflow.artifacts  # noqa: F401
    import onnxruntime  # noqa: F401
    import pymilvus  # noqa: F401
