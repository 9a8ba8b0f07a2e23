"""Hardness-aware contrastive loss, CTLG's only one: InfoNCE at a low temperature.

Shapes: N pairs of the global batch.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from personsearch.losses.pair_weights import mean_over_pairs


def info_nce(similarity_NN: Tensor, *, weights_N: Tensor | None = None, temperature: float = 0.005) -> Tensor:
    """Mean over both directions of −log softmax(cosine / τ) on the diagonal.

    The gradient at a negative j of row i is softmax_ij / τ: the lower τ, the more the hardest negatives dominate.
    Only a pair's own partner is positive; another pair of the same person counts as a negative. CTLG (Wu et al.,
    TCSVT 2023), after InfoNCE (van den Oord et al., 2018).
    """
    return mean_over_pairs(info_nce_per_pair(similarity_NN, temperature=temperature), weights_N)


def info_nce_per_pair(similarity_NN: Tensor, *, temperature: float = 0.005) -> Tensor:
    """Each pair's share [N]: the mean of its image's row and its text's row."""
    logits_NN = similarity_NN / temperature
    own_N = torch.arange(len(logits_NN), device=logits_NN.device)
    return (cross_entropy(logits_NN, own_N, reduction="none") + cross_entropy(logits_NN.T, own_N, reduction="none")) / 2
