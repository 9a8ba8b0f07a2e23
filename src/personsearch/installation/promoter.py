"""The promoter: indexes the gallery when the alias `champion` moves or the gallery changes.

It polls, because MLflow does not fire webhooks for every way to move an alias. Its last observation is in
`<home>/promoter.json`. `personsearch index` does the work in a separate process, so that a failing build cannot take
the promoter down; that command verifies the collection before it goes live and tags the model version.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from personsearch.config import Config
from personsearch.errors import UserError
from personsearch.files import write_json
from personsearch.processes import run_python

logger = logging.getLogger(__name__)

HEARTBEAT = "promoter.json"
CHAMPION = "champion"
POLL_SECONDS = 5.0
RETRY_SECONDS = 120.0


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

    indexed: Wanted | None = None
    """What the live index holds; null before the first indexing."""


class Registry(Protocol):
    """What the promoter asks of the model registry."""

    def alias_version(self, alias: str) -> str | None: ...


class Promoter:
    """Keeps the live index at the champion and the gallery as they are now. `index` raises UserError if it fails."""

    def __init__(
        self,
        home: Path,
        registry: Registry,
        *,
        last_sequence: Callable[[], int],
        index: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = home / HEARTBEAT
        self._registry = registry
        self._last_sequence = last_sequence
        self._index = index
        self._clock = clock
        self._indexed = read_heartbeat(home).indexed
        self._failed: tuple[Wanted, float] | None = None

    def look(self) -> str:
        """Look once and index where needed. Returns what was seen; never raises."""
        try:
            state = self._follow()
        except UserError as error:
            state = str(error)
        self._beat(state)
        return state

    def _follow(self) -> str:
        version = self._registry.alias_version(CHAMPION)
        if version is None:
            return "no champion yet"
        wanted = Wanted(version=version, sequence=self._last_sequence())
        if wanted == self._indexed:
            return f"version {version} is live"
        if wanted.sequence == 0:
            return f"version {version} waits: the gallery is empty"
        if self._failed and self._failed[0] == wanted and self._clock() < self._failed[1]:
            return f"version {version} failed; it will be tried again"
        return self._bring(wanted)

    def _bring(self, wanted: Wanted) -> str:
        self._beat(f"indexing with version {wanted.version}")
        try:
            self._index(wanted.version)
        except UserError:
            self._failed = wanted, self._clock() + RETRY_SECONDS
            raise
        self._indexed, self._failed = wanted, None
        return f"version {wanted.version} is live"

    def _beat(self, state: str) -> None:
        beat = Heartbeat(looked_at=self._clock(), state=state, indexed=self._indexed)
        write_json(self._path, beat.model_dump(mode="json"))


def read_heartbeat(home: Path) -> Heartbeat:
    """What the promoter last saw; empty if it never ran or its file is damaged."""
    try:
        return Heartbeat.model_validate_json((home / HEARTBEAT).read_bytes())
    except (OSError, ValueError):
        return Heartbeat(looked_at=0.0, state="never ran")


def index_in_a_process(version: str) -> None:
    """Run `personsearch index` for a model version.

    Raises:
        UserError: it failed; the message says why.
    """
    try:
        printed = run_python("-m", "personsearch", "index", "--model-version", version, "--json", echo=True)
    except UserError as error:
        raise UserError(f"indexing with version {version} failed: {error}") from error
    logger.info("indexed with version %s: %s", version, printed.strip())


def run_promoter(home: Path, registry: Registry, last_sequence: Callable[[], int]) -> None:
    """Look every few seconds until the process stops."""
    promoter = Promoter(home, registry, last_sequence=last_sequence, index=index_in_a_process)
    said = ""
    while True:
        if (state := promoter.look()) != said:
            logger.info("%s", state)
            said = state
        time.sleep(POLL_SECONDS)
