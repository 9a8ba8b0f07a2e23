"""Similarity distribution matching (SDM), CSKT's only loss.

Shapes: N pairs of the global batch.
"""

from torch import Tensor

from personsearch.losses.pair_weights import mean_over_pairs
from personsearch.losses.r_itc import reversed_divergence

EPSILON = 1e-8


def sdm(
    similarity_NN: Tensor, targets_NN: Tensor, *, weights_N: Tensor | None = None, temperature: float = 0.02
) -> Tensor:
    """Sum over both directions of the mean over rows of KL(softmax(cosine / τ) ‖ q̂ + ε), with ε = 1e-8.

    IRRA (Jiang and Ye, CVPR 2023), with the fixed τ = 0.02 of CSKT (Liu et al., ICASSP 2024).
    """
    return mean_over_pairs(reversed_divergence(similarity_NN / temperature, targets_NN, EPSILON), weights_N)
