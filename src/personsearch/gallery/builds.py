"""Shards of an index build: ranges of crop ids, each of which anybody can compare and complete on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from personsearch.config import Config


class Shard(Config):
    """A part of a build: the crops with ids from `first` to before `end`, about `crops` of them.

    It is also what an indexing pipeline passes from step to step.
    """

    collection: str
    """Where it is built, "" if the gallery is empty."""

    live: str = ""
    """The collection that was live when the build began, "" if none was."""

    number: int = Field(ge=0)
    """From 0 on."""

    of: int = Field(ge=1)
    """How many shards the build has."""

    first: str = ""
    """The least id."""

    end: str = ""
    """The id behind the last, "" if there is none."""

    crops: int = Field(ge=0)
    """Crops that it had when it was planned."""

    while_champion: bool = False
    """Whether the model has to be the champion still when the collection is ready."""


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is, in crops; `seconds` since it was planned, `idle` since it last progressed."""

    collection: str
    shards: int = 0
    finished: int = 0
    crops: int = 0
    done: int = 0
    encoded: int = 0
    removed: int = 0
    seconds: float = 0.0
    idle: float = 0.0

    @property
    def rate(self) -> float:
        """Crops encoded in a second."""
        return self.encoded / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None while nothing was encoded yet."""
        return (self.crops - self.done) / self.rate if self.rate else None

    def in_words(self) -> str:
        """One line for people."""
        line = f"{self.done:,} of {self.crops:,} crops, {self.rate:.1f} crops/s"
        if self.shards > 1:
            line += f", {self.finished} of {self.shards} shards"
        left = self.seconds_left
        return line if left is None or self.done >= self.crops else f"{line}, {_duration(left)} left"


class BuildRecords(Protocol):
    """The builds that are under way, for everybody to see. Every method may raise UserError."""

    def plan(self, shards: Sequence[Shard], *, apart: bool) -> None:
        """Store the shards of a collection in the place of earlier ones. `apart`: those who fill them do not hold the
        turn of the build, so that nobody else knows that it is under way.
        """
        ...

    def advance(self, shard: Shard, *, done: int, encoded: int, removed: int, finished: bool) -> None:
        """Store how many crops of a shard were compared since somebody last began with it, and how many more of them
        were encoded and removed.
        """
        ...

    def progress(self) -> list[BuildProgress]:
        """Every build, by the name of its collection."""
        ...

    def apart(self, *, within: float) -> set[str]:
        """Collections that others fill, as far as they have progressed within some seconds."""
        ...

    def forget(self, collection: str) -> None:
        """Remove a build that has ended."""
        ...


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
