"""A follower keeps to its model, whatever the name of the collection that is live."""

from pathlib import Path

import pytest

from personsearch.gallery.following import Follower
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from tests.gallery.builds import add, build, crop, gallery_ids, ids
from tests.hash_encoder import HashEncoder


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    gallery = gallery_in(tmp_path / "gallery")
    add(gallery, 0, 20)
    return gallery


@pytest.fixture
def store(gallery: Gallery) -> ExactStore:
    """With a collection that is live."""
    store = ExactStore()
    build(store, gallery)
    return store


@pytest.fixture
def follower(gallery: Gallery, store: ExactStore) -> Follower:
    return Follower(gallery, HashEncoder("1"), store.properties("persons"), batch_size=7)


def change(gallery: Gallery, start: int) -> None:
    add(gallery, start, start + 3)
    gallery.erase(CropFilter(crop_ids=(crop(start).crop_id,)))


def test_a_collection_that_an_erasure_has_renamed_is_followed_under_its_new_name(
    gallery: Gallery, store: ExactStore, follower: Follower
) -> None:
    """Milvus Lite can remove rows from its files only by copying the others."""
    followed = follower.follow(store)
    assert followed is not None
    assert followed.collection == "persons_v1_1"
    build(store, gallery, rebuild=True)
    change(gallery, 20)
    followed = follower.follow(store)
    assert followed is not None
    assert (followed.collection, followed.encoded, followed.sequence) == ("persons_v1_2", 2, gallery.last_sequence())
    assert ids(store) == gallery_ids(gallery)


def test_a_renamed_collection_is_fed_during_a_build(gallery: Gallery, store: ExactStore, follower: Follower) -> None:
    follower.follow(store)
    build(store, gallery, rebuild=True)
    change(gallery, 20)
    follower.feed(store)
    assert ids(store, "persons_v1_2") == gallery_ids(gallery)


def test_a_collection_that_a_purge_has_copied_is_written_under_its_new_name(
    gallery: Gallery, store: ExactStore, follower: Follower
) -> None:
    follower.follow(store)
    build(store, gallery, rebuild=True)
    follower.renamed({"persons_v1_1": "persons_v1_2"})
    before = ids(store, "persons_v1_1")
    change(gallery, 20)
    follower.follow(store)
    assert ids(store, "persons_v1_2") == gallery_ids(gallery)
    assert ids(store, "persons_v1_1") == before


def test_the_collection_of_another_model_is_left_alone(gallery: Gallery, store: ExactStore, follower: Follower) -> None:
    follower.follow(store)
    build(store, gallery, version="2")
    before = ids(store)
    change(gallery, 20)
    assert follower.follow(store) is None
    follower.feed(store)
    assert ids(store) == before
