"""Self-supervision by two views of the same items (SS-I, SS-T, SS-IT).

Shapes: N items of the global batch, V = 2N views of them, D dimension of their projections.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def nt_xent(first_ND: Tensor, second_ND: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Mean over all 2N views of −log softmax of the cosine to its other view / τ, among the 2N − 1 others.

    Takes projected features of any length. SimCLR (Chen et al., ICML 2020), equation 1; TBPS-CLIP's SS at τ = 0.1.
    """
    count = len(first_ND)
    views_VD = normalize(torch.cat([first_ND, second_ND]), dim=1)
    itself_VV = torch.eye(2 * count, dtype=torch.bool, device=views_VD.device)
    # −∞, because a view must not compete with itself.
    logits_VV = (views_VD @ views_VD.T / temperature).masked_fill(itself_VV, float("-inf"))
    return cross_entropy(logits_VV, torch.arange(2 * count, device=views_VD.device).roll(count))
