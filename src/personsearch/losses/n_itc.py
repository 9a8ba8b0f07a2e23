"""Normalised image-text contrastive loss (N-ITC).

Shapes: N pairs of the global batch.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from personsearch.losses.pair_weights import mean_over_pairs
from personsearch.losses.soft_labels import soft_targets


def n_itc(logits_NN: Tensor, targets_NN: Tensor, *, alpha: float, weights_N: Tensor | None = None) -> Tensor:
    """Mean over both directions of the cross-entropy of softmax(S) against soft same-person targets.

    −½ [mean_i Σ_j t_ij log softmax(S)_ij + the same of Sᵀ], with t from `soft_targets`.
    TBPS-CLIP (Cao et al., AAAI 2024), equations 1-3. `logits_NN` is logit scale × image × textᵀ. MVS is this loss
    with an augmented second view on one side or both.

    Where several pairs show one person, q̂ makes all of them positives: at α = 0 each direction is the supervised
    contrastive loss with the sum over positives outside the logarithm (Khosla et al., NeurIPS 2020, equation 2), so
    multi-positive training needs q̂ and no loss of its own.

    Soft labels of the same forward pass do not turn the gradient, they shorten it: with p = softmax(S) the gradient at
    S is p − (α p + (1 − α) q̂) = (1 − α)(p − q̂), which is 1 − α times that of hard labels. So α is
    a weight beside other losses. It does more only where the labels come from another pass, with its own dropout.
    """
    directions = (_one_direction(logits_NN, targets_NN, alpha) + _one_direction(logits_NN.T, targets_NN, alpha)) / 2
    return mean_over_pairs(directions, weights_N)


def _one_direction(logits_NN: Tensor, targets_NN: Tensor, alpha: float) -> Tensor:
    return cross_entropy(logits_NN, soft_targets(logits_NN, targets_NN, alpha), reduction="none")
