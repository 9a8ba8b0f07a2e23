"""A convolutional stem: strided convolutions in place of a Vision Transformer's one patch convolution.

A single convolution over 16×16 pixels sees a cap or the strap of a bag as part of one token. Small strided convolutions
see edges first and shapes next, and they learn faster (Xiao et al., NeurIPS 2021, "Early convolutions help
transformers see better").

    architecture.stem: {widths: [24, 48, 96], blocks: [0, 0, 1]}

Beside the pixels it reads the same pixels with the image's own mean and contrast taken out of each channel, because
cameras differ in those more than people do (as in IBN-Net, Pan et al., ECCV 2018). Each width is one stage of half the
resolution, with that many residual blocks behind it; a last strided convolution makes the tokens. So the patch size is
2 to the power of the number of widths plus one.

Shapes: N images, C channels, H height, W width.
"""

from itertools import pairwise
from typing import Any

import torch
from pydantic import Field, PositiveInt, ValidationError, model_validator
from torch import Tensor, nn
from torch.nn.functional import batch_norm, relu

from personsearch.config import Config, describe_validation_error
from personsearch.errors import UserError
from personsearch.models.architecture import STEM, Architecture

COLOURS = 3
SMALLEST_VARIANCE = 1e-4  # of standardised pixels; below it an image is of one colour


class StemConfig(Config):
    """Section `stem` of an architecture."""

    widths: tuple[PositiveInt, ...] = Field(min_length=1, max_length=5)
    """Channels of each stage, the first at half the image's resolution, each next one at half of that."""

    blocks: tuple[int, ...] = ()
    """Residual blocks of each stage; none when left out."""

    @model_validator(mode="after")
    def _blocks_fit(self) -> "StemConfig":
        if self.blocks and (len(self.blocks) != len(self.widths) or min(self.blocks) < 0):
            raise ValueError(f"blocks: one number from 0 for each of the {len(self.widths)} widths expected")
        return self


class StemNorm(nn.BatchNorm2d):
    """Batch normalisation that keeps its statistics where its parameters are frozen."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.requires_grad:
            return super().forward(input)
        return batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class ConvNorm(nn.Module):
    """A 3×3 convolution and its normalisation, which evaluation can fold into it."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm: nn.Module = StemNorm(width)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[N, C, H, W] to [N, width, H / stride, W / stride]."""
        y_NCHW: Tensor = self.norm(self.conv(x_NCHW))
        return y_NCHW

    @torch.no_grad()
    def fold(self) -> None:
        """Put the normalisation into the convolution's weights; the result of evaluation stays."""
        if isinstance(self.norm, StemNorm):
            self.conv, self.norm = nn.utils.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval()), nn.Identity()


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(width, width, 1), ConvNorm(width, width, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Of the same shape."""
        return relu(x_NCHW + self.second(relu(self.first(x_NCHW))))


class ConvStem(nn.Module):
    """Pixels [N, 3, H, W] to tokens [N, C, H / patch, W / patch], as a patch convolution gives them."""

    def __init__(self, config: StemConfig, width: int) -> None:
        super().__init__()
        channels = (2 * COLOURS, *config.widths, width)
        self.stages = nn.ModuleList(ConvNorm(*pair, stride=2) for pair in pairwise(channels))
        blocks = config.blocks or (0,) * len(config.widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(stage) for _ in range(count)))
            for stage, count in zip(config.widths, blocks, strict=True)
        )

    def forward(self, pixels_N3HW: Tensor) -> Tensor:
        """The tokens, on their grid."""
        both_N6HW = torch.cat([pixels_N3HW, without_contrast(pixels_N3HW)], dim=1)
        x_NCHW = both_N6HW.contiguous(memory_format=torch.channels_last)
        for stage, block in zip(self.stages, self.blocks, strict=False):
            x_NCHW = block(relu(stage(x_NCHW)))
        tokens_NCHW: Tensor = self.stages[-1](x_NCHW)
        return tokens_NCHW


def without_contrast(pixels_N3HW: Tensor) -> Tensor:
    """Each channel of each image with mean 0 and standard deviation 1."""
    variance_N311, mean_N311 = torch.var_mean(pixels_N3HW, dim=(2, 3), correction=0, keepdim=True)
    return (pixels_N3HW - mean_N311) * torch.rsqrt(variance_N311 + SMALLEST_VARIANCE)


def read_stem(architecture: Architecture) -> StemConfig | None:
    """The section `stem` of an architecture, None where it has none.

    Raises:
        UserError: it is not valid, or does not make the tower's patches.
    """
    section = architecture.to_dict().get(STEM)
    if section is None:
        return None
    try:
        config = StemConfig.model_validate(section)
    except ValidationError as error:
        raise UserError(f"model.architecture.{STEM}: {describe_validation_error(error, StemConfig)}") from error
    patch = architecture.section("image").get("patch_size", 16)
    if patch != 2 ** (len(config.widths) + 1):
        raise UserError(
            f"model.architecture.{STEM}.widths: {len(config.widths)} stages make patches of "
            f"{2 ** (len(config.widths) + 1)} pixels; vision_cfg.patch_size is {patch}"
        )
    return config


def add_stem(clip: Any, architecture: Architecture) -> None:
    """Give an open_clip model the stem that its architecture names, in the place of its patch convolution.

    Raises:
        UserError: the section is not valid, or the image tower has no patch convolution.
    """
    config = read_stem(architecture)
    if config is None:
        return
    patches = getattr(clip.visual, "conv1", None)
    if not isinstance(patches, nn.Conv2d) or not hasattr(clip.visual, "transformer"):
        raise UserError(f"model.architecture.{STEM}: expected open_clip's Vision Transformer")
    clip.visual.conv1 = ConvStem(config, patches.out_channels)


def fold_stem(model: nn.Module) -> None:
    """Fold every normalisation of a stem into its convolution."""
    for module in model.modules():
        if isinstance(module, ConvNorm):
            module.fold()
