"""Mixup: who is mixed with whom, and what becomes of pixels and captions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from personsearch.augmentation.randomness import TEXT_STREAM, sample_generator, uniform_rows
from personsearch.augmentation.text import edit_caption
from personsearch.data.dataset import Dataset
from personsearch.models.mixing import Mixing
from personsearch.training.batches import MIXING, Batch, BatchSource
from personsearch.training.mixup import MixupConfig, Partners, draw_mixing, draw_partners
from personsearch.training.recipe import read_recipe
from personsearch.training.train import make_run

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


def test_partners_come_from_the_whole_data_set() -> None:
    uniform_N2 = np.random.default_rng(0).random((40_000, 2), dtype=np.float32)
    found = draw_partners(MixupConfig(level="pixels", probability=0.25, ratio=0.7), uniform_N2, 7)
    assert len(found.rows_K) == pytest.approx(10_000, rel=0.03)
    assert found.rows_K.tolist() == np.flatnonzero(uniform_N2[:, 0] < 0.25).tolist()
    assert (np.bincount(found.pairs_K) / len(found.pairs_K)).tolist() == pytest.approx([1 / 7] * 7, abs=0.02)
    assert found.ratio == 0.7


@pytest.mark.parametrize(
    ("ratio", "joined"), [(0.5, "a red coat blue jeans"), (1.0, "a red coat"), (0.0, "blue jeans")]
)
def test_captions_of_mixed_pairs_are_joined(ratio: float, joined: str) -> None:
    assert Partners(np.array([0]), np.array([1]), ratio).join("a red coat", "blue jeans") == joined


@pytest.fixture
def source(trainable: Path, recipe: Callable[..., Path], tmp_path: Path) -> BatchSource:
    """Batches of 16 of 48 pairs, all of them mixed and edited, their images not augmented."""
    path = recipe(
        mixup={"level": "pixels", "probability": 1.0, "ratio": 0.75},
        image_augmentation={"policy": "stack", "operations": []},
        text_augmentation={"back_translation": 0, "random_deletion": 0, "approximate_text": 1.0},
    )
    config, device = read_recipe(path), torch.device("cpu")
    return make_run(config, Dataset.open(trainable), tmp_path / "run", identity="", device=device).source


def mixed_batch(source: BatchSource, step: int) -> tuple[Batch, np.ndarray, np.ndarray]:
    """A batch of the first epoch, its pairs, and the pairs that they are mixed with."""
    pairs_N = source.sampler.batch(source.sampler.order(0), step)
    partners = draw_partners(source.mixup, uniform_rows(source.sampler.seed, 0, pairs_N, 2, MIXING), len(source.pairs))
    return next(source.epoch(0, step)), pairs_N, partners.pairs_K


def test_a_mixed_image_is_its_share_of_both(source: BatchSource) -> None:
    batch, pairs_N, others_N = mixed_batch(source, 0)
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (source.preprocessing.mean, source.preprocessing.std)
    )
    own, other = (
        torch.from_numpy(source.pixels_GHW3[source.pixel_rows_G[source.pairs.image_P[pairs]]]).permute(0, 3, 1, 2) / 255
        for pairs in (pairs_N, others_N)
    )
    assert torch.allclose(batch.images["image"] * std + mean, 0.75 * own + 0.25 * other, atol=1e-5)


def test_captions_are_joined_before_they_are_edited(source: BatchSource) -> None:
    batch, pairs_N, others_N = mixed_batch(source, 0)

    def caption(pair: int) -> str:
        return source.records[source.pairs.image_P[pair]].captions[source.pairs.caption_P[pair]]

    texts = []
    for pair, other in zip(pairs_N.tolist(), others_N.tolist(), strict=True):
        generator = sample_generator(source.sampler.seed, 0, pair, TEXT_STREAM)
        generator.random(2)  # whether either caption is replaced by its back-translation
        texts.append(edit_caption(source.text_augmentation, f"{caption(pair)} {caption(other)}", generator))
    expected = torch.from_numpy(source.tokenizer.encode(texts))
    assert torch.equal(batch.texts["text"], expected[:, : batch.texts["text"].shape[1]])


def test_a_partner_is_in_the_batch_no_more_often_than_any_pair(source: BatchSource) -> None:
    """A partner's own caption is a false negative where it stands in the same batch."""
    there = []
    for epoch in range(60):
        order = source.sampler.order(epoch)
        for step in range(source.sampler.steps_per_epoch):
            pairs_N = source.sampler.batch(order, step)
            uniform_N2 = uniform_rows(source.sampler.seed, epoch, pairs_N, 2, MIXING)
            there += np.isin(draw_partners(source.mixup, uniform_N2, len(source.pairs)).pairs_K, pairs_N).tolist()
    assert np.mean(there) == pytest.approx(16 / 48, abs=0.03)
