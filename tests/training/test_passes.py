"""A training step sends each pair through the towers as often as `passes` says, and no more."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from personsearch.bundle import Preprocessing
from personsearch.models.architecture import Architecture
from personsearch.models.build import BuiltModel
from personsearch.models.encoder import PersonEncoder
from personsearch.training.batches import Batch
from personsearch.training.config import TrainConfig
from personsearch.training.describe import Passes, passes
from personsearch.training.distillation import DistillationConfig, Teacher
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

    def __init__(self, *, rows: Counter[str] | None = None, image: str = "image", text: str = "text") -> None:
        super().__init__()
        self.tower_names = image, text
        self.architecture, self.context_length, self.embedding_dim = Architecture({}), LENGTH, DIM
        self.image, self.text = nn.Linear(3 * HEIGHT * WIDTH, DIM), nn.EmbeddingBag(VOCABULARY, DIM, padding_idx=0)
        self.rows = Counter[str]() if rows is None else rows

    def image_features(self, pixels_N3HW: Tensor) -> Tensor:
        return Counting.apply(self.image(pixels_N3HW.flatten(1)), self.rows, self.tower_names[0])

    def text_features(self, ids_NL: Tensor) -> Tensor:
        return Counting.apply(self.text(ids_NL), self.rows, self.tower_names[1])

    def logit_scale(self) -> Tensor:
        return torch.tensor(20.0)

    def named_weights(self) -> dict[str, Tensor]:
        return dict(self.state_dict(keep_vars=True))

    def load_named_weights(self, state: Mapping[str, Tensor]) -> None:
        self.load_state_dict(state)


def teacher_of(config: DistillationConfig, rows: Counter[str]) -> Teacher:
    """A counting encoder as a teacher; its image tower counts as `teacher`."""
    model, size = CountingEncoder(rows=rows, image="teacher", text="teacher_text"), {"height": HEIGHT, "width": WIDTH}
    preprocessing = Preprocessing(**size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Teacher(config, BuiltModel(model, None, preprocessing), preprocessing)  # type: ignore[arg-type]


def passes_of_a_step(config: TrainConfig, pairs: int) -> Passes:
    """What one step of the recipe's objective really sends through the towers, per pair."""
    torch.manual_seed(0)
    model, views = CountingEncoder(), config.objective
    ids_NL = torch.randint(1, VOCABULARY, (pairs, LENGTH)) * (torch.arange(LENGTH) <= torch.randint(LENGTH, (pairs, 1)))
    batch = Batch(
        {view: torch.randn(pairs, 3, HEIGHT, WIDTH) for view in views.image_views},
        dict.fromkeys(views.text_views, ids_NL),
        torch.arange(pairs) // 2,
        teacher_ids_NL=ids_NL,
    )
    teacher = None if config.distillation is None else teacher_of(config.distillation, model.rows)
    GradientStep(model, Objective(config.objective, DIM), config.chunk_size, teacher=teacher)(batch, alpha=0.5)
    assert model.rows["teacher_forward"] == model.rows.pop("teacher_text_forward", 0)
    counts = (model.rows[name] for name in Passes.__dataclass_fields__)
    assert all(count % pairs == 0 for count in model.rows.values())
    assert not model.rows.keys() - Passes.__dataclass_fields__.keys()
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


@pytest.mark.parametrize("chunk_size", ["null", 8, 20])
def test_a_teacher_sees_each_pair_once_and_is_never_gone_back_through(chunk_size: int | str) -> None:
    changes = [f"batch_size={PAIRS}", f"chunk_size={chunk_size}", "distillation.teacher=somewhere"]
    config = read_recipe(RECIPES / "tbps-clip.yaml", changes)
    rounds = 1 if chunk_size == "null" else 2
    wanted = Passes(rounds * 4, 4, rounds, 1, teacher_forward=1)
    assert passes(config) == wanted
    assert passes_of_a_step(config, PAIRS) == wanted
