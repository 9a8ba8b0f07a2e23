"""Gradients of chunks and of several processes equal the plain batch's."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from personsearch.errors import UserError
from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder
from personsearch.training.batches import Batch
from personsearch.training.objective import TOTAL, Features, Labels, Objective, ObjectiveConfig
from personsearch.training.step import GradientStep
from tests.servers.starting import free_port
from tests.training.gradients import assert_close

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}
PAIRS = 12
SIMPLIFIED = {"n_itc": 1.0, "r_itc": 0.5}
FULL = {"n_itc": 0.5, "mvs_i": 0.5, "r_itc": 1.0, "c_itc": 0.1, "ss_i": 0.4}
SWAPPED = {"swapped_captions": 0.7}
EVERYTHING = (
    FULL | SWAPPED | {"mvs_t": 0.2, "mvs_it": 0.2, "ss_t": 0.3, "ss_it": 0.1, "sdm": 1.0, "info_nce": 0.1, "tal": 0.5}
)


def make(losses: dict[str, float] | None = None, **settings: Any) -> tuple[DualEncoder, Objective, Batch]:
    torch.manual_seed(1)
    model = DualEncoder(Architecture(ARCHITECTURE)).train()
    ids = torch.randint(1, 48, (PAIRS, 12))
    ends = torch.randint(3, 12, (PAIRS,))
    ids[torch.arange(12)[None] > ends[:, None]] = 0
    ids[torch.arange(PAIRS), ends] = 49
    config = ObjectiveConfig(losses=losses or SIMPLIFIED, **settings)
    images = {view: torch.randn(PAIRS, 3, 32, 16) for view in config.image_views}
    texts = {view: ids.roll(shift, 0) for shift, view in enumerate(config.text_views)}
    batch = Batch(images, texts, torch.randint(0, 8, (PAIRS,)))
    if "swapped" in texts:
        batch = replace(batch, swapped_N=torch.arange(PAIRS) % 5 == 1)
    return model, Objective(config, 16), batch


def gradients(*modules: torch.nn.Module) -> dict[str, torch.Tensor]:
    named = [pair for module in modules for pair in module.named_parameters()]
    return {name: value.grad.clone() for name, value in named if value.grad is not None}


def step(
    model: DualEncoder, objective: Objective, batch: Batch, chunk_size: int | None
) -> tuple[dict[str, torch.Tensor], float]:
    model.zero_grad()
    objective.zero_grad()
    torch.manual_seed(7)
    losses = GradientStep(model, objective, chunk_size)(batch, 0.5)
    return gradients(model, objective), losses[TOTAL].item()


@pytest.mark.parametrize("chunk_size", [1, 5, 6, 12, 100])
@pytest.mark.parametrize("losses", [SIMPLIFIED, FULL, EVERYTHING], ids=["simplified", "full", "everything"])
def test_cached_gradients_equal_the_plain_batch(losses: dict[str, float], chunk_size: int) -> None:
    model, objective, batch = make(losses)
    wanted, loss = step(model, objective, batch, None)
    found, cached_loss = step(model, objective, batch, chunk_size)
    assert cached_loss == pytest.approx(loss, rel=1e-6, abs=1e-5)
    assert wanted["clip.logit_scale"].abs() > 1e-4
    assert_close(found, wanted)


@pytest.mark.parametrize("chunk_size", [1, 5])
def test_cached_gradients_of_cut_embeddings_equal_the_plain_batch(chunk_size: int) -> None:
    model, objective, batch = make(EVERYTHING, matryoshka=(8, 3))
    wanted, loss = step(model, objective, batch, None)
    found, cached_loss = step(model, objective, batch, chunk_size)
    assert cached_loss == pytest.approx(loss, rel=1e-6, abs=1e-5)
    assert wanted["clip.logit_scale"].abs() > 1e-4
    assert_close(found, wanted)


def test_dropout_is_the_same_in_both_passes_of_a_chunk() -> None:
    """With dropout, the losses of a cached step belong to the features its gradient is taken at."""
    model, objective, batch = make()
    model.set_text_attention_dropout(0.5)
    first, _ = step(model, objective, batch, 6)
    second, _ = step(model, objective, batch, 6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(7)
    halves = [batch.rows(rows) for rows in (slice(0, 6), slice(6, 12))]
    parts = [
        (model.encode_image(half.images["image"]), model.encode_text_by_length(half.texts["text"])) for half in halves
    ]
    images, texts = (torch.cat(side) for side in zip(*parts, strict=True))
    model.zero_grad()
    features = Features({"image": images}, {"text": texts}, model.logit_scale())
    objective(features, Labels(batch.person_ids_N, 0.5))[TOTAL].backward()
    assert_close(first, gradients(model))


def test_losses_are_named_and_summed_by_weight() -> None:
    model, objective, batch = make({"n_itc": 2.0, "r_itc": 0.5})
    losses = GradientStep(model, objective)(batch, 0.0)
    assert losses[TOTAL].item() == pytest.approx(2 * losses["n_itc"].item() + 0.5 * losses["r_itc"].item(), rel=1e-5)


def test_only_wrong_captions_that_there_are_pass_through_the_text_tower() -> None:
    model, objective, batch = make({"n_itc": 1.0} | SWAPPED)
    seen = []
    features = model.text_features
    model.text_features = lambda ids_NL: seen.append(len(ids_NL)) or features(ids_NL)  # type: ignore[method-assign]
    loss = GradientStep(model, objective)(batch, 0.0)["swapped_captions"].item()
    assert sum(seen) == PAIRS + 3
    image, text, wrong = (
        model.encode_image(batch.images["image"]),
        *(model.encode_text(batch.texts[view]) for view in ("text", "swapped")),
    )
    lead = ((text - wrong) * image).sum(dim=1)[[1, 6, 11]]
    expected = torch.log1p(torch.exp(-model.logit_scale() * lead)).mean().item()
    assert loss == pytest.approx(expected, abs=1e-5)


def test_pairs_of_other_blocks_do_not_compete() -> None:
    """The blocks' losses, averaged: what devices see that do not share their features."""
    model, _, batch = make()
    apart = Objective(ObjectiveConfig(losses=SIMPLIFIED, contrast_among=6), 16)
    together = Objective(ObjectiveConfig(losses=SIMPLIFIED), 16)
    whole = GradientStep(model, apart)(batch, 0.5)[TOTAL]
    halves = [GradientStep(model, together)(batch.rows(rows), 0.5)[TOTAL] for rows in (slice(0, 6), slice(6, 12))]
    assert whole.item() == pytest.approx(torch.stack(halves).mean().item(), rel=1e-5)


def test_views_follow_from_the_losses() -> None:
    config = ObjectiveConfig(losses=FULL)
    assert config.image_views == ("image", "image_2", "simclr_1", "simclr_2")
    assert config.text_views == ("text",)
    assert ObjectiveConfig(losses={"ss_t": 1.0}).image_views == ()
    with pytest.raises(ValueError, match="not a loss; did you mean n_itc"):
        ObjectiveConfig(losses={"nitc": 1.0})
    with pytest.raises(ValueError, match="not among the losses"):
        ObjectiveConfig(losses={"n_itc": 1.0}, settings={"tal": {"margin": 0.1}})


def test_gradient_caching_refuses_batch_normalisation() -> None:
    model, objective, _ = make()
    model.extra = torch.nn.BatchNorm1d(4)
    with pytest.raises(UserError, match="normalises over the batch"):
        GradientStep(model, objective, 4)


PROCESS = """
    import sys
    from pathlib import Path
    import torch
    sys.path.insert(0, sys.argv[1])
    from test_step import FULL, SWAPPED, GradientStep, PAIRS, gradients, make
    from personsearch.training.distributed import average_gradients, process_group, rank, world_size
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        for chunk_size in (None, 4):
            model, objective, batch = make(FULL | SWAPPED)
            mine = slice(rank() * PAIRS // world_size(), (rank() + 1) * PAIRS // world_size())
            GradientStep(model, objective, chunk_size)(batch.rows(mine), 0.5)
            average_gradients([*model.parameters(), *objective.parameters()])
            torch.save(gradients(model, objective), Path(sys.argv[2]) / f"{rank()}-{chunk_size}.pt")
"""


def test_two_processes_have_the_gradient_of_the_global_batch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(Path(__file__).parent), str(tmp_path)]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [subprocess.Popen(command, env=os.environ | common | {"RANK": str(rank)}) for rank in (0, 1)]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    model, objective, batch = make(FULL | SWAPPED)
    wanted, _ = step(model, objective, batch, None)
    for name in ("0-None", "0-4", "1-None", "1-4"):
        assert_close(torch.load(tmp_path / f"{name}.pt", weights_only=True), wanted)
