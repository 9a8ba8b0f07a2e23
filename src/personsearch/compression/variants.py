"""One form of a torch bundle in other numbers, as an ONNX bundle of its own."""

import logging
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from personsearch.bundle import (
    GOLDEN,
    IMAGE_ONNX,
    MODEL_CARD,
    SPEC,
    TEXT_ONNX,
    TOKENIZER,
    Bundle,
    BundleSpec,
    Runtime,
)
from personsearch.compression.quantise import measure_ranges, quantise_dynamic, quantise_static, quantise_weights
from personsearch.compression.sample import Sample
from personsearch.encoders.golden import verify_golden, write_golden
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError

logger = logging.getLogger(__name__)

OnnxVariant = Literal["onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-static"]
EXACT = ("onnx-fp32", "onnx-fp16")
PARITY = 1e-4


def build_form(
    bundle: Path,
    variant: OnnxVariant,
    runtime: Runtime,
    out_dir: Path,
    sample: Sample | None = None,
    *,
    full: Path | None = None,
) -> None:
    """Write `out_dir`, the torch bundle's ONNX form; one that is there already for this very bundle is kept.

    `full`, its onnx-fp32 form for any engine, saves all but onnx-fp16 an export. int8-static is fitted to `sample`.

    Raises:
        UserError: `bundle` is no torch bundle, a static form has no sample, the engine is not installed, or the
            exported model does not reproduce the golden embeddings.
    """
    source, whole = Bundle.open(bundle), Bundle.open(full) if full else None
    spec = _spec(source, variant, runtime, sample)
    _check_full(source, whole)
    if _is_built(out_dir, spec):
        return
    with Bundle.writing(out_dir, spec) as form:
        for name in (TOKENIZER, MODEL_CARD):
            if source.path(name).is_file():
                shutil.copyfile(source.path(name), form.path(name))
        _write_graphs(source, form, sample, full)
        encoder = load_graph_encoder(form)
        tolerance = PARITY if variant in EXACT else math.inf  # of the rest evaluation is the judge
        distance = verify_golden(source, encoder, tolerance)
        logger.info("%s on %s is within a cosine distance of %.1e of torch", variant, runtime, distance)
        if variant in EXACT:
            shutil.copyfile(source.path(GOLDEN), form.path(GOLDEN))
        else:
            write_golden(form, encoder)


def _spec(bundle: Bundle, variant: OnnxVariant, runtime: Runtime, sample: Sample | None) -> BundleSpec:
    spec = bundle.spec
    if spec.variant != "torch":
        raise UserError(f"{bundle}: variant {spec.variant!r}; only a torch bundle can be compressed")
    static = variant == "onnx-int8-static"
    if static and sample is None:
        raise UserError(f"{variant}: needs a sample of training images and captions to be fitted to")
    digest = sample.digest() if static and sample is not None else ""
    lineage = spec.lineage.model_copy(update={"parent": bundle.fingerprint, "sample": digest})
    return spec.model_copy(update={"variant": variant, "runtime": runtime, "lineage": lineage})


def _is_built(folder: Path, spec: BundleSpec) -> bool:
    return (folder / SPEC).is_file() and Bundle.open(folder).spec == spec


def _check_full(bundle: Bundle, full: Bundle | None) -> None:
    if full is None:
        return
    spec = full.spec
    if spec.variant != "onnx-fp32" or spec.lineage.parent != bundle.fingerprint:
        raise UserError(f"{full}: variant {spec.variant!r}; the onnx-fp32 form of {bundle} wanted")


def _write_graphs(bundle: Bundle, form: Bundle, sample: Sample | None, full: Path | None) -> None:
    spec, folder = form.spec, form.folder
    if spec.variant == "onnx-fp32" and full is not None:
        for name in (IMAGE_ONNX, TEXT_ONNX):
            shutil.copyfile(full / name, folder / name)
    elif spec.variant in EXACT:
        _export(bundle, spec, folder)
    else:
        with _full_graphs(bundle, full) as source:
            _quantise(source, folder, spec, sample)


def _export(bundle: Bundle, spec: BundleSpec, folder: Path) -> None:
    import torch

    from personsearch.compression.export import export_onnx
    from personsearch.models.build import load_bundle_model

    dtype = torch.float16 if spec.variant == "onnx-fp16" else torch.float32
    export_onnx(load_bundle_model(bundle).model, spec, folder, dtype=dtype)


@contextmanager
def _full_graphs(bundle: Bundle, full: Path | None) -> Iterator[Path]:
    """A folder with the float32 graphs of a torch bundle."""
    if full is not None:
        yield full
        return
    with tempfile.TemporaryDirectory() as folder:
        _export(bundle, bundle.spec, Path(folder))
        yield Path(folder)


def _quantise(source: Path, folder: Path, spec: BundleSpec, sample: Sample | None) -> None:
    if sample is not None and spec.variant == "onnx-int8-static":
        image_ranges = measure_ranges(source / IMAGE_ONNX, sample.image_batches(spec))
        quantise_static(source / IMAGE_ONNX, folder / IMAGE_ONNX, image_ranges)
        text_ranges = measure_ranges(source / TEXT_ONNX, sample.text_batches(folder, spec))
        quantise_static(source / TEXT_ONNX, folder / TEXT_ONNX, text_ranges)
    else:
        quantise = quantise_weights if spec.runtime == "openvino" else quantise_dynamic
        for name in (IMAGE_ONNX, TEXT_ONNX):
            quantise(source / name, folder / name)
