"""The alias is followed; what fails to load leaves what is live in place; no request is lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from personsearch.errors import UserError
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import Reference
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from personsearch.search.query import Query
from personsearch.search.searcher import Answer
from serving.app import create_app
from serving.index_search import IndexSearch
from serving.live import LiveSearch, LiveWatcher
from serving.settings import ServingSettings
from tests.serving.colours import CALIBRATION, ColourSource, add_figures, build_collection
from tests.serving.conftest import KEY


@pytest.fixture
def next_collection(source: ColourSource, settings: ServingSettings) -> str:
    build_collection(source.store, gallery_in(settings.gallery_folder), "persons_v2_1", version="2")
    return "persons_v2_1"


def test_serving_starts_before_anything_is_live(settings: ServingSettings) -> None:
    app = create_app(settings, source=ColourSource(ExactStore(), gallery_in(settings.gallery_folder)))
    client = TestClient(app, headers={"X-API-Key": KEY})
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json()["problem"].startswith("starting")
    app.state.service.live.look()
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert "no live collection yet" in ready.json()["problem"]
    answer = client.post("/v1/search", json={"text": "red"})
    assert answer.status_code == 503
    assert "no live collection yet" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_is_told_while_every_thread_waits(path: str, settings: ServingSettings, source: ColourSource) -> None:
    """As with a database that accepts connections and never answers."""
    app = create_app(settings, source=source)
    app.state.service.live.look()

    async def asked() -> int:
        threads = anyio.to_thread.current_default_thread_limiter()
        for waiting in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(waiting)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            with anyio.fail_after(10):
                return (await client.get(path)).status_code

    with ThreadPoolExecutor(1) as thread:  # a browser's tests leave an event loop in this one
        assert thread.submit(anyio.run, asked).result() == 200


def test_a_store_out_of_reach_is_said_and_tried_again(settings: ServingSettings, source: ColourSource) -> None:
    source.down = True
    app = create_app(settings, source=source)
    client = TestClient(app)
    app.state.service.live.look()
    assert "out of reach" in client.get("/readyz").json()["problem"]
    source.down = False
    app.state.service.live.look()
    assert client.get("/readyz").json() == {
        "ready": True,
        "problem": "",
        "collection": "persons_v1_1",
        "model_version": "1",
        "sequence": 18,
    }


def test_a_store_lost_later_leaves_the_mirror_answering(client: TestClient, source: ColourSource) -> None:
    source.down = True
    client.app.state.service.live.look()
    ready = client.get("/readyz").json()
    assert ready["ready"]
    assert "out of reach" in ready["problem"]
    assert client.post("/v1/search", json={"text": "red"}).status_code == 200


def test_the_alias_is_followed_and_followed_back(
    client: TestClient, source: ColourSource, next_collection: str
) -> None:
    live = client.app.state.service.live
    for name, version in ((next_collection, "2"), ("persons_v1_1", "1")):
        source.store.switch_alias("persons", name)
        live.look()
        answer = client.post("/v1/search", json={"text": "red"}).json()
        assert (answer["collection"], answer["model"]["version"]) == (name, version)


class Dropped:
    """A live collection that another process dropped."""

    def __init__(self, live: LiveSearch) -> None:
        self.collection, self.properties, self.sequence = live.collection, live.properties, live.sequence

    def search_for(self, query: Query, *, k: int, crop_filter: CropFilter, group_by_track: bool) -> Answer:
        raise UserError(f"collection {self.collection!r} does not exist")

    def refresh(self) -> int:
        raise UserError(f"collection {self.collection!r} does not exist")


def test_a_collection_that_was_dropped_is_searched_in_its_successor(
    settings: ServingSettings, source: ColourSource, next_collection: str
) -> None:
    app = create_app(settings, source=source)
    client = TestClient(app, headers={"X-API-Key": KEY})  # not started: its watcher would be faster now and then
    live = app.state.service.live
    live.look()
    live.current = dropped = Dropped(live.current)
    assert client.post("/v1/search", json={"text": "red"}).status_code == 503
    assert live.current is dropped
    source.store.switch_alias("persons", next_collection)
    answer = client.post("/v1/search", json={"text": "red"}).json()
    assert (answer["collection"], answer["model"]["version"]) == (next_collection, "2")


def test_a_collection_that_is_replaced_while_it_is_loaded_gives_way_to_its_successor(
    settings: ServingSettings, source: ColourSource, next_collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an erasure does, which copies a collection without what was erased."""
    load, live = source.load, create_app(settings, source=source).state.service.live

    def load_slowly() -> LiveSearch:
        if source.target() == next_collection:
            return load()
        source.store.switch_alias("persons", next_collection)
        raise UserError("collection 'persons_v1_1' does not exist")

    monkeypatch.setattr(source, "load", load_slowly)
    live.look()
    assert live.current.collection == next_collection
    assert live.problem == ""


def test_a_collection_that_fails_leaves_the_old_one_live(
    settings: ServingSettings, source: ColourSource, next_collection: str
) -> None:
    app = create_app(settings, source=source)
    client = TestClient(app, headers={"X-API-Key": KEY})  # not started: its watcher would look, and fail, a second time
    live = app.state.service.live
    live.look()
    source.broken.add(next_collection)
    source.store.switch_alias("persons", next_collection)
    live.look()
    ready = client.get("/readyz").json()
    assert ready["ready"]
    assert "golden vectors differ" in ready["problem"]
    assert client.post("/v1/search", json={"text": "red"}).json()["collection"] == "persons_v1_1"
    source.broken.clear()
    live._retry_at = 0.0
    live.look()
    assert client.get("/readyz").json()["collection"] == next_collection
    assert "personsearch_live_failures_total 1.0" in client.get("/metrics").text


def test_crops_added_to_the_live_collection_are_found(
    client: TestClient, source: ColourSource, settings: ServingSettings
) -> None:
    scratch = ExactStore()
    gallery = add_figures(settings.gallery_folder, ["red"], first=10)
    build_collection(scratch, gallery, "all")
    for crops, vectors in scratch.open("all").iterate():
        source.store.open("persons").upsert(crops, vectors)
    client.app.state.service.live.look()
    answer = client.post("/v1/search", json={"text": "red", "k": 2}).json()
    assert [candidate["crop_id"].rsplit("-", 1)[0] for candidate in answer["candidates"]] == ["red-0", "red-10"]


def test_an_erased_crop_leaves_memory_though_another_one_came(
    client: TestClient, source: ColourSource, settings: ServingSettings
) -> None:
    """The collection holds as many crops before and after: a mirror that compares counts would miss both changes."""
    live = client.app.state.service.live
    before = live.current.sequence
    gallery = add_figures(settings.gallery_folder, ["red"], first=10)
    gallery.erase(CropFilter(crop_ids=("red-0-0", "red-0-1", "red-0-2")))
    live.look()
    assert in_memory(live).isdisjoint({"red-0-0", "red-0-1", "red-0-2"})
    assert live.current.sequence == before + 6
    scratch = ExactStore()
    build_collection(scratch, gallery, "all")
    stored = source.store.open("persons")
    stored.delete(CropFilter(crop_ids=("red-0-0", "red-0-1", "red-0-2")))
    stored.upsert(*scratch.open("all").fetch(["red-10-0", "red-10-1", "red-10-2"]))
    live.look()
    assert in_memory(live) == {crop.crop_id for crop in gallery.crops()}
    answer = client.post("/v1/search", json={"text": "red", "k": 1}).json()
    assert answer["candidates"][0]["crop_id"].startswith("red-10")


def test_what_the_gallery_has_changed_is_followed_between_two_looks(
    source: ColourSource, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An added crop can be found, and an erased one is in no memory, though nobody has asked for the alias since."""
    live = create_app(settings, source=source).state.service.live  # not started: it is followed here alone
    live.follow()
    assert live.current is None
    live.look()
    monkeypatch.setattr(source, "target", lambda: pytest.fail("asked"))
    gallery = add_figures(settings.gallery_folder, ["red"], first=10)
    gallery.erase(CropFilter(crop_ids=("red-0-0",)))
    live.follow()
    assert in_memory(live) == {crop.crop_id for crop in gallery.crops() if not crop.crop_id.startswith("red-10")}
    assert live.current.sequence == gallery.last_sequence()
    scratch = ExactStore()
    build_collection(scratch, gallery, "all")
    source.store.open("persons").upsert(*scratch.open("all").fetch(["red-10-0", "red-10-1", "red-10-2"]))
    live.follow()
    assert in_memory(live) == {crop.crop_id for crop in gallery.crops()}
    source.down = True
    gallery.erase(CropFilter(crop_ids=("red-10-0",)))
    live.follow()
    assert "red-10-0" not in in_memory(live)


@pytest.mark.parametrize("complete", [True, False])
def test_a_copy_under_another_name_costs_no_copy_in_memory(
    source: ColourSource, settings: ServingSettings, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    """As an erasure makes it in Milvus Lite. What the copy has not, leaves memory all the same."""
    live = create_app(settings, source=source).state.service.live  # not started
    live.look()
    gallery = add_figures(settings.gallery_folder, ["red"], first=10)
    gallery.erase(CropFilter(crop_ids=("red-0-0",)))
    build_collection(source.store, gallery, "persons_v1_2")
    copied: list[str] = []
    copy = IndexSearch._copy
    monkeypatch.setattr(IndexSearch, "_copy", lambda self: (copied.append(self.collection), copy(self)))
    if not complete:
        source.store.open("persons_v1_2").delete(CropFilter(crop_ids=("red-0-1",)))
    source.store.switch_alias("persons", "persons_v1_2")
    live.look()
    expected = {crop.crop_id for crop in gallery.crops()} - (set() if complete else {"red-0-1"})
    assert (live.current.collection, in_memory(live)) == ("persons_v1_2", expected)
    assert copied == ([] if complete else ["persons_v1_2"])


@pytest.mark.parametrize("mirror_memory", [2**30, 0])
@pytest.mark.parametrize("collection_follows", [True, False])
def test_no_statistic_keeps_an_erased_vector_though_another_one_came(
    source: ColourSource, settings: ServingSettings, mirror_memory: int, collection_follows: bool
) -> None:
    """Three reds are erased and three whites added; the collection holds 18 crops before and after."""
    source.calibration = CALIBRATION.model_copy(update={"reference": Reference.of(np.eye(6, dtype=np.float32))})
    live = opened(source, mirror_memory)
    before = level_of_red(live)
    gallery = add_figures(settings.gallery_folder, ["white"], first=10)
    gallery.erase(CropFilter(crop_ids=("red-0-0", "red-0-1", "red-0-2")))
    if collection_follows:
        scratch = ExactStore()
        build_collection(scratch, gallery, "all")
        stored = source.store.open("persons")
        stored.delete(CropFilter(crop_ids=("red-0-0", "red-0-1", "red-0-2")))
        stored.upsert(*scratch.open("all").fetch(["white-10-0", "white-10-1", "white-10-2"]))
    assert live.refresh() == 18
    assert level_of_red(live) < before
    assert level_of_red(live) == pytest.approx(level_of_red(opened(source, mirror_memory)), abs=1e-6)


def opened(source: ColourSource, mirror_memory: int) -> IndexSearch:
    live = source.load(mirror_memory)
    live.refresh()
    return live


def level_of_red(live: IndexSearch) -> float:
    """How similar "red" is to the gallery on average."""
    return live.search_for(Query(("red",)), k=1, crop_filter=CropFilter(), group_by_track=True).given.gallery.mean


def test_rows_that_somebody_else_removed_leave_memory_too(client: TestClient, source: ColourSource) -> None:
    source.store.open("persons").delete(CropFilter(crop_ids=("blue-2-0",)))
    live = client.app.state.service.live
    live.look()
    assert "blue-2-0" not in in_memory(live)


def in_memory(live: LiveWatcher) -> set[str]:
    """Everything that the service can answer from memory."""
    assert isinstance(live.current, IndexSearch)
    mirror = live.current._mirror
    assert mirror is not None
    return set(mirror.crop_ids())


def test_switching_under_load_loses_no_request(client: TestClient, source: ColourSource, next_collection: str) -> None:
    stop = threading.Event()
    statuses: list[tuple[int, str]] = []

    def keep_asking() -> None:
        while not stop.is_set():
            response = client.post("/v1/search", json={"text": "red", "k": 1})
            statuses.append((response.status_code, response.json().get("collection", "")))

    def wait_for_answers(count: int) -> None:
        while len(statuses) < count:
            time.sleep(0.01)

    client.app.state.service.search_limit.per_minute = 10**9
    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for name in [next_collection, "persons_v1_1"] * 5:
        source.store.switch_alias("persons", name)
        client.app.state.service.live.look()
        wait_for_answers(len(statuses) + 4)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {(200, "persons_v1_1"), (200, next_collection)}
