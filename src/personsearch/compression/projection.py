"""Shorter embeddings: a projection folded into the last map of both towers, so that the model is an ordinary one.

Uncentred PCA keeps the directions in which embeddings of images and texts are longest, and with them products of any
two of them as well as a linear map of both can. A model trained for it (objective.matryoshka) is simply cut.

Shapes: N images and texts, D embedding dimension, R the reduced one, C channels of a tower.
"""

import copy
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personsearch.bundle import Bundle
from personsearch.compression.pairs import PairSample, sample_pairs
from personsearch.compression.torch_bundle import write_torch_bundle
from personsearch.data.dataset import Dataset
from personsearch.errors import UserError
from personsearch.models.build import BuiltModel, create_model, is_foreign_clip, load_bundle_model
from personsearch.models.dual_transformer import KIND as DUAL_TRANSFORMER
from personsearch.models.encoder import PersonEncoder
from personsearch.progress import track

logger = logging.getLogger(__name__)

SAMPLE = PairSample(pairs=4096)
IMAGE_PROJECTION, TEXT_PROJECTION = "visual.proj", "text_projection"
LINEAR_TEXT, TEXT_BIAS = "text_projection.weight", "text_projection.bias"
DUAL_PROJECTIONS = {"vision_cfg": "image_projection.weight", "text_cfg": "text_projection.weight"}
WIDTHS = {"vision_cfg": "width", "text_cfg": "hidden_size"}


def reduce_embedding(
    bundle: Path, dim: int, out_dir: Path, *, dataset: Dataset | None = None, sample: PairSample = SAMPLE
) -> None:
    """Write a bundle whose embeddings have `dim` numbers.

    With a data set by PCA of the embeddings of `sample` of its training pairs; without one, the first `dim` numbers.

    Raises:
        UserError: no torch bundle, embeddings that are no longer than `dim`, or towers that end in no matrix.
    """
    built = load_bundle_model(Bundle.open(bundle))
    before = built.model.embedding_dim
    if not 1 <= dim < before:
        raise UserError(f"{bundle}: embeddings of {before} numbers cannot be reduced to {dim}")
    if dataset is None:
        basis_DR, how = torch.eye(before)[:, :dim], "cut"
    else:
        basis_DR, kept = principal_directions(_embeddings(built, dataset, sample), dim)
        how = f"projected (PCA, {kept:.1%} of their squared length kept)"
    model = project(built.model.cpu(), basis_DR)
    change = f"Its embeddings of {before} numbers were {how}."
    write_torch_bundle(bundle, model, out_dir, change=change)
    logger.info("%s", change)


def principal_directions(batches: Iterable[Tensor], dim: int) -> tuple[Tensor, float]:
    """The `dim` directions [D, R] in which vectors [N, D] are longest, and the share of their squared length there.

    Eigenvectors of Σ x xᵀ, longest first, gathered batch by batch.
    """
    moment_DD = torch.zeros(())
    for vectors_ND in batches:
        moment_DD = moment_DD + vectors_ND.double().T @ vectors_ND.double()
    values_D, vectors_DD = torch.linalg.eigh(moment_DD)
    basis_DR = vectors_DD.flip(1)[:, :dim]
    return basis_DR.float().cpu(), float(values_D[-dim:].sum() / values_D.sum())


@torch.no_grad()
def project(model: PersonEncoder, basis_DR: Tensor) -> PersonEncoder:
    """The model whose features are those of `model` times `basis_DR`, before they are normalised.

    Raises:
        UserError: a tower ends in no matrix that could take it in.
    """
    architecture = copy.deepcopy(model.architecture)
    state = {name: value.detach() for name, value in model.named_weights().items()}
    if architecture.get("kind") == DUAL_TRANSFORMER:
        state |= _dual_projections(architecture, state, basis_DR)
    else:
        state |= _clip_projections(architecture, state, basis_DR)
    architecture["embed_dim"] = basis_DR.shape[1]
    reduced = create_model(architecture)
    reduced.load_named_weights(state)
    return reduced.eval()


def _clip_projections(architecture: dict[str, Any], state: dict[str, Tensor], basis_DR: Tensor) -> dict[str, Tensor]:
    if is_foreign_clip(architecture) or IMAGE_PROJECTION not in state:
        raise UserError("embedding: both towers of open_clip's own kind wanted, each ending in a matrix")
    if (architecture.get("adaptation") or {}).get("kind") == "clip_adapter":
        raise UserError("embedding: clip_adapter works on whole embeddings; they cannot be reduced")
    projected = {IMAGE_PROJECTION: state[IMAGE_PROJECTION] @ basis_DR}
    if LINEAR_TEXT in state:
        projected[LINEAR_TEXT] = basis_DR.T @ state[LINEAR_TEXT]
        return projected | ({TEXT_BIAS: state[TEXT_BIAS] @ basis_DR} if TEXT_BIAS in state else {})
    if TEXT_PROJECTION not in state:
        raise UserError("embedding: the text tower ends in no projection; it cannot be reduced")
    return projected | {TEXT_PROJECTION: state[TEXT_PROJECTION] @ basis_DR}


def _dual_projections(architecture: dict[str, Any], state: dict[str, Tensor], basis_DR: Tensor) -> dict[str, Tensor]:
    """A tower as wide as the embedding has no projection yet."""
    projected = {}
    for section, name in DUAL_PROJECTIONS.items():
        width = architecture[section][WIDTHS[section]]
        if width == basis_DR.shape[1]:
            raise UserError(f"embedding: {width} numbers are what the {section} tower gives without a projection")
        projected[name] = basis_DR.T @ state.get(name, torch.eye(width))
    return projected


@torch.inference_mode()  # as a decorator it ends at each yield, as a context it would reach into the caller
def _embeddings(built: BuiltModel, dataset: Dataset, sample: PairSample) -> Iterator[Tensor]:
    for batch in track(sample_pairs(sample, built, dataset), "embed pairs"):
        yield built.model.encode_image(batch.pixels)
        yield built.model.encode_text(batch.ids)
