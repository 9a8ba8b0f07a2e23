"""Wrong captions in batches: whom they belong to, and that a run draws them again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.training.batches import Batch, BatchSource
from personsearch.training.config import TrainConfig
from personsearch.training.recipe import read_recipe
from personsearch.training.train import make_run

Recipe = Callable[..., Path]
LOSSES = {"n_itc": 1.0, "swapped_captions": 1.0}


def source_of(recipe: Recipe, dataset: Path, out: Path, share: float = 1.0, **changes: object) -> BatchSource:
    config = read_recipe(recipe(objective={"losses": LOSSES, "swapped_share": share}, **changes))
    return make_run(config, Dataset.open(dataset), out, identity="", device=torch.device("cpu")).source


def tokens(batch: Batch, view: str, row: int) -> list[int]:
    return batch.texts[view][row].tolist()


def test_pairs_get_captions_that_differ_in_one_colour(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    batch = next(iter(source_of(recipe, trainable, tmp_path, text_augmentation={"random_deletion": 0}).epoch(0)))
    assert batch.swapped_N is not None
    assert batch.swapped_N.sum() >= 10  # a colour is drawn in vain where it is the right one
    assert batch.texts["swapped"].shape == batch.texts["text"].shape
    for row in batch.swapped_N.nonzero()[:, 0].tolist():
        right, wrong = tokens(batch, "text", row), tokens(batch, "swapped", row)
        assert right != wrong
        assert len(set(right) & set(wrong)) >= len(set(right)) - 2


def test_a_share_of_the_pairs_is_drawn_by_the_seed(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    source, again = (source_of(recipe, trainable, tmp_path / name, 0.5) for name in "ab")
    batches = [list(each.epoch(epoch)) for each in (source, again) for epoch in (0, 1)]
    first, second, repeated, _ = (torch.cat([batch.swapped_N for batch in epoch]) for epoch in batches)
    assert torch.equal(first, repeated)
    assert not torch.equal(first, second)
    assert 0.2 < first.float().mean() < 0.8
    for one, other in zip(batches[0], batches[2], strict=True):
        assert torch.equal(one.texts["swapped"], other.texts["swapped"])
    (resumed, *_) = source.epoch(0, first_step=1)
    assert torch.equal(resumed.texts["swapped"], batches[0][1].texts["swapped"])


def test_other_views_stay_what_they_are(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    with_it = source_of(recipe, trainable, tmp_path / "a")
    without = replace(with_it, text_views=("text",), facts=None)
    for one, other in zip(with_it.epoch(0), without.epoch(0), strict=True):
        length = other.texts["text"].shape[1]
        assert torch.equal(one.texts["text"][:, :length], other.texts["text"])
        assert torch.equal(one.images["image"], other.images["image"])


def test_a_mixed_image_gets_none(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    mixup = {"level": "pixels", "probability": 1.0}
    batch = next(iter(source_of(recipe, trainable, tmp_path, mixup=mixup).epoch(0)))
    assert batch.swapped_N is not None
    assert not batch.swapped_N.any()


def test_features_are_not_mixed_with_it(recipe: Recipe) -> None:
    with pytest.raises((UserError, ValueError), match="one text view"):
        read_recipe(recipe(objective={"losses": LOSSES}, mixup={"level": "features"}))


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_is_above_0_and_at_most_1(share: float) -> None:
    with pytest.raises(ValueError, match="swapped_share"):
        TrainConfig.model_validate({"objective": {"swapped_share": share}})
