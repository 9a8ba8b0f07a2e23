"""What a bundle says of a model so that it can be built again, and the facts that follow from it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from personsearch.errors import UserError
from personsearch.models.position import Grid

Side = Literal["text", "image"]
Activation = Literal["gelu", "quick_gelu"]
SIDES: tuple[Side, ...] = ("text", "image")
CLIP, DUAL_TRANSFORMER = "clip", "dual_transformer"
SECTIONS: dict[Side, str] = {"text": "text_cfg", "image": "vision_cfg"}
ADAPTATION, PRUNED, STEM, STRIDE = "adaptation", "pruned", "stem", "stride"
QUICK_GELU: Final = "quick_gelu"
# In a configuration of open_clip, these name a tower of another library.
OTHER_TOWERS: dict[Side, str] = {"text": "hf_model_name", "image": "timm_model_name"}
DEFAULT_LAYERS, DEFAULT_IMAGE_SIZE, DEFAULT_PATCH = 12, 224, 16  # open_clip's
CAUSAL_POOLING = "argmax"
FOREIGN_TEXT = ("hf_model_name", "no_causal_mask", "embed_cls")
BLOCKS = "transformer.resblocks."


class Architecture(Mapping[str, Any]):
    """An open_clip configuration, or a dual transformer's, as bundle.yaml holds it.

    It is read-only, mappings and lists in it included, and its keys keep their order. A change makes a new one.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: Mapping[str, Any] = _frozen(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Architecture({self.to_dict()!r})"

    def __reduce__(self) -> tuple[type["Architecture"], tuple[dict[str, Any]]]:
        return Architecture, (self.to_dict(),)  # a read-only view can be neither copied nor pickled

    def to_dict(self) -> dict[str, Any]:
        """A copy of plain dicts and lists, for YAML, pydantic and open_clip."""
        return _thawed(self._values)  # type: ignore[no-any-return]

    def with_values(self, **values: Any) -> "Architecture":
        """With these top-level values."""
        return Architecture({**self._values, **values})

    def with_section(self, side: Side, **values: Any) -> "Architecture":
        """With these values in the section of one tower."""
        return self.with_values(**{SECTIONS[side]: {**self.section(side), **values}})

    def without(self, key: str) -> "Architecture":
        """Without a top-level key."""
        return Architecture({name: value for name, value in self._values.items() if name != key})

    def section(self, side: Side) -> Mapping[str, Any]:
        """The configuration of one tower; empty where it is not given."""
        found: Mapping[str, Any] = self._values.get(SECTIONS[side], {})
        return found

    @property
    def kind(self) -> str:
        """`clip` (open_clip's models) or `dual_transformer`."""
        return str(self._values.get("kind", CLIP))

    @property
    def adaptation(self) -> str | None:
        """Kind of the adaptation, None without one."""
        section = self._values.get(ADAPTATION)
        return None if section is None else str(section["kind"])

    @property
    def is_foreign(self) -> bool:
        """Whether it is a model of open_clip whose text tower needs the whole context (`foreign_text`)."""
        text = self.section("text")
        other_pooling = text.get("pool_type", CAUSAL_POOLING) != CAUSAL_POOLING
        other_tower = "multimodal_cfg" in self._values or any(text.get(key) for key in FOREIGN_TEXT)
        return self.kind == CLIP and (other_pooling or other_tower)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return _pair(self.section("image").get("image_size", DEFAULT_IMAGE_SIZE))

    @property
    def grid(self) -> Grid:
        """Rows and columns of patches, which overlap where there is a `stride` less than their size."""
        vision = self.section("image")
        patch = _pair(vision.get("patch_size", DEFAULT_PATCH))
        stride = _pair(vision.get(STRIDE, patch))
        rows, columns = ((self.image_size[axis] - patch[axis]) // stride[axis] + 1 for axis in (0, 1))
        return rows, columns

    @property
    def activation(self) -> Activation | None:
        """What it says of the activation in CLIP's blocks; None where it says nothing."""
        if QUICK_GELU not in self._values:
            return None
        return QUICK_GELU if self._values[QUICK_GELU] else "gelu"

    def num_layers(self, side: Side) -> int:
        """Layers of a tower.

        Raises:
            UserError: it is not open_clip's Transformer.
        """
        section = self.section(side)
        layers = section.get("layers", DEFAULT_LAYERS)
        if self.kind != CLIP or section.get(OTHER_TOWERS[side]) or not isinstance(layers, int):
            raise UserError(f"layers of the {side} tower: only those of open_clip's own Transformers have numbers")
        return layers

    def block_prefix(self, side: Side) -> str:
        """What the names of a tower's layers start with in a bundle, before their number from 0."""
        if side == "image":
            return f"visual.{BLOCKS}"
        return f"text.{BLOCKS}" if self.is_foreign else BLOCKS


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(part) for key, part in value.items()})
    return tuple(_frozen(part) for part in value) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _thawed(part) for key, part in value.items()}
    return [_thawed(part) for part in value] if isinstance(value, tuple) else value


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
