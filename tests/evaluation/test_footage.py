"""Described people are looked for in a rendered clip, by a model that sees one colour."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.errors import UserError
from personsearch.evaluation.described import DescribedPerson, read_described
from personsearch.evaluation.footage import (
    FootageFiles,
    FootageFindings,
    evaluate_footage,
    footage_searcher,
    search_footage,
    take_in,
)
from personsearch.evaluation.footage_report import rank_rows, summary
from personsearch.gallery.ingest.selection import SelectionConfig
from personsearch.gallery.ingest.tracks import IngestConfig
from personsearch.gallery.ingest.video import VideoInfo
from personsearch.integrations.database.gallery import gallery_in
from personsearch.search.calibration import Calibration, Curve
from personsearch.search.crop import BoundingBox
from tests.crops import make_crop
from tests.gallery.ingest.clips import Walker, write_clip
from tests.hash_encoder import HashEncoder

# The figures are no people to a detector, only to motion.
CONFIG = IngestConfig(detector="motion", selection=SelectionConfig(least_person_margin=-100.0))
RED, BLUE = Walker((30, 30, 180), 40, 10, foot=150, last=24), Walker((160, 60, 20), 290, -5, foot=225, first=5)
INFO = VideoInfo(width=320, height=240, frames_per_second=10.0, frame_count=55, seconds=5.5)


class ColourEncoder(HashEncoder):
    """Pictures become their mean colour, texts the colour that they name."""

    embedding_dim = 3

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unit(pixels_NHW3[:, 1:3].mean(axis=(1, 2)).astype(np.float32) - 100)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        colours = {"red": (1.0, 0.0, 0.0), "blue": (0.0, 0.0, 1.0)}
        return unit(np.array([colours[text.split()[-1]] for text in texts], dtype=np.float32))


def unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True))


def boxes(walker: Walker, *frames: int) -> list[object]:
    return [[frame, list(walker.box_at(frame))] for frame in frames]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FootageFiles:
    """The red walker is described rightly once and wrongly once; the third person is nowhere."""
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "clip.avi", [RED, BLUE], frames=55)
    people = [
        {"clip": "clip.avi", "boxes": boxes(RED, 4, 12, 20), "descriptions": ["someone in red", "someone in blue"]},
        {"clip": "clip.avi", "boxes": [[30, [0, 0, 8, 20]]], "descriptions": ["nobody in red"]},
    ]
    (folder / "people.json").write_text(json.dumps({"people": people, "absent": ["absent and blue"]}))
    return FootageFiles(folder / "people.json", folder, folder / "crops", gallery_in)


def calibrated(threshold: float) -> Calibration:
    """Confidence is a steep curve of the similarity, .5 at a similarity of .5."""
    curve = Curve(intercept=-10.0, score=20.0, lead=0.0, log_tracks=0.0)
    figures = ("expected_calibration_error", "precision", "reliable_when_present", "reliable_when_absent")
    rates = dict.fromkeys(figures, 0.0)
    return Calibration(curve=curve, threshold=threshold, split="val", queries=1, galleries=(1.0,), **rates)


def search(files: FootageFiles, threshold: float | None = None) -> FootageFindings:
    path = files.crops.parent / "calibration.json"
    path.unlink(missing_ok=True)
    if threshold is not None:
        path.write_text(calibrated(threshold).model_dump_json())
    footage = take_in(CONFIG, files)
    return search_footage(footage, footage_searcher(footage, ColourEncoder(), path))


def test_the_rank_is_that_of_the_first_track_that_shows_the_person(files: FootageFiles) -> None:
    findings = search(files)
    assert [shown.asked.rank for shown in findings.present] == [1, 2, None]
    assert [[right for _, right in shown.candidates] for shown in findings.present[:2]] == [
        [True, False],
        [False, True],
    ]
    metrics = findings.metrics()
    assert (metrics["footage_people"], metrics["footage_people_found"], metrics["footage_tracks"]) == (2, 1, 2)
    assert metrics["footage_r1"] == pytest.approx(100 / 3)
    assert metrics["footage_r5"] == pytest.approx(200 / 3)
    assert (metrics["footage_found_r1"], metrics["footage_found_r5"]) == (50.0, 100.0)
    assert metrics["footage_median_rank"] == 1.5
    assert metrics["footage_chance_r1"] == pytest.approx(100 / 3)  # a right track of two, twice in three searches
    assert findings.by_clip()["clip.avi"]["r1"] == metrics["footage_r1"]


def test_how_often_reliable_is_said(files: FootageFiles) -> None:
    assert not any(name.endswith("reliable") for name in search(files).metrics())  # never calibrated
    sure, unsure = search(files, 0.01).metrics(), search(files, 0.9999).metrics()
    names = ("footage_right_reliable", "footage_absent_reliable")
    assert [sure[name] for name in names] == [100.0, 100.0]
    assert [unsure[name] for name in names] == [0.0, 0.0]
    assert sure["footage_reliable_right"] == 25.0  # one right answer of three searches and one for somebody absent
    assert "footage_reliable_right" not in unsure
    assert "1 of 1 right first answers are called reliable" in summary(search(files, 0.01))


def test_a_clip_is_ingested_once_under_the_same_settings(files: FootageFiles, caplog: pytest.LogCaptureFixture) -> None:
    take_in(CONFIG, files)
    caplog.clear()
    before = {path: path.stat().st_mtime_ns for path in files.crops.rglob("*.jpg")}
    take_in(CONFIG, files)
    assert before == {path: path.stat().st_mtime_ns for path in files.crops.rglob("*.jpg")}
    assert not caplog.records
    fewer = CONFIG.model_copy(update={"selection": SelectionConfig(least_person_margin=-100.0, crops_per_track=1)})
    assert len(take_in(fewer, files).crops) == 2 < len(take_in(CONFIG, files).crops)


def test_the_stage_writes_metrics_table_and_page(files: FootageFiles, onnx_bundle: Path, tmp_path: Path) -> None:
    findings = evaluate_footage(CONFIG, onnx_bundle, files, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert {name: written[name] for name in findings.metrics()} == findings.metrics()
    assert [search["text"] for search in written["searches"]] == [
        *("someone in red", "someone in blue", "nobody in red"),
        "absent and blue",
    ]
    table = (tmp_path / "ranks.md").read_text()
    assert "| nobody in red | clip.avi | not found by ingest | – |" in table
    assert len(list(rank_rows(findings))) == 4
    page = (tmp_path / "report.html").read_text()
    assert page.count("<article>") == 4
    assert page.count('<figure class="right">') == 2
    assert "<script" not in page
    assert "http" not in page
    assert json.loads((tmp_path / "run.json").read_text())["stage"] == "evaluate-footage"


@pytest.mark.parametrize(
    ("frame", "box", "shown"),
    [
        (10, (100, 50, 140, 150), True),  # a described frame
        (30, (200, 50, 240, 150), True),  # halfway
        (30, (100, 50, 140, 150), False),  # where the person was before
        (54, (300, 50, 340, 150), True),  # just after the last box
        (60, (300, 50, 340, 150), False),  # a second after it
        (10, (100, 50, 120, 90), False),  # a fifth of the box
    ],
)
def test_between_two_boxes_the_person_moves_evenly(frame: int, box: tuple[int, ...], shown: bool) -> None:
    person = DescribedPerson(
        clip="clip.avi",
        descriptions=("someone",),
        boxes=((10, (100.0, 50.0, 140.0, 150.0)), (50, (300.0, 50.0, 340.0, 150.0))),
    )
    left, top, right, bottom = box
    crop = make_crop("c", bbox=BoundingBox(left, top, right - left, bottom - top), frame_uri=f"clip.avi#frame={frame}")
    assert person.is_shown(crop, INFO) is shown


@pytest.mark.parametrize(("frame", "height", "shown"), [(20, 200, True), (20, 60, False), (41, 200, False)])
def test_somebody_alone_is_any_large_crop_of_that_time(frame: int, height: int, shown: bool) -> None:
    person = DescribedPerson(clip="clip.avi", descriptions=("someone",), frames=(10, 40))
    crop = make_crop("c", bbox=BoundingBox(0, 0, 50, height), frame_uri=f"clip.avi#frame={frame}")
    assert person.is_shown(crop, INFO) is shown


def test_people_who_are_alone_in_the_picture_are_people_too(tmp_path: Path) -> None:
    alone = {"clip": "a.avi", "frames": [1, 9], "description": "a man"}
    boxed = {"clip": "b.avi", "boxes": [[0, [1, 2, 3, 4]]], "descriptions": ["a woman"]}
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"people": [boxed], "one_at_a_time": [alone]}))
    described = read_described(path)
    assert [person.descriptions for person in described.people] == [("a woman",), ("a man",)]
    assert described.clips == ["a.avi", "b.avi"]


def test_the_descriptions_of_the_benchmark_can_be_read() -> None:
    described = read_described(Path(__file__).parents[2] / "benchmarks" / "vtest_descriptions.json")
    assert (len(described.people), len(described.absent), described.clips) == (19, 19, ["vtest.avi"])


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ({"clip": "clip.avi", "descriptions": ["x"]}, "either boxes or frames expected"),
        ({"clip": "clip.avi", "frames": [0, 9], "descriptions": []}, "at least 1 entries"),
        ({"clip": "other.avi", "frames": [0, 9], "descriptions": ["x"]}, "clip 'other.avi' is not in"),
        ({"clip": "clip.avi", "frames": [0, 9], "descriptions": ["x"], "box": []}, "box"),
    ],
)
def test_a_mistake_is_named(files: FootageFiles, tmp_path: Path, person: dict[str, object], said: str) -> None:
    (tmp_path / "people.json").write_text(json.dumps({"people": [person]}))
    with pytest.raises(UserError, match=said):
        take_in(CONFIG, FootageFiles(tmp_path / "people.json", files.clips, files.crops, gallery_in))


def test_footage_that_shows_nobody_is_a_readable_error(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.avi", [], frames=20)
    people = [{"clip": "clip.avi", "frames": [0, 9], "descriptions": ["x"]}]
    (tmp_path / "people.json").write_text(json.dumps({"people": people}))
    footage = take_in(CONFIG, FootageFiles(tmp_path / "people.json", tmp_path, tmp_path / "crops", gallery_in))
    with pytest.raises(UserError, match=r"clip\.avi: nobody was found in these clips"):
        footage_searcher(footage, ColourEncoder(), tmp_path / "calibration.json")
