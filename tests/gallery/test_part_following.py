"""Several follow one gallery, each its own part of the crop ids: together they encode everything, and nothing twice."""

import pytest

from personsearch.errors import LeaseLost
from personsearch.gallery.following import Follower
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import WHOLE, Part
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS
from tests.gallery.builds import HashEncoder, add, build, gallery_ids, ids


def follow(follower: Follower, store: ExactStore) -> None:
    """Turns, until everything is applied."""
    for _ in range(3):
        assert follower.follow(store) is not None


def test_every_id_belongs_to_one_part_and_parts_are_about_equal() -> None:
    parts = [Part(number, 4) for number in range(4)]
    held = [[part.number for part in parts if part.holds(f"crop-{n}")] for n in range(4000)]
    assert all(len(each) == 1 for each in held)
    shares = [sum(each == [number] for each in held) for number in range(4)]
    assert all(900 < share < 1100 for share in shares)
    assert WHOLE.holds("anything")


def test_parts_encode_what_is_theirs_and_nothing_twice(gallery: Gallery) -> None:
    store, encoders = ExactStore(), [HashEncoder("1") for _ in range(3)]
    build(store, gallery)
    followers = [
        Follower(gallery, encoder, store.properties(LIVE_ALIAS), 7, Part(number, 3))
        for number, encoder in enumerate(encoders)
    ]
    for follower in followers:
        follow(follower, store)
    assert [encoder.images_encoded for encoder in encoders] == [0, 0, 0]  # the build had everything
    add(gallery, 100, 160)
    gallery.erase(CropFilter(crop_ids=("crop00003", "crop00101")))
    for follower in followers:
        follow(follower, store)
    assert ids(store) == gallery_ids(gallery)
    shares = [encoder.images_encoded for encoder in encoders]
    assert sum(shares) == 59
    assert all(shares)


def test_who_takes_a_part_over_encodes_only_what_was_not_stored(gallery: Gallery) -> None:
    store, encoder = ExactStore(), HashEncoder("1")
    build(store, gallery)
    add(gallery, 100, 130)
    follow(Follower(gallery, HashEncoder("1"), store.properties(LIVE_ALIAS), 7, Part(0, 2)), store)
    dead = Follower(gallery, HashEncoder("1"), store.properties(LIVE_ALIAS), 7, Part(1, 2))
    live = str(store.alias_target(LIVE_ALIAS))
    follow(dead, store)
    add(gallery, 130, 150)
    mine = sum(Part(1, 2).holds(crop_id) for crop_id in gallery_ids(gallery)[-20:])
    survivor = Follower(gallery, encoder, store.properties(LIVE_ALIAS), 7, Part(1, 2))
    follow(survivor, store)
    assert encoder.images_encoded == mine
    survivor_has = set(ids(store))
    assert {crop_id for crop_id in gallery_ids(gallery) if Part(1, 2).holds(crop_id)} <= survivor_has
    assert live == store.alias_target(LIVE_ALIAS)


def test_one_whose_lease_was_lost_while_it_encoded_writes_nothing(gallery: Gallery) -> None:
    store, lost = ExactStore(), []
    build(store, gallery)

    class Long(HashEncoder):
        """While it encodes, another takes over."""

        def encode_images(self, pixels_NHW3):  # type: ignore[no-untyped-def]
            lost.append(True)
            return super().encode_images(pixels_NHW3)

    def confirm() -> None:
        if lost:
            raise LeaseLost("another follows this part")

    add(gallery, 100, 120)
    with pytest.raises(LeaseLost):
        Follower(gallery, Long("1"), store.properties(LIVE_ALIAS), 7, Part(0, 2)).follow(store, confirm)
    assert len(ids(store)) == 40
