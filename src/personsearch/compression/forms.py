"""The forms of a model: what is cut from it, the precision of its ONNX graphs, and the engine that runs them.

A form becomes an ONNX bundle. `variant` is bundle.yaml's word for what the weights are: torch's, or graphs of some
precision.
"""

import logging
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import AliasChoices, Field

from personsearch.bundle import (
    GOLDEN,
    IMAGE_ONNX,
    MODEL_CARD,
    TEXT_ONNX,
    TOKENIZER,
    Bundle,
    BundleSpec,
    Runtime,
    is_bundle,
)
from personsearch.compression.cuts import Cuts, make_cuts
from personsearch.compression.export import export_onnx
from personsearch.compression.quantise import measure_ranges, quantise_dynamic, quantise_static, quantise_weights
from personsearch.compression.samples import Sample, draw_sample
from personsearch.data.dataset import Dataset
from personsearch.encoders.golden import verify_golden, write_golden
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.errors import UserError
from personsearch.models.build import load_bundle_model
from personsearch.progress import announce

logger = logging.getLogger(__name__)

OnnxVariant = Literal["onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-static"]
STRUCTURES = "structures"
EXACT = ("onnx-fp32", "onnx-fp16")
PARITY = 1e-4  # cosine distance


class Form(Cuts):
    """What is cut from the model, the precision of its ONNX graphs, and the engine that runs them."""

    variant: OnnxVariant = Field(default="onnx-fp32", validation_alias=AliasChoices("variant", "numbers"))
    """Precision of the ONNX graphs; `onnx-int8-static` also fits the ranges of activations to training images."""

    runtime: Runtime = "onnxruntime"
    """The engine that runs the graphs; `openvino` must be installed."""


def build_forms(forms: Mapping[str, Form], source: Bundle, dataset: Dataset, out_dir: Path) -> dict[str, Bundle]:
    """Write a bundle for every form; 8-bit ones start from the float32 graphs of another form with the same cuts."""
    built: dict[str, Bundle] = {}
    full: dict[Path, Bundle] = {}
    for place, (name, form) in enumerate(forms.items(), start=1):
        announce(f"form {place} of {len(forms)}: {name}")
        cut = make_cuts(form, source, dataset, out_dir / STRUCTURES)
        sample = draw_sample(dataset, cut.spec) if form.variant == "onnx-int8-static" else None
        built[name] = build_form(cut, form.variant, form.runtime, out_dir / name, sample, full=full.get(cut.folder))
        if form.variant == "onnx-fp32":
            full.setdefault(cut.folder, built[name])
    return built


def build_form(
    source: Bundle,
    variant: OnnxVariant,
    runtime: Runtime,
    out_dir: Path,
    sample: Sample | None = None,
    *,
    full: Bundle | None = None,
) -> Bundle:
    """Write a torch bundle's form to `out_dir`; a finished form of this very bundle is kept.

    `full`, the bundle's onnx-fp32 form for any engine, saves an export, except for onnx-fp16. The ranges of
    onnx-int8-static are fitted to `sample`.

    Raises:
        UserError: `source` is not a torch bundle, a static form has no sample, the engine is not installed, or the
            exported model does not reproduce the golden embeddings.
    """
    spec = _spec(source, variant, runtime, sample)
    _check_full(source, full)
    if is_bundle(out_dir) and (built := Bundle.open(out_dir)).spec == spec:
        return built
    with Bundle.writing(out_dir, spec) as form:
        for name in (TOKENIZER, MODEL_CARD):
            if source.path(name).is_file():
                shutil.copyfile(source.path(name), form.path(name))
        _write_graphs(source, form, sample, full)
        encoder = load_graph_encoder(form)
        # 8 bits move every vector a little: whether by too much is for the evaluation to say.
        tolerance = PARITY if variant in EXACT else math.inf
        distance = verify_golden(source, encoder, tolerance)
        logger.info("%s on %s is within a cosine distance of %.1e of torch", variant, runtime, distance)
        if variant in EXACT:  # what torch computed stays the reference; 8-bit graphs can only vouch for themselves
            shutil.copyfile(source.path(GOLDEN), form.path(GOLDEN))
        else:
            write_golden(form, encoder)
    return Bundle.open(out_dir)


def _spec(bundle: Bundle, variant: OnnxVariant, runtime: Runtime, sample: Sample | None) -> BundleSpec:
    spec = bundle.spec
    if spec.variant != "torch":
        raise UserError(f"{bundle}: variant {spec.variant!r}; only a torch bundle can be compressed")
    static = variant == "onnx-int8-static"
    if static and sample is None:
        raise UserError(f"{variant}: needs a sample of training images and captions")
    digest = sample.digest() if static and sample is not None else ""
    lineage = spec.lineage.model_copy(update={"parent": bundle.fingerprint, "sample": digest})
    return spec.model_copy(update={"variant": variant, "runtime": runtime, "lineage": lineage})


def _check_full(bundle: Bundle, full: Bundle | None) -> None:
    if full is None:
        return
    spec = full.spec
    if spec.variant != "onnx-fp32" or spec.lineage.parent != bundle.fingerprint:
        raise UserError(f"{full}: variant {spec.variant!r}; expected the onnx-fp32 form of {bundle}")


def _write_graphs(bundle: Bundle, form: Bundle, sample: Sample | None, full: Bundle | None) -> None:
    if form.spec.variant == "onnx-fp32" and full is not None:
        for name in (IMAGE_ONNX, TEXT_ONNX):
            shutil.copyfile(full.path(name), form.path(name))
    elif form.spec.variant in EXACT:
        _export(bundle, form.spec, form.folder)
    else:
        with _full_graphs(bundle, full) as graphs:
            _quantise(graphs, form, sample)


def _export(bundle: Bundle, spec: BundleSpec, folder: Path) -> None:
    dtype = torch.float16 if spec.variant == "onnx-fp16" else torch.float32
    export_onnx(load_bundle_model(bundle).model, spec, folder, dtype=dtype)


@contextmanager
def _full_graphs(bundle: Bundle, full: Bundle | None) -> Iterator[Path]:
    """A folder with the float32 graphs of a torch bundle."""
    if full is not None:
        yield full.folder
        return
    with tempfile.TemporaryDirectory() as folder:
        _export(bundle, bundle.spec, Path(folder))
        yield Path(folder)


def _quantise(graphs: Path, form: Bundle, sample: Sample | None) -> None:
    if sample is not None and form.spec.variant == "onnx-int8-static":
        image_ranges = measure_ranges(graphs / IMAGE_ONNX, sample.image_batches(form.spec.preprocessing))
        quantise_static(graphs / IMAGE_ONNX, form.path(IMAGE_ONNX), image_ranges)
        text_ranges = measure_ranges(graphs / TEXT_ONNX, sample.text_batches(form.tokenizer))
        quantise_static(graphs / TEXT_ONNX, form.path(TEXT_ONNX), text_ranges)
    else:
        quantise = quantise_weights if form.spec.runtime == "openvino" else quantise_dynamic
        for name in (IMAGE_ONNX, TEXT_ONNX):
            quantise(graphs / name, form.path(name))
