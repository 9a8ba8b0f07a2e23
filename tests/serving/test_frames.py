"""Whole frames and clips are recorded, and refused in words where there is none to show."""

import io
from collections.abc import Iterator
from dataclasses import replace

import av
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from personsearch.gallery.store import Gallery
from personsearch.search.exact import ExactStore
from personsearch.search.filters import CropFilter
from serving.app import create_app
from serving.settings import ServingSettings
from tests.audit import audited, refused
from tests.serving.colours import ColourSource, build_collection
from tests.serving.conftest import KEY
from tests.serving.walks import CROPS, WALK, add_walk


@pytest.fixture
def walked(settings: ServingSettings) -> Gallery:
    """Two people who walked past a camera, with their video."""
    return add_walk(settings.gallery_folder, settings.home / "videos")


@pytest.fixture
def viewer(settings: ServingSettings, walked: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr("serving.footage.FRAME_SECONDS", 120.0)
    monkeypatch.setattr("serving.footage.CLIP_SECONDS", 120.0)
    store = ExactStore()
    build_collection(store, walked, "persons_v1_1")
    store.switch_alias("persons", "persons_v1_1")
    app = create_app(settings, source=ColourSource(store, walked))
    app.state.service.live.look()
    with TestClient(app, headers={"X-API-Key": KEY}, raise_server_exceptions=False) as client:
        yield client


def test_a_frame_and_a_clip_are_shown_and_recorded(viewer: TestClient, settings: ServingSettings) -> None:
    crop_id = CROPS[1]
    shown = viewer.get(f"/v1/crops/{crop_id}/frame")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert shown.headers["cache-control"] == "private, no-store"
    assert Image.open(io.BytesIO(shown.content)).size == WALK.size
    clip = viewer.get(f"/v1/crops/{crop_id}/clip?seconds=1")
    assert (clip.status_code, clip.headers["content-type"]) == (200, "video/webm")
    with av.open(io.BytesIO(clip.content)) as container:
        assert len(list(container.decode(video=0))) == 21
    frame, seconds = audited(settings)[-2:]
    assert (frame["event"], frame["results"], frame["seconds"]) == ("frame", [crop_id], 0.0)
    assert (seconds["event"], seconds["frame"], seconds["seconds"]) == ("frame", "walk.avi#frame=25", 1.0)


def test_a_look_that_cannot_be_recorded_is_refused(viewer: TestClient, settings: ServingSettings) -> None:
    with refused(settings.database_address):
        assert viewer.get(f"/v1/crops/{CROPS[0]}/frame").status_code == 503


def test_why_there_is_no_frame_is_said(viewer: TestClient, walked: Gallery, settings: ServingSettings) -> None:
    crop = walked.crop(CROPS[0])
    assert crop is not None
    live = replace(crop, crop_id="live-1", track_id="live-1", frame_uri="rtsp://gate/stream")
    walked.add([(live, walked.picture(crop))])
    answers = {
        "live-1": (404, "a live camera"),
        "nobody": (404, "holds no image of crop 'nobody'"),
    }
    for crop_id, (status, words) in answers.items():
        for path in ("frame", "clip"):
            answer = viewer.get(f"/v1/crops/{crop_id}/{path}")
            assert answer.status_code == status
            assert words in answer.json()["detail"]
    assert viewer.get(f"/v1/crops/{CROPS[0]}/clip?seconds=60").status_code == 422
    video = settings.home / "videos" / "walk.avi"
    content = video.read_bytes()
    video.write_bytes(b"no video")
    assert "cannot be read as a video" in viewer.get(f"/v1/crops/{CROPS[0]}/frame").json()["detail"]
    video.unlink()
    assert "There is no file 'walk.avi' where" in viewer.get(f"/v1/crops/{CROPS[0]}/frame").json()["detail"]
    video.write_bytes(content)
    looks = [record for record in audited(settings) if record["event"] == "frame"]
    assert looks == []


def test_somebody_erased_takes_the_frames_of_the_video_along(viewer: TestClient, walked: Gallery) -> None:
    assert viewer.get(f"/v1/crops/{CROPS[0]}/frame").status_code == 200
    walked.erase(CropFilter(crop_ids=(CROPS[1],)))
    answer = viewer.get(f"/v1/crops/{CROPS[0]}/frame")
    assert answer.status_code == 410
    assert "Somebody was erased from this video" in answer.json()["detail"]
    assert viewer.get(f"/v1/crops/{CROPS[1]}/clip").status_code == 404


def test_only_so_many_look_at_the_same_time(viewer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.footage.WAIT_SECONDS", 0.01)
    turns = viewer.app.state.service.footage._turns
    while turns.acquire(blocking=False):
        pass
    answer = viewer.get(f"/v1/crops/{CROPS[0]}/frame")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    turns.release()
    assert viewer.get(f"/v1/crops/{CROPS[0]}/frame").status_code == 200
