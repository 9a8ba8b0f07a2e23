"""The collections of a gallery in a vector store: their names, which one is live, and the removal of erased crops.

Readers follow the alias `persons`. The previously live collection keeps the alias `persons_previous`, so a rollback is
immediate. Both lose what was erased, in their answers and in the engine's files.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from personsearch.errors import UserError
from personsearch.gallery.encoding import batches
from personsearch.gallery.store import Gallery
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore, VectorIndex

PREVIOUS_ALIAS = f"{LIVE_ALIAS}_previous"
COLLECTION_NAME = re.compile(rf"{LIVE_ALIAS}_v(?P<version>.+)_(?P<number>\d+)")
BATCH_ROWS = 1000


def numbered(store: CollectionStore) -> Iterator[tuple[int, str]]:
    """Our collections with their numbers, oldest first."""
    matches = (COLLECTION_NAME.fullmatch(name) for name in store.names())
    return iter(sorted((int(match["number"]), match.string) for match in matches if match))


def new_name(store: CollectionStore, model_version: str) -> str:
    """A name that no collection has, with the highest number."""
    number = 1 + max((number for number, _ in numbered(store)), default=0)
    return f"{LIVE_ALIAS}_v{model_version}_{number}"


def go_live(store: CollectionStore, name: str) -> str | None:
    """Move the aliases; returns the collection that was live before."""
    previous = store.alias_target(LIVE_ALIAS)
    if previous not in (None, name):
        assert previous is not None
        store.switch_alias(PREVIOUS_ALIAS, previous)
    store.switch_alias(LIVE_ALIAS, name)
    return previous if previous != name else store.alias_target(PREVIOUS_ALIAS)


def previous_collection(store: CollectionStore) -> str:
    """The collection that a rollback would make live.

    Raises:
        UserError: there is none.
    """
    name, live = store.alias_target(PREVIOUS_ALIAS), store.alias_target(LIVE_ALIAS)
    if name is None or live is None or name == live:
        raise UserError("there is no previous collection to go back to")
    return name


def rollback(store: CollectionStore, gallery: Gallery) -> CollectionProperties:
    """Make the previous collection live again, and the live one the previous; returns the live one's properties.

    Crops erased since then are removed from it first. Crops added since then are missing: index its model again.

    Raises:
        UserError: there is no previous collection.
    """
    name = previous_collection(store)
    _remove_erased(store, gallery, name)
    go_live(store, name)
    _remove_erased(store, gallery, name)
    return store.properties(name)


def drop_unused(store: CollectionStore, *, spare: Collection[str] = ()) -> None:
    """Drop the collections that neither alias names, except some."""
    kept = {store.alias_target(LIVE_ALIAS), store.alias_target(PREVIOUS_ALIAS), *spare}
    for _, name in list(numbered(store)):
        if name not in kept:
            store.drop(name)


def remove_erased(store: CollectionStore, gallery: Gallery) -> dict[str, int]:
    """Remove erased crops from the answers of every collection; returns how many, by collection."""
    return {name: _remove_erased(store, gallery, name) for _, name in numbered(store)}


def remove(index: VectorIndex, crop_ids: Iterable[str]) -> int:
    """Remove crops from a collection; returns how many it held."""
    return sum(index.delete(CropFilter(crop_ids=tuple(batch))) for batch in batches(crop_ids, BATCH_ROWS))


def purge(store: CollectionStore, names: list[str]) -> dict[str, str]:
    """Remove deleted rows from the engine's files, inside `gallery.building`; returns each one's name afterwards."""
    return {name: store.purge(name, spare=new_name(store, store.properties(name).model_version)) for name in names}


def _remove_erased(store: CollectionStore, gallery: Gallery, name: str) -> int:
    index = store.open(name)
    removed = 0
    for batch in batches(index.crop_ids(), BATCH_ROWS):
        if erased := gallery.erased_among(batch):
            removed += index.delete(CropFilter(crop_ids=tuple(erased)))
    return removed
