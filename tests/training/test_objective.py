"""Losses of embeddings that may be cut, by hand, and self-supervision as its authors compute it."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.functional import normalize

from personsearch.errors import UserError
from personsearch.losses.nt_xent import nt_xent
from personsearch.training.objective import TOTAL, Features, Labels, Objective, ObjectiveConfig

# Of the first number alone every vector is 1 or -1.
FEATURES = Features(
    {"image": torch.tensor([[0.6, 0.8], [-0.6, 0.8]])},
    {"text": torch.tensor([[0.8, 0.6], [-0.8, 0.6]])},
    torch.tensor(1.0),
)
LABELS = Labels(torch.tensor([0, 1]), 0.0)
SIMCLR, LONG = ("simclr_1", "simclr_2"), torch.arange(320)


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
    features, labels = Features.of(views, {}, torch.tensor(1.0)), Labels(torch.arange(4), 0.0)
    whole, cut = (Objective(ObjectiveConfig(losses={"ss_i": 1.0}, matryoshka=lengths), 6) for lengths in ((), (3, 2)))
    cut.load_state_dict(whole.state_dict())
    assert torch.equal(cut(features, labels)[TOTAL], whole(features, labels)[TOTAL])


def released_ss_i(heads: torch.nn.ModuleDict, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """SS-I as TBPS-CLIP's released code computes it on one GPU: the head takes what the image tower gives."""
    a, b = (normalize(heads["image"](view), dim=-1) for view in (first, second))
    itself = torch.zeros(len(a), len(a)).fill_diagonal_(float("-inf"))
    own = torch.arange(len(a))
    parts = [
        functional.cross_entropy(torch.cat([one @ other.T / 0.1, one @ one.T / 0.1 + itself], dim=1), own)
        for one, other in ((a, b), (b, a))
    ]
    return (parts[0] + parts[1]) * 0.5


def test_the_head_of_ss_i_reads_the_embeddings_at_their_own_length() -> None:
    """Both the loss and the gradient that reaches embeddings of norm 10 are those of the released code."""
    torch.manual_seed(0)
    objective = Objective(ObjectiveConfig(losses={"ss_i": 1.0}), 512)
    base = torch.randn(320, 512)
    views = [10 * normalize(base + 0.5 * torch.randn(320, 512), dim=-1) for _ in range(2)]
    ours, theirs = ([view.clone().requires_grad_() for view in views] for _ in range(2))
    found = objective(Features.of(dict(zip(SIMCLR, ours, strict=True)), {}, torch.tensor(1.0)), Labels(LONG, 0.0))
    expected = released_ss_i(objective.heads, *theirs)
    assert found[TOTAL].item() == pytest.approx(expected.item(), abs=1e-5)
    found[TOTAL].backward()
    expected.backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-8, rtol=1e-4)


def test_texts_reach_the_head_of_ss_t_at_their_own_length() -> None:
    torch.manual_seed(0)
    objective = Objective(ObjectiveConfig(losses={"ss_t": 1.0}), 6)
    views = {view: 10 * torch.randn(4, 6) for view in ("text", "text_2")}
    found = objective(Features.of({}, views, torch.tensor(1.0)), Labels(torch.arange(4), 0.0))[TOTAL]
    first, second = (objective.heads["text"](view) for view in views.values())
    assert found.item() == pytest.approx(nt_xent(first, second).item(), abs=1e-6)


def test_lengths_are_shorter_than_the_embedding() -> None:
    with pytest.raises(UserError, match=r"\[8, 2\]; expected lengths below 8"):
        Objective(ObjectiveConfig(matryoshka=(8, 2)), 8)
    with pytest.raises(ValueError, match="greater than 0"):
        ObjectiveConfig(matryoshka=(0,))


def test_a_loss_cannot_be_maximised() -> None:
    with pytest.raises(ValueError, match="n_itc=-1: a weight of 0 or more expected"):
        ObjectiveConfig(losses={"n_itc": -1.0})
