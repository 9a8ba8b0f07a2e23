"""The codes against values worked out by hand, and what they promise of a cosine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from personsearch.search.quantised import (
    Centres,
    Coding,
    as_words,
    bits_about,
    code_lengths,
    hamming,
    int8_codes,
    unit_vectors,
)


def unit(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_codes_by_hand() -> None:
    """127 for the largest number of each vector; 0.3 / 0.9 · 127 = 42.3; 0.5 / 1 · 127 = 63.5, to the even 64."""
    codes_ND = int8_codes(np.array([[-0.9, 0.3, 0.0], [1.0, 0.5, -0.002]], dtype=np.float32))
    assert codes_ND.tolist() == [[-127, 42, 0], [127, 64, 0]]
    assert codes_ND.dtype == np.int8
    np.testing.assert_allclose(code_lengths(np.array([[3, -4], [-127, 0]], dtype=np.int8)), [5, 127])
    np.testing.assert_allclose(unit_vectors(np.array([[3, -4]], dtype=np.int8)), [[0.6, -0.8]])


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_coded_cosine_is_near_the_float_one(embedding_dim: int, seed: int) -> None:
    """Each number is off by half a step at most, the vector by √D times that, the cosine by twice as much."""
    vectors_ND, queries_QD = unit((20, embedding_dim), seed), unit((5, embedding_dim), seed + 1)
    coded_ND = unit_vectors(int8_codes(vectors_ND))
    bound_N = np.abs(vectors_ND).max(axis=1) / 127 * np.sqrt(embedding_dim)
    assert (np.abs(queries_QD @ coded_ND.T - queries_QD @ vectors_ND.T) <= bound_N + 1e-6).all()
    np.testing.assert_array_equal(int8_codes(coded_ND), int8_codes(vectors_ND))


def test_bits_by_hand() -> None:
    """Nine numbers fill a byte and an eighth of the next; a number equal to the centre counts as above it."""
    vectors_ND = np.array([[1, 0, -1, 0.5, 0, 0, 0, 1, 0.1]], dtype=np.float32)
    centre_D = np.array([0.5, 0, 0, 0.5, 1, 1, 1, 0, 0], dtype=np.float32)
    assert bits_about(vectors_ND, centre_D).tolist() == [[0b11010001, 0b10000000]]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_hamming_counts_the_bits_that_differ(embedding_dim: int, seed: int) -> None:
    signs_ND = np.random.default_rng(seed).choice([-1.0, 1.0], size=(9, embedding_dim)).astype(np.float32)
    words_WN = as_words(bits_about(signs_ND, np.zeros(embedding_dim, dtype=np.float32)))
    assert words_WN.shape == (-(-embedding_dim // 64), 9)
    expected = [int((signs_ND[4] != signs_D).sum()) for signs_D in signs_ND]
    assert hamming(words_WN[:, 4], words_WN).tolist() == expected


def test_centres_are_means_that_every_reader_has_alike() -> None:
    centres = Centres.of(unit((10, 12), 0), unit((3, 12), 1))
    np.testing.assert_allclose(centres.crops_D, unit((10, 12), 0).mean(axis=0), atol=1e-3)
    read = Centres.from_text(centres.to_text())
    np.testing.assert_array_equal(read.crops_D, centres.crops_D)
    np.testing.assert_array_equal(read.queries_D, centres.queries_D)


@pytest.mark.parametrize(("oversampling", "k", "candidates"), [(1, 10, 10), (4, 10, 40), (4, 30, 100), (4, 200, 200)])
def test_candidates(oversampling: int, k: int, candidates: int) -> None:
    assert Coding("binary", oversampling).candidates(k, most=100) == candidates


def test_collections_that_differ_in_their_centres_are_coded_alike() -> None:
    assert Coding("binary", 4, Centres.zero(2)) == Coding("binary", 4)
    assert Coding("binary", 4) != Coding("binary", 5)
