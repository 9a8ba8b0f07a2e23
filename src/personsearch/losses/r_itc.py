"""Reversed image-text contrastive loss (R-ITC).

Shapes: N pairs of the global batch.
"""

from torch import Tensor
from torch.nn.functional import log_softmax

from personsearch.losses.pair_weights import mean_over_pairs

EPSILON = 1e-2  # keeps the logarithm finite where two pairs show different persons


def r_itc(logits_NN: Tensor, targets_NN: Tensor, *, weights_N: Tensor | None = None) -> Tensor:
    """½ Σ over both directions of the mean over rows of KL(softmax(S) ‖ q̂ + ε), with hard targets and ε = 0.01.

    The reversed divergence pushes other persons' pairs apart, where N-ITC pulls the right ones together.
    Its minimum, −log(1 + Nε), is at softmax(S) = (q̂ + ε) / (1 + Nε): a little short of certainty.
    TBPS-CLIP (Cao et al., AAAI 2024), equation 4, after CMPM (Zhang and Lu, ECCV 2018).
    """
    return mean_over_pairs(reversed_divergence(logits_NN, targets_NN, EPSILON) / 2, weights_N)


def reversed_divergence(logits_NN: Tensor, targets_NN: Tensor, epsilon: float) -> Tensor:
    """Of each pair [N]: KL(softmax(S) ‖ q̂ + ε) of its row, plus the same of its row of Sᵀ."""
    return _one_direction(logits_NN, targets_NN, epsilon) + _one_direction(logits_NN.T, targets_NN, epsilon)


def _one_direction(logits_NN: Tensor, targets_NN: Tensor, epsilon: float) -> Tensor:
    log_p_NN = log_softmax(logits_NN, dim=1)
    return (log_p_NN.exp() * (log_p_NN - (targets_NN + epsilon).log())).sum(dim=1)
