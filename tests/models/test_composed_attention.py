"""Composed attention is scaled_dot_product_attention: values, gradients; its dropout is dropout."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from personsearch.models.composed_attention import MOST_KEYS, composed_attention, is_composed

CAUSAL_55 = torch.full((5, 5), float("-inf")).triu(1)
SEEN_3115 = torch.arange(5) <= torch.tensor([4, 2, 3]).view(3, 1, 1, 1)
PADDING_3115 = torch.zeros(3, 1, 1, 5).masked_fill(~SEEN_3115, -1e9)


def parts(queries: int = 5, keys: int = 5) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(3, 2, length, 4, dtype=torch.float64, requires_grad=True) for length in (queries, keys, keys)]


@pytest.mark.parametrize(
    ("queries", "mask"), [(5, None), (5, CAUSAL_55), (5, PADDING_3115), (5, SEEN_3115), (1, None), (2, CAUSAL_55[:2])]
)
def test_values_and_gradients_are_those_of_torch(queries: int, mask: Tensor | None) -> None:
    given = mask if mask is None or mask.dtype == torch.bool else mask.double()
    found, wanted = parts(queries), parts(queries)
    ours = composed_attention(*found, given, dropout=0.0)
    theirs = scaled_dot_product_attention(*wanted, attn_mask=given)
    torch.testing.assert_close(ours, theirs)
    for result in (ours, theirs):
        (result * torch.arange(1.0, 5)).sum().backward()
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_the_gradient_under_dropout_is_that_of_what_was_computed() -> None:
    def once(*given: Tensor) -> Tensor:
        torch.manual_seed(3)
        return composed_attention(*given, CAUSAL_55.double(), dropout=0.3)

    assert torch.autograd.gradcheck(once, parts())


@pytest.mark.parametrize("dropout", [0.05, 0.5])
def test_every_weight_is_dropped_as_often_as_wanted_and_the_mean_remains(dropout: float) -> None:
    torch.manual_seed(0)
    query, key = torch.zeros(1, 1, 4096, 1), torch.zeros(1, 1, 64, 1)
    value = torch.eye(64)[None, None]  # then the result is the weights themselves, 1/64 each
    weights = 64 * composed_attention(query, key, value, None, dropout=dropout)[0, 0]
    dropped = weights == 0
    assert torch.allclose(weights[~dropped], torch.tensor(1 / (1 - dropout)))
    spread = (dropout * (1 - dropout) / 4096) ** 0.5
    assert torch.all((dropped.float().mean(0) - dropout).abs() < 5 * spread)
    together = dropped[:, :-1] & dropped[:, 1:]
    assert together.float().mean().item() == pytest.approx(dropout**2, rel=0.1)


def test_the_same_seed_drops_the_same() -> None:
    first, second = (
        (torch.manual_seed(5), composed_attention(*parts(), None, dropout=0.5))[1].detach() for _ in range(2)
    )
    assert torch.equal(first, second)


def test_only_float32_over_few_keys_or_with_dropout_asks_for_it() -> None:
    query, few, many = (torch.randn(1, 1, length, 4) for length in (2, MOST_KEYS, MOST_KEYS + 1))
    assert is_composed(query, few, dropout=0.0)
    assert not is_composed(query, many, dropout=0.0)
    assert is_composed(query, many, dropout=0.1)
    assert not is_composed(query.bfloat16(), few, dropout=0.0)
