"""What recipes are: the published parameter counts, and the passes that each loss needs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from personsearch.bundle import Bundle
from personsearch.errors import UserError
from personsearch.training.config import TrainConfig
from personsearch.training.describe import Count, Passes, describe, passes
from personsearch.training.recipe import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
PAPER = RECIPES / "paper" / "tbps-clip-simplified.yaml"


def settings(**values: object) -> list[str]:
    return [f"{name.replace('__', '.')}={value}" for name, value in values.items()]


def test_tbps_clip_simplified_without_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = describe(read_recipe(PAPER))
    assert found.parameters["total"] == Count(149_620_737, 149_620_737 - 768 * 3 * 16 * 16)
    assert found.parameters["logit scale"] == Count(1, 1)
    assert "adaptation" not in found.parameters
    assert "heads" not in found.parameters
    assert (found.image_size, found.image_tokens, found.text_tokens) == ((224, 224), 14 * 14 + 1, 77)
    assert found.losses == {"n_itc": 1.0, "r_itc": 1.0}
    assert found.passes == Passes(1, 1, 1, 1)
    assert found.summary()["losses"] == "1 n_itc + 1 r_itc"


def test_cskt_has_its_published_size() -> None:
    changes = settings(
        model__image_size="[384, 128]",
        model__adaptation="{kind: cskt}",
        model__frozen="[]",
        model__text_attention_dropout=0,
        objective__losses="{sdm: 1.0}",
    )
    found = describe(read_recipe(PAPER, changes))
    assert found.parameters["total"] == Count(161_735_552, 12_117_888)
    assert found.parameters["adaptation"] == Count(12_117_888, 12_117_888)
    assert found.parameters["image tower"].trained == found.parameters["text tower"].trained == 0
    assert (found.image_tokens, found.text_tokens, found.caption_tokens) == (201, 77, 69)
    assert found.passes == Passes(1, 1, 1, 1)


@pytest.mark.parametrize(
    ("losses", "images", "texts"),
    [
        ("{n_itc: 1}", 1, 1),
        ("{n_itc: 1, r_itc: 1, c_itc: 0.1}", 1, 1),
        ("{n_itc: 1, mvs_i: 1}", 2, 1),
        ("{n_itc: 1, mvs_t: 1}", 1, 2),
        ("{n_itc: 1, mvs_it: 1}", 2, 2),
        ("{n_itc: 1, ss_i: 0.4}", 3, 1),
        ("{n_itc: 1, mvs_i: 1, ss_i: 0.4, r_itc: 1, c_itc: 0.1}", 4, 1),
    ],
)
def test_losses_cost_the_views_they_read(recipe: Callable[..., Path], losses: str, images: int, texts: int) -> None:
    config = read_recipe(recipe(), settings(objective__losses=losses))
    assert passes(config) == Passes(images, images, texts, texts)
    cached = config.model_copy(update={"chunk_size": 8})
    assert passes(cached) == Passes(2 * images, images, 2 * texts, texts)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (settings(model__frozen="[visual]"), Passes(1, 0, 1, 1)),
        (settings(model__adaptation="{kind: coop, prompts: 2}"), Passes(1, 0, 1, 1)),
        (settings(model__adaptation="{kind: clip_adapter}"), Passes(1, 0, 1, 0)),
        (settings(model__adaptation="{kind: lora, rank: 2}"), Passes(1, 1, 1, 1)),
    ],
)
def test_a_frozen_tower_is_not_gone_back_through(
    recipe: Callable[..., Path], changes: list[str], expected: Passes
) -> None:
    assert passes(read_recipe(recipe(), changes)) == expected


def test_wrong_captions_are_told(recipe: Callable[..., Path]) -> None:
    found = describe(read_recipe(recipe(), settings(objective__losses="{n_itc: 1, swapped_captions: 1}")))
    assert found.passes == Passes(1, 1, 1, 1)
    assert found.summary()["passes of a pair"].endswith("; wrong captions of up to 25% of the pairs")
    assert "wrong captions" not in describe(read_recipe(recipe())).summary()["passes of a pair"]


def test_a_teacher_is_told_and_its_pass_counted(recipe: Callable[..., Path]) -> None:
    found = describe(read_recipe(recipe(), settings(distillation__teacher="full", distillation__weight=2)))
    assert found.passes == Passes(1, 1, 1, 1, teacher_forward=1)
    assert found.summary()["distillation"] == "2 (features + relations) of full"
    assert found.summary()["passes of a pair"].endswith("; teacher 1 forward")
    assert describe(read_recipe(recipe())).summary()["distillation"] == "none"


def test_ctlg_sees_overlapping_patches() -> None:
    found = describe(read_recipe(RECIPES / "paper" / "ctlg.yaml"))
    assert (found.kind, found.image_tokens, found.embedding_dim) == ("dual_transformer", 31 * 10 + 1, 768)
    assert found.parameters["image tower"].total == 85_798_656 + (311 - 197) * 768


def test_heads_and_a_bundles_architecture_are_counted(tiny_bundle: Path, recipe: Callable[..., Path]) -> None:
    model = {"weights": str(tiny_bundle), "image_size": [32, 16], "frozen": []}
    config = read_recipe(recipe(model=model, objective={"losses": {"n_itc": 1.0, "ss_i": 0.4}}))
    found = describe(config)
    assert found.parameters["heads"] == Count(*[32 * 128 + 128 + 128 * 32 + 32] * 2)
    assert (
        found.architecture["text_cfg"]["vocab_size"]
        == Bundle.open(tiny_bundle).spec.architecture["text_cfg"]["vocab_size"]
    )
    assert found.image_tokens == 4 * 2 + 1
    assert sum(count.total for part, count in found.parameters.items() if part != "total") == (
        found.parameters["total"].total
    )


def test_a_recipe_that_cannot_be_built_is_told(recipe: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="'nothing' matches no parameter"):
        describe(read_recipe(recipe(), settings(model__frozen="[nothing]")))
    with pytest.raises(UserError, match=r"^weights nowhere/bundle: neither a model bundle nor a file of weights"):
        describe(read_recipe(recipe(model={"weights": "nowhere/bundle"})))


@pytest.mark.parametrize(
    "path", sorted(RECIPES.glob("[pt]*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recipe_can_be_described(path: Path) -> None:
    config: TrainConfig = read_recipe(path)
    if (RECIPES.parent / config.model.weights).is_dir() or config.model.architecture is not None:
        assert describe(config).parameters["total"].trained > 0
