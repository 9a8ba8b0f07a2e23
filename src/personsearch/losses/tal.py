"""Triplet alignment loss (TAL), which tolerates pairs that do not belong together.

Shapes: N pairs of the global batch.
"""

import torch
from torch import Tensor

from personsearch.losses.pair_weights import mean_over_pairs


def tal(
    similarity_NN: Tensor,
    person_ids_N: Tensor,
    *,
    weights_N: Tensor | None = None,
    margin: float = 0.1,
    temperature: float = 0.015,
) -> Tensor:
    """Mean over pairs of their image's and their text's hinge [m − S⁺ + τ log Σ over negatives exp(cosine / τ)]₊.

    S⁺ is the mean cosine of the same person's pairs, weighted by softmax(cosine / τ) among them with no gradient
    through the weights. The log-sum is an upper bound of the hardest negative, which triplet ranking uses
    alone, and approaches it as τ → 0; so no single pair, right or wrong, decides the gradient. RDE (Qin et al., CVPR
    2024), at m = 0.1, τ = 0.015. RDE's code sums over the batch, which is N times this mean. `weights_N` are its clean
    labels.
    """
    losses_N = tal_per_pair(similarity_NN, person_ids_N, margin=margin, temperature=temperature)
    return mean_over_pairs(losses_N, weights_N)


def tal_per_pair(
    similarity_NN: Tensor, person_ids_N: Tensor, *, margin: float = 0.1, temperature: float = 0.015
) -> Tensor:
    """Each pair's share [N]: the hinges of its image's row and of its text's row."""
    same_NN = person_ids_N[:, None] == person_ids_N[None, :]
    return _hinge(similarity_NN, same_NN, margin, temperature) + _hinge(similarity_NN.T, same_NN, margin, temperature)


def _hinge(similarity_NN: Tensor, same_NN: Tensor, margin: float, temperature: float) -> Tensor:
    logits_NN = similarity_NN / temperature
    share_NN = logits_NN.detach().masked_fill(~same_NN, float("-inf")).softmax(dim=1)
    positive_N = (share_NN * similarity_NN).sum(dim=1)
    # Finite, so that a row without a negative has a gradient, which is 0.
    negative_N = temperature * logits_NN.masked_fill(same_NN, torch.finfo(logits_NN.dtype).min).logsumexp(dim=1)
    return (margin - positive_N + negative_N).relu()
