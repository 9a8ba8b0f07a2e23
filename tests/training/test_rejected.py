"""Images that people rejected for a caption: whom they meet in batches, and what the loss makes of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from personsearch.data.dataset import Dataset
from personsearch.data.records import ImageRecord, write_manifest
from personsearch.data.sampler import Pairs, Rejections
from personsearch.errors import UserError
from personsearch.training.batches import Batch, BatchSource
from personsearch.training.recipe import read_recipe
from personsearch.training.step import GradientStep
from personsearch.training.train import make_run, train
from tests.training.test_step import PAIRS, gradients, make

Recipe = Callable[..., Path]
LOSSES = {"n_itc": 1.0, "rejected_images": 1.0}
REJECTED = "a red coat and red trousers"


@pytest.fixture(scope="module")
def judged(trainable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same people; two images without captions were rejected for the caption of person 0."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "images").symlink_to(trainable / "images")
    attributes = json.dumps({"rejected_for": [REJECTED]})
    records = [
        replace(record, captions=[], attributes=attributes) if record.image_id in ("5-0", "7-1") else record
        for record in Dataset.open(trainable).records()
    ]
    write_manifest(folder, records)
    return folder


def source_of(recipe: Recipe, dataset: Path, out: Path, **changes: object) -> BatchSource:
    config = read_recipe(recipe(objective={"losses": LOSSES}, **changes))
    return make_run(config, Dataset.open(dataset), out, identity="", device=torch.device("cpu")).source


def record(image_id: str, *captions: str, rejected_for: object = None) -> ImageRecord:
    attributes = None if rejected_for is None else json.dumps({"rejected_for": rejected_for})
    return ImageRecord(image_id, "", 0, "train", list(captions), "", attributes=attributes)


def test_a_pair_draws_from_the_images_rejected_for_its_caption() -> None:
    records = [record("a", "x", "y"), record("b", rejected_for=["y"]), record("c", "z", rejected_for=["y", "w"])]
    rejections = Rejections.of(records, Pairs.of(records))
    assert {pair: images.tolist() for pair, images in rejections.images_of_pair.items()} == {1: [1, 2]}
    drawn = {rejections.draw(1, np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {1, 2}
    assert rejections.draw(0, np.random.default_rng(0)) is None


@pytest.mark.parametrize("value", [None, "a text", [1], {"a": 1}])
def test_what_is_no_list_of_texts_rejects_nothing(value: object) -> None:
    assert record("a", rejected_for=value).rejected_for == []


def test_only_pairs_with_a_rejected_image_get_one(judged: Path, recipe: Recipe, tmp_path: Path) -> None:
    source = source_of(recipe, judged, tmp_path)
    found = 0
    for batch in source.epoch(0):
        assert batch.rejected_N is not None
        wrong_N3HW = batch.images["rejected"]
        assert wrong_N3HW.shape == batch.images["image"].shape
        assert not wrong_N3HW[~batch.rejected_N].any()
        for row in batch.rejected_N.nonzero()[:, 0].tolist():
            assert batch.person_ids_N[row] == 0
            assert (wrong_N3HW[row] - batch.images["image"][row]).abs().mean() > 0.3
            found += 1
    assert found == 2  # both images of person 0, each with that caption


def test_a_run_draws_the_same_and_other_views_stay_what_they_are(judged: Path, recipe: Recipe, tmp_path: Path) -> None:
    source, again = (source_of(recipe, judged, tmp_path / name) for name in "ab")
    plain = replace(source, rejections=None)
    for one, other, without in zip(source.epoch(1), again.epoch(1), plain.epoch(1), strict=True):
        assert torch.equal(one.images["rejected"], other.images["rejected"])
        assert torch.equal(one.images["image"], without.images["image"])


def test_a_mixed_image_gets_none(judged: Path, recipe: Recipe, tmp_path: Path) -> None:
    source = source_of(recipe, judged, tmp_path, mixup={"level": "pixels", "probability": 1.0})
    assert not any(batch.rejected_N.any() for batch in source.epoch(0) if batch.rejected_N is not None)


def with_rejected(batch: Batch, rejected_N: torch.Tensor) -> Batch:
    return replace(batch, rejected_N=rejected_N)


def test_only_rejected_images_pass_through_the_image_tower_again() -> None:
    model, objective, made = make(LOSSES)
    rejected_N = torch.arange(PAIRS) % 5 == 1
    batch = with_rejected(made, rejected_N)
    seen: list[int] = []
    features = model.image_features
    model.image_features = lambda pixels: seen.append(len(pixels)) or features(pixels)  # type: ignore[method-assign]
    loss = GradientStep(model, objective)(batch, 0.0)["rejected_images"].item()
    assert seen == [PAIRS + 3]
    right, wrong = (model.encode_image(batch.images[view]) for view in ("image", "rejected"))
    lead = ((right - wrong) * model.encode_text(batch.texts["text"])).sum(dim=1)[rejected_N]
    expected = torch.log1p(torch.exp(-model.logit_scale() * lead)).mean().item()
    assert loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rows", [[1, 6, 11], [11], []])
def test_chunks_give_the_gradient_of_the_whole_batch(rows: list[int]) -> None:
    """Also where a chunk has no rejected image."""
    found = []
    for chunk_size in (None, 4):
        model, objective, made = make(LOSSES)
        rejected_N = torch.zeros(PAIRS, dtype=torch.bool)
        rejected_N[rows] = True
        GradientStep(model, objective, chunk_size)(with_rejected(made, rejected_N), 0.0)
        found.append(gradients(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-5, rtol=1e-4)


def test_a_model_trains_with_it(judged: Path, recipe: Recipe, tmp_path: Path) -> None:
    metrics = train(read_recipe(recipe(objective={"losses": LOSSES})), judged, tmp_path / "run")
    assert metrics["val_r1"] > 0


def test_a_data_set_without_rejections_is_refused(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rejected_images: no image was rejected for a training caption"):
        source_of(recipe, trainable, tmp_path)
