"""Building an index: complete, live at once, resumable, and never bringing back what was erased."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from personsearch.errors import UserError
from personsearch.gallery.collections import PREVIOUS_ALIAS, rollback
from personsearch.gallery.indexing import IndexConfig
from personsearch.gallery.store import Gallery
from personsearch.gallery.synchronise import WRITE_SECONDS
from personsearch.images import open_image
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS, CollectionProperties, CollectionStore
from tests.gallery.builds import HashEncoder, add, build, gallery_ids, ids
from tests.servers.milvus_lite_server import start_server


def test_the_whole_gallery_goes_live(store: CollectionStore, gallery: Gallery) -> None:
    report = build(store, gallery)
    assert (report.collection, report.previous, report.encoded) == ("persons_v1_1", None, 40)
    assert (report.findings.crops, report.findings.recall) == (40, 1.0)
    assert report.findings.spread > 0.5
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert store.properties(LIVE_ALIAS) == CollectionProperties("personsearch", "1", "print1", "data", 8)
    assert ids(store) == gallery_ids(gallery)
    stored = next(iter(gallery.crops()))
    pixels = np.asarray(open_image(gallery.picture(stored)))[None]
    assert store.open(LIVE_ALIAS).search(HashEncoder("1").encode_images(pixels), 1)[0][0].crop == stored


def test_a_new_model_keeps_the_previous_collection_and_drops_older_ones(
    store: CollectionStore, gallery: Gallery
) -> None:
    build(store, gallery)
    assert build(store, gallery, version="2").previous == "persons_v1_1"
    assert store.names() == ["persons_v1_1", "persons_v2_2"]
    build(store, gallery, version="3")
    assert store.names() == ["persons_v2_2", "persons_v3_3"]
    assert store.alias_target(PREVIOUS_ALIAS) == "persons_v2_2"


def test_indexing_again_costs_only_what_is_new(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    add(gallery, 40, 45)
    gallery.erase(CropFilter(crop_ids=("crop00003",)))
    report = build(store, gallery)
    assert (report.encoded, report.removed) == (5, 1)
    assert report.collection == store.alias_target(LIVE_ALIAS)
    assert ids(store) == gallery_ids(gallery)
    rebuilt = build(store, gallery, rebuild=True)
    assert (rebuilt.encoded, rebuilt.previous) == (44, report.collection)
    assert rebuilt.collection != report.collection


def test_what_was_erased_leaves_every_collection(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    build(store, gallery, version="2")
    gallery.erase(CropFilter(crop_ids=("crop00003",)))
    report = build(store, gallery, version="2")
    assert (report.encoded, report.removed) == (0, 1)
    for alias in (LIVE_ALIAS, PREVIOUS_ALIAS):
        assert ids(store, alias) == gallery_ids(gallery)
    assert report.previous == store.alias_target(PREVIOUS_ALIAS)
    assert len(store.names()) == 2


def test_an_emptied_gallery_empties_its_collections(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    build(store, gallery, version="2")
    gallery.erase(CropFilter(crop_ids=tuple(gallery_ids(gallery))))
    report = build(store, gallery, version="2")
    assert (report.collection, report.removed, report.findings.crops) == (store.alias_target(LIVE_ALIAS), 40, 0)
    assert (ids(store), ids(store, PREVIOUS_ALIAS)) == ([], [])
    add(gallery, 50, 60)
    assert build(store, gallery, version="2").encoded == 10


def test_rollback_and_forward(store: CollectionStore, gallery: Gallery) -> None:
    with pytest.raises(UserError, match="no previous"):
        rollback(store, gallery)
    build(store, gallery)
    build(store, gallery, version="2")
    gallery.erase(CropFilter(crop_ids=("crop00003", "crop00004")))
    assert rollback(store, gallery).model_version == "1"
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert ids(store) == gallery_ids(gallery)
    encoder = HashEncoder("2")
    assert build(store, gallery, encoder, version="2").encoded == 0
    assert ids(store, PREVIOUS_ALIAS) == gallery_ids(gallery)
    assert store.properties(LIVE_ALIAS).model_version == "2"
    assert ids(store) == gallery_ids(gallery)


class ArrivingEncoder(HashEncoder):
    """While the first batch is encoded, crops arrive and others are erased."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__("1")
        self.gallery = gallery

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.images_encoded == 0:
            add(self.gallery, 100, 110)
            self.gallery.erase(CropFilter(crop_ids=("crop00001", "crop00030", "crop00105")))
        return super().encode_images(pixels_NHW3)


def test_what_happens_during_the_build_is_in_the_index(store: CollectionStore, gallery: Gallery) -> None:
    report = build(store, gallery, ArrivingEncoder(gallery))
    assert ids(store) == gallery_ids(gallery)
    assert report.findings.crops == 47
    assert not {"crop00001", "crop00030", "crop00105"} & set(ids(store))


class ErasingStore(ExactStore):
    """Between the verification and the switch, someone erases."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self.gallery = gallery

    def switch_alias(self, alias: str, name: str) -> None:
        self.gallery.erase(CropFilter(crop_ids=("crop00007",)))
        super().switch_alias(alias, name)


def test_an_erasure_during_the_switch_is_applied(gallery: Gallery) -> None:
    store = ErasingStore(gallery)
    build(store, gallery)
    assert ids(store) == gallery_ids(gallery)
    assert "crop00007" not in ids(store)


def test_unreadable_pictures_are_left_out_and_counted(store: CollectionStore, gallery: Gallery) -> None:
    crops = list(gallery.crops())
    (gallery.folder / crops[4].image_uri).write_bytes(b"\xff\xd8\xff truncated")
    (gallery.folder / crops[9].image_uri).unlink()
    report = build(store, gallery)
    assert (report.unreadable, report.findings.crops) == (2, 38)


def test_an_empty_gallery_is_the_users_mistake(store: CollectionStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="empty"):
        build(store, gallery_in(tmp_path / "nothing"))
    assert store.names() == []


def test_what_is_not_confirmed_does_not_go_live(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)

    def withdrawn() -> None:
        raise UserError("version 2 was withdrawn")

    with pytest.raises(UserError, match="withdrawn"):
        build(store, gallery, version="2", confirm=withdrawn)
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert build(store, gallery, version="2").encoded == 0


class OvertakenEncoder(HashEncoder):
    """While the first batch is encoded, somebody else changes what is live."""

    def __init__(self, model: str, change: Callable[[], object]) -> None:
        super().__init__(model)
        self.change = change

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.images_encoded == 0:
            self.change()
        return super().encode_images(pixels_NHW3)


def test_a_faster_build_on_another_machine_is_not_undone(
    store: CollectionStore, gallery: Gallery, tmp_path: Path
) -> None:
    """Another machine has the store in common with this one, but not the gallery's folder with its lock."""
    elsewhere = gallery_in(Path(shutil.copytree(gallery.folder, tmp_path / "elsewhere")))
    encoder = OvertakenEncoder("1", lambda: build(store, elsewhere, version="2"))
    with pytest.raises(UserError, match=r"persons_v1_1 does not go live: another index build or a rollback was faster"):
        build(store, gallery, encoder)
    assert store.properties(LIVE_ALIAS).model_version == "2"
    assert ids(store) == gallery_ids(gallery)
    assert build(store, gallery, version="1").previous == store.alias_target(PREVIOUS_ALIAS)
    assert store.properties(LIVE_ALIAS).model_version == "1"


def test_a_rollback_during_a_build_stands(store: CollectionStore, gallery: Gallery) -> None:
    build(store, gallery)
    build(store, gallery, version="2")
    with pytest.raises(UserError, match="does not go live"):
        build(store, gallery, OvertakenEncoder("3", lambda: rollback(store, gallery)), version="3")
    assert store.alias_target(LIVE_ALIAS) == "persons_v1_1"
    assert build(store, gallery, version="3").encoded == 0
    assert store.alias_target(LIVE_ALIAS) == "persons_v3_3"


KILLED_BUILD = """
import sys
from pathlib import Path
import time
sys.path.insert(0, {root!r})
from personsearch.gallery.indexing import IndexConfig
from personsearch.gallery.store import Gallery
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from tests.gallery.builds import HashEncoder, build

class Slow(HashEncoder):
    def encode_images(self, pixels_NHW3):
        later = self.images_encoded > 7  # the first batch is stored before the third is encoded
        if later:
            print("stored", flush=True)
        time.sleep({pause} if later else {first_pause})
        return super().encode_images(pixels_NHW3)

build(MilvusStore({database!r}), gallery_in(Path({gallery!r})), Slow({version!r}), version={version!r})
"""


def start_build(
    address: str, gallery: Gallery, version: str, *, pause: float = WRITE_SECONDS
) -> subprocess.Popen[bytes]:
    """A build in a process of its own, which takes its time for a batch, so that each is written alone, and says so."""
    names = {"database": address, "gallery": str(gallery.folder), "version": version, "pause": pause}
    names |= {"first_pause": WRITE_SECONDS}
    script = KILLED_BUILD.format(root=str(Path(__file__).parents[2]), **names)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_build_killed_again_and_again_loses_and_doubles_nothing(gallery: Gallery, tmp_path: Path) -> None:
    database = str(tmp_path / "milvus.db")
    for _ in range(2):
        with start_build(database, gallery, "1") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stored\n"
            process.kill()
    store, encoder = MilvusStore(database), HashEncoder("1")
    assert store.alias_target(LIVE_ALIAS) is None
    half_built = len(ids(store, "persons_v1_1"))
    assert 14 <= half_built < 40
    report = build(store, gallery, encoder)
    assert report.encoded == 40 - half_built
    assert store.names() == ["persons_v1_1"]
    assert ids(store) == gallery_ids(gallery)
    [(crops, vectors_ND)] = store.open(LIVE_ALIAS).iterate()
    pixels_NHW3 = np.array([open_image(gallery.picture(crop)) for crop in crops])
    np.testing.assert_allclose(vectors_ND, encoder.encode_images(pixels_NHW3), atol=1e-6)


def test_a_number_of_processes_that_would_fill_a_machine_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 256"):
        IndexConfig(processes=99_999)


def test_builds_in_two_processes_take_turns_and_a_killed_one_gives_its_turn_away(
    gallery: Gallery, tmp_path: Path
) -> None:
    server = start_server(tmp_path / "milvus.db")
    try:
        with start_build(server.uri, gallery, "1", pause=120) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == b"stored\n"
            with start_build(server.uri, gallery, "2", pause=0) as second:
                assert second.stderr is not None
                assert b"another process is at work there" in second.stderr.readline()
                assert MilvusStore(server.uri).names() == ["persons_v1_1"]
                first.kill()
                second.communicate()
                assert second.returncode == 0
        store = MilvusStore(server.uri)
        assert (store.names(), store.alias_target(LIVE_ALIAS)) == (["persons_v2_2"], "persons_v2_2")
        assert ids(store) == gallery_ids(gallery)
    finally:
        server.stop()
