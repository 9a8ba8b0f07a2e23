"""A build in shards: each is filled on its own, in any order, by any number of processes, killed or not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from personsearch.errors import UserError, VerificationFailed
from personsearch.gallery.builds import Shard
from personsearch.gallery.indexing import Build
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import WRITE_SECONDS
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS
from tests.gallery.builds import HashEncoder, add, build, gallery_ids, ids, new_build
from tests.servers.milvus_lite_server import start_server


@pytest.fixture
def exact() -> ExactStore:
    return ExactStore()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    server = start_server(tmp_path / "milvus.db")
    yield server.uri
    server.stop()


def test_shards_are_ranges_of_ids_that_cover_everything(exact: ExactStore, gallery: Gallery) -> None:
    shards = new_build(exact, gallery, shard_crops=15).plan()
    assert [(each.number, each.of, each.first, each.end, each.crops) for each in shards] == [
        (0, 3, "", "crop00015", 15),
        (1, 3, "crop00015", "crop00030", 15),
        (2, 3, "crop00030", "", 10),
    ]
    assert {each.collection for each in shards} == {"persons_v1_1"}
    [whole] = new_build(exact, gallery, shard_crops=15).plan(one_shard=True)
    assert (whole.first, whole.end, whole.crops) == ("", "", 40)
    [whole] = new_build(exact, gallery, shard_crops=40).plan()
    assert whole.crops == 40


def test_shards_filled_in_any_order_are_the_whole_gallery(exact: ExactStore, gallery: Gallery) -> None:
    encoder = HashEncoder("1")
    steps = new_build(exact, gallery, encoder, shard_crops=15)
    shards = steps.plan(apart=True)
    for shard in (shards[2], shards[0], shards[1]):
        steps.fill(Shard.model_validate_json(shard.model_dump_json()))
        assert exact.alias_target(LIVE_ALIAS) is None
    [progress] = gallery.rows.builds.progress()
    assert (progress.shards, progress.finished, progress.crops, progress.done, progress.encoded) == (3, 3, 40, 40, 40)
    assert "40 of 40 crops" in progress.in_words()
    report = steps.finish(shards)
    assert (report.encoded, report.collection, encoder.images_encoded) == (40, "persons_v1_1", 40 + 16)
    assert ids(exact) == gallery_ids(gallery)
    assert gallery.rows.builds.progress() == []


def test_a_shard_changes_nothing_outside_its_range(exact: ExactStore, gallery: Gallery) -> None:
    steps = new_build(exact, gallery, shard_crops=15)
    shards = steps.plan()
    for shard in shards:
        steps.fill(shard)
    gallery.erase(CropFilter(crop_ids=("crop00003", "crop00020", "crop00035")))
    steps.fill(shards[1])
    assert set(ids(exact, "persons_v1_1")) - set(gallery_ids(gallery)) == {"crop00003", "crop00035"}


def test_what_came_and_went_between_the_steps_is_right_at_the_end(exact: ExactStore, gallery: Gallery) -> None:
    steps = new_build(exact, gallery, shard_crops=15)
    shards = steps.plan(apart=True)
    steps.fill(shards[0])
    add(gallery, 100, 103)
    gallery.erase(CropFilter(crop_ids=("crop00001", "crop00031")))
    report = steps.finish(shards)  # two shards were never filled
    assert (report.encoded, report.removed, report.findings.crops) == (42, 1, 41)
    assert ids(exact) == gallery_ids(gallery)


def test_a_build_in_steps_is_left_alone_by_another_build(exact: ExactStore, gallery: Gallery) -> None:
    steps = new_build(exact, gallery, version="1", shard_crops=15)
    shards = steps.plan(apart=True)
    steps.fill(shards[0])
    build(exact, gallery, version="2")
    assert exact.names() == ["persons_v1_1", "persons_v2_2"]
    with pytest.raises(UserError, match="does not go live: another index build"):
        steps.fill(shards[1])


def test_an_erasure_is_not_undone_by_a_batch_that_was_read_before(exact: ExactStore, gallery: Gallery) -> None:
    class Slow(HashEncoder):
        """While a batch is encoded, one of its crops is erased from the gallery and from all collections."""

        def encode_images(self, pixels_NHW3):  # type: ignore[no-untyped-def]
            gallery.erase(CropFilter(crop_ids=("crop00002",)))
            return super().encode_images(pixels_NHW3)

    steps = new_build(exact, gallery, Slow("1"), shard_crops=15)
    steps.fill(steps.plan(apart=True)[0])
    assert "crop00002" not in ids(exact, "persons_v1_1")


def test_a_wrong_model_drops_the_collection_and_the_other_shards_stop(exact: ExactStore, gallery: Gallery) -> None:
    class Broken(HashEncoder):
        def encode_images(self, pixels_NHW3):  # type: ignore[no-untyped-def]
            return super().encode_images(pixels_NHW3) * float("nan")

    steps: Build = new_build(exact, gallery, Broken("1"), shard_crops=15)
    shards = steps.plan(apart=True)
    with pytest.raises(VerificationFailed, match="NaN"):
        steps.fill(shards[0])
    assert exact.names() == []
    with pytest.raises(UserError, match="does not exist"):
        steps.fill(shards[1])


def test_steps_empty_the_collections_of_an_emptied_gallery(exact: ExactStore, gallery: Gallery) -> None:
    build(exact, gallery)
    gallery.erase(CropFilter(crop_ids=tuple(gallery_ids(gallery))))
    steps = new_build(exact, gallery)
    shards = steps.plan(apart=True)
    for shard in shards:
        steps.fill(shard)
    assert (steps.finish(shards).findings.crops, ids(exact)) == (0, [])


SHARD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from personsearch.gallery.builds import Shard
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from tests.gallery.builds import HashEncoder, new_build

class Slow(HashEncoder):
    def encode_images(self, pixels_NHW3):
        vectors = super().encode_images(pixels_NHW3)
        print(len(vectors), flush=True)
        time.sleep({pause})
        return vectors

steps = new_build(MilvusStore({address!r}), gallery_in(Path({gallery!r})), Slow("1"), shard_crops=20)
steps.fill(Shard.model_validate_json({shard!r}))
"""


def start_shard(address: str, gallery: Gallery, shard: Shard, *, pause: float) -> "subprocess.Popen[str]":
    """A process that fills a shard, and says how many crops it has encoded."""
    names = {"address": address, "gallery": str(gallery.folder), "shard": shard.model_dump_json(), "pause": pause}
    script = SHARD.format(root=str(Path(__file__).parents[2]), **names)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_shards_in_processes_one_of_them_killed_lose_and_double_nothing(gallery: Gallery, address: str) -> None:
    store, encoded = MilvusStore(address), 0
    steps = new_build(store, gallery, shard_crops=20)
    shards = steps.plan(apart=True)
    with start_shard(address, gallery, shards[0], pause=0) as first:
        with start_shard(address, gallery, shards[1], pause=WRITE_SECONDS) as second:  # so each batch is written
            assert second.stdout is not None
            assert [second.stdout.readline() for _ in range(3)] == ["7\n", "7\n", "6\n"]  # the first is stored
            os.kill(second.pid, signal.SIGKILL)
        assert first.stdout is not None
        encoded += sum(map(int, first.stdout.read().split()))
    held = len(ids(store, "persons_v1_1"))
    assert 27 <= held < 40
    with start_shard(address, gallery, shards[1], pause=0) as again:
        assert again.stdout is not None
        assert sum(map(int, again.stdout.read().split())) == 40 - held
    report = steps.finish(shards)
    assert (encoded, report.findings.crops) == (20, 40)
    assert ids(store) == gallery_ids(gallery)
    store.close()


def test_galleries_of_two_processes_see_the_same_progress(gallery: Gallery, exact: ExactStore) -> None:
    steps = new_build(exact, gallery, shard_crops=15)
    steps.fill(steps.plan()[1])
    [progress] = gallery_in(gallery.folder).rows.builds.progress()
    assert (progress.collection, progress.finished, progress.done) == ("persons_v1_1", 1, 15)
    assert progress.seconds_left is not None
