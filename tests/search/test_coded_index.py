"""The exact index with its vectors coded, against the one that keeps floats."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from personsearch.search import exact
from personsearch.search.crop import Crop
from personsearch.search.exact import ExactIndex
from personsearch.search.filters import CropFilter
from personsearch.search.index import SCORE_DECIMALS
from personsearch.search.quantised import Centres, Coding, as_words, bits_about, hamming, int8_codes, unit_vectors
from tests.crops import make_crop

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CROP = make_crop("", camera_id="a", captured_at=NOON)
D = 24
TOLERANCE = 2 * 10.0**-SCORE_DECIMALS  # sums in another order, then rounded: equal vectors may differ by that


def unit(vectors_ND: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def crops(count: int) -> list[Crop]:
    return [replace(CROP, crop_id=f"{n:05d}", camera_id="ab"[n % 2]) for n in range(count)]


def filled(vectors_ND: NDArray[np.float32], coding: Coding) -> ExactIndex:
    index = ExactIndex(vectors_ND.shape[1], coding)
    index.upsert(crops(len(vectors_ND)), vectors_ND)
    return index


def slow_scores(
    vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32], coding: Coding, k: int
) -> dict[str, float]:
    """Code, choose candidates and score, one vector at a time."""
    coded_ND = unit_vectors(int8_codes(vectors_ND))
    chosen = list(range(len(vectors_ND)))
    if coding.vectors == "binary":
        assert coding.centres is not None
        [query_W] = as_words(bits_about(query_D[None], coding.centres.queries_D)).T
        distances = [int(hamming(query_W, as_words(bits_about(x[None], coding.centres.crops_D)))[0]) for x in coded_ND]
        farthest = sorted(distances)[: k * coding.oversampling][-1]
        chosen = [row for row in chosen if distances[row] <= farthest]
    return {f"{row:05d}": float(coded_ND[row] @ query_D) for row in chosen}


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(1, 17),
    st.tuples(st.sampled_from(["int8", "binary"]), st.integers(1, 3)),
    st.integers(0, 2**32 - 1),
)
def test_codes_candidates_blocks_and_ties_against_the_slow_oracle(count, k, block_rows, coded, seed) -> None:  # type: ignore[no-untyped-def]
    """Few directions, so that many vectors, distances and scores are equal."""
    generator = np.random.default_rng(seed)
    directions_ND, queries_QD = unit(generator.normal(size=(6, D))), unit(generator.normal(size=(3, D)))
    vectors_ND = directions_ND[generator.integers(0, 6, count)]
    coding = Coding(*coded, Centres.of(directions_ND, queries_QD))
    index = filled(vectors_ND, coding)
    before, exact.BLOCK_ROWS = exact.BLOCK_ROWS, block_rows
    try:
        found = index.search(queries_QD, k)
    finally:
        exact.BLOCK_ROWS = before
    for query_D, hits in zip(queries_QD, found, strict=True):
        scores = slow_scores(vectors_ND, query_D, coding, k)
        assert [(hit.score, hit.crop.crop_id) for hit in hits] == sorted(
            ((hit.score, hit.crop.crop_id) for hit in hits), key=lambda pair: (-pair[0], pair[1])
        )
        assert len({hit.crop.crop_id for hit in hits}) == min(k, len(scores))
        assert [hit.score for hit in hits] == pytest.approx([scores[hit.crop.crop_id] for hit in hits], abs=TOLERANCE)
        assert min(hit.score for hit in hits) >= sorted(scores.values())[-len(hits)] - TOLERANCE


@pytest.mark.parametrize(("vectors", "size"), [("float32", 4 * D), ("int8", D + 4), ("binary", D + 4 + 8)])
def test_bytes_of_a_crop(vectors, size: int) -> None:  # type: ignore[no-untyped-def]
    """A number in 4 bytes; in one, and 4 for the length of the codes; and 24 bits, which fill one word of 8 bytes."""
    index = filled(unit(np.random.default_rng(0).normal(size=(50, D))), Coding(vectors))
    assert index.vector_bytes == 50 * size


@pytest.mark.parametrize("vectors", ["int8", "binary"])
def test_changes_filters_and_a_mirror_keep_codes_beside_their_crops(vectors) -> None:  # type: ignore[no-untyped-def]
    vectors_ND = unit(np.random.default_rng(0).normal(size=(400, D)))
    coding = Coding(vectors, 3, Centres.of(vectors_ND, vectors_ND))
    index = ExactIndex(D, coding)
    for start in (200, 0, 100, 300):
        index.upsert(crops(400)[start : start + 100], vectors_ND[start : start + 100])
    index.delete(CropFilter(crop_ids=("00007", "00300")))
    index.upsert([replace(CROP, crop_id="00009")], -vectors_ND[9:10])
    mirror = ExactIndex.mirror(index, D, coding)
    for searched in (index, mirror):
        for row in (0, 8, 10, 250, 399):
            [[hit]] = searched.search(vectors_ND[row : row + 1], 1)
            assert (hit.crop.crop_id, hit.score > 0.999) == (f"{row:05d}", True)
        assert searched.search(-vectors_ND[9:10], 1)[0][0].crop.crop_id == "00009"
        [hits] = searched.search(vectors_ND[:1], 400, CropFilter(cameras=("b",)))
        assert {hit.crop.camera_id for hit in hits} == {"b"}
        assert len(hits) == 198  # of 200, one was deleted and one moved to camera a
    stored = np.concatenate([part for _, part in mirror.iterate(64)])
    np.testing.assert_array_equal(stored, np.concatenate([part for _, part in index.iterate()]))
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-6)


def test_bits_about_the_centres_find_what_bits_about_zero_lose() -> None:
    """Images and texts as a model puts them: around centres of their own, across which nothing varies."""
    generator = np.random.default_rng(0)
    basis_DD = np.linalg.qr(generator.normal(size=(64, 64)))[0]
    meaning_ND = generator.normal(size=(2000, 60)) @ basis_DD[:60]
    images_ND, texts_QD = unit(meaning_ND + 8 * basis_DD[60]), unit(meaning_ND[:50] + 8 * basis_DD[61])
    best = [{hit.crop.crop_id for hit in hits} for hits in filled(images_ND, Coding()).search(texts_QD, 10)]

    def recall(coding: Coding) -> float:
        found = filled(images_ND, coding).search(texts_QD, 10)
        return sum(len({h.crop.crop_id for h in hits} & ids) for hits, ids in zip(found, best, strict=True)) / 500

    about_zero, about_centres = (Coding("binary", 4, c) for c in (None, Centres.of(images_ND[:64], texts_QD)))
    assert recall(about_centres) > recall(about_zero) + 0.1
    assert recall(Coding("int8")) > 0.97
