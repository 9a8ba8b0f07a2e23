"""Drift by camera in the service's metrics."""

import pytest
from fastapi.testclient import TestClient

from tests.serving.colours import CAMERAS, COLOURS, ColourSource, add_figures, build_collection


def metrics(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def of(name: str, camera: str, **more: str) -> str:
    labels = ",".join(f'{key}="{value}"' for key, value in {"camera": camera, **more}.items())
    return f"personsearch_{name}{{{labels}}}"


def test_a_camera_that_sees_other_people_than_before_has_drifted(client: TestClient, source: ColourSource) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    service.drift.look()
    before = metrics(client)
    assert before[of("camera_quality", CAMERAS[0])] == pytest.approx(0.9)
    gallery = add_figures(source.gallery.folder, ["red", "green"] * 40, first=100)  # junction sees red people only
    build_collection(source.store, gallery, "persons_v1_2")
    source.store.switch_alias("persons", "persons_v1_2")
    service.live.look()
    service.drift.look()
    after = metrics(client)
    assert after[of("camera_shift", CAMERAS[0])] > before[of("camera_shift", CAMERAS[0])] + 0.1


def test_without_a_collection_nothing_is_said_and_nothing_raised(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    service.live.current = None
    service.drift.look()
    assert not [name for name in metrics(client) if "camera_shift" in name]


def test_first_candidates_are_counted_by_camera(client: TestClient) -> None:
    for text in (COLOURS[0], "nothing of this"):
        client.post("/v1/search", json={"text": text})
    counts = {name: value for name, value in metrics(client).items() if "first_candidates_total" in name}
    assert counts[of("first_candidates_total", CAMERAS[0], outcome="match")] == 1
    assert sum(counts.values()) == 2
