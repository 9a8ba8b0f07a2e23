"""The person detector that comes with the package, on rendered footage whose people and places are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from personsearch.data.synthetic.footage import FootageConfig, footage
from personsearch.files import hash_file
from personsearch.gallery.ingest.boxes import overlap
from personsearch.gallery.ingest.onnx_detector import BUILTIN
from personsearch.gallery.ingest.stage import ingest
from personsearch.gallery.ingest.tracks import IngestConfig, TrackFinder
from personsearch.gallery.ingest.video import read_info
from personsearch.integrations.database.gallery import gallery_in

from .clips import write_clip
from .test_stage import NINE


@pytest.fixture(scope="module")
def junction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = tmp_path_factory.mktemp("footage") / "junction.avi"
    footage(FootageConfig(people=4, seconds=8.0, seed=1), video)
    return video


def test_it_finds_rendered_people_and_nothing_else(junction: Path) -> None:
    truth = json.loads(junction.with_suffix(".json").read_text())
    tracks = list(TrackFinder(IngestConfig(), junction, read_info(junction)))
    crops = [view for track in tracks for view in track.select(4)]
    shown = set()
    for view in crops:
        people = truth["frames"][view.frame_index]
        shares = overlap(view.box[None], np.array([person["box"] for person in people]))[0]
        assert shares.max() > 0.5
        shown.add(people[int(shares.argmax())]["person"])
    assert len(shown) == 4


def test_an_empty_scene_shows_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = write_clip(tmp_path / "empty.avi", [], frames=15)
    metrics = ingest(IngestConfig(), empty, gallery_in(tmp_path / "gallery"), camera_id="junction", start=NINE)
    assert metrics["tracks"] == 0
    assert "no people found: the detector sees nobody (least_confidence, longest_side)" in caplog.text


def test_the_card_names_the_file_by_its_hash() -> None:
    assert hash_file(BUILTIN) in (BUILTIN.parent / "MODEL_CARD.md").read_text()
    assert "Apache License" in (BUILTIN.parent / "LICENSE").read_text()
