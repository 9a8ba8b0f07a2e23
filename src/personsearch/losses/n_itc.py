"""Normalised image-text contrastive loss (N-ITC).

Shapes: N pairs of the global batch.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from personsearch.losses.soft_labels import soft_targets


def n_itc(logits_NN: Tensor, targets_NN: Tensor, *, alpha: float) -> Tensor:
    """Mean over both directions of the cross-entropy of softmax(S) against soft same-person targets.

    −½ [mean_i Σ_j t_ij log softmax(S)_ij + the same of Sᵀ], with t from `soft_targets`.
    TBPS-CLIP (Cao et al., AAAI 2024), equations 1-3. `logits_NN` is logit scale × image × textᵀ.
    """
    return (_one_direction(logits_NN, targets_NN, alpha) + _one_direction(logits_NN.T, targets_NN, alpha)) / 2


def _one_direction(logits_NN: Tensor, targets_NN: Tensor, alpha: float) -> Tensor:
    return cross_entropy(logits_NN, soft_targets(logits_NN, targets_NN, alpha))
