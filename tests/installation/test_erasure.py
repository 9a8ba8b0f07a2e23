"""An erasure ends when the gallery, every collection, their files and the running service have lost the crops."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from personsearch.errors import UserError
from personsearch.gallery.collections import PREVIOUS_ALIAS, remove_erased
from personsearch.gallery.rows import VideoRow
from personsearch.gallery.store import Gallery
from personsearch.installation import erasure
from personsearch.installation.erasure import erase
from personsearch.integrations.database.gallery import gallery_in
from personsearch.integrations.milvus.store import MilvusStore
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.index import LIVE_ALIAS
from tests.gallery.builds import HashEncoder, add, build, gallery_ids, ids

ONE = CropFilter(crop_ids=("crop00600",))


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    filled = gallery_in(tmp_path / "gallery")
    add(filled, 0, 19)
    add(filled, 600, 601)  # looks like no other
    return filled


@contextmanager
def service(*answers: dict[str, object]) -> Iterator[str]:
    """A service whose readiness is each answer in turn, then the last one for good."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_every_collection_and_its_files_lose_the_crop(gallery: Gallery, tmp_path: Path) -> None:
    store = MilvusStore(str(tmp_path / "milvus.db"))
    build(store, gallery)
    build(store, gallery, version="2")
    crops, vectors_ND = store.open(LIVE_ALIAS).fetch(["crop00600"])
    picture = gallery.folder / crops[0].image_uri
    result = erase(ONE, gallery, open_store=lambda: store)
    assert (result.erased, result.vectors, result.collections, result.service) == (1, 2, 2, "not running")
    for alias in (LIVE_ALIAS, PREVIOUS_ALIAS):
        assert ids(store, alias) == gallery_ids(gallery)
    assert not picture.exists()
    _, others_ND = store.open(LIVE_ALIAS).fetch(gallery_ids(gallery))
    assert not (others_ND == vectors_ND).all(axis=1).any()  # no other crop looks the same
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(vectors_ND.tobytes() in path.read_bytes() for path in files)
    assert any("backups" in copy for copy in result.not_erased)
    assert erase(ONE, gallery, open_store=lambda: store).vectors == 0
    assert store.open(LIVE_ALIAS).count() == 19
    store.close()


def test_it_names_the_ingests_that_may_find_the_same_people_later(gallery: Gallery) -> None:
    nine = datetime(2026, 3, 1, 9, tzinfo=UTC)
    unfinished = VideoRow("junction", nine, "hash", "{}")
    with gallery.rows.turn() as turn:
        turn.put_video(unfinished)
        turn.put_video(replace(unfinished, camera_id="door", result="{}"))
    expected = "people whom the unfinished ingest of camera junction from 2026-03-01T09:00:00+00:00 has yet to find"
    for crop_filter, is_named in [
        (ONE, True),
        (CropFilter(cameras=("junction",)), True),
        (CropFilter(cameras=("door",)), False),
        (CropFilter(before=nine), False),
        (CropFilter(before=nine + timedelta(seconds=1)), True),
    ]:
        assert any(expected in left for left in erase(crop_filter, gallery).not_erased) == is_named


def test_it_says_why_there_was_no_vector_to_remove(gallery: Gallery) -> None:
    store = ExactStore()
    build(store, gallery)

    def after_the_promoter_has_looked() -> ExactStore:
        remove_erased(store, gallery)
        return store

    faster = erase(ONE, gallery, open_store=after_the_promoter_has_looked)
    assert (faster.vectors, faster.vectors_in_words()) == (
        0,
        "none left: the promoter was faster, or these crops were not indexed yet",
    )
    nothing = erase(ONE, gallery, open_store=lambda: store)
    assert (nothing.erased, nothing.vectors_in_words()) == (0, "0")
    other = CropFilter(crop_ids=("crop00001",))
    assert erase(other, gallery, open_store=lambda: store).vectors_in_words() == "1"
    assert erase(CropFilter(crop_ids=("crop00002",)), gallery).vectors_in_words() == "0"


def test_erasing_everything_empties_the_collections(gallery: Gallery) -> None:
    store = ExactStore()
    build(store, gallery)
    assert erase(CropFilter(crop_ids=tuple(gallery_ids(gallery))), gallery, open_store=lambda: store).vectors == 20
    assert ids(store) == []


def test_vectors_are_removed_even_where_the_store_of_pictures_fails(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ExactStore()
    build(store, gallery)

    def fail(names: object) -> None:
        raise UserError("s3://site: cannot be reached")

    with monkeypatch.context() as patched:
        patched.setattr(gallery.pictures, "remove", fail)
        with pytest.raises(UserError, match="1 crops were erased from the gallery, but not everywhere: their pic"):
            erase(ONE, gallery, open_store=lambda: store)
    assert ids(store) == gallery_ids(gallery)
    assert erase(ONE, gallery, open_store=lambda: store).erased == 0
    assert not list(gallery.folder.glob("images/*/*/crop00600.jpg"))


def test_versions_that_a_bucket_keeps_are_named(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery.pictures, "versions_left", 3)
    assert "older versions of 3 pictures" in erase(ONE, gallery).not_erased[0]


def test_it_ends_when_the_service_has_followed(gallery: Gallery) -> None:
    with service({"collection": "persons_v1_1", "sequence": 20}, {"collection": "persons_v1_1", "sequence": 21}) as uri:
        assert erase(ONE, gallery, find_service=lambda: uri).service == "has followed"
    with service({"collection": None}) as uri:
        assert (
            erase(CropFilter(crop_ids=("crop00018",)), gallery, find_service=lambda: uri).service
            == "holds no collection"
        )


def test_a_service_that_does_not_follow_is_an_error_and_the_gallery_has_erased(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "SERVICE_SECONDS", 0.5)
    with (
        service({"collection": "persons_v1_1", "sequence": 1}) as uri,
        pytest.raises(
            UserError, match=r"1 crops were erased from the gallery, but not everywhere.*run the same command"
        ),
    ):
        erase(ONE, gallery, find_service=lambda: uri)
    with pytest.raises(UserError, match="does not answer"):
        erase(ONE, gallery, find_service=lambda: uri)
    assert gallery.is_erased("crop00600")


def test_a_store_that_cannot_be_reached_does_not_delay_the_gallery(gallery: Gallery) -> None:
    def ended() -> None:
        raise UserError("milvus has ended")

    with pytest.raises(UserError, match=r"1 crops were erased from the gallery, but not everywhere: milvus has ended"):
        erase(ONE, gallery, open_store=ended)
    assert gallery.is_erased("crop00600")


class ForgetfulBuilder(HashEncoder):
    """While it encodes, somebody erases a crop that it has read already."""

    def __init__(self, gallery: Gallery, store: ExactStore) -> None:
        super().__init__("1")
        self.gallery, self.store = gallery, store

    def encode_images(self, pixels_NHW3):  # type: ignore[no-untyped-def]
        if self.images_encoded == 0:
            self.gallery.erase(ONE)
        return super().encode_images(pixels_NHW3)


def test_an_erasure_during_a_build_is_kept(gallery: Gallery) -> None:
    store = ExactStore()
    build(store, gallery, ForgetfulBuilder(gallery, store))
    assert "crop00600" not in ids(store)
