"""The factor of similarities: bounded, and learnt at its bound and above it."""

import math

import pytest
import torch

from personsearch.models.architecture import Architecture
from personsearch.models.clip import DualEncoder

ARCHITECTURE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}
OPENAI = 4.6052  # in OpenAI's released weights; ln 100 is 4.60517


@pytest.fixture
def model() -> DualEncoder:
    return DualEncoder(Architecture(ARCHITECTURE))


@pytest.mark.parametrize("logarithm", [3.0, math.log(99.9), math.log(100), OPENAI, 5.0])
def test_it_is_at_most_100_and_keeps_the_gradient_of_the_exponential(model: DualEncoder, logarithm: float) -> None:
    with torch.no_grad():
        model.clip.logit_scale.fill_(logarithm)
    scale = model.logit_scale()
    assert scale.item() == pytest.approx(min(math.exp(logarithm), 100), rel=1e-6)
    scale.backward()
    assert model.clip.logit_scale.grad.item() == pytest.approx(math.exp(logarithm), rel=1e-5)


@pytest.mark.parametrize("logarithm", [math.log(100), OPENAI])
def test_it_leaves_the_bound_that_training_starts_at(model: DualEncoder, logarithm: float) -> None:
    """The paper recipes start at 100: eight steps of Adam at 6e-5 lower its logarithm by 4.8e-4."""
    with torch.no_grad():
        model.clip.logit_scale.fill_(logarithm)
    optimiser = torch.optim.Adam([model.clip.logit_scale], lr=6e-5)
    for _ in range(8):
        optimiser.zero_grad()
        model.logit_scale().backward()
        optimiser.step()
    assert model.logit_scale().item() == pytest.approx(math.exp(logarithm - 4.8e-4), abs=1e-3)
    assert model.logit_scale().item() < 99.96
