"""Pruning a bundle: how much of each layer, which units, and a smaller bundle that exports and trains."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, Bundle
from personsearch.compression.export import export_onnx
from personsearch.compression.importance import Module, loss_importance, magnitude_importance
from personsearch.compression.pruning import PruningConfig, Shares, apportion, plan_pruning, prune, read_probe
from personsearch.compression.samples import PairBatch, PairSample, sample_pairs
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.losses.n_itc import n_itc
from personsearch.losses.soft_labels import identity_targets
from personsearch.models.build import build_model, load_bundle_model
from personsearch.models.clip import DualEncoder
from personsearch.models.config import ModelConfig
from personsearch.models.pruned import Pruned, Remaining, block_of
from personsearch.models.vocabulary import learn_tokenizer

PLAN = Pruned(
    text={1: Remaining(heads=1, feed_forward=40), 2: Remaining(feed_forward=0)},
    image={2: Remaining(heads=0, feed_forward=64)},
)


@pytest.fixture(scope="module")
def pruned_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pruned") / "bundle"
    prune(Bundle.open(tiny_bundle), PLAN, folder)
    return folder


def plain(bundle: Path) -> DualEncoder:
    model = load_bundle_model(Bundle.open(bundle)).model
    assert isinstance(model, DualEncoder)
    return model


@pytest.mark.parametrize(
    ("total", "present", "weights", "gone"),
    [
        (0, [4, 4], [1.0, 1.0], [0, 0]),
        (4, [4, 4], [1.0, 1.0], [2, 2]),
        (4, [8, 8], [3.0, 1.0], [3, 1]),
        (6, [8, 4], [1.0, 1.0], [4, 2]),
        (6, [4, 8], [3.0, 1.0], [3, 3]),  # the first has no more to give
        (3, [4, 4], [0.0, 1.0], [0, 3]),
        (4, [4, 4], [0.0, 1.0], [1, 3]),
        (99, [4, 1, 0], [1.0, 1.0, 1.0], [3, 0, 0]),
    ],
)
def test_layers_give_in_proportion_and_keep_one(
    total: int, present: list[int], weights: list[float], gone: list[int]
) -> None:
    assert apportion(total, present, weights) == gone


@given(layers=st.lists(st.tuples(st.integers(1, 20), st.floats(0, 2)), min_size=1, max_size=6), data=st.data())
def test_exactly_as_many_go_as_asked_for(layers: list[tuple[int, float]], data: st.DataObject) -> None:
    present, weights = zip(*layers, strict=True)
    total = data.draw(st.integers(0, sum(present) - len(present)))
    gone = apportion(total, present, weights)
    assert sum(gone) == total
    assert all(0 <= lost < units for lost, units in zip(gone, present, strict=True))


def test_the_plan_takes_less_where_the_probe_says_that_it_matters(tiny_bundle: Path) -> None:
    half = PruningConfig(text=Shares(heads=0.5, feed_forward=0.25), multiple=8)
    assert plan_pruning(half, Bundle.open(tiny_bundle)).section() == {
        "text": {"1": {"heads": 1, "feed_forward": 96}, "2": {"heads": 1, "feed_forward": 96}}
    }
    probe = {"text": {"attention": [2.0, 0.1], "feed_forward": [1.75, 0.25]}}
    # 64 of 256 neurons in the proportion of 0.25 to 1.75; of four heads only one can go where it does not matter
    assert plan_pruning(half, Bundle.open(tiny_bundle), probe).section() == {
        "text": {"1": {"heads": 1, "feed_forward": 120}, "2": {"heads": 1, "feed_forward": 72}}
    }
    with pytest.raises(UserError, match="figures of 3 layers, the model has 2"):
        plan_pruning(half, Bundle.open(tiny_bundle), {"text": {"attention": [1.0, 1.0, 1.0]}})


def test_the_probe_s_sums_are_read(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    path.write_text(json.dumps({"r1": 1.0, "towers": {"text": {"sum": {"attention": [1.0], "layer": [2.0]}}}}))
    assert read_probe(path) == {"text": {"attention": [1.0], "layer": [2.0]}}
    path.write_text("[]")
    with pytest.raises(UserError, match="not a probe's figures"):
        read_probe(path)


def gated_loss(model: DualEncoder, batch: PairBatch, kind: str, gates_NU: torch.Tensor) -> torch.Tensor:
    """The loss when each text's units of the second layer are scaled."""
    block = block_of(model.clip, "text", 2)
    linear = block.attn.out_proj if kind == "attention" else block.mlp.c_proj

    def scale(_: object, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        return (inputs[0].unflatten(2, (gates_NU.shape[1], -1)) * gates_NU[:, None, :, None]).flatten(2)

    handle = linear.register_forward_pre_hook(scale)
    logits = model.logit_scale() * model.encode_image(batch.pixels) @ model.encode_text(batch.ids).T
    handle.remove()
    return n_itc(logits, identity_targets(batch.person_ids), alpha=0.0)


@pytest.mark.parametrize(("kind", "units"), [("attention", 2), ("feed_forward", 128)])
def test_importance_is_the_gradient_at_a_gate(tiny_bundle: Path, training_split: Path, kind: Any, units: int) -> None:
    built = load_bundle_model(Bundle.open(tiny_bundle))
    assert isinstance(built.model, DualEncoder)
    batches = list(sample_pairs(PairSample(pairs=16, batch_size=8), built, Dataset.open(training_split)))
    assert [len(batch.person_ids) for batch in batches] == [8, 8]
    wanted = torch.zeros(units)
    for batch in batches:
        gates = torch.ones(8, units, requires_grad=True)
        (gradient_NU,) = torch.autograd.grad(gated_loss(built.model, batch, kind, gates), gates)
        wanted += gradient_NU.abs().sum(dim=0) / 16
    found = loss_importance(built.model, batches)[Module("text", 2, kind)]
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-4)


@torch.no_grad()
def test_units_without_weight_are_the_least_important(tiny_bundle: Path) -> None:
    model = plain(tiny_bundle)
    block = block_of(model.clip, "image", 1)
    block.attn.out_proj.weight[:, 16:] = 0  # the second of two heads of 16
    block.mlp.c_proj.weight[:, 5] = 0
    importance = magnitude_importance(model)
    assert importance[Module("image", 1, "attention")].argmin() == 1
    assert importance[Module("image", 1, "attention")][1] == 0
    assert importance[Module("image", 1, "feed_forward")].argmin() == 5


def test_a_pruned_bundle_is_whole_and_prunes_further(tiny_bundle: Path, pruned_bundle: Path, tmp_path: Path) -> None:
    spec = Bundle.open(pruned_bundle).spec
    assert spec.lineage.parent == Bundle.open(tiny_bundle).fingerprint
    assert spec.architecture["pruned"] == PLAN.section()
    again = Pruned(text={1: Remaining(feed_forward=16)}, image={1: Remaining(heads=1)})
    prune(Bundle.open(pruned_bundle), again, tmp_path / "again")
    assert Bundle.open(tmp_path / "again").spec.architecture["pruned"] == {
        "text": {"1": {"heads": 1, "feed_forward": 16}, "2": {"feed_forward": 0}},
        "image": {"1": {"heads": 1}, "2": {"heads": 0, "feed_forward": 64}},
    }
    with pytest.raises(UserError, match="layer 1 has 40 units, 41 cannot remain"):
        prune(Bundle.open(pruned_bundle), Pruned(text={1: Remaining(feed_forward=41)}), tmp_path / "wider")
    with pytest.raises(UserError, match="there is no layer 3"):
        prune(Bundle.open(tiny_bundle), Pruned(text={3: Remaining(heads=1)}), tmp_path / "deeper")


def test_what_matters_to_the_loss_stays(tiny_bundle: Path, training_split: Path, tmp_path: Path) -> None:
    built = load_bundle_model(Bundle.open(tiny_bundle))
    assert isinstance(built.model, DualEncoder)
    sample = PairSample(pairs=24, batch_size=12)
    importance = loss_importance(built.model, sample_pairs(sample, built, Dataset.open(training_split)))
    prune(Bundle.open(tiny_bundle), PLAN, tmp_path / "pruned", dataset=Dataset.open(training_split), sample=sample)
    kept = importance[Module("text", 1, "feed_forward")].topk(40).indices.sort().values
    whole, smaller = block_of(built.model.clip, "text", 1), block_of(plain(tmp_path / "pruned").clip, "text", 1)
    assert torch.equal(smaller.mlp.c_fc.weight, whole.mlp.c_fc.weight[kept])
    assert torch.equal(smaller.mlp.c_proj.weight, whole.mlp.c_proj.weight[:, kept])


@torch.no_grad()
def test_its_graphs_equal_torch(pruned_bundle: Path, tmp_path: Path) -> None:
    model, numbers = plain(pruned_bundle), np.random.default_rng(0)
    export_onnx(model, Bundle.open(pruned_bundle).spec, tmp_path)
    text, image = (onnxruntime.InferenceSession(tmp_path / name) for name in (TEXT_ONNX, IMAGE_ONNX))
    for batch, length in ((1, 3), (4, 20)):
        ids = numbers.integers(1, 280, (batch, length))
        ids[:, -1] = Bundle.open(pruned_bundle).spec.architecture["text_cfg"]["vocab_size"] - 1
        pixels = numbers.normal(size=(batch, 3, 32, 16)).astype(np.float32)
        wanted = model.encode_text(torch.from_numpy(ids)).numpy()
        np.testing.assert_allclose(text.run(None, {"tokens": ids})[0], wanted, atol=1e-5)
        wanted = model.encode_image(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(image.run(None, {"pixels": pixels})[0], wanted, atol=1e-5)


def test_it_is_where_training_goes_on(pruned_bundle: Path, tmp_path: Path) -> None:
    config = ModelConfig(weights=str(pruned_bundle), image_size=(32, 16))
    model = build_model(config, lambda: [], tmp_path / TOKENIZER).model
    wanted = plain(pruned_bundle).named_weights()
    assert all(torch.equal(value, wanted[name]) for name, value in model.named_weights().items())
    model.encode_text(torch.tensor([[5, 9, model.architecture["text_cfg"]["vocab_size"] - 1]])).sum().backward()
    weight = model.named_weights()["transformer.resblocks.0.mlp.c_fc.weight"]
    assert weight.shape == (40, 32)
    assert weight.grad is not None


def test_merged_updates_are_pruned_with_the_weights(
    tmp_path: Path, tiny_bundle: Path, make_model: Callable[..., Any], bundle_of: Callable[..., Path]
) -> None:
    architecture = Bundle.open(tiny_bundle).spec.architecture
    tokenizer = learn_tokenizer(["a red coat"], architecture["text_cfg"]["vocab_size"])
    text = architecture["text_cfg"] | {"vocab_size": tokenizer.get_vocab_size()}
    adapted = make_model(architecture | {"text_cfg": text, "adaptation": {"kind": "lora", "rank": 2}})
    torch.nn.init.normal_(adapted.adaptation.text[1].out.up)
    bundle = bundle_of(tmp_path / "lora", adapted, tokenizer)
    prune(Bundle.open(bundle), Pruned(text={1: Remaining(feed_forward=127)}), tmp_path / "pruned")
    spec = Bundle.open(tmp_path / "pruned").spec
    assert "adaptation" not in spec.architecture
    wanted = plain(bundle)
    wanted.adaptation.merge(wanted.clip)
    name = "transformer.resblocks.1.attn.out_proj.weight"
    assert torch.equal(plain(tmp_path / "pruned").named_weights()[name], wanted.named_weights()[name])
    coop = make_model(architecture | {"text_cfg": text, "adaptation": {"kind": "coop", "prompts": 2}})
    with pytest.raises(UserError, match="coop cannot be merged"):
        prune(Bundle.open(bundle_of(tmp_path / "coop", coop, tokenizer)), Pruned(), tmp_path / "no")
