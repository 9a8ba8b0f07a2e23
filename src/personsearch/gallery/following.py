"""Follows the gallery: keeps the live collection in step with it, with a model that stays loaded.

It works in turns, each of which holds the builders' lock: an erasure that holds it, and removes what it erased from
every collection, is never overtaken by a crop that was read before.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from personsearch.encoders.encoder import Encoder
from personsearch.errors import UserError
from personsearch.gallery.collections import numbered, remove, remove_erased
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import Synchroniser
from personsearch.search.index import LIVE_ALIAS, CollectionStore

TURN_SECONDS = 1.0  # builds and erasures wait for so long


@dataclass(frozen=True, slots=True)
class Followed:
    """What a turn did: crops encoded, rows removed, and the change of the gallery that it has reached."""

    encoded: int
    removed: int
    sequence: int


class Follower:
    """Follows with one model. The first turn with a collection compares every id; the others read only changes."""

    def __init__(self, gallery: Gallery, encoder: Encoder, batch_size: int) -> None:
        self.encoder = encoder
        self._gallery = gallery
        self._batch_size = batch_size
        self._collection = ""
        self._synchroniser: Synchroniser | None = None

    def follow(self, store: CollectionStore, collection: str, confirm: Callable[[], None] = lambda: None) -> Followed:
        """Bring the live collection closer to the gallery. `confirm` may still refuse, by raising, once it is our turn.

        Raises:
            UserError: it is not live any more, or the store cannot be reached.
            VerificationFailed: the model gives NaN.
        """
        with self._gallery.building():
            confirm()
            if (live := store.alias_target(LIVE_ALIAS)) != collection:
                raise UserError(f"{collection} is not live any more, {live} is")
            return self._turn(store, collection)

    def feed(self, store: CollectionStore) -> None:
        """The same for the collection of the last turn, inside a build, which holds the lock."""
        if self._synchroniser is not None:
            self._turn(store, self._collection)

    def renamed(self, names: dict[str, str]) -> None:
        """A purge has given collections other names."""
        self._collection = names.get(self._collection, self._collection)

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
            follows = Synchroniser(self._gallery, self.encoder, store.open(collection), self._batch_size)
            follows.compare_all()
            elsewhere = sum(remove_erased(store, self._gallery).values())
            self._synchroniser, self._collection = follows, collection
        else:
            follows.index = store.open(collection)  # a file may have been closed and opened again since
            follows.encoded = follows.removed = 0
        caught_up = False
        while not caught_up and time.monotonic() < deadline:
            since = follows.erased
            caught_up = follows.step(self._batch_size)
            if follows.erased != since:
                elsewhere += self._remove_elsewhere(store, since)
        return Followed(follows.encoded, follows.removed + elsewhere, follows.sequence)

    def _remove_elsewhere(self, store: CollectionStore, since: int) -> int:
        """Remove what was erased since a change from the collections that are not live."""
        erased = list(self._gallery.erased_since(since))
        others = [name for _, name in numbered(store) if name != self._collection]
        return sum(remove(store.open(name), erased) for name in others) if erased else 0
