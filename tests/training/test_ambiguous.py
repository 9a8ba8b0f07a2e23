"""A caption that fits a near twin as well is nobody's negative, in any loss that contrasts images with captions."""

import pytest
import torch
from torch import Tensor

from personsearch.data.facts.catalogue import FACT_INDEX, FACTS
from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN
from personsearch.data.facts.layout import NO_LAYOUT, NUM_CELLS
from personsearch.training.facts import BatchFacts
from personsearch.training.objective import LOSSES, TOTAL, Features, Labels, Objective, ObjectiveConfig

CONTRASTING = ("n_itc", "mvs_i", "mvs_t", "mvs_it", "r_itc", "c_itc", "sdm", "info_nce", "tal")
BAG, PEOPLE, DIM = FACT_INDEX["backpack"], torch.arange(3), 6


def facts(groups: list[int]) -> BatchFacts:
    """Person 0 has a backpack, which her caption says; person 1 has none, which his does not say."""
    known, stated = (torch.full((3, len(FACTS)), UNKNOWN, dtype=torch.int8) for _ in range(2))
    known[0, BAG], known[1, BAG], stated[0, BAG] = TRUE, FALSE, TRUE
    asked = torch.zeros(3, len(FACTS), dtype=torch.bool)
    nowhere = torch.full((3, NUM_CELLS), NO_LAYOUT, dtype=torch.int8)
    return BatchFacts(known, stated, asked, torch.tensor(groups), nowhere)


TWINS, STRANGERS = facts([7, 7, 8]), facts([7, 8, 9])


def features(of_the_first_image_to_the_second_caption: float) -> Features:
    """Images on axes of their own, so that one cosine can change alone; the rest of a caption is on another axis."""
    cosines = torch.tensor([[0.5, of_the_first_image_to_the_second_caption, 0.0], [0.2, 0.6, 0.3], [0.0, 0.0, 0.7]])
    rest = (1 - cosines.square().sum(dim=0)).sqrt()
    text = torch.cat([cosines.T, torch.diag(rest)], dim=1)
    image = torch.eye(3, DIM)
    images, texts = {"image": image, "image_2": image}, {"text": text, "text_2": text}
    return Features(images, texts, torch.tensor(10.0))


def loss(name: str, features: Features, known: BatchFacts | None) -> Tensor:
    return Objective(ObjectiveConfig(losses={name: 1.0}), DIM)(features, Labels(PEOPLE, 0.0, facts=known))[TOTAL]


@pytest.mark.parametrize("name", CONTRASTING)
def test_the_cosine_of_an_ambiguous_pair_does_not_matter(name: str) -> None:
    far, near = features(0.1), features(0.55)
    assert loss(name, far, TWINS).item() == pytest.approx(loss(name, near, TWINS).item(), abs=1e-6)
    assert loss(name, far, TWINS).isfinite()
    assert abs(loss(name, far, None).item() - loss(name, near, None).item()) > 1e-3


@pytest.mark.parametrize("name", CONTRASTING)
def test_without_ambiguous_pairs_each_loss_is_the_published_one(name: str) -> None:
    assert torch.equal(loss(name, features(0.3), STRANGERS), loss(name, features(0.3), None))


@pytest.mark.parametrize("name", CONTRASTING)
def test_gradients_are_finite_and_pass_by_an_ambiguous_pair(name: str) -> None:
    given = features(0.3)
    text = given.texts["text"].clone().requires_grad_()
    loss(name, Features(given.images, {"text": text, "text_2": text}, given.logit_scale), TWINS).backward()
    assert text.grad is not None
    assert text.grad.isfinite().all()
    if name != "c_itc":  # which also compares the captions with each other
        assert text.grad[1, 0] == 0


def test_every_loss_of_images_and_captions_is_tested() -> None:
    paired = {name for name, each in LOSSES.items() if each.images and each.texts and not each.heads}
    assert paired - {"swapped_captions", "rejected_images"} == set(CONTRASTING)
