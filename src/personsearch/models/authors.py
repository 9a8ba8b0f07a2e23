"""Turns checkpoints of published methods' own code into the architecture and names of a bundle.

Shapes are read off the tensors; a head of 64 channels is what all of these models have.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from personsearch.errors import UserError
from personsearch.images import Interpolation
from personsearch.models.architecture import ADAPTATION, BLOCKS, DUAL_TRANSFORMER, QUICK_GELU, STRIDE, Architecture
from personsearch.models.checkpoint_file import describe_content, describe_unreadable, read_checkpoint
from personsearch.models.config import Normalisation
from personsearch.models.overlap_vit import POSITIONS, in_our_names
from personsearch.models.weights import State

Method = Literal["tbps-clip", "irra", "cskt", "ctlg", "rde"]
HEAD_WIDTH = 64
TEMPERATURE = 0.02  # fixed in IRRA, CSKT and RDE, whose files hold no logit scale
CTLG_STRIDE, CTLG_TEMPERATURE, CTLG_CONTEXT = 12, 0.005, 64
CSKT_SCALES = {"image_scale": 0.1, "text_scale": 4.0}
BASE, IMAGE, TEXT, PROMPTS = "base_model.", "model_img.", "model_txt.", "prompt_learner."
TBPS_TEXT = "encode_text."
TSE = ("visul_emb_layer.", "texual_emb_layer.")  # so spelt in RDE's code
# What only training needs: SimCLR's, the identities' and the masked words' heads.
HEADS = (
    *("simclr_mlp.", "classifier.", "cross_attn.", "cross_modal_transformer."),
    *("ln_pre_t.", "ln_pre_i.", "ln_post.", "mlm_head."),
)
# The first that a file has a name of says whose it is.
SIGNS: tuple[tuple[str, Method], ...] = (
    (PROMPTS, "cskt"),
    (TSE[0], "rde"),
    (TBPS_TEXT, "tbps-clip"),
    (IMAGE, "ctlg"),
    (BASE, "irra"),
)
CSKT_ADAPTER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(?:adapter_mlp\.(down|up)|(ln_3))\.(weight|bias)")
PROJECTIONS = {
    "tmap.": "text_to_vision.0.",
    "vmap.": "vision_to_text.0.",
    "compound_prompt_projections.": "text_to_vision.",
    "compound_prompt_projections_vision.": "vision_to_text.",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a method's authors prepare images and texts."""

    image_size: tuple[int, int]
    normalisation: Normalisation
    pre_caption: bool = False
    interpolation: Interpolation = "bicubic"


RECIPES: Final[Mapping[Method, Recipe]] = {
    "tbps-clip": Recipe((224, 224), "imagenet", pre_caption=True),
    "irra": Recipe((384, 128), "clip", interpolation="bilinear"),
    "cskt": Recipe((384, 128), "clip", interpolation="bilinear"),
    "ctlg": Recipe((384, 128), "imagenet"),
    "rde": Recipe((384, 128), "clip", interpolation="bilinear"),
}


@dataclass(frozen=True, slots=True)
class Translated:
    """A model in a bundle's names, and the tensors that it leaves out, by the head that they belong to."""

    architecture: Architecture
    state: State
    left_out: Mapping[str, int]


def read_authors_checkpoint(path: Path, method: Method, image_size: tuple[int, int]) -> Translated:
    """The model of a checkpoint that the authors' code of `method` wrote for images of (height, width).

    Raises:
        UserError: the file cannot be read, is something else, or does not fit the image size.
    """
    state = _state_dict(path)
    _check_method(path, state, method)
    heads = HEADS + (TSE if method == "rde" else ())
    left_out: dict[str, int] = {}
    kept: State = {}
    for name, value in state.items():
        if name.startswith(heads):
            head = name.partition(".")[0]
            left_out[head] = left_out.get(head, 0) + 1
        else:
            kept[name] = value.float() if value.is_floating_point() else value
    try:
        architecture, ours = (_ctlg if method == "ctlg" else _clip)(path, kept, image_size)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"{path}: is no complete model of {method}: {error} is missing or has another shape") from error
    return Translated(architecture, ours, left_out)


def _state_dict(path: Path) -> State:
    try:
        content = read_checkpoint(path)
    except OSError:
        raise
    except Exception as error:  # torch and zip readers raise their own kinds on bad bytes
        raise UserError(f"{path}: {describe_unreadable(path, error)}") from error
    inner = content
    if isinstance(content, dict):
        inner = next((content[key] for key in ("model", "state_dict") if isinstance(content.get(key), dict)), content)
    state = dict(_flat(inner)) if isinstance(inner, dict) else {}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: no checkpoint with weights, but {describe_content(content)}")
    # Checkpoints of several GPUs put every name under `module.`.
    return {name.removeprefix("module."): value for name, value in state.items()}


def _flat(state: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """One dictionary of tensors for each tower becomes one for all."""
    for name, value in state.items():
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{inner}", tensor) for inner, tensor in value.items())
        else:
            yield str(name), value


def _check_method(path: Path, state: State, method: Method) -> None:
    found = next((method for sign, method in SIGNS if any(name.startswith(sign) for name in state)), None)
    if found is None:
        raise UserError(
            f"{path}: no tensor has a name of {method}'s code; it has {', '.join(list(state)[:3])}, …"
            " A file in OpenAI's or open_clip's names is read by a recipe's model.weights."
        )
    if found != method:
        raise UserError(f"{path}: --from {method}, but its names are those of {found}; give --from {found}")


def _clip(path: Path, state: State, image_size: tuple[int, int]) -> tuple[Architecture, State]:
    """An OpenAI CLIP with a ViT, and CSKT's prompts and adapters where it has them."""
    state = {name.removeprefix(TBPS_TEXT).removeprefix(BASE): value for name, value in state.items()}
    state.setdefault("logit_scale", torch.tensor(math.log(1 / TEMPERATURE)))
    if any(name.startswith(PROMPTS) for name in state):
        adaptation, state = _cskt(state)
        return _clip_architecture(path, state, image_size).with_values(**adaptation), state
    return _clip_architecture(path, state, image_size), state


def _clip_architecture(path: Path, state: State, image_size: tuple[int, int]) -> Architecture:
    if "visual.proj" not in state:
        raise UserError(f"{path}: its image tower is no ViT of CLIP (visual.proj is missing); no other can be imported")
    width, patch = state["visual.conv1.weight"].shape[0], state["visual.conv1.weight"].shape[-1]
    positions = len(state["visual.positional_embedding"]) - 1
    stride = _stride(path, positions, image_size, patch, usual=patch)
    context_length, text_width = state["positional_embedding"].shape
    vision = {"image_size": image_size, "patch_size": patch, "width": width, "head_width": HEAD_WIDTH}
    if stride != patch:
        vision[STRIDE] = stride
    text = {"context_length": context_length, "vocab_size": len(state["token_embedding.weight"]), "width": text_width}
    return Architecture(
        {
            "embed_dim": state["visual.proj"].shape[1],
            QUICK_GELU: True,
            "vision_cfg": vision | {"layers": _layers(state, f"visual.{BLOCKS}")},
            "text_cfg": text | {"heads": max(1, text_width // HEAD_WIDTH), "layers": _layers(state, BLOCKS)},
        }
    )


def _cskt(state: State) -> tuple[dict[str, Any], State]:
    """The adaptation's configuration, and the state with prompts and adapters in our names."""
    prompts = {name.removeprefix(PROMPTS): value for name, value in state.items() if name.startswith(PROMPTS)}
    ours: State = {}
    for name, value in state.items():
        if match := CSKT_ADAPTER.fullmatch(name):
            image, layer, linear, _, kind = match.groups()
            side = "image_adapters" if image else "text_adapters"
            ours[f"{ADAPTATION}.{side}.{layer}.{linear or 'norm'}.{kind}"] = value
        elif not name.startswith(PROMPTS):
            ours[name] = value
    for side, first in (("text", "ctx"), ("vision", "vision")):
        deeper = [prompts[f"compound_prompts_{side}.{index}"] for index in range(_count(prompts, side))]
        ours[f"{ADAPTATION}.prompts.{side}"] = torch.stack([prompts[first], *deeper])
    for name, value in prompts.items():
        for theirs, mapped in PROJECTIONS.items():
            if name.startswith(theirs):
                ours[f"{ADAPTATION}.prompts.{_projection(name.removeprefix(theirs), mapped)}"] = value
    narrow, wide = ours[f"{ADAPTATION}.image_adapters.0.down.weight"].shape
    section = {"kind": "cskt", "prompts": len(prompts["ctx"]), "reduction": wide // narrow} | CSKT_SCALES
    return {ADAPTATION: section}, ours


def _projection(rest: str, mapped: str) -> str:
    """Our name of a projection: the first layer's stands alone in theirs, and the others are counted from it."""
    if mapped.endswith(".0."):
        return f"{mapped}{rest}"
    layer, _, kind = rest.partition(".")
    return f"{mapped}{int(layer) + 1}.{kind}"


def _count(prompts: State, side: str) -> int:
    return sum(name.startswith(f"compound_prompts_{side}.") for name in prompts)


def _ctlg(path: Path, state: State, image_size: tuple[int, int]) -> tuple[Architecture, State]:
    image = in_our_names({name.removeprefix(IMAGE): value for name, value in state.items() if name.startswith(IMAGE)})
    text = {name.removeprefix(TEXT): value for name, value in state.items() if name.startswith(TEXT)}
    text.pop("embeddings.position_ids", None)  # a constant that older releases of transformers saved
    width, patch = image["conv1.weight"].shape[0], image["conv1.weight"].shape[-1]
    words, hidden = text["embeddings.word_embeddings.weight"].shape
    vision = {
        "image_size": image_size,
        "patch_size": patch,
        STRIDE: _stride(path, len(image[POSITIONS]) - 1, image_size, patch, usual=CTLG_STRIDE),
        "width": width,
        "layers": _layers(image, "blocks."),
        "heads": max(1, width // HEAD_WIDTH),
        "mlp_ratio": image["blocks.0.mlp.fc1.weight"].shape[0] / width,
    }
    bert = {
        "context_length": CTLG_CONTEXT,
        "vocab_size": words,
        "hidden_size": hidden,
        "num_hidden_layers": _layers(text, "encoder.layer."),
        "num_attention_heads": max(1, hidden // HEAD_WIDTH),
        "intermediate_size": text["encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": len(text["embeddings.position_embeddings.weight"]),
        "type_vocab_size": len(text["embeddings.token_type_embeddings.weight"]),
    }
    kind = {"kind": DUAL_TRANSFORMER, "embed_dim": width, "temperature": CTLG_TEMPERATURE}
    named = {f"visual.{name}": value for name, value in image.items()}
    named |= {f"text.bert.{name}": value for name, value in text.items()}
    return Architecture(kind | {"vision_cfg": vision, "text_cfg": bert}), named


def _stride(path: Path, positions: int, image_size: tuple[int, int], patch: int, *, usual: int) -> int:
    """Pixels from one patch to the next, by which there are as many patches as the file has positions.

    Raises:
        UserError: none does at this image size, or several do and the usual one is not among them.
    """
    height, width = image_size
    grids = {stride: [(side - patch) // stride + 1 for side in image_size] for stride in range(1, patch + 1)}
    fitting = [stride for stride, (rows, columns) in grids.items() if rows * columns == positions]
    if usual in fitting:
        return usual
    if not fitting:
        raise UserError(
            f"{path}: {positions} image positions do not fit {height}×{width} pixels in patches of {patch}, overlapping"
            " or not; give the size that it was trained with by --image-size"
        )
    if len(fitting) > 1:
        strides = ", ".join(map(str, fitting))
        raise UserError(
            f"{path}: {positions} image positions fit patches of {patch} every {strides} pixels of {height}×{width};"
            " which of them was used is not in the file"
        )
    return fitting[0]


def _layers(state: State, prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in state if name.startswith(prefix)})
