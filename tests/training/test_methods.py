"""Every method goes through the one training stage: it changes what it trains, and its bundle encodes alone."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from personsearch.bundle import WEIGHTS, Bundle
from personsearch.data.records import read_manifest, write_manifest
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.training.recipe import read_recipe
from personsearch.training.train import train
from tests.training.small_models import SMALL_CTLG

Recipe = Callable[..., Path]
FULL = {"n_itc": 0.5, "mvs_i": 0.5, "r_itc": 1.0, "c_itc": 0.1, "ss_i": 0.4}
TEXTS = ["a red coat and blue trousers", "green"]


def model_of(recipe: Recipe, **changes: Any) -> dict[str, Any]:
    section: dict[str, Any] = yaml.safe_load(recipe().read_text())["model"] | changes
    return section


def encode(bundle: Path) -> np.ndarray:
    """Vectors of two texts and two images."""
    encoder, noise = TorchEncoder.from_bundle(Bundle.open(bundle), "cpu"), np.random.default_rng(0)
    images = encoder.encode_images(noise.integers(0, 255, (2, 32, 16, 3), dtype=np.uint8))
    return np.concatenate([encoder.encode_texts(TEXTS), images])


@pytest.mark.parametrize(
    "losses", [FULL, {"n_itc": 1.0, "mvs_t": 0.5, "ss_it": 0.4}, {"n_itc": 1.0, "tal": 0.5, "sdm": 0.5}]
)
def test_tbps_clip_trains_by_any_of_its_losses(
    trainable: Path, recipe: Recipe, tmp_path: Path, losses: dict[str, float]
) -> None:
    path = recipe(objective={"losses": losses}, epochs=10)
    metrics = train(read_recipe(path), trainable, tmp_path / "run")
    assert metrics["val_map"] > 60
    stored = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert any(name.startswith("objective.heads.") for name in stored) == any(name.startswith("ss_") for name in losses)
    assert not any("heads" in name for name in load_file(tmp_path / "run" / "bundle" / WEIGHTS))


@pytest.mark.parametrize("kind", ["cskt", "lora", "coop", "clip_adapter"])
def test_an_adaptation_leaves_the_backbone_alone_and_its_checkpoint_holds_the_trained_part(
    trainable: Path, recipe: Recipe, tmp_path: Path, kind: str
) -> None:
    train(read_recipe(recipe(epochs=4)), trainable, tmp_path / "start")
    start = str(tmp_path / "start" / "bundle")
    adaptation = {"kind": kind} | ({"prompts": 2} if kind == "cskt" else {})
    model = model_of(recipe, weights=start, adaptation=adaptation, architecture=None)
    path = recipe(model=model, objective={"losses": {"sdm": 1.0}})
    train(read_recipe(path), trainable, tmp_path / "run")
    before, after = (load_file(tmp_path / run / "bundle" / WEIGHTS) for run in ("start", "run"))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    added = after.keys() - before.keys()
    best = load_file(tmp_path / "run" / "checkpoints" / "best.safetensors")
    assert added
    assert best.keys() == added
    assert Bundle.open(tmp_path / "run" / "bundle").spec.architecture["adaptation"]["kind"] == kind
    assert not np.allclose(encode(tmp_path / "run" / "bundle"), encode(tmp_path / "start" / "bundle"), atol=1e-5)


@pytest.mark.parametrize("level", ["none", "pixels", "features"])
def test_ctlg_trains_two_towers_from_nothing(trainable: Path, recipe: Recipe, tmp_path: Path, level: str) -> None:
    path = recipe(
        model=SMALL_CTLG,
        objective={"losses": {"info_nce": 1.0}, "settings": {"info_nce": {"temperature": 0.2}}},
        mixup={"level": level, "probability": 0.2},
        optimiser={"lr": 2e-3, "clip_norm": 1.0},
        text_augmentation={"random_deletion": 0},
        epochs=20,
    )
    metrics = train(read_recipe(path), trainable, tmp_path / "run")
    assert metrics["val_map"] > 55
    assert encode(tmp_path / "run" / "bundle").shape == (4, 16)


def test_mixed_features_take_no_chunks(recipe: Recipe) -> None:
    with pytest.raises(UserError, match=r"mixup\.level features: needs chunk_size null"):
        read_recipe(
            recipe(model=SMALL_CTLG, objective={"losses": {"info_nce": 1}}, mixup={"level": "features"}, chunk_size=8)
        )


def test_bf16_on_a_cpu_learns_as_fp32_does(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    metrics = train(read_recipe(recipe(epochs=8, precision="bf16")), trainable, tmp_path / "run")
    assert metrics["val_map"] > 60
    assert load_file(tmp_path / "run" / "bundle" / WEIGHTS)["visual.conv1.weight"].dtype == torch.float32


def test_noisy_pairs_are_told_apart_before_each_epoch(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    path = recipe(objective={"losses": {"tal": 1.0}}, noise={"start_epoch": 1, "chunk_size": 16})
    train(read_recipe(path), trainable, tmp_path / "run")
    files = sorted(file.name for file in (tmp_path / "run" / "checkpoints").glob("trust-*"))
    assert files == ["trust-1.npy", "trust-2.npy"]
    trust = np.load(tmp_path / "run" / "checkpoints" / "trust-2.npy")
    assert trust.shape == (48,)
    assert set(np.unique(trust)) <= {0.0, 1.0}


def test_few_shot_and_zero_shot(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    train(read_recipe(recipe(train_fraction=0.5, batch_size=8)), trainable, tmp_path / "few")
    card = (tmp_path / "few" / "bundle" / "MODEL_CARD.md").read_text()
    assert "12, 24, 6" in card  # images, captions, persons
    metrics = train(read_recipe(recipe(epochs=0)), trainable, tmp_path / "zero")
    assert metrics["steps"] == 0
    record = json.loads((tmp_path / "zero" / "run.json").read_text())
    assert record["metrics"]["val_r1"] == metrics["val_r1"]


def test_a_text_tower_that_sees_its_padding_trains(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    """In SigLIP's form: no causal mask, the last position pooled."""
    architecture = model_of(recipe)["architecture"]
    text = architecture["text_cfg"] | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
    model = model_of(recipe, architecture=architecture | {"text_cfg": text, "custom_text": True})
    metrics = train(read_recipe(recipe(model=model, epochs=8)), trainable, tmp_path / "run")
    assert metrics["val_map"] > 60
    assert encode(tmp_path / "run" / "bundle").shape == (4, 16)


STEM: dict[str, Any] = {"stem": {"widths": [4, 8]}}


class KilledAt:
    """Stops a run at a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_start(self, config: Mapping[str, object]) -> None: ...

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...

    def on_end(self, metrics: Mapping[str, float]) -> None: ...

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        assert {"attributes", "short_queries", "swapped_captions"} <= metrics.keys()
        if step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stem", [{}, STEM])
def test_facts_train_the_towers_and_a_killed_run_resumes(
    trainable: Path, recipe: Recipe, tmp_path: Path, stem: dict[str, Any]
) -> None:
    model = model_of(recipe, architecture=model_of(recipe)["architecture"] | stem, frozen=[])
    losses = {"n_itc": 1.0, "attributes": 1.0, "short_queries": 1.0, "swapped_captions": 1.0}
    path = recipe(model=model, objective={"losses": losses}, epochs=2, checkpoint_every=1)
    whole = train(read_recipe(path), trainable, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(read_recipe(path), trainable, tmp_path / "killed", callbacks=[KilledAt(3)])
    assert train(read_recipe(path), trainable, tmp_path / "killed") == whole
    names = ("whole", "killed")
    first, second = (load_file(tmp_path / name / "bundle" / WEIGHTS) for name in names)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_image_tower_can_learn_facts_alone(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    metrics = train(read_recipe(recipe(objective={"losses": {"attributes": 1.0}})), trainable, tmp_path / "run")
    assert metrics["steps"] > 0


def test_a_data_set_without_facts_is_refused(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    unknown = [replace(each, captions=["x y", "z"]) for each in read_manifest(trainable)]
    shutil.copytree(trainable, tmp_path / "unknown")
    write_manifest(tmp_path / "unknown", unknown)
    with pytest.raises(UserError, match=r"losses.attributes: no image has attributes or words that it knows"):
        train(read_recipe(recipe(objective={"losses": {"attributes": 1.0}})), tmp_path / "unknown", tmp_path / "run")


def test_a_stem_that_is_trained_takes_no_chunks(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    architecture = model_of(recipe)["architecture"] | STEM
    trained, frozen = (model_of(recipe, architecture=architecture, frozen=names) for names in ([], ["visual.conv1"]))
    with pytest.raises(UserError, match="chunk_size: expected null"):
        train(read_recipe(recipe(model=trained, chunk_size=8)), trainable, tmp_path / "trained")
    assert train(read_recipe(recipe(model=frozen, chunk_size=8)), trainable, tmp_path / "frozen")["steps"] > 0


def test_patches_learn_the_parts_that_they_show(trainable: Path, recipe: Recipe, tmp_path: Path) -> None:
    known = [
        replace(each, attributes=json.dumps({"gender": "man", "layout": ("i" * 64) + ("l" * 64)}))
        for each in read_manifest(trainable)
    ]
    shutil.copytree(trainable, tmp_path / "known")
    write_manifest(tmp_path / "known", known)
    still = {"policy": "stack", "operations": []}
    objective = {"losses": {"layout": 1.0, "attributes": 1.0}}
    path = recipe(objective=objective, image_augmentation=still, epochs=20)
    watch = LossesOf("layout")
    train(read_recipe(path), tmp_path / "known", tmp_path / "run", callbacks=[watch])
    assert watch.values[-1] < watch.values[0] / 3
    with pytest.raises(UserError, match=r"losses\.layout: no image has the attribute `layout`"):
        train(read_recipe(path), trainable, tmp_path / "none")
    with pytest.raises(UserError, match=r"losses\.layout: needs image_augmentation"):
        read_recipe(recipe(objective=objective))


class LossesOf:
    """Keeps one loss of each step."""

    def __init__(self, name: str) -> None:
        self.name, self.values = name, list[float]()

    def on_start(self, config: Mapping[str, object]) -> None: ...

    def on_epoch(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...

    def on_end(self, metrics: Mapping[str, float]) -> None: ...

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.values.append(metrics[self.name])
