"""Mixup: who is mixed with whom, and what becomes of pixels and captions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from personsearch.models.mixing import Mixing
from personsearch.training.mixup import MixupConfig, draw_mixing, join_captions

UNIT = st.floats(0, 1, exclude_max=True, width=32)


def test_numbers_decide_who_is_mixed_with_whom() -> None:
    uniform_N2 = np.array([[0.0, 0.0], [0.6, 0.5], [0.4, 0.99], [0.49, 0.4]], dtype=np.float32)
    found = draw_mixing(MixupConfig(level="pixels", ratio=0.7), uniform_N2)
    assert found.partner_N.tolist() == [1, 1, 1, 1]
    assert found.ratio_N.tolist() == pytest.approx([0.7, 1.0, 0.7, 0.7])


@given(st.integers(1, 30).flatmap(lambda count: arrays(np.float32, (count, 2), elements=UNIT)))
def test_a_mixed_pair_s_partner_is_another_one(uniform_N2: np.ndarray) -> None:
    found = draw_mixing(MixupConfig(level="features"), uniform_N2)
    mixed_N = found.ratio_N < 1
    assert torch.equal(mixed_N, found.partner_N != torch.arange(len(uniform_N2)))
    assert mixed_N.tolist() == [len(uniform_N2) > 1 and bool(row[0] < 0.5) for row in uniform_N2]
    assert ((found.partner_N >= 0) & (found.partner_N < len(uniform_N2))).all()


def test_partners_are_drawn_evenly_and_as_often_as_asked() -> None:
    uniform_N2 = np.random.default_rng(0).random((40_000, 2), dtype=np.float32)
    groups = draw_mixing(MixupConfig(level="pixels", probability=0.25), uniform_N2)
    assert (groups.ratio_N < 1).float().mean().item() == pytest.approx(0.25, abs=0.01)
    steps = (groups.partner_N - torch.arange(40_000))[groups.ratio_N < 1] % 40_000
    assert steps.float().mean().item() == pytest.approx(20_000, rel=0.02)


def test_pixels_are_blended_by_hand() -> None:
    pixels = torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 2.0]]).reshape(3, 1, 1, 2)
    found = Mixing(torch.tensor([2, 1, 1]), torch.tensor([0.5, 1.0, 0.25])).blend(pixels)
    assert found.flatten(1).tolist() == [[0.5, 2.5], [5.0, 7.0], [3.75, 5.75]]


@given(arrays(np.float32, (4, 3), elements=st.floats(-9, 9, width=32)), st.floats(0, 1, width=32))
def test_mixing_with_itself_or_not_at_all_is_the_same(pixels: np.ndarray, ratio: float) -> None:
    rows, partner = torch.from_numpy(pixels), torch.tensor([3, 0, 1, 2])
    assert torch.equal(Mixing(partner, torch.ones(4)).blend(rows), rows)
    itself = Mixing(torch.arange(4), torch.full((4,), ratio))
    assert torch.allclose(itself.blend(rows), rows, atol=1e-5)
    turned = Mixing(torch.tensor([1, 2, 3, 0]), torch.full((4,), 1 - ratio)).blend(rows)
    assert torch.allclose(Mixing(partner, torch.full((4,), ratio)).blend(rows)[partner.argsort()], turned, atol=1e-5)


def test_captions_of_mixed_pairs_are_joined() -> None:
    captions = ["a red coat", "a bag", "blue jeans"]
    mixing = Mixing(torch.tensor([2, 1, 0]), torch.tensor([0.5, 1.0, 0.0]))
    assert join_captions(captions, mixing) == ["a red coat blue jeans", "a bag", "a red coat"]
