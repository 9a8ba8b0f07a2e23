"""Shorter embeddings: a projection folded into the last map of both towers, so that no layer is added.

PCA keeps the directions in which the embeddings of images and texts are longest: of all linear maps it keeps their dot
products best. It is uncentred, because a dot product knows no mean. A model trained for it (objective.matryoshka) can
simply be cut.

Shapes: N images and texts, D embedding dimension, R the reduced one, C channels of a tower.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from personsearch.bundle import Bundle
from personsearch.compression.samples import PairSample, sample_pairs
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.models.build import BuiltModel, load_bundle_model
from personsearch.progress import track

logger = logging.getLogger(__name__)

SAMPLE = PairSample(pairs=4096)


def reduce_embedding(
    source: Bundle, dim: int, out_dir: Path, *, dataset: Dataset | None = None, sample: PairSample = SAMPLE
) -> None:
    """Write a bundle whose embeddings have `dim` numbers.

    With a data set they come from PCA of the embeddings of `sample` of its training pairs; without one, the first
    `dim` numbers remain.

    Raises:
        UserError: `source` is not a torch bundle, its embeddings are not longer than `dim`, or a tower does not end
            in a matrix.
    """
    built = load_bundle_model(source)
    before = built.model.embedding_dim
    if not 1 <= dim < before:
        raise UserError(f"{source}: embeddings of {before} numbers cannot be reduced to {dim}")
    if dataset is None:
        basis_DR, how = torch.eye(before)[:, :dim], "cut"
    else:
        basis_DR, kept = principal_directions(_embeddings(built, dataset, sample), dim)
        how = f"projected (PCA, {kept:.1%} of their squared length kept)"
    model = built.model.cpu().project(basis_DR)
    change = f"Its embeddings of {before} numbers were {how}."
    write_torch_bundle(source, model, out_dir, change=change)
    logger.info("%s", change)


def principal_directions(batches: Iterable[Tensor], dim: int) -> tuple[Tensor, float]:
    """The `dim` directions [D, R] in which vectors [N, D] are longest, and the share of their squared length there.

    Eigenvectors of Σ x xᵀ, longest first, gathered batch by batch.
    """
    moment_DD = torch.zeros(())
    for vectors_ND in batches:  # in float64: float32 loses the small directions in the sum over thousands of vectors
        moment_DD = moment_DD + vectors_ND.double().T @ vectors_ND.double()
    values_D, vectors_DD = torch.linalg.eigh(moment_DD)
    basis_DR = vectors_DD.flip(1)[:, :dim]
    return basis_DR.float().cpu(), float(values_D[-dim:].sum() / values_D.sum())


@torch.inference_mode()  # as a decorator it ends at each yield, as a context it would reach into the caller
def _embeddings(built: BuiltModel, dataset: Dataset, sample: PairSample) -> Iterator[Tensor]:
    for batch in track(sample_pairs(sample, built, dataset), "embed pairs"):
        yield built.model.encode_image(batch.pixels)
        yield built.model.encode_text(batch.ids)
