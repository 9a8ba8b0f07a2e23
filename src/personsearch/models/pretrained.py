"""Where the towers of a dual transformer find pretrained weights: files, folders and the hub."""

from pathlib import Path

from personsearch.errors import UserError
from personsearch.models.weights import HUB, State, download, load_weights

CONFIG, WEIGHTS = "config.json", "model.safetensors"
BERT_FILES = (CONFIG, WEIGHTS, "tokenizer.json")


def timm_state(source: str) -> State:
    """The state dict of a timm model: a file, a folder with model.safetensors, `hf-hub:owner/name`, or timm's name.

    Raises:
        UserError: nothing is there, it cannot be read, or the hub cannot be reached.
    """
    path = Path(source)
    if source.startswith(HUB):
        path = download(source.removeprefix(HUB), WEIGHTS, source)
    elif (path / WEIGHTS).is_file():
        path = path / WEIGHTS
    elif not path.is_file():
        path = download(_timm_repository(source), WEIGHTS, source)
    return load_weights(str(path), None).state


def bert_folder(source: str) -> Path:
    """The folder of a BERT in transformers' form: a local one, or `hf-hub:owner/name`, fetched.

    Raises:
        UserError: it is no such folder, or the hub cannot be reached.
    """
    if source.startswith(HUB):
        config, *_ = [download(source.removeprefix(HUB), name, source) for name in BERT_FILES]
        return config.parent
    if not (Path(source) / CONFIG).is_file():
        raise UserError(f"text weights {source}: no folder with {CONFIG}; the hub's are written {HUB}owner/name")
    return Path(source)


def _timm_repository(name: str) -> str:
    import timm

    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a known architecture with an unknown tag
        found = None
    if found is None or not found.hf_hub_id:
        near = timm.list_pretrained(f"{name.partition('.')[0]}*")[:4]
        raise UserError(
            f"image weights {name}: no file, no folder with {WEIGHTS}, no pretrained timm model"
            f" (near it: {', '.join(near) or 'none'})"
        )
    return str(found.hf_hub_id)
