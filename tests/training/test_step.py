"""Gradients of chunks and of several processes equal the plain batch's."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from personsearch.models.clip import DualEncoder
from personsearch.training.batches import Batch
from personsearch.training.objective import Objective
from personsearch.training.step import GradientStep

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2},
}
PAIRS = 12


def make() -> tuple[DualEncoder, Batch]:
    torch.manual_seed(1)
    model = DualEncoder(ARCHITECTURE).train()
    ids = torch.randint(1, 48, (PAIRS, 12))
    ends = torch.randint(3, 12, (PAIRS,))
    ids[torch.arange(12)[None] > ends[:, None]] = 0
    ids[torch.arange(PAIRS), ends] = 49
    return model, Batch(torch.randn(PAIRS, 3, 32, 16), ids, torch.randint(0, 8, (PAIRS,)))


def gradients(model: DualEncoder) -> dict[str, torch.Tensor]:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def step(model: DualEncoder, batch: Batch, chunk_size: int | None) -> tuple[dict[str, torch.Tensor], float]:
    model.zero_grad()
    torch.manual_seed(7)
    losses = GradientStep(model, Objective({"n_itc": 1.0, "r_itc": 0.5}), chunk_size)(batch, 0.5)
    return gradients(model), losses["loss"].item()


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert wanted["clip.logit_scale"].abs() > 1e-4
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, atol=1e-5), name


@pytest.mark.parametrize("chunk_size", [1, 5, 6, 12, 100])
def test_cached_gradients_equal_the_plain_batch(chunk_size: int) -> None:
    model, batch = make()
    wanted, loss = step(model, batch, None)
    found, cached_loss = step(model, batch, chunk_size)
    assert cached_loss == pytest.approx(loss, abs=1e-5)
    assert_close(found, wanted)


def test_dropout_is_the_same_in_both_passes_of_a_chunk() -> None:
    """With dropout, the losses of a cached step belong to the features its gradient is taken at."""
    model, batch = make()
    model.set_text_attention_dropout(0.5)
    first, _ = step(model, batch, 6)
    second, _ = step(model, batch, 6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(7)
    parts = [model(batch.pixels_N3HW[rows], batch.ids_NL[rows]) for rows in (slice(0, 6), slice(6, 12))]
    joined = type(parts[0])(
        torch.cat([part.image_ND for part in parts]), torch.cat([part.text_ND for part in parts]), model.logit_scale()
    )
    model.zero_grad()
    Objective({"n_itc": 1.0, "r_itc": 0.5})(joined, batch.person_ids_N, 0.5)["loss"].backward()
    assert_close(first, gradients(model))


def test_losses_are_named_and_summed_by_weight() -> None:
    model, batch = make()
    losses = GradientStep(model, Objective({"n_itc": 2.0, "r_itc": 0.5}))(batch, 0.0)
    assert losses["loss"].item() == pytest.approx(2 * losses["n_itc"].item() + 0.5 * losses["r_itc"].item(), rel=1e-5)


PROCESS = """
    import sys
    from pathlib import Path
    import torch
    sys.path.insert(0, sys.argv[1])
    from test_step import Batch, GradientStep, Objective, PAIRS, gradients, make
    from personsearch.training.distributed import average_gradients, process_group, rank, world_size
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        model, batch = make()
        mine = slice(rank() * PAIRS // world_size(), (rank() + 1) * PAIRS // world_size())
        part = Batch(batch.pixels_N3HW[mine], batch.ids_NL[mine], batch.person_ids_N[mine])
        chunk = int(sys.argv[3]) or None
        GradientStep(model, Objective({"n_itc": 1.0, "r_itc": 0.5}), chunk)(part, 0.5)
        average_gradients(model.parameters())
        torch.save(gradients(model), Path(sys.argv[2]) / f"{rank()}.pt")
"""


@pytest.mark.parametrize("chunk_size", [0, 4])
def test_two_processes_have_the_gradient_of_the_global_batch(tmp_path: Path, chunk_size: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(Path(__file__).parent), str(tmp_path)]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen([*command, str(chunk_size)], env=os.environ | common | {"RANK": str(rank)}) for rank in (0, 1)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    model, batch = make()
    wanted, _ = step(model, batch, None)
    for rank in (0, 1):
        assert_close(torch.load(tmp_path / f"{rank}.pt", weights_only=True), wanted)
