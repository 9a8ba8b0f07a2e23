"""Which pairs of a batch belong together, and by how much.

Shapes: N pairs of the global batch.
"""

import torch
from torch import Tensor


def identity_targets(person_ids_N: Tensor) -> Tensor:
    """q̂ [N, N]: 1 / (pairs of the same person in the row) where the persons are the same, else 0; rows sum to 1."""
    same_NN = (person_ids_N[:, None] == person_ids_N[None, :]).float()
    return same_NN / same_NN.sum(dim=1, keepdim=True)


def soft_targets(logits_NN: Tensor, targets_NN: Tensor, alpha: float) -> Tensor:
    """α·softmax(S) + (1 − α)·q̂, with no gradient; S are the logits of the same forward pass.

    TBPS-CLIP (Cao et al., AAAI 2024), section 3.1, "soft label". Its code takes S from a second pass with its own
    dropout (docs/methods.md).
    """
    if alpha == 0:
        return targets_NN
    # Detached: labels are a target, which no gradient may move.
    return alpha * torch.softmax(logits_NN.detach(), dim=1) + (1 - alpha) * targets_NN
