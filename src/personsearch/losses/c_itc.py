"""Cyclic image-text contrastive loss (C-ITC).

Shapes: N pairs of the global batch, D embedding dimension.
"""

from torch import Tensor


def c_itc(
    image_ND: Tensor,
    text_ND: Tensor,
    *,
    ambiguous_NN: Tensor | None = None,
    lambda_1: float = 0.25,
    lambda_2: float = 0.25,
) -> Tensor:
    """λ1 · mean (S_II − S_TT)² + λ2 · mean (S_IT − S_TI)², of unit features and without logit scale.

    The first term makes images as similar to each other as their texts are, the second makes image i as similar to
    text j as image j to text i. Neither holds for near twins of whom one's caption fits the other (`ambiguous_NN`), so
    their terms are 0. TBPS-CLIP (Cao et al., AAAI 2024), after CyCLIP (Goel et al., NeurIPS 2022).
    """
    within_NN = image_ND @ image_ND.T - text_ND @ text_ND.T
    across_NN = image_ND @ text_ND.T
    differences = [within_NN, across_NN - across_NN.T]
    if ambiguous_NN is not None:
        differences = [each_NN.masked_fill(ambiguous_NN | ambiguous_NN.T, 0.0) for each_NN in differences]
    within, across = (each_NN.square().mean() for each_NN in differences)
    return lambda_1 * within + lambda_2 * across
