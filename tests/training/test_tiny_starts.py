"""What the tiny recipes begin as is shipped, loads, and tells people apart."""

from pathlib import Path

import pytest

from personsearch.bundle import Bundle
from personsearch.encoders.golden import verify_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.training.recipe import read_recipe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes" / "tiny").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_start_of_a_tiny_recipe_is_shipped(recipe: Path) -> None:
    weights = read_recipe(recipe).model.weights
    if weights == "random":
        assert "pretrain" in recipe.stem
    elif recipe.stem in ("pretrain", "pretrain-further"):
        commands = (ROOT / "Makefile").read_text().replace("$(PRETRAINING)", "data/pretraining")
        assert f"--out {weights.removesuffix('/bundle')}\n" in commands, "made by the command before it"
    else:
        assert (
            verify_golden(Bundle.open(ROOT / weights), TorchEncoder.from_bundle(Bundle.open(ROOT / weights), "cpu"))
            < 1e-4
        )
