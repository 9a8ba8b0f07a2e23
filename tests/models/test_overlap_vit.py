"""The overlapping-patch ViT: its grid, its equality with timm's, and the weights that it takes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from personsearch.errors import UserError
from personsearch.models.overlap_vit import OverlapViT, OverlapViTConfig

SMALL: dict[str, Any] = {"patch_size": 8, "width": 32, "layers": 2, "heads": 2}


def timm_vit(image_size: tuple[int, int] = (32, 32), patch_size: int = 8) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(1)
    return VisionTransformer(image_size, patch_size, num_classes=5, embed_dim=32, depth=2, num_heads=2).eval()


def tower(**changes: Any) -> OverlapViT:
    torch.manual_seed(0)
    return OverlapViT(OverlapViTConfig(**SMALL | {"image_size": (32, 32), "stride": 8} | changes)).eval()


@pytest.mark.parametrize(
    ("image_size", "patch", "stride", "grid"),
    [
        ((384, 128), 16, 12, (31, 10)),
        ((384, 384), 16, 16, (24, 24)),
        ((64, 32), 16, 12, (5, 2)),
        ((17, 16), 16, 1, (2, 1)),
    ],
)
def test_patches_are_cut_wherever_a_whole_one_fits(
    image_size: tuple[int, int], patch: int, stride: int, grid: tuple[int, int]
) -> None:
    config = OverlapViTConfig(image_size=image_size, patch_size=patch, stride=stride)
    assert config.grid == grid
    assert OverlapViT(config.model_copy(update={"width": 12, "layers": 1})).positional_embedding.shape == (
        1 + grid[0] * grid[1],
        12,
    )


def test_neighbouring_patches_share_pixels() -> None:
    vit = tower(image_size=(32, 24), stride=6)
    pixels = torch.randn(1, 3, 32, 24)
    patches = vit.conv1(pixels)
    assert patches.shape[2:] == vit.grid_size == (5, 3)
    for row, column in [(0, 0), (2, 1), (4, 2)]:
        crop = pixels[:, :, 6 * row : 6 * row + 8, 6 * column : 6 * column + 8]
        wanted = (crop * vit.conv1.weight).sum(dim=(1, 2, 3)) + vit.conv1.bias
        assert torch.allclose(patches[0, :, row, column], wanted, atol=1e-5)


def test_without_overlap_it_is_timm_s_vit(tmp_path: Path) -> None:
    timm, pixels = timm_vit(), torch.randn(3, 3, 32, 32)
    (tmp_path / "folder").mkdir()
    save_file(timm.state_dict(), tmp_path / "folder/model.safetensors")
    torch.save({"state_dict": timm.state_dict()}, tmp_path / "vit.pth")
    for source in ("folder", "folder/model.safetensors", "vit.pth"):
        vit = tower()
        vit.load_pretrained(str(tmp_path / source))
        with torch.no_grad():
            assert torch.allclose(vit(pixels), timm.forward_features(pixels)[:, 0], atol=1e-5)


def test_positions_are_resized_to_the_overlapping_grid(tmp_path: Path) -> None:
    timm, vit = timm_vit(), tower(image_size=(48, 16), stride=6)
    save_file(timm.state_dict(), tmp_path / "vit.safetensors")
    vit.load_pretrained(str(tmp_path / "vit.safetensors"))
    positions = timm.pos_embed.detach()[0]
    assert vit.grid_size == (7, 2)
    assert vit.positional_embedding.shape == (15, 32)
    assert torch.equal(vit.positional_embedding[0], positions[0])
    assert torch.allclose(vit.positional_embedding[1:].mean(dim=0), positions[1:].mean(dim=0), atol=0.02)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere/vit.safetensors", "no file, no folder"),
        ("vit_base_patch16_3840", "no pretrained timm model"),
        ("vit_base_patch16_384.nothing", r"near it: vit_base_patch16_384\."),
    ],
)
def test_weights_that_are_nowhere_are_named(source: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        tower().load_pretrained(source)


@pytest.mark.parametrize("source", ["vit_base_patch16_384.augreg_in21k_ft_in1k", "hf-hub:timm/anything"])
def test_the_hub_offline_fails_early(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE forbids fetching timm/"):
        tower().load_pretrained(source)


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    save_file(timm_vit(patch_size=16).state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(UserError, match=r"conv1.weight is \(32, 3, 16, 16\), expected \(32, 3, 8, 8\)"):
        tower().load_pretrained(str(tmp_path / "vit.safetensors"))


@pytest.mark.parametrize(
    ("changes", "reason"), [({"width": 33}, "no multiple of 2 heads"), ({"image_size": (4, 32)}, "holds no patch")]
)
def test_impossible_sizes_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OverlapViTConfig(**SMALL | changes)
