"""A loss on captions with one thing made wrong: an image prefers its own caption.

Other people's captions are told apart by their colours. These differ from the right one in a single thing, so nothing
but that thing tells them apart.

Shapes: N pairs of the global batch, D embedding dimension.
"""

from torch import Tensor
from torch.nn.functional import softplus


def swapped_captions(
    image_ND: Tensor,
    text_ND: Tensor,
    wrong_ND: Tensor,
    swapped_N: Tensor,
    logit_scale: Tensor,
    *,
    weights_N: Tensor | None = None,
) -> Tensor:
    """Mean over the pairs with a wrong caption of log(1 + exp(scale · (cosine of the wrong − cosine of the right))).

    0 where no pair has one. The scale gets no gradient: here it could only grow.
    """
    lead_N = (image_ND * (text_ND - wrong_ND)).sum(dim=1)
    losses_N = softplus(-logit_scale.detach() * lead_N) * swapped_N
    if weights_N is not None:
        losses_N = losses_N * weights_N
    return losses_N.sum() / swapped_N.sum().clamp(min=1)
