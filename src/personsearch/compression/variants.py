"""The compressed forms of a torch bundle, each a bundle of its own."""

import logging
import os
import shutil
from pathlib import Path
from typing import Literal

from personsearch.bundle import GOLDEN, MODEL_CARD, SPEC, TOKENIZER, fingerprint, read_spec, write_spec
from personsearch.compression.export import export_onnx
from personsearch.compression.quantise import quantise_onnx
from personsearch.errors import UserError
from personsearch.search.golden import verify_golden, write_golden
from personsearch.search.onnx_encoder import OnnxEncoder

logger = logging.getLogger(__name__)

PARITY = 1e-4
OnnxVariant = Literal["onnx-fp32", "onnx-int8"]
FULL: OnnxVariant = "onnx-fp32"
EIGHT_BIT: OnnxVariant = "onnx-int8"


def build_variants(bundle: Path, out_dir: Path) -> dict[str, Path]:
    """Write both ONNX bundles into `out_dir`; those that are there already for this very bundle are kept.

    Raises:
        UserError: `bundle` is no torch bundle, or the exported model does not reproduce its golden embeddings.
    """
    if read_spec(bundle).variant != "torch":
        raise UserError(f"{bundle}: variant {read_spec(bundle).variant!r}; only a torch bundle can be compressed")
    full, eight_bit = out_dir / FULL, out_dir / EIGHT_BIT
    if not _is_built(full, bundle):
        _build(FULL, bundle, full)
    if not _is_built(eight_bit, bundle):
        _build(EIGHT_BIT, bundle, eight_bit, full=full)
    return {FULL: full, EIGHT_BIT: eight_bit}


def replace_folder(source: Path, target: Path) -> None:
    """Put a finished folder where an older one may stand."""
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)


def partial_folder(target: Path) -> Path:
    """An empty folder beside `target` to write into; what an interrupted run left is removed."""
    for leftover in target.parent.glob(f".{target.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = target.parent / f".{target.name}.{os.getpid()}.partial"
    folder.mkdir(parents=True)
    return folder


def _is_built(folder: Path, bundle: Path) -> bool:
    return (folder / SPEC).is_file() and read_spec(folder).lineage.parent == fingerprint(bundle)


def _build(variant: OnnxVariant, bundle: Path, target: Path, *, full: Path | None = None) -> None:
    from personsearch.models.build import load_bundle_model

    spec, folder = read_spec(bundle), partial_folder(target)
    lineage = spec.lineage.model_copy(update={"parent": fingerprint(bundle)})
    write_spec(folder, spec.model_copy(update={"variant": variant, "lineage": lineage}))
    for name in (TOKENIZER, MODEL_CARD):
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, folder / name)
    if full is None:
        export_onnx(load_bundle_model(bundle).model, spec, folder)
        shutil.copyfile(bundle / GOLDEN, folder / GOLDEN)
        distance = verify_golden(folder, OnnxEncoder(folder), tolerance=PARITY)
        logger.info("%s reproduces torch within a cosine distance of %.1e", variant, distance)
    else:
        quantise_onnx(full, folder)
        write_golden(folder, OnnxEncoder(folder))
    replace_folder(folder, target)
