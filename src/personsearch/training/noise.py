"""Finds noisy training pairs: RDE's division of all pairs by their losses, before an epoch.

A network fits right pairs before wrong ones, so a mixture of two Gaussians over the losses of all pairs separates them
(RDE: Qin et al., CVPR 2024, arXiv 2308.09911, "confident consensus division"). RDE uses two embeddings of one network;
here two losses of one embedding vote, TAL and InfoNCE, each with other negatives. A pair that both call clean counts,
one that neither does is ignored, and for the rest a coin decides in each epoch, as in RDE. The division depends only
on the features and (seed, epoch).

TAL votes without its margin. With the margin, hardly any loss is 0 while the model is still learning, least of all if
it learns by TAL: the losses of easy pairs form a tail below the bulk, the wider Gaussian takes that tail for the clean
part, and most right pairs are left out (docs/noise.md). Without it the losses of easy pairs are 0, which suits a
mixture.

A mixture finds two parts in any set of losses. On data without wrong pairs the "noisy" part is the hard pairs.

Shapes: P pairs of the data set, G its images, N pairs of one chunk, D embedding dimension.
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
from personsearch.encoders.torch import TorchEncoder
from personsearch.losses.info_nce import info_nce_per_pair
from personsearch.losses.tal import tal_per_pair
from personsearch.models.build import BuiltModel
from personsearch.training.batches import BatchSource

PAIR_LOSSES: dict[str, Callable[..., Tensor]] = {
    "tal": partial(tal_per_pair, margin=0.0),
    "info_nce": lambda similarity_NN, _: info_nce_per_pair(similarity_NN),
}
VERDICTS = ("noisy", "uncertain", "clean")
# RDE's floor of a component's variance: keeps the many zero losses of a hinge from forming a component of their own.
VARIANCE_FLOOR = 5e-4
CHUNK_STREAM, COIN_STREAM = 1 << 20, 1 << 21
PIXELS_AT_A_TIME = 1024


class NoiseConfig(Config):
    """The division of pairs into clean and noisy ones before each epoch."""

    start_epoch: int = Field(default=0, ge=0)
    """Epochs that train on all pairs first; raise it for an untrained model, whose division would be random.
    """

    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability above which a loss calls a pair clean."""

    chunk_size: int = Field(default=128, ge=2)
    """Pairs that are each other's negatives in the division, as a batch's are."""


@dataclass(frozen=True, slots=True)
class Division:
    """For each pair, how many of the two losses call it clean (an index into VERDICTS) and its weight (0 or 1)."""

    votes_P: NDArray[np.int8]
    trust_P: NDArray[np.float32]

    def shares(self) -> dict[str, float]:
        """Share of all pairs by verdict, for the log."""
        return {f"pairs_{name}": float((self.votes_P == votes).mean()) for votes, name in enumerate(VERDICTS)}


def divide(config: NoiseConfig, built: BuiltModel, source: BatchSource, *, seed: int, epoch: int) -> Division:
    """Which pairs to trust in an epoch, judged by the model as it is on unaugmented images and captions."""
    built.model.eval()
    encoder, rows_G = TorchEncoder(built, source.device), source.pixel_rows_G
    parts = [slice(start, start + PIXELS_AT_A_TIME) for start in range(0, len(rows_G), PIXELS_AT_A_TIME)]
    image_GD = np.concatenate([encoder.encode_images(source.pixels_GHW3[rows_G[part]]) for part in parts])
    text_PD = encoder.encode_texts([caption for record in source.records for caption in record.captions])
    person_ids_G = np.array([record.person_id for record in source.records], dtype=np.int64)
    images_P = source.pairs.image_P
    return divide_pairs(config, image_GD[images_P], text_PD, person_ids_G[images_P], seed=seed, epoch=epoch)


def divide_pairs(
    config: NoiseConfig,
    image_PD: NDArray[np.float32],
    text_PD: NDArray[np.float32],
    person_ids_P: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
) -> Division:
    """Divide all training pairs by their unit features."""
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
    """Each pair's loss [P] within a random chunk of at most `chunk_size` pairs; chunk sizes differ by at most one.

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

    It never increases with the loss. If all losses are equal, every probability is 1.
    """
    from sklearn.mixture import GaussianMixture

    low, high = losses_P.min(), losses_P.max()
    if not high > low:
        return np.ones(len(losses_P))
    scaled_P = ((losses_P - low) / (high - low)).astype(np.float64)
    # Sorted, so that the fit does not depend on the order of the pairs.
    mixture = GaussianMixture(2, reg_covar=VARIANCE_FLOOR, tol=1e-4, random_state=0).fit(np.sort(scaled_P)[:, None])
    clean, noisy = mixture.means_[:, 0].argsort()
    monotone_P = _until_turn(scaled_P, mixture.means_[[clean, noisy], 0], mixture.precisions_[[clean, noisy], 0, 0])
    probability_P: NDArray[np.float64] = mixture.predict_proba(monotone_P[:, None])[:, clean]
    return probability_P


def _until_turn(
    scaled_P: NDArray[np.float64], means_2: NDArray[np.float64], precisions_2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Clip losses at the point beyond which the wider Gaussian would win back the far side of the narrower one.

    The log ratio of two Gaussians is a parabola in the loss. RDE keeps both branches, so that its very smallest
    losses may count as noisy.
    """
    curvature = precisions_2[0] - precisions_2[1]
    if curvature == 0:
        return scaled_P
    turn = (precisions_2[0] * means_2[0] - precisions_2[1] * means_2[1]) / curvature
    return scaled_P.clip(min=turn) if curvature > 0 else scaled_P.clip(max=turn)


def consensus(clean_probabilities: Sequence[NDArray[np.float64]], threshold: float) -> NDArray[np.int8]:
    """Votes [P] for clean: 2 clean, 1 uncertain, 0 noisy. A probability above `threshold` is a vote."""
    first_P, second_P = (probability_P > threshold for probability_P in clean_probabilities)
    return first_P.astype(np.int8) + second_P.astype(np.int8)


def trust(votes_P: NDArray[np.int8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Weights [P] in the loss: clean 1, noisy 0, uncertain 0 or 1 by a fair coin (RDE), ½ averaged over epochs."""
    coins_P = generator.integers(0, 2, len(votes_P))
    return np.where(votes_P == 1, coins_P, votes_P // 2).astype(np.float32)
