"""Writes a changed model as a torch bundle, completely or not at all."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from personsearch.bundle import MODEL_CARD, TOKENIZER, WEIGHTS, Bundle
from personsearch.encoders.golden import write_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError
from personsearch.models.encoder import PersonEncoder
from personsearch.training.checkpoint import save_weights

CHANGES = "\n## After training\n\n"


def write_torch_bundle(
    source: Bundle,
    model: PersonEncoder,
    out_dir: Path,
    *,
    tokenizer: str | None = None,
    change: str = "It was changed.",
) -> None:
    """Write a changed model to `out_dir`; the bundle's parent is `source`.

    Metrics and calibration are left out, because they have to be measured again.

    `tokenizer` is the content of another tokenizer.json; `change` is the sentence that the model card adds. Weights
    keep the source's precision.

    Raises:
        UserError: `source` is not a torch bundle or is `out_dir` itself, or the changed model gives every
            input the same embedding.
    """
    if out_dir.is_dir() and source.folder.samefile(out_dir):
        raise UserError(f"{out_dir}: is the source itself; another folder expected")
    dtype = weights_dtype(source)
    changes = {
        "architecture": model.architecture.to_dict(),
        "context_length": model.context_length,
        "embedding_dim": model.embedding_dim,
        "lineage": source.spec.lineage.model_copy(update={"parent": source.fingerprint}),
    }
    text = source.path(TOKENIZER).read_text(encoding="utf-8") if tokenizer is None else tokenizer
    with Bundle.writing(out_dir, source.spec.model_copy(update=changes)) as bundle:
        bundle.path(TOKENIZER).write_text(text, encoding="utf-8")
        save_weights(bundle.path(WEIGHTS), model, dtype)
        bundle.path(MODEL_CARD).write_text(_card(source, model, change), encoding="utf-8")
        write_golden(bundle, TorchEncoder.from_bundle(bundle, "cpu"))


def weights_dtype(bundle: Bundle) -> torch.dtype:
    """The precision in which a torch bundle stores its weights.

    Raises:
        UserError: it has none.
    """
    path = bundle.path(WEIGHTS)
    if not path.is_file():
        raise UserError(f"{bundle}: variant {bundle.spec.variant!r} has no {WEIGHTS}; expected a torch bundle")
    with safe_open(path, framework="pt") as file:
        tensors: Iterator[Tensor] = (file.get_tensor(name) for name in file.keys())  # noqa: SIM118
        return next(tensor.dtype for tensor in tensors if tensor.is_floating_point())


def _card(source: Bundle, model: PersonEncoder, change: str) -> str:
    path = source.path(MODEL_CARD)
    before = path.read_text(encoding="utf-8") if path.is_file() else f"# {source.spec.method}\n"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    heading = "" if CHANGES in before else CHANGES
    return (
        f"{before.rstrip()}\n{heading}- {change} It now has {parameters:,} parameters and embeddings of"
        f" {model.embedding_dim} numbers. The figures above are those of the model before.\n"
    )
