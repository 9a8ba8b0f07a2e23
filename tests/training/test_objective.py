"""Losses of embeddings that may be cut, by hand."""

import math

import pytest
import torch

from personsearch.errors import UserError
from personsearch.training.objective import TOTAL, Features, Labels, Objective, ObjectiveConfig

# Of the first number alone every vector is 1 or -1.
FEATURES = Features(
    {"image": torch.tensor([[0.6, 0.8], [-0.6, 0.8]])},
    {"text": torch.tensor([[0.8, 0.6], [-0.8, 0.6]])},
    torch.tensor(1.0),
)
LABELS = Labels(torch.tensor([0, 1]), 0.0)


def cross_entropy(right: float, wrong: float) -> float:
    return math.log(math.exp(right) + math.exp(wrong)) - right


def test_a_loss_is_the_mean_over_the_lengths() -> None:
    objective = Objective(ObjectiveConfig(losses={"n_itc": 2.0}, matryoshka=(1,)), 2)
    # whole: .48 + .48 = .96 for the right pairs, -.48 + .48 = 0 for the wrong ones; cut to one number: 1 and -1
    wanted = (cross_entropy(0.96, 0.0) + cross_entropy(1.0, -1.0)) / 2
    losses = objective(FEATURES, LABELS)
    assert losses["n_itc"].item() == pytest.approx(wanted, abs=1e-6)
    assert losses[TOTAL].item() == pytest.approx(2 * wanted, abs=1e-6)


def test_without_lengths_nothing_changes() -> None:
    objective = Objective(ObjectiveConfig(losses={"n_itc": 1.0}), 2)
    assert objective(FEATURES, LABELS)["n_itc"].item() == pytest.approx(cross_entropy(0.96, 0.0), abs=1e-6)


def test_a_loss_with_a_head_reads_whole_embeddings() -> None:
    torch.manual_seed(0)
    views = {name: torch.nn.functional.normalize(torch.randn(4, 6), dim=-1) for name in ("simclr_1", "simclr_2")}
    features, labels = Features(views, {}, torch.tensor(1.0)), Labels(torch.arange(4), 0.0)
    whole, cut = (Objective(ObjectiveConfig(losses={"ss_i": 1.0}, matryoshka=lengths), 6) for lengths in ((), (3, 2)))
    cut.load_state_dict(whole.state_dict())
    assert torch.equal(cut(features, labels)[TOTAL], whole(features, labels)[TOTAL])


def test_lengths_are_shorter_than_the_embedding() -> None:
    with pytest.raises(UserError, match=r"\[8, 2\]; expected lengths below 8"):
        Objective(ObjectiveConfig(matryoshka=(8, 2)), 8)
    with pytest.raises(ValueError, match="greater than 0"):
        ObjectiveConfig(matryoshka=(0,))
