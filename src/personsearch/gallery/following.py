"""Follows the gallery: keeps the live collection in step with it, with a model that stays loaded.

It works in turns, during which nobody holds the builders' lock: an erasure that holds it, and removes what it erased
from every collection, is never overtaken by a crop that was read before.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from personsearch.encoders.encoder import Encoder
from personsearch.gallery.collections import numbered, remove, remove_erased
from personsearch.gallery.encoding import GalleryEncoder
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import WHOLE, Part, Synchroniser
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore

TURN_SECONDS = 1.0  # builds and erasures wait for so long


@dataclass(frozen=True, slots=True)
class Followed:
    """What a turn did in a collection: crops encoded, rows removed, and the gallery's change that it has reached."""

    collection: str
    encoded: int
    removed: int
    sequence: int


class Follower:
    """Follows with one model, whose collections have these properties. The first turn with a collection compares every
    id; the others read only changes.
    """

    def __init__(
        self,
        gallery: Gallery,
        encoder: Encoder,
        properties: CollectionProperties,
        batch_size: int,
        part: Part = WHOLE,
    ) -> None:
        """`part` is the part of the gallery that it follows; others follow the other parts."""
        self.encoder = encoder
        self.properties = properties
        self._part = part
        self._gallery = gallery
        self._batch_size = batch_size
        self._collection = ""
        self._confirm: Callable[[], None] = lambda: None
        self._synchroniser: Synchroniser | None = None
        self._opened: tuple[CollectionStore, str] | None = None  # opening costs a server several calls

    def follow(self, store: CollectionStore, confirm: Callable[[], None] = lambda: None) -> Followed | None:
        """Bring the live collection closer to the gallery; None where it is not of this model.

        `confirm` may still refuse, by raising, once it is our turn. Which collection is live is asked only then: a
        purge may just have given it another name.

        Raises:
            UserError: the store cannot be reached.
            VerificationFailed: the model gives NaN.
        """
        with self._gallery.feeding():
            if (live := self._live(store)) is None:
                return None
            confirm()
            self._confirm = confirm
            return self._turn(store, live)

    def feed(self, store: CollectionStore) -> None:
        """The same inside a build."""
        with nullcontext() if store.purges_by_copying else self._gallery.feeding():  # else the build holds the lock
            if (live := self._live(store)) is not None:
                self._turn(store, live)

    def renamed(self, names: dict[str, str]) -> None:
        """A purge has given collections other names."""
        self._collection = names.get(self._collection, self._collection)

    def _live(self, store: CollectionStore) -> str | None:
        """The live collection, if it is of this model."""
        live = store.alias_target(LIVE_ALIAS)
        return live if live is not None and store.properties(live) == self.properties else None

    def _turn(self, store: CollectionStore, collection: str) -> Followed:
        try:
            return self._apply_changes(store, collection)
        except BaseException:
            self._synchroniser = None  # what was reached is not certain: the next turn compares all
            raise

    def _apply_changes(self, store: CollectionStore, collection: str) -> Followed:
        follows, elsewhere = self._synchroniser, 0
        deadline = time.monotonic() + TURN_SECONDS
        if follows is None or self._collection != collection:
            encoder = GalleryEncoder(self._gallery, self.encoder)
            follows = Synchroniser(self._gallery, encoder, store.open(collection), self._batch_size, self._part)
            follows.before_writing = self._confirm
            follows.compare_all()
            if self._part.number == 0:
                elsewhere = sum(remove_erased(store, self._gallery).values())
            self._synchroniser, self._collection = follows, collection
        else:
            follows.before_writing = self._confirm
            if self._opened != (store, collection):  # a file was closed and opened again, or copied
                follows.index = store.open(collection)
            follows.encoded = follows.removed = 0
        self._opened, caught_up = (store, collection), False
        while not caught_up and time.monotonic() < deadline:
            since = follows.erased
            caught_up = follows.step(self._batch_size)
            if follows.erased != since:
                elsewhere += self._remove_elsewhere(store, since)
        return Followed(collection, follows.encoded, follows.removed + elsewhere, follows.sequence)

    def _remove_elsewhere(self, store: CollectionStore, since: int) -> int:
        """Remove what was erased since a change from the collections that are not live."""
        erased = list(filter(self._part.holds, self._gallery.erased_since(since)))
        others = [name for _, name in numbered(store) if name != self._collection]
        return sum(remove(store.open(name), erased) for name in others) if erased else 0
