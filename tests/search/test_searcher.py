"""The searcher: words in, candidates out, one per track, with calibrated confidence."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from personsearch.bundle import Preprocessing
from personsearch.errors import UserError
from personsearch.search.calibration import DEPTH, CalibratedCurve, Calibration, Curve, Level, Reference
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.query import Query, QueryKind
from personsearch.search.searcher import MAX_TEXT, NEVER_CALIBRATED, Searcher, track_of
from tests.crops import START, make_crop


class AxisEncoder:
    """Every text means the first axis."""

    preprocessing = Preprocessing(height=4, width=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    embedding_dim = 2

    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return np.eye(1, 2, dtype=np.float32).repeat(len(texts), axis=0)

    def text_cut_after(self, text: str) -> int | None:
        return None


def gallery(*tracks: tuple[str, str], step: float = 0.001) -> ExactIndex:
    """One crop for each (camera, track), each a little further from every query than the one before."""
    index = ExactIndex(2)
    angles = np.arange(len(tracks)) * step
    crops = [
        make_crop(f"{n:05d}", camera_id=camera, captured_at=START + timedelta(seconds=n), track_id=track)
        for n, (camera, track) in enumerate(tracks)
    ]
    index.upsert(crops, np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    return index


def found(searcher: Searcher, **options: object) -> list[str]:
    return [candidate.crop.crop_id for candidate in searcher.answer("a person", **options).candidates]  # type: ignore[arg-type]


def test_the_best_crop_of_each_track() -> None:
    searcher = Searcher(AxisEncoder(), gallery(("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"), ("b", "2")))
    assert found(searcher, k=3) == ["00000", "00002", "00003"]
    assert found(searcher, k=3, group_by_track=False) == ["00000", "00001", "00002"]
    assert [candidate.rank for candidate in searcher.answer("x", k=9).candidates] == [1, 2, 3, 4]


def test_crops_without_a_track_stand_for_themselves() -> None:
    assert found(Searcher(AxisEncoder(), gallery(("a", ""), ("a", ""), ("a", ""))), k=5) == ["00000", "00001", "00002"]


def test_one_track_that_fills_the_first_page_does_not_hide_the_others() -> None:
    crops = [("a", "loiterer")] * 500 + [("a", f"track{n}") for n in range(5)]
    searcher = Searcher(AxisEncoder(), gallery(*crops))
    assert found(searcher, k=5) == ["00000", "00500", "00501", "00502", "00503"]


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("own_crops", [1, 30, 300])
def test_an_own_track_that_is_left_out_takes_no_place_away(own_crops: int, grouped: bool) -> None:
    index = gallery(*[("a", "own")] * own_crops, *[("a", f"track{n}") for n in range(100)])
    crops, vectors_1D = index.fetch(["00000"])
    query = Query(picture_D=vectors_1D[0], other_than=track_of(crops[0]))
    answer = Searcher(AxisEncoder(), index).answer_query(query, k=60, group_by_track=grouped)
    expected = [f"{n:05d}" for n in range(own_crops, own_crops + 60)]
    assert [candidate.crop.crop_id for candidate in answer.candidates] == expected


def test_filters_are_passed_on() -> None:
    searcher = Searcher(AxisEncoder(), gallery(("a", "1"), ("b", "2"), ("b", "3")))
    assert found(searcher, crop_filter=CropFilter(cameras=("b",))) == ["00001", "00002"]
    assert found(searcher, crop_filter=CropFilter(cameras=("c",))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("x" * (MAX_TEXT + 1), "2001 char"),
        ("\x1c", "empty"),
        ("a \udcff man", "not Unicode"),
    ],
)
def test_texts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Searcher(AxisEncoder(), gallery(("a", "1"))).answer(text)


@pytest.mark.parametrize("k", [0, -3, 20_000])
def test_impossible_k(k: int) -> None:
    with pytest.raises(UserError, match="1 to 16384"):
        Searcher(AxisEncoder(), gallery(("a", "1"))).answer("x", k=k)


def calibration(
    *, threshold: float = 0.5, intercept: float = 0.0, reference: Reference | None = None, **slopes: float
) -> Calibration:
    return Calibration(
        curve=Curve.of(intercept, slopes),
        threshold=threshold,
        reference=reference,
        split="val",
        queries=1,
        galleries=(9.0,),
        expected_calibration_error=0.0,
        precision=1.0,
        reliable_when_present=1.0,
        reliable_when_absent=0.0,
    )


COUNTS_TRACKS = calibration(log_tracks=1.0)  # n tracks give confidence n / (n + 1)


def confidences(index: ExactIndex, judge: Calibration, **options: object) -> list[float]:
    candidates = Searcher(AxisEncoder(), index, judge).answer("a person", **options).candidates  # type: ignore[arg-type]
    return [candidate.confidence for candidate in candidates if candidate.confidence is not None]


def tracks_seen(index: ExactIndex, **options: object) -> float:
    best = confidences(index, COUNTS_TRACKS, **options)[0]
    return best / (1 - best)


def test_confidence_and_no_reliable_match() -> None:
    """The second of two tracks at cos .9 ≈ .6216: leads are .3784 and −.3784."""
    few = gallery(("a", "1"), ("a", "2"), step=0.9)
    judge = calibration(lead=10.0)
    answer = Searcher(AxisEncoder(), few, judge).answer("x")
    assert [candidate.confidence for candidate in answer.candidates] == [
        pytest.approx(1 / (1 + np.exp(-3.784)), abs=1e-4),
        pytest.approx(1 / (1 + np.exp(3.784)), abs=1e-4),
    ]
    assert answer.reliable is True
    assert Searcher(AxisEncoder(), few, calibration(lead=10.0, threshold=0.98)).answer("x").reliable is False
    assert Searcher(AxisEncoder(), few).answer("x").reliable is None
    nothing = Searcher(AxisEncoder(), few, judge).answer("x", crop_filter=CropFilter(cameras=("c",)))
    assert (nothing.candidates, nothing.reliable) == ([], False)


def test_one_stands_out_or_many_fit_or_nobody_does() -> None:
    """At angles of .5 the leads are large, at .001 nearly 0; a curve of the score alone calls all of those alike."""
    apart, alike = (gallery(*[("a", str(n)) for n in range(20)], step=step) for step in (0.3, 0.001))
    judge = calibration(intercept=-9.5, score=10.0)
    one, many = (Searcher(AxisEncoder(), index, judge).answer("x", k=1) for index in (apart, alike))
    assert (one.match, one.fitting, one.remark) == ("some", 2, "")
    assert (many.match, many.fitting) == ("many", DEPTH)
    assert many.remark.startswith("Many fit this description: 10 of the best candidates.")
    nobody = Searcher(AxisEncoder(), alike, calibration(intercept=-11.0, score=10.0)).answer("x")
    assert (nobody.match, nobody.fitting) == ("none", 0)
    assert nobody.remark.startswith("No reliable match")
    unknown = Searcher(AxisEncoder(), alike).answer("x")
    assert (unknown.match, unknown.fitting, unknown.remark) == (None, None, NEVER_CALIBRATED)


def test_how_many_fit_is_the_same_however_many_are_asked_for() -> None:
    crops = gallery(*[("a", str(n // 3)) for n in range(90)], step=0.01)
    searcher = Searcher(AxisEncoder(), crops, calibration(intercept=-9.9, score=10.0))
    expected = searcher.answer("x", k=30).fitting
    assert 3 < expected < DEPTH
    assert searcher.answer("x", k=1).fitting == expected
    assert searcher.answer("x", k=5, group_by_track=False).fitting == expected


def test_the_levels_are_those_of_reference_and_gallery() -> None:
    """16 crops at cos 0, of which one is the query's own: halfway to a reference that lies on the query."""
    crops = gallery(*[("a", str(n)) for n in range(16)], step=0.1)
    reference = Reference.of(np.array([[1, 0]], dtype=np.float32))
    given = Searcher(AxisEncoder(), crops, calibration(reference=reference)).answer("a man in a red top").given
    cosines = np.cos(0.1 * np.arange(16))
    assert (given.tracks, given.facts) == (16, 2)
    assert given.reference == Level(1.0, 0.0)
    assert given.gallery.mean == pytest.approx((1 + cosines.mean()) / 2, abs=1e-5)
    assert given.gallery.spread == pytest.approx(np.sqrt(cosines.var() / 2), abs=1e-5)
    assert Searcher(AxisEncoder(), crops, calibration()).answer("a man").given.gallery == Level()
    empty = Searcher(AxisEncoder(), ExactIndex(2), calibration(reference=reference)).answer("a man")
    assert (empty.match, empty.fitting, empty.given.gallery) == ("none", 0, Level(1.0, 0.0))


def test_erased_crops_do_not_count_and_no_vector_is_kept() -> None:
    """The first of three crops was erased, but the collection still holds it."""
    crops = gallery(("a", "1"), ("a", "2"), ("a", "3"), step=0.5)
    judge = calibration(reference=Reference.of(np.array([[1, 0]], dtype=np.float32)))
    searcher = Searcher(AxisEncoder(), crops, judge, erased_among=lambda crop_ids: list(crop_ids)[:1])
    expected = Level.of(np.cos([0.5, 1.0]), Level(1.0, 0.0))
    level = searcher.answer("x").given.gallery
    assert (level.mean, level.spread) == pytest.approx((expected.mean, expected.spread), abs=1e-6)
    assert not [kept for kept in vars(searcher).values() if isinstance(kept, np.ndarray)]


def test_a_large_gallery_is_sampled_evenly() -> None:
    crops = gallery(*[("a", str(n)) for n in range(1100)], step=0.001)
    judge = calibration(reference=Reference.of(np.array([[1, 0]], dtype=np.float32)))
    level = Searcher(AxisEncoder(), crops, judge).answer("x").given.gallery
    assert level.mean == pytest.approx(np.cos(0.001 * np.arange(1100)).mean(), abs=0.01)


def test_other_crops_of_the_same_track_take_no_lead_away() -> None:
    alone, siblings = gallery(("a", "1"), ("a", "2"), step=0.3), gallery(("a", "1"), ("a", "1"), ("a", "2"), step=0.15)
    judge = calibration(lead=10.0)
    assert confidences(siblings, judge) == pytest.approx(confidences(alone, judge), abs=1e-4)


def test_confidence_is_the_same_however_many_are_asked_for() -> None:
    many = gallery(*[("a", str(n // 3)) for n in range(90)], step=0.01)
    judge = calibration(intercept=1.0, score=2.0, lead=30.0, log_tracks=-0.5)
    all_tracks = confidences(many, judge, k=30)
    assert len(all_tracks) == 30
    assert confidences(many, judge, k=1) == all_tracks[:1]
    assert confidences(many, judge, k=90, group_by_track=False)[::3] == all_tracks


def test_the_lead_looks_at_ten_other_tracks() -> None:
    """At k=1 too; what comes after the eleventh track changes nothing."""
    judge = calibration(lead=30.0)
    eleven, more = (gallery(*[("a", str(n)) for n in range(count)], step=0.05) for count in (DEPTH + 1, 30))
    expected = 30 * (1 - np.cos(0.05 * np.arange(1, DEPTH + 1)).mean())
    for index in (eleven, more):
        assert confidences(index, judge, k=1) == [pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-4)]


def test_tracks_are_counted_in_a_small_gallery_and_estimated_in_a_large_one() -> None:
    """Of 100 crops in 50 tracks the best 44 crops show 22 tracks: 100 × 22 / 44."""
    assert tracks_seen(gallery(("a", "1"), ("a", "1"), ("a", ""), ("a", ""), ("b", "1"))) == pytest.approx(4)
    assert tracks_seen(gallery(*[("a", str(n // 2)) for n in range(100)])) == pytest.approx(50)


def test_a_filter_narrows_the_tracks_that_are_searched() -> None:
    crops = [("ab"[n % 2], str(n // 4)) for n in range(240)]  # two crops of each track at each of two cameras
    assert tracks_seen(gallery(*crops)) == pytest.approx(120)
    assert tracks_seen(gallery(*crops), crop_filter=CropFilter(cameras=("a",))) == pytest.approx(60)
    few = CropFilter(crop_ids=("00000", "00001", "00002"))
    assert tracks_seen(gallery(*crops), crop_filter=few) == pytest.approx(2)


def test_what_the_encoder_does_not_read_is_told() -> None:
    class Short(AxisEncoder):
        def text_cut_after(self, text: str) -> int | None:
            return 8 if len(text) > 8 else None

    searcher = Searcher(Short(), gallery(("a", "1")))
    assert searcher.answer("  a person in red ").text_cut_after == 8
    assert searcher.answer("a person").text_cut_after is None


OTHERS = {
    "picture": Curve(intercept=-50.0, score=0.0, lead=0.0, log_tracks=0.0),
    "exclusion": Curve(intercept=50.0, score=0.0, lead=0.0, log_tracks=0.0),
}


@pytest.mark.parametrize(
    ("query", "confidence", "match"),
    [
        (Query(("x",)), 0.5, "some"),
        (Query(picture_D=np.eye(1, 2, dtype=np.float32)[0]), 0.0, "none"),
        (Query(("x",), without=("y",)), 1.0, "many"),
        (Query(("x", "y")), None, None),
        (Query(("x", "y"), without=("y",)), None, None),
    ],
)
def test_each_kind_of_query_has_its_own_confidence(query: Query, confidence: float | None, match: str | None) -> None:
    even = CalibratedCurve(
        curve=Curve(intercept=0.0, score=0.0, lead=0.0, log_tracks=0.0), threshold=0.5, curves=OTHERS
    )
    index = gallery(("a", "1"), ("a", "2"), ("b", "3")) if match == "many" else gallery(("a", "1"), ("a", "2"))
    answer = Searcher(AxisEncoder(), index, even).answer_query(query)
    best = answer.candidates[0].confidence
    assert best == (None if confidence is None else pytest.approx(confidence, abs=1e-6))
    assert answer.match == match
    assert bool(answer.uncalibrated) == (confidence is None)


def test_what_is_not_calibrated_says_why() -> None:
    def why(curves: dict[QueryKind, Curve], query: Query) -> str:
        flat = Curve(intercept=0.0, score=0.0, lead=0.0, log_tracks=0.0)
        calibrated = CalibratedCurve(curve=flat, threshold=0.5, curves=curves)
        return Searcher(AxisEncoder(), gallery(("a", "1")), calibrated).answer_query(query).uncalibrated

    several = Query(("x", "y"), without=("z",))
    assert "one description alone, not for several descriptions and what is excluded" in why({}, several)
    assert "not calibrated for several descriptions and what is excluded in one search" in why(OTHERS, several)


def test_crops_that_came_later_are_not_shown() -> None:
    index = gallery(("a", "1"), ("a", "1"), ("b", "2"))
    crops, vectors = index.fetch(["00000"])
    index.upsert([replace(crops[0], crop_id="late", ingested_at=START + timedelta(days=1))], vectors)
    shown = Searcher(AxisEncoder(), index).answer_query(Query(("x",), ingested_until=START), group_by_track=False)
    assert [candidate.crop.crop_id for candidate in shown.candidates] == ["00000", "00001", "00002"]


def test_a_site_s_calibration_keeps_the_model_s_for_other_queries() -> None:
    flat = Curve(intercept=0.0, score=0.0, lead=0.0, log_tracks=0.0)
    site = CalibratedCurve(curve=flat.model_copy(update={"intercept": 1.0}), threshold=0.4)
    both = site.with_curves_of(CalibratedCurve(curve=flat, threshold=0.5, curves=OTHERS))
    assert (both.curve.intercept, both.threshold, dict(both.curves)) == (1.0, 0.4, OTHERS)
    assert site.with_curves_of(None) == site
