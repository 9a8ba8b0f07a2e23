"""Losses on facts of images that are true, false or unknown: colours alone tell strangers apart, so no contrast among
them asks for shapes. These do.

Shapes: N images, F facts, K kinds of facts, Q short queries.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from personsearch.data.facts.known import FALSE, TRUE, UNKNOWN


def kinds_of_facts(kinds_F: Sequence[str]) -> Tensor:
    """1 where a fact is of a kind [F, K], kinds in the order in which they first appear."""
    kinds = list(dict.fromkeys(kinds_F))
    return torch.tensor([[float(kind == other) for other in kinds] for kind in kinds_F])


def fact_loss(logits_NF: Tensor, known_NF: Tensor, kinds_FK: Tensor) -> Tensor:
    """Mean over kinds of the mean binary cross-entropy of their known facts; 0 for a kind of which nothing is known.

    Each kind has the same weight: of the facts that a description can state, most are colours, which are learnt first.
    """
    known = (known_NF != UNKNOWN).to(logits_NF.dtype)
    losses_NF = binary_cross_entropy_with_logits(logits_NF, (known_NF == TRUE).to(logits_NF.dtype), reduction="none")
    sums_K, counts_K = ((values @ kinds_FK).sum(dim=0) for values in (losses_NF * known, known))
    return (sums_K / counts_K.clamp(min=1)).mean()


def query_loss(logits_NQ: Tensor, fitting_NQ: Tensor) -> Tensor:
    """½ [mean over fitting pairs of −log σ(s) + mean over the others of −log σ(−s)]; unknown pairs are left out.

    The sigmoid loss of SigLIP (Zhai et al., ICCV 2023) with any number of right images for a text. Each side has half
    the weight, because few images fit a query.
    """
    right, wrong = fitting_NQ == TRUE, fitting_NQ == FALSE
    pulled = -(logsigmoid(logits_NQ) * right).sum() / right.sum().clamp(min=1)
    pushed = -(logsigmoid(-logits_NQ) * wrong).sum() / wrong.sum().clamp(min=1)
    return torch.stack([pulled, pushed]).mean()
