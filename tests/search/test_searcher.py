"""The searcher: words in, candidates out, one per track, with calibrated confidence."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing
from personsearch.errors import UserError
from personsearch.search.calibration import Calibration, Logistic
from personsearch.search.crop import BoundingBox, Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.searcher import MAX_TEXT, Searcher

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class AxisEncoder:
    """Every text means the first axis."""

    preprocessing = Preprocessing(height=4, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = 2

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return np.eye(1, 2, dtype=np.float32).repeat(len(texts), axis=0)


def gallery(*tracks: tuple[str, str], step: float = 0.001) -> ExactIndex:
    """One crop for each (camera, track), each a little further from every query than the one before."""
    index = ExactIndex(2)
    angles = np.arange(len(tracks)) * step
    crops = [
        Crop(
            crop_id=f"{n:05d}",
            camera_id=camera,
            captured_at=START + timedelta(seconds=n),
            track_id=track,
            image_uri="",
            bbox=BoundingBox(0, 0, 1, 1),
            frame_uri="",
            quality=1.0,
            ingested_at=START,
        )
        for n, (camera, track) in enumerate(tracks)
    ]
    index.upsert(crops, np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    return index


def found(searcher: Searcher, **options: object) -> list[str]:
    return [candidate.crop.crop_id for candidate in searcher.search("a person", **options)]  # type: ignore[arg-type]


def test_the_best_crop_of_each_track() -> None:
    searcher = Searcher(AxisEncoder(), gallery(("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"), ("b", "2")))
    assert found(searcher, k=3) == ["00000", "00002", "00003"]
    assert found(searcher, k=3, group_by_track=False) == ["00000", "00001", "00002"]
    assert [candidate.rank for candidate in searcher.search("x", k=9)] == [1, 2, 3, 4]


def test_crops_without_a_track_stand_for_themselves() -> None:
    assert found(Searcher(AxisEncoder(), gallery(("a", ""), ("a", ""), ("a", ""))), k=5) == ["00000", "00001", "00002"]


def test_one_track_that_fills_the_first_page_does_not_hide_the_others() -> None:
    crops = [("a", "loiterer")] * 500 + [("a", f"track{n}") for n in range(5)]
    searcher = Searcher(AxisEncoder(), gallery(*crops))
    assert found(searcher, k=5) == ["00000", "00500", "00501", "00502", "00503"]


def test_filters_are_passed_on() -> None:
    searcher = Searcher(AxisEncoder(), gallery(("a", "1"), ("b", "2"), ("b", "3")))
    assert found(searcher, crop_filter=CropFilter(cameras=("b",))) == ["00001", "00002"]
    assert found(searcher, crop_filter=CropFilter(cameras=("c",))) == []


@pytest.mark.parametrize(("text", "message"), [("", "empty"), (" \n ", "empty"), ("x" * (MAX_TEXT + 1), "2001 char")])
def test_texts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Searcher(AxisEncoder(), gallery(("a", "1"))).search(text)


@pytest.mark.parametrize("k", [0, -3, 20_000])
def test_impossible_k(k: int) -> None:
    with pytest.raises(UserError, match="1 to 16384"):
        Searcher(AxisEncoder(), gallery(("a", "1"))).search("x", k=k)


def calibration(threshold: float) -> Calibration:
    """Confidence is .5 at score .8, and for full rankings moves with the lead over the ten best."""
    return Calibration(
        by_score=Logistic(intercept=-8.0, score=10.0),
        by_query=Logistic(intercept=0.0, score=0.0, lead=1000.0),
        threshold=threshold,
        split="val",
        queries=1,
        expected_calibration_error=0.0,
        precision=1.0,
        reliable_when_present=1.0,
        reliable_when_absent=0.0,
    )


def test_confidence_and_no_reliable_match() -> None:
    few = gallery(("a", "1"), ("a", "2"), step=0.9)
    answer = Searcher(AxisEncoder(), few, calibration(0.5)).answer("x")
    assert [candidate.confidence for candidate in answer.candidates] == [
        pytest.approx(1 / (1 + np.exp(-2.0))),
        pytest.approx(1 / (1 + np.exp(8.0 - 10.0 * np.cos(0.9))), abs=1e-4),
    ]
    assert answer.reliable is True
    assert Searcher(AxisEncoder(), few, calibration(0.95)).answer("x").reliable is False
    assert Searcher(AxisEncoder(), few).answer("x").reliable is None
    nothing = Searcher(AxisEncoder(), few, calibration(0.5)).answer("x", crop_filter=CropFilter(cameras=("c",)))
    assert (nothing.candidates, nothing.reliable) == ([], False)


def test_confidence_judges_the_whole_ranking_even_when_few_are_asked_for() -> None:
    """Ten near-equal crops of one track: asking for one candidate must not change what its confidence is."""
    many = gallery(*[("a", "1")] * 12, step=0.05)
    searcher = Searcher(AxisEncoder(), many, calibration(0.5))
    one, grouped = searcher.search("x", k=1, group_by_track=False), searcher.search("x", k=5)
    assert one[0].confidence == grouped[0].confidence
    assert one[0].confidence == pytest.approx(1.0, abs=1e-3)
