"""CLIP's towers taken apart: what the first block reads, the blocks in two halves, what becomes of the last one, and
the blocks' weights before fine-tuning.

Shapes: N items, L tokens, C channels of the tower, H height, W width, D embedding dimension.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from torch import Tensor, nn
from torch.nn.functional import normalize

from personsearch.bundle import WEIGHTS
from personsearch.errors import UserError
from personsearch.files import hash_file
from personsearch.models.adaptation.base import pool_text
from personsearch.models.adaptation.blocks import embed_image, pool_image
from personsearch.models.architecture import Side
from personsearch.models.clip import require_clip
from personsearch.models.encoder import PersonEncoder
from personsearch.models.weights import check_shapes, load_weights

Kind = Literal["attention", "feed_forward", "layer"]
# A module is a residual branch with its norm, a layer is both of its modules.
PARAMETERS: dict[Kind, tuple[str, ...]] = {
    "attention": ("ln_1.", "attn.", "ls_1."),
    "feed_forward": ("ln_2.", "mlp.", "ls_2."),
    "layer": ("ln_1.", "attn.", "ls_1.", "ln_2.", "mlp.", "ls_2."),
}
KINDS: tuple[Kind, ...] = tuple(PARAMETERS)
# Fine-tuning may change these without changing a block.
FREE = {"image_size", "context_length", "vocab_size"}


class Tower(Protocol):
    """A chain of blocks; `prefix` is what their names in a bundle start with, before their number from 0."""

    side: Side
    prefix: str
    blocks: Sequence[nn.Module]

    def embed(self, inputs: Tensor) -> Tensor:
        """What the first block reads [N, L, C]."""

    def mask(self, inputs: Tensor) -> Tensor | None:
        """What attention adds to its scores [L, L]."""

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        """Unit vectors [N, D] of what the last block gives."""


class TextTower:
    """Inputs are token ids [N, L], L any length that holds every text's end."""

    side: Side = "text"

    def __init__(self, clip: Any, prefix: str) -> None:
        self._clip = clip
        self.prefix = prefix
        self.blocks: Sequence[nn.Module] = clip.transformer.resblocks

    def embed(self, inputs: Tensor) -> Tensor:
        tokens_NLC: Tensor = self._clip.token_embedding(inputs) + self._clip.positional_embedding[: inputs.shape[1]]
        return tokens_NLC

    def mask(self, inputs: Tensor) -> Tensor | None:
        mask_LL: Tensor = self._clip.attn_mask[: inputs.shape[1], : inputs.shape[1]]
        return mask_LL

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        return normalize(pool_text(self._clip, tokens_NLC, inputs.argmax(dim=-1)).float(), dim=-1)


class ImageTower:
    """Inputs are standardised pixels [N, 3, H, W]."""

    side: Side = "image"

    def __init__(self, visual: Any, prefix: str) -> None:
        self._visual = visual
        self.prefix = prefix
        self.blocks: Sequence[nn.Module] = visual.transformer.resblocks

    def embed(self, inputs: Tensor) -> Tensor:
        return embed_image(self._visual, inputs)

    def mask(self, inputs: Tensor) -> Tensor | None:
        return None

    def pool(self, tokens_NLC: Tensor, inputs: Tensor) -> Tensor:
        return normalize(pool_image(self._visual, tokens_NLC).float(), dim=-1)


def take_apart(model: PersonEncoder, side: Side) -> Tower:
    """One tower of a plain CLIP.

    Raises:
        UserError: it is another model, it is adapted, or the tower is not a Transformer of open_clip's standard blocks.
    """
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    encoder = require_clip(model, "probing")
    if encoder.foreign_text:
        raise UserError("probing: needs CLIP's own text tower; this model has another text tower")
    if encoder.adaptation.computes:
        adaptation = encoder.architecture.adaptation
        raise UserError(f"probing: expected an unadapted model; this one has the adaptation {adaptation}")
    if side == "image" and not isinstance(encoder.clip.visual, VisionTransformer):
        raise UserError(f"probing: needs a Vision Transformer, not a {type(encoder.clip.visual).__name__}")
    prefix = encoder.architecture.block_prefix(side)
    tower: Tower = TextTower(encoder.clip, prefix) if side == "text" else ImageTower(encoder.clip.visual, prefix)
    if not all(isinstance(block, ResidualAttentionBlock) for block in tower.blocks):
        raise UserError(f"probing: needs standard blocks, not {type(tower.blocks[0]).__name__}")
    return tower


def attend(block: Any, tokens_NLC: Tensor, mask_LL: Tensor | None) -> Tensor:
    """The first half of a block."""
    attended_NLC: Tensor = block.attention(block.ln_1(tokens_NLC), attn_mask=mask_LL)
    result_NLC: Tensor = tokens_NLC + block.ls_1(attended_NLC)
    return result_NLC


def feed_forward(block: Any, tokens_NLC: Tensor) -> Tensor:
    """The second half of a block."""
    result_NLC: Tensor = tokens_NLC + block.ls_2(block.mlp(block.ln_2(tokens_NLC)))
    return result_NLC


def weights_before(source: Path, model: PersonEncoder, towers: Sequence[Tower]) -> list[list[dict[str, Tensor]]]:
    """The weights in `source`, a bundle or a file of weights: by tower, by block, and by their names in the block.

    Raises:
        UserError: there are none, or they are of another architecture.
    """
    weights = load_weights(str(source), None)
    if weights.architecture is not None:
        _require_same(weights.architecture, model.architecture, source)
    state = {name.removeprefix("text."): value for name, value in weights.state.items()}
    found = [
        [
            {name: (f"{tower.prefix}{index}.{name}", value) for name, value in block.named_parameters()}
            for index, block in enumerate(tower.blocks)
        ]
        for tower in towers
    ]
    expected = {name: value.detach() for tower in found for block in tower for name, value in block.values()}
    check_shapes({name: state[name] for name in expected if name in state}, expected, str(source))
    return [
        [{name: state[place].to(value) for name, (place, value) in block.items()} for block in tower] for tower in found
    ]


def hash_weights(source: Path) -> str:
    """SHA-256 of a bundle's or a file's weights.

    Raises:
        UserError: there are none.
    """
    path = source / WEIGHTS if source.is_dir() else source
    if not path.is_file():
        raise UserError(
            f"{source}: neither a torch bundle nor a file of weights; "
            "weights that have only a name become one by `personsearch train RECIPE --set epochs=0`"
        )
    return hash_file(path)


def _require_same(before: Mapping[str, Any], after: Mapping[str, Any], source: Path) -> None:
    one, other = _flat(before), _flat(after)
    different = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    if different:
        differences = "; ".join(f"{key} {one.get(key)}, not {other.get(key)}" for key in different[:3])
        raise UserError(f"{source}: not the start of this model, its architecture differs: {differences}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key not in FREE:
            flat[f"{prefix}{key}"] = value
    return flat
