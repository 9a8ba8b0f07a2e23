"""Division of pairs into right and wrong ones, on losses and features whose truth is known."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from personsearch.losses.tal import tal_per_pair
from personsearch.training.noise import (
    PAIR_LOSSES,
    NoiseConfig,
    clean_probability,
    consensus,
    divide_pairs,
    per_pair_losses,
    trust,
)

PAIRS, PERSONS, WRONG = 600, 300, 120
Noisy = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]


def unit(features_PD: NDArray[np.float64]) -> NDArray[np.float32]:
    lengths: NDArray[np.float64] = np.linalg.norm(features_PD, axis=1, keepdims=True)
    return (features_PD / lengths).astype(np.float32)


@pytest.fixture(scope="module")
def noisy() -> Noisy:
    """Two pairs of each of 300 persons; 120 pairs carry the text of the next of them."""
    numbers = np.random.default_rng(0)
    ids = np.arange(PAIRS) % PERSONS
    persons = numbers.normal(size=(PERSONS, 64))
    image, text = (unit(persons[ids] + 0.7 * numbers.normal(size=(PAIRS, 64))) for _ in range(2))
    wrong = np.zeros(PAIRS, dtype=bool)
    wrong[numbers.choice(PERSONS, WRONG, replace=False)] = True
    text[wrong] = np.roll(text[wrong], 1, axis=0)
    return image, text, ids, wrong


def test_one_chunk_is_the_loss_of_the_whole(noisy: Noisy) -> None:
    image, text, ids, _ = noisy
    found = per_pair_losses(image, text, ids, tal_per_pair, chunk_size=PAIRS, generator=np.random.default_rng(0))
    whole = tal_per_pair(torch.from_numpy(image @ text.T), torch.from_numpy(ids))
    assert found == pytest.approx(whole.numpy(), abs=1e-5)


@pytest.mark.parametrize("chunk_size", [7, 100, 599, 5000])
def test_every_pair_meets_one_chunk_of_nearly_equal_size(noisy: Noisy, chunk_size: int) -> None:
    """A loss that counts its chunk: sizes differ by one at most and none is above the limit."""

    def count(similarity: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.full((len(similarity),), float(len(similarity)))

    image, text, ids, _ = noisy
    sizes = per_pair_losses(image, text, ids, count, chunk_size=chunk_size, generator=np.random.default_rng(0))
    assert sizes.max() <= min(chunk_size, PAIRS)
    assert sizes.max() - sizes.min() <= 1


def test_wrong_pairs_are_found(noisy: Noisy) -> None:
    image, text, ids, wrong = noisy
    division = divide_pairs(NoiseConfig(), image, text, ids, seed=0, epoch=0)
    assert (division.votes_P[wrong] == 0).mean() > 0.95
    assert (division.votes_P[~wrong] == 2).mean() > 0.95
    shares = division.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["pairs_noisy"] == (division.votes_P == 0).mean()


def test_everything_follows_from_seed_and_epoch(noisy: Noisy) -> None:
    image, text, ids, _ = noisy
    divide = partial(divide_pairs, NoiseConfig(threshold=0.9), image, text, ids)
    first, again, other = divide(seed=1, epoch=2), divide(seed=1, epoch=2), divide(seed=1, epoch=3)
    assert np.array_equal(first.votes_P, again.votes_P)
    assert np.array_equal(first.trust_P, again.trust_P)
    assert not np.array_equal(first.trust_P, other.trust_P)


def test_a_pair_nearer_than_all_others_has_no_loss_however_little() -> None:
    """TAL's hinge of cosines .5 against .42 thrice is τ ln 3 short of .08: 0 without a margin, .036 twice with .1."""
    similarity, ids = torch.full((4, 4), 0.42) + 0.08 * torch.eye(4), torch.arange(4)
    assert PAIR_LOSSES["tal"](similarity, ids).tolist() == [0, 0, 0, 0]
    assert tal_per_pair(similarity, ids).tolist() == pytest.approx([0.073] * 4, abs=1e-3)
    assert PAIR_LOSSES["info_nce"](similarity, ids).max() < 1e-5


def test_two_heaps_of_losses_are_told_apart() -> None:
    numbers = np.random.default_rng(0)
    losses = np.concatenate([numbers.normal(1, 0.2, 900), numbers.normal(3, 0.3, 100)]).astype(np.float32)
    probability = clean_probability(losses)
    assert (probability[:900] > 0.99).mean() > 0.99
    assert (probability[900:] < 0.01).mean() > 0.99


def test_equal_losses_speak_against_no_pair() -> None:
    assert clean_probability(np.full(9, 3.0, dtype=np.float32)).tolist() == [1.0] * 9


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.05, 2), st.floats(0.05, 2))
def test_probability_never_rises_with_the_loss_and_knows_no_order_or_unit(
    seed: int, narrow: float, wide: float
) -> None:
    numbers = np.random.default_rng(seed)
    losses = np.concatenate([numbers.normal(1, narrow, 150), numbers.normal(3, wide, 50)]).astype(np.float32)
    probability = clean_probability(losses)
    assert (np.diff(probability[losses.argsort()]) <= 1e-9).all()
    order = numbers.permutation(200)
    assert np.array_equal(clean_probability(losses[order]), probability[order])
    assert clean_probability(4 * losses) == pytest.approx(probability, abs=1e-4)


def test_the_smallest_losses_stay_clean_beside_a_wide_heap_of_noise() -> None:
    """The wide Gaussian is denser than the narrow one far to the left, too: losses there are clean all the same."""
    numbers = np.random.default_rng(0)
    losses = np.concatenate([numbers.normal(2, 0.1, 500), numbers.normal(3, 1.0, 500).clip(2), [0.0]])
    assert clean_probability(losses.astype(np.float32))[-1] > 0.5


def test_consensus_counts_votes_above_the_threshold() -> None:
    first, second = np.array([0.9, 0.9, 0.1, 0.1, 0.5]), np.array([0.8, 0.2, 0.8, 0.2, 0.8])
    assert consensus([first, second], 0.5).tolist() == [2, 1, 1, 0, 1]
    assert consensus([first, second], 0.85).tolist() == [1, 1, 0, 0, 0]


def test_uncertain_pairs_are_decided_by_a_fair_coin() -> None:
    votes = np.array([2, 0, 1] * 1000, dtype=np.int8)
    weights = trust(votes, np.random.default_rng(0))
    assert weights.dtype == np.float32
    assert set(weights[votes == 2]) == {1.0}
    assert set(weights[votes == 0]) == {0.0}
    assert set(weights[votes == 1]) == {0.0, 1.0}
    assert 0.45 < weights[votes == 1].mean() < 0.55
