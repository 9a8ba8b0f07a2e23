"""A training step sends each pair through the towers as often as `passes` says, and no more."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.models.encoder import PersonEncoder
from personsearch.training.batches import Batch
from personsearch.training.config import TrainConfig
from personsearch.training.describe import Passes, passes
from personsearch.training.objective import Objective
from personsearch.training.recipe import read_recipe
from personsearch.training.step import GradientStep

RECIPES = Path(__file__).parents[2] / "recipes" / "paper"
PAIRS, VOCABULARY, DIM, HEIGHT, WIDTH, LENGTH = 48, 50, 8, 4, 2, 12


class Counting(torch.autograd.Function):
    """The identity, which counts the rows that pass it on their way forward and back."""

    @staticmethod
    def forward(context, features_ND: Tensor, rows: Counter[str], tower: str) -> Tensor:
        context.rows, context.tower = rows, tower
        rows[f"{tower}_forward"] += len(features_ND)
        return features_ND.clone()

    @staticmethod
    def backward(context, gradient_ND: Tensor) -> tuple[Tensor, None, None]:
        context.rows[f"{context.tower}_backward"] += len(gradient_ND)
        return gradient_ND, None, None


class CountingEncoder(PersonEncoder):
    """One linear map per tower, which counts what it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.architecture, self.context_length, self.embedding_dim = {}, LENGTH, DIM
        self.image, self.text = nn.Linear(3 * HEIGHT * WIDTH, DIM), nn.EmbeddingBag(VOCABULARY, DIM, padding_idx=0)
        self.rows: Counter[str] = Counter()

    def encode_image(self, pixels_N3HW: Tensor) -> Tensor:
        return normalize(Counting.apply(self.image(pixels_N3HW.flatten(1)), self.rows, "image"), dim=-1)

    def encode_text(self, ids_NL: Tensor) -> Tensor:
        return normalize(Counting.apply(self.text(ids_NL), self.rows, "text"), dim=-1)

    def logit_scale(self) -> Tensor:
        return torch.tensor(20.0)

    def named_weights(self) -> dict[str, Tensor]:
        return dict(self.state_dict(keep_vars=True))

    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        self.load_state_dict(state)


def passes_of_a_step(config: TrainConfig, pairs: int) -> Passes:
    """What one step of the recipe's objective really sends through the towers, per pair."""
    torch.manual_seed(0)
    model, views = CountingEncoder(), config.objective
    ids_NL = torch.randint(1, VOCABULARY, (pairs, LENGTH)) * (torch.arange(LENGTH) <= torch.randint(LENGTH, (pairs, 1)))
    batch = Batch(
        {view: torch.randn(pairs, 3, HEIGHT, WIDTH) for view in views.image_views},
        dict.fromkeys(views.text_views, ids_NL),
        torch.arange(pairs) // 2,
    )
    GradientStep(model, Objective(config.objective, DIM), config.chunk_size)(batch, alpha=0.5)
    counts = (model.rows[name] for name in Passes.__dataclass_fields__)
    assert all(count % pairs == 0 for count in model.rows.values())
    return Passes(*(count // pairs for count in counts))


@pytest.mark.parametrize("chunk_size", ["null", 8, 20])
@pytest.mark.parametrize(
    ("recipe", "images", "texts"),
    [("tbps-clip-simplified", 1, 1), ("tbps-clip", 4, 1), ("cskt", 1, 1), ("ctlg", 1, 1)],
)
def test_a_step_makes_the_passes_that_its_losses_need(
    recipe: str, images: int, texts: int, chunk_size: int | str
) -> None:
    changes = [f"batch_size={PAIRS}", f"chunk_size={chunk_size}", "model.text_weights=null"]
    config = read_recipe(RECIPES / f"{recipe}.yaml", changes)
    rounds = 1 if chunk_size == "null" else 2
    wanted = Passes(rounds * images, images, rounds * texts, texts)
    assert passes(config) == wanted
    assert passes_of_a_step(config, PAIRS) == wanted


@pytest.mark.parametrize("losses", ["{n_itc: 1, mvs_it: 1}", "{ss_it: 1}", "{n_itc: 1, ss_t: 1}", "{ss_i: 1, sdm: 1}"])
def test_views_that_losses_share_are_encoded_once(losses: str) -> None:
    config = read_recipe(RECIPES / "tbps-clip-simplified.yaml", [f"objective.losses={losses}", f"batch_size={PAIRS}"])
    assert passes_of_a_step(config, PAIRS) == passes(config)
