"""Which training pairs do not belong together: RDE's division of all pairs by their losses, before an epoch.

A network fits right pairs before wrong ones, so a mixture of two Gaussians over the losses of all pairs tells them
apart (RDE: Qin et al., CVPR 2024, "confident consensus division"). RDE asks two embeddings of one network; here two
losses of one embedding are asked, TAL and InfoNCE, each among other negatives. Both say clean: the pair counts.
Neither does: it does not. Only one does: a coin of each epoch decides, as in RDE. Everything follows from the
features and (seed, epoch).

TAL is asked without its margin. With it hardly a loss is 0 in a model that is still learning, least of all one that
learns by TAL: the losses of easy pairs trail off below a heap of all others, the wider Gaussian takes that trail for
the clean part, and most right pairs stay outside (docs/noise.md). Without it easy pairs lie at 0, as a mixture wants.

A mixture finds two parts in any losses. On data without wrong pairs the "noisy" part is the hard ones.

Shapes: P pairs of the data set, N pairs of one chunk, D embedding dimension.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from personsearch.config import Config
from personsearch.losses.info_nce import info_nce_per_pair
from personsearch.losses.tal import tal_per_pair

PAIR_LOSSES: dict[str, Callable[..., Tensor]] = {
    "tal": partial(tal_per_pair, margin=0.0),
    "info_nce": lambda similarity_NN, _: info_nce_per_pair(similarity_NN),
}
VERDICTS = ("noisy", "uncertain", "clean")
# RDE's floor of a component's variance: the many losses of 0 that a hinge gives shall be no component of their own.
VARIANCE_FLOOR = 5e-4
CHUNK_STREAM, COIN_STREAM = 1 << 20, 1 << 21


class NoiseConfig(Config):
    """The division of pairs into clean and noisy ones before each epoch."""

    start_epoch: int = Field(default=0, ge=0)
    """Epochs that train on all pairs first; raise it for a model that knows nothing yet, which would divide by chance.
    """

    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability above which a loss calls a pair clean."""

    chunk_size: int = Field(default=128, ge=2)
    """Pairs that are each other's negatives in the division, as a batch's are."""


@dataclass(frozen=True, slots=True)
class Division:
    """How many of the two losses call each pair clean (an index into VERDICTS), and its weight, 0 or 1, this epoch."""

    votes_P: NDArray[np.int8]
    trust_P: NDArray[np.float32]

    def shares(self) -> dict[str, float]:
        """Share of all pairs by verdict, for the log."""
        return {f"pairs_{name}": float((self.votes_P == votes).mean()) for votes, name in enumerate(VERDICTS)}


def divide_pairs(
    config: NoiseConfig,
    image_PD: NDArray[np.float32],
    text_PD: NDArray[np.float32],
    person_ids_P: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
) -> Division:
    """The division of all training pairs by their unit features."""
    probabilities = []
    for view, loss in enumerate(PAIR_LOSSES.values()):
        losses_P = per_pair_losses(
            image_PD,
            text_PD,
            person_ids_P,
            loss,
            chunk_size=config.chunk_size,
            generator=np.random.default_rng((seed, epoch, CHUNK_STREAM + view)),
        )
        probabilities.append(clean_probability(losses_P))
    votes_P = consensus(probabilities, config.threshold)
    return Division(votes_P, trust(votes_P, np.random.default_rng((seed, epoch, COIN_STREAM))))


def per_pair_losses(
    image_PD: NDArray[np.float32],
    text_PD: NDArray[np.float32],
    person_ids_P: NDArray[np.int64],
    pair_loss: Callable[[Tensor, Tensor], Tensor],
    *,
    chunk_size: int,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Each pair's loss [P] among its chunk; chunks are random, of at most `chunk_size` pairs and equal to within one.

    `pair_loss` maps cosines [N, N] and person ids [N] to losses [N].
    """
    losses_P = np.empty(len(person_ids_P), dtype=np.float32)
    chunks = max(1, -(-len(person_ids_P) // chunk_size))
    for pairs_N in np.array_split(generator.permutation(len(person_ids_P)), chunks):
        similarity_NN = torch.from_numpy(image_PD[pairs_N]) @ torch.from_numpy(text_PD[pairs_N]).T
        losses_P[pairs_N] = pair_loss(similarity_NN, torch.from_numpy(person_ids_P[pairs_N])).numpy()
    return losses_P


def clean_probability(losses_P: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability [P] that a loss comes from the lower of two Gaussians, fitted to losses scaled to [0, 1].

    It never rises with the loss. Where all losses are equal nothing speaks against any pair: 1.
    """
    from sklearn.mixture import GaussianMixture

    low, high = losses_P.min(), losses_P.max()
    if not high > low:
        return np.ones(len(losses_P))
    scaled_P = ((losses_P - low) / (high - low)).astype(np.float64)
    # Sorted, so that the order of pairs does not reach the start of the fit.
    mixture = GaussianMixture(2, reg_covar=VARIANCE_FLOOR, tol=1e-4, random_state=0).fit(np.sort(scaled_P)[:, None])
    clean, noisy = mixture.means_[:, 0].argsort()
    monotone_P = _until_turn(scaled_P, mixture.means_[[clean, noisy], 0], mixture.precisions_[[clean, noisy], 0, 0])
    probability_P: NDArray[np.float64] = mixture.predict_proba(monotone_P[:, None])[:, clean]
    return probability_P


def _until_turn(
    scaled_P: NDArray[np.float64], means_2: NDArray[np.float64], precisions_2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Losses up to where the wider Gaussian claims the far tail of the narrower one back; beyond, that turning point.

    The logarithm of the ratio of two Gaussians is a parabola in the loss; RDE leaves its second branch in, by which
    the very smallest losses may count as noisy.
    """
    curvature = precisions_2[0] - precisions_2[1]
    if curvature == 0:
        return scaled_P
    turn = (precisions_2[0] * means_2[0] - precisions_2[1] * means_2[1]) / curvature
    return scaled_P.clip(min=turn) if curvature > 0 else scaled_P.clip(max=turn)


def consensus(clean_probabilities: Sequence[NDArray[np.float64]], threshold: float) -> NDArray[np.int8]:
    """Votes [P] of two divisions: 2 clean, 1 uncertain, 0 noisy. A vote for clean is a probability above threshold."""
    first_P, second_P = (probability_P > threshold for probability_P in clean_probabilities)
    return first_P.astype(np.int8) + second_P.astype(np.int8)


def trust(votes_P: NDArray[np.int8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Weights [P] in the loss: clean 1, noisy 0, uncertain 0 or 1 by a fair coin (RDE, so ½ in the mean of epochs)."""
    coins_P = generator.integers(0, 2, len(votes_P))
    return np.where(votes_P == 1, coins_P, votes_P // 2).astype(np.float32)
