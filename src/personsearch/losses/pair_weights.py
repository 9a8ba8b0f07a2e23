"""How far each pair of a batch is trusted.

Shapes: N pairs of the global batch.
"""

from torch import Tensor


def mean_over_pairs(losses_N: Tensor, weights_N: Tensor | None = None) -> Tensor:
    """Mean over all N pairs of weight × loss; None weighs all with 1.

    Divided by N and not by the weights' sum: a batch of few trusted pairs moves the model less, and a batch of none
    not at all. A pair of weight 0 pulls nothing together but stays among the negatives of the others, as in RDE.
    """
    return losses_N.mean() if weights_N is None else (weights_N * losses_N).mean()
