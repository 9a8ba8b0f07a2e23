"""What holds for all losses of image and text features: order, sides, processes, extremes."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from personsearch.losses.c_itc import c_itc
from personsearch.losses.info_nce import info_nce
from personsearch.losses.n_itc import n_itc
from personsearch.losses.nt_xent import nt_xent
from personsearch.losses.r_itc import r_itc
from personsearch.losses.sdm import sdm
from personsearch.losses.soft_labels import identity_targets
from personsearch.losses.tal import tal

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOGIT_SCALE = 100.0
LOSSES: dict[str, Loss] = {
    "n_itc": lambda i, t, ids: n_itc(LOGIT_SCALE * i @ t.T, identity_targets(ids), alpha=0.0),
    "n_itc, soft": lambda i, t, ids: n_itc(LOGIT_SCALE * i @ t.T, identity_targets(ids), alpha=0.5),
    "r_itc": lambda i, t, ids: r_itc(LOGIT_SCALE * i @ t.T, identity_targets(ids)),
    "c_itc": lambda i, t, _: c_itc(i, t),
    "nt_xent": lambda i, t, _: nt_xent(i, t),
    "sdm": lambda i, t, ids: sdm(i @ t.T, identity_targets(ids)),
    "info_nce": lambda i, t, _: info_nce(i @ t.T),
    "tal": lambda i, t, ids: tal(i @ t.T, ids),
}
WEIGHTED: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "n_itc": lambda i, t, ids, w: n_itc(LOGIT_SCALE * i @ t.T, identity_targets(ids), alpha=0.5, weights_N=w),
    "r_itc": lambda i, t, ids, w: r_itc(LOGIT_SCALE * i @ t.T, identity_targets(ids), weights_N=w),
    "sdm": lambda i, t, ids, w: sdm(i @ t.T, identity_targets(ids), weights_N=w),
    "info_nce": lambda i, t, _, w: info_nce(i @ t.T, weights_N=w),
    "tal": lambda i, t, ids, w: tal(i @ t.T, ids, weights_N=w),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
weighted_loss = pytest.mark.parametrize("name", WEIGHTED)


def batches(test: Callable[..., None]) -> Callable[..., None]:
    """A few seeds and sizes: many losses run each test."""
    return settings(max_examples=20)(given(seed=st.integers(0, 1000), size=st.integers(2, 8))(test))


def make(seed: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = (normalize(torch.randn(size, 4, generator=generator), dim=1) for _ in range(2))
    return image, text, torch.randint(4, (size,), generator=generator)


def gradients(loss: Loss, image: Tensor, text: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    image, text = image.detach().requires_grad_(), text.detach().requires_grad_()
    for_image, for_text = torch.autograd.grad(loss(image, text, ids), (image, text))
    return for_image, for_text


@every_loss
@batches
def test_order_of_pairs_does_not_matter(loss: Loss, seed: int, size: int) -> None:
    image, text, ids = make(seed, size)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(loss(image, text, ids), loss(image[order], text[order], ids[order]), rtol=1e-4, atol=1e-5)


@every_loss
@batches
def test_image_and_text_are_alike(loss: Loss, seed: int, size: int) -> None:
    image, text, ids = make(seed, size)
    assert torch.allclose(loss(image, text, ids), loss(text, image, ids), rtol=1e-4, atol=1e-5)


@every_loss
@pytest.mark.parametrize("shards", [2, 4])
def test_gathered_shards_are_the_batch(loss: Loss, shards: int) -> None:
    """Gathering joins the processes' parts in rank order; each part gets its rows of the whole batch's gradient."""
    image, text, ids = make(3, 8)
    wanted_image, wanted_text = gradients(loss, image, text, ids)
    images, texts = ([part.requires_grad_() for part in side.chunk(shards)] for side in (image, text))
    value = loss(torch.cat(images), torch.cat(texts), torch.cat(ids.chunk(shards)))
    value.backward()
    assert torch.equal(value, loss(image, text, ids))
    for parts, wanted in ((images, wanted_image), (texts, wanted_text)):
        for part, rows in zip(parts, wanted.chunk(shards), strict=True):
            assert part.grad is not None
            assert torch.allclose(part.grad, rows, atol=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"r_itc"}))
def test_perfect_pairs_are_the_least_and_move_little(name: str) -> None:
    """Every person on an axis of its own, both sides alike. R-ITC wants a little less than that: see its own test."""
    loss, perfect, ids = LOSSES[name], torch.eye(6), torch.arange(6)
    least = loss(perfect, perfect, ids)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        near = [normalize(perfect + 0.3 * torch.randn(6, 6, generator=generator), dim=1) for _ in range(2)]
        assert loss(near[0], near[1], ids) >= least - 1e-6
    assert all(side.abs().max() < 0.05 for side in gradients(loss, perfect, perfect, ids))


EXTREMES = {
    "one point": (torch.ones(5, 4) / 2, torch.ones(5, 4) / 2),
    "opposite points": (torch.ones(5, 4) / 2, -torch.ones(5, 4) / 2),
    "all partners wrong": (torch.eye(5), torch.eye(5).roll(1, dims=0)),
    "orthogonal": (torch.eye(5, 10), torch.eye(10)[5:]),
}


@every_loss
@pytest.mark.parametrize("case", EXTREMES)
@pytest.mark.parametrize("ids", [torch.arange(5), torch.zeros(5, dtype=torch.long), torch.tensor([0, 0, 1, 1, 2])])
def test_gradients_are_finite_at_extremes(loss: Loss, case: str, ids: Tensor) -> None:
    image, text = EXTREMES[case]
    assert loss(image, text, ids).isfinite()
    assert all(side.isfinite().all() for side in gradients(loss, image, text, ids))


@pytest.mark.parametrize("magnitude", [100.0, 65504.0])
@pytest.mark.parametrize("name", ["n_itc", "r_itc"])
def test_gradients_are_finite_for_the_largest_logits(name: str, magnitude: float) -> None:
    """±100 is what a logit scale at its limit gives, 65504 the largest fp16 number."""
    signs = torch.randint(2, (6, 6), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    logits, targets = (magnitude * signs).requires_grad_(), identity_targets(torch.tensor([0, 0, 1, 2, 3, 4]))
    loss = n_itc(logits, targets, alpha=0.5) if name == "n_itc" else r_itc(logits, targets)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_give_nearly_the_same(loss: Loss, dtype: torch.dtype) -> None:
    image, text, ids = make(5, 6)
    half = loss(image.to(dtype), text.to(dtype), ids)
    assert half.float().item() == pytest.approx(loss(image, text, ids).item(), rel=0.05, abs=0.01)
    assert all(side.isfinite().all() for side in gradients(loss, image.to(dtype), text.to(dtype), ids))


@weighted_loss
@batches
def test_weights_of_one_change_nothing_and_weights_add_up(name: str, seed: int, size: int) -> None:
    """The losses of single trusted pairs sum to the loss of all: each pair has a share of its own."""
    image, text, ids = make(seed, size)
    whole = WEIGHTED[name](image, text, ids, torch.ones(size))
    single = [WEIGHTED[name](image, text, ids, one) for one in torch.eye(size)]
    assert torch.allclose(torch.stack(single).sum(), whole, rtol=1e-4, atol=1e-5)
    if name != "n_itc":
        assert torch.allclose(LOSSES[name](image, text, ids), whole, rtol=1e-4, atol=1e-5)


@weighted_loss
def test_a_distrusted_pair_is_still_the_negative_of_others(name: str) -> None:
    """Without its own pull, the features of pair 0 still matter to the trusted rest."""
    image, text, ids = make(1, 5)[0], make(2, 5)[0], torch.arange(5)
    weights = torch.tensor([0.0, 1, 1, 1, 1])
    for_image, _ = gradients(lambda i, t, k: WEIGHTED[name](i, t, k, weights), image, text, ids)
    assert for_image[0].abs().max() > 0
