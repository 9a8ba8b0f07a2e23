"""The image tower of CTLG: a ViT whose patches overlap, built of timm's blocks.

At 384×128 with patches of 16 every 12 pixels it sees 31×10 = 310 patches and a class token.

Shapes: N images, H height, W width, P positions (class token first), C channels.
"""

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from personsearch.config import Config
from personsearch.models.mixing import Mixing
from personsearch.models.position import Grid, resize_position_embedding
from personsearch.models.pretrained import timm_state
from personsearch.models.weights import State, check_shapes

NORM_EPS = 1e-6
INITIAL_STD = 0.02
CLASS, POSITIONS = "class_embedding", "positional_embedding"
OUR_NAMES = {
    "cls_token": CLASS,
    "pos_embed": POSITIONS,
    "patch_embed.proj.weight": "conv1.weight",
    "patch_embed.proj.bias": "conv1.bias",
}


class OverlapViTConfig(Config):
    """ViT-B/16 with CTLG's stride by default; a patch is cut wherever a whole one fits."""

    image_size: tuple[int, int] = (384, 128)
    """Height and width of the input in pixels."""

    patch_size: int = Field(default=16, ge=1)
    """Side of a patch in pixels."""

    stride: int = Field(default=12, ge=1)
    """Pixels from one patch to the next; less than `patch_size` makes patches overlap."""

    width: int = Field(default=768, ge=1)
    """Width of the tower."""

    layers: int = Field(default=12, ge=1)
    """Layers."""

    heads: int = Field(default=12, ge=1)
    """Attention heads per layer."""

    mlp_ratio: float = Field(default=4.0, gt=0)
    """Width of the feed-forward layers, as a multiple of `width`."""

    @model_validator(mode="after")
    def _fits(self) -> "OverlapViTConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        if min(self.image_size) < self.patch_size:
            raise ValueError(f"image_size {self.image_size} holds no patch of {self.patch_size}")
        return self

    @property
    def grid(self) -> Grid:
        """Rows and columns of patches."""
        height, width = self.image_size
        return (height - self.patch_size) // self.stride + 1, (width - self.patch_size) // self.stride + 1


class OverlapViT(nn.Module):
    """The class token after the last norm. Weights have open_clip's names before the blocks, timm's in them."""

    def __init__(self, config: OverlapViTConfig) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        from personsearch.models.patch_attention import PatchAttention

        self.grid_size = config.grid
        num_patches = config.grid[0] * config.grid[1]
        self.conv1 = nn.Conv2d(3, config.width, config.patch_size, config.stride)
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + num_patches, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, qkv_bias=True, attn_layer=PatchAttention)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self._initialise()

    def forward(self, pixels_N3HW: Tensor, mixing: Mixing | None = None) -> Tensor:
        """Class features [N, C]; `mixing` blends rows of the first block's output."""
        patches_NPC = self.conv1(pixels_N3HW).flatten(2).transpose(1, 2)
        class_N1C = self.class_embedding.expand(len(patches_NPC), 1, -1)
        x_NPC = torch.cat([class_N1C, patches_NPC], dim=1) + self.positional_embedding
        for index, block in enumerate(self.blocks):
            x_NPC = block(x_NPC)
            if index == 0 and mixing is not None:
                x_NPC = mixing.blend(x_NPC)
        features_NC: Tensor = self.norm(x_NPC[:, 0])
        return features_NC

    def load_pretrained(self, source: str) -> None:
        """Load a timm ViT's weights, its positions resized to this grid; see `timm_state` for what `source` may be.

        Raises:
            UserError: nothing is there, it cannot be read, or it is another architecture.
        """
        state = in_our_names(timm_state(source))
        if POSITIONS in state:
            state[POSITIONS] = resize_position_embedding(state[POSITIONS], None, self.grid_size)
        check_shapes(state, self.state_dict(), source)
        self.load_state_dict(state)

    def _initialise(self) -> None:
        """As timm does: truncated normals of .02 for positions and the blocks' weights, no bias."""
        nn.init.trunc_normal_(self.positional_embedding, std=INITIAL_STD)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=INITIAL_STD)
                nn.init.zeros_(module.bias)


def in_our_names(state: State) -> State:
    """A timm ViT in float32 without its classifier; class token and positions lose their leading ones."""
    ours = {OUR_NAMES.get(name, name): value.float() for name, value in state.items() if not name.startswith("head.")}
    for name, leading in ((CLASS, (0, 0)), (POSITIONS, (0,))):
        if name in ours:
            ours[name] = ours[name][leading]
    return ours
