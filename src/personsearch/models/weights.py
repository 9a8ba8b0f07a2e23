"""Reads weights from a bundle, a local file or the hub; nothing is unpickled that could run code."""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from personsearch.bundle import WEIGHTS, Bundle, is_bundle
from personsearch.errors import UserError
from personsearch.models.architecture import QUICK_GELU, Activation, Architecture
from personsearch.models.checkpoint_file import describe_content, describe_unreadable, read_checkpoint
from personsearch.models.position import Grid, resize_position_embedding

POSITIONS = "visual.positional_embedding"
TEXT_POSITIONS = "positional_embedding"
OPENAI_ONLY = ("input_resolution", "context_length", "vocab_size")
HUB = "hf-hub:"
HUB_TIMEOUT_SECONDS = 5
HUB_WEIGHTS, HUB_CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
AUTHORS_NAMES = ("base_model.", "encode_text.", "model_img.", "model_txt.")
IMPORT = "`personsearch import` makes a bundle of a checkpoint of TBPS-CLIP, IRRA, CSKT, CTLG or RDE"
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Weights:
    """A state dict in open_clip's names; `architecture` and `activation` where the source says them."""

    state: State
    origin: str
    architecture: Architecture | None = None
    bundle: Bundle | None = None
    activation: Activation | None = None


def load_weights(source: str, architecture_name: str | None) -> Weights:
    """Read weights from a bundle's folder, a file or the hub (`hf-hub:owner/name`, or an open_clip pretrained tag).

    Raises:
        UserError: nothing is there, it cannot be read, or the hub cannot be reached.
    """
    path = Path(source)
    if is_bundle(path):
        return bundle_weights(Bundle.open(path))
    if path.is_file():
        return _from_file(path)
    refuse_absent_path(source)
    repository, activation = _on_hub(source, architecture_name)
    path = download(repository, HUB_WEIGHTS, source)
    return _from_file(path, activation or _hub_activation(repository, source))


def refuse_absent_path(source: str) -> None:
    """Refuse a source that names a path where no weights are, rather than something on the hub.

    Raises:
        UserError: it does.
    """
    path = Path(source)
    looks_local = path.suffix or source.startswith((".", "/", "~")) or ("/" in source and ":" not in source)
    if path.is_dir() or (looks_local and not source.startswith(HUB)):  # a repository's name may end in .openai
        raise UserError(f"weights {source}: neither a model bundle nor a file of weights")


def fit(weights: Weights, expected: State, new_grid: Grid | None) -> State:
    """The state dict in the model's shapes: image positions interpolated, text positions cut, float32.

    Raises:
        UserError: a tensor is missing, unknown or of another shape.
    """
    state = {name: value.float() if value.is_floating_point() else value for name, value in weights.state.items()}
    if new_grid is not None and POSITIONS in state:
        old_grid = weights.architecture.grid if weights.architecture else None
        state[POSITIONS] = resize_position_embedding(state[POSITIONS], old_grid, new_grid)
    if TEXT_POSITIONS in state and TEXT_POSITIONS in expected:
        state[TEXT_POSITIONS] = state[TEXT_POSITIONS][: len(expected[TEXT_POSITIONS])]
    check_shapes(state, expected, weights.origin)
    return state


def check_shapes(state: State, expected: State, origin: str) -> None:
    """Refuse weights of another architecture.

    Raises:
        UserError: a tensor is missing, unknown or of another shape.
    """
    problems = [f"{name} is missing" for name in expected.keys() - state.keys()]
    problems += [f"{name} is unknown" for name in state.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    if problems:
        raise UserError(
            f"weights {origin}: {len(problems)} tensors do not fit the architecture: {'; '.join(sorted(problems)[:3])}"
        )


def bundle_weights(bundle: Bundle) -> Weights:
    """The weights of a bundle's torch variant.

    Raises:
        UserError: it has none, or they cannot be read.
    """
    if not bundle.path(WEIGHTS).is_file():
        raise UserError(f"weights {bundle}: the bundle has no {WEIGHTS}; only its torch variant can be trained")
    loaded = _from_file(bundle.path(WEIGHTS))
    architecture = Architecture(bundle.spec.architecture)
    activation: Activation = architecture.activation or "gelu"  # open_clip's own
    return Weights(loaded.state, str(bundle), architecture, bundle, activation)


def _from_file(path: Path, activation: Activation | None = None) -> Weights:
    try:
        state, openai = _read(path)
    except UserError:
        raise
    except Exception as error:  # torch, safetensors and zip readers raise their own kinds on bad bytes
        raise UserError(f"weights {path}: {describe_unreadable(path, error)}") from error
    # Checkpoints of distributed training put every name under `module.`.
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if theirs := [name for name in state if name.startswith(AUTHORS_NAMES)]:
        raise UserError(f"weights {path}: has names of a published method's own code, such as {theirs[0]}; {IMPORT}")
    said = QUICK_GELU if openai else activation or _config_activation(path.with_name(HUB_CONFIG))
    return Weights(state, str(path), activation=said)


def _read(path: Path) -> tuple[State, bool]:
    state: Any
    if _is_torchscript(path):
        state = dict(torch.jit.load(str(path), map_location="cpu").state_dict())  # type: ignore[no-untyped-call]
    else:
        content = read_checkpoint(path)
        state = content.get("state_dict", content) if isinstance(content, dict) else {}
        if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
            raise UserError(f"weights {path}: not a state dict, but {describe_content(content)}; {IMPORT}")
    openai = any(name in state for name in OPENAI_ONLY)
    return {name: value for name, value in state.items() if name not in OPENAI_ONLY}, openai


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name or name.endswith("constants.pkl") for name in archive.namelist())


def _on_hub(source: str, architecture_name: str | None) -> tuple[str, Activation | None]:
    """Repository of a tag or of `hf-hub:owner/name`, and the activation in open_clip's table; None if it lists none."""
    import open_clip

    if source.startswith(HUB):
        repository = source.removeprefix(HUB)
        tags = (open_clip.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained())
        tag = next((tag for tag in tags if str(tag.get("hf_hub", "")).rstrip("/") == repository), None)
        return repository, tag and _tag_activation(tag)
    tag = open_clip.get_pretrained_cfg(architecture_name, source) if architecture_name else None
    if not tag:
        known = open_clip.list_pretrained_tags_by_model(architecture_name) if architecture_name else []
        raise UserError(
            f"weights {source!r}: no file, no bundle, and no pretrained tag of {architecture_name}"
            f" ({', '.join(known[:8]) or 'it has none'})"
        )
    # An architecture can demand the activation where the table leaves it out: roberta-ViT-B-32.
    own = Architecture(open_clip.get_model_config(architecture_name)).activation
    return str(tag.get("hf_hub", "")).rstrip("/") or source, own or _tag_activation(tag)


def _tag_activation(tag: Mapping[str, Any]) -> Activation:
    return QUICK_GELU if tag.get(QUICK_GELU) else "gelu"


def _hub_activation(repository: str, source: str) -> Activation | None:
    """What the repository's own configuration says; None where it has none that can be fetched."""
    try:
        return _config_activation(download(repository, HUB_CONFIG, source))
    except UserError:
        return None


def _config_activation(path: Path) -> Activation | None:
    """What an open_clip_config.json says, which leaves out gelu; None where there is none."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Architecture(model).activation or "gelu"


def download(repository: str, name: str, source: str) -> Path:
    """A file of a hub repository: from the local cache, else fetched.

    Raises:
        UserError: it is not cached and cannot be fetched; `source` is what the user wrote.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, name)
    if isinstance(cached, str):
        return Path(cached)
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise UserError(f"weights {source}: not in the local cache, and HF_HUB_OFFLINE forbids fetching {repository}")
    try:
        return Path(hf_hub_download(repository, name, etag_timeout=HUB_TIMEOUT_SECONDS))
    except Exception as error:
        raise UserError(
            f"weights {source}: {repository} cannot be fetched ({type(error).__name__}); give a local file or bundle"
        ) from error
