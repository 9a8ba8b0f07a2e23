"""Reduced embeddings equal those of the whole model, projected and normalised."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from personsearch.bundle import Bundle
from personsearch.compression.projection import principal_directions, reduce_embedding
from personsearch.compression.samples import PairSample
from personsearch.data.dataset import Dataset
from personsearch.data.records import read_manifest
from personsearch.errors import UserError
from personsearch.models.build import load_bundle_model
from personsearch.models.encoder import PersonEncoder

CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}
DUAL_TRANSFORMER: dict[str, Any] = {
    "kind": "dual_transformer",
    "embed_dim": 32,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "stride": 8, "width": 32, "layers": 1, "heads": 2},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 50,
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 12,
    },
}
LINEAR_TEXT = CLIP | {"text_cfg": CLIP["text_cfg"] | {"proj_bias": True}}
PRUNED = CLIP | {"pruned": {"text": {"1": {"heads": 1}}}}
COOP = CLIP | {"adaptation": {"kind": "coop", "prompts": 2}}
PIXELS = torch.randn(5, 3, 32, 16, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([[47, 5, 9, 49, 0], [47, 8, 49, 0, 0], [47, 3, 4, 6, 49]])


@torch.no_grad()
@pytest.mark.parametrize(
    "architecture",
    [CLIP, LINEAR_TEXT, PRUNED, COOP, DUAL_TRANSFORMER],
    ids=["clip", "linear text", "pruned", "coop", "dual transformer"],
)
def test_it_is_projected_before_it_is_normalised(
    make_model: Callable[..., PersonEncoder], architecture: dict[str, Any]
) -> None:
    model = make_model(architecture)
    if architecture is LINEAR_TEXT:
        model.clip.text_projection.bias.normal_()
    basis = torch.linalg.qr(torch.randn(model.embedding_dim, 6))[0]
    reduced = model.project(basis)
    assert reduced.embedding_dim == reduced.architecture["embed_dim"] == 6
    for found, whole in (
        (reduced.encode_image(PIXELS), model.encode_image(PIXELS)),
        (reduced.encode_text(IDS), model.encode_text(IDS)),
    ):
        torch.testing.assert_close(found, normalize(whole @ basis, dim=-1), atol=1e-6, rtol=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 99), rows=st.integers(6, 40), dim=st.integers(1, 5))
def test_directions_are_those_of_a_singular_value_decomposition(seed: int, rows: int, dim: int) -> None:
    vectors = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)) * torch.arange(1, 7)
    basis, kept = principal_directions(vectors.split(7), dim)
    _, lengths, directions = torch.linalg.svd(vectors.double(), full_matrices=False)
    wanted = directions[:dim].T.float()
    torch.testing.assert_close(basis @ basis.T, wanted @ wanted.T, atol=1e-4, rtol=0)
    assert kept == pytest.approx(float((lengths[:dim] ** 2).sum() / (lengths**2).sum()), rel=1e-5)


def test_directions_of_fewer_numbers_are_the_first_of_more() -> None:
    vectors = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7)
    more, fewer = (principal_directions([vectors], dim)[0] for dim in (5, 2))
    assert torch.equal(more[:, :2], fewer)


@torch.no_grad()
def test_without_data_the_first_numbers_remain(tiny_bundle: Path, tmp_path: Path) -> None:
    reduce_embedding(Bundle.open(tiny_bundle), 12, tmp_path / "cut")
    whole, cut = (load_bundle_model(Bundle.open(bundle)).model for bundle in (tiny_bundle, tmp_path / "cut"))
    assert Bundle.open(tmp_path / "cut").spec.embedding_dim == 12
    wanted = normalize(whole.encode_image(PIXELS)[:, :12], dim=-1)
    torch.testing.assert_close(cut.encode_image(PIXELS), wanted, atol=1e-6, rtol=0)


@torch.no_grad()
def test_products_of_the_training_pairs_survive(tiny_bundle: Path, training_split: Path, tmp_path: Path) -> None:
    """24 images and 24 texts of a random model lie near few directions: 24 of 32 keep their cosines."""
    reduce_embedding(
        Bundle.open(tiny_bundle),
        24,
        tmp_path / "pca",
        dataset=Dataset.open(training_split),
        sample=PairSample(batch_size=8),
    )
    texts = [record.captions[0] for record in read_manifest(training_split)]
    cosines = []
    for bundle in (tiny_bundle, tmp_path / "pca"):
        built = load_bundle_model(Bundle.open(bundle))
        vectors = built.model.encode_text(torch.from_numpy(built.tokenizer.encode(texts)))
        cosines.append((vectors @ vectors.T).numpy())
    np.testing.assert_allclose(cosines[1], cosines[0], atol=5e-3)


@pytest.mark.parametrize("dim", [0, 32, 40])
def test_only_a_shorter_length_can_be_asked_for(tiny_bundle: Path, tmp_path: Path, dim: int) -> None:
    with pytest.raises(UserError, match=f"32 numbers cannot be reduced to {dim}"):
        reduce_embedding(Bundle.open(tiny_bundle), dim, tmp_path / "no")


@pytest.mark.parametrize(
    ("architecture", "dim", "reason"),
    [
        (CLIP | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}}, 4, "ending in a matrix"),
        (CLIP | {"adaptation": {"kind": "clip_adapter"}}, 4, "works on whole embeddings"),
        (DUAL_TRANSFORMER, 24, "without a projection"),
    ],
)
def test_towers_without_a_last_matrix_are_refused(
    make_model: Callable[..., PersonEncoder], architecture: dict[str, Any], dim: int, reason: str
) -> None:
    model = make_model(architecture)
    with pytest.raises(UserError, match=reason):
        model.project(torch.eye(model.embedding_dim)[:, :dim])


def test_no_training_pairs_is_told(tiny_bundle: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 training images with captions"):
        reduce_embedding(Bundle.open(tiny_bundle), 12, tmp_path / "no", dataset=Dataset.open(tiny_dataset))
