"""Each form of a tiny model: a whole bundle on its engine, close to torch, kept where nothing changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, Bundle, Runtime
from personsearch.compression.forms import OnnxVariant, build_form
from personsearch.compression.samples import Sample, draw_sample
from personsearch.data.dataset import Dataset
from personsearch.data.records import read_manifest, write_manifest
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import UserError

TEXTS = ["a person in a red coat", "a person in a blue coat", "green coat number 3", "white"]
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 16, 3), dtype=np.uint8)
FORMS: list[tuple[OnnxVariant, Runtime, float]] = [
    ("onnx-fp32", "onnxruntime", 1e-4),
    ("onnx-fp32", "openvino", 1e-4),
    ("onnx-int8", "onnxruntime", 0.05),
    ("onnx-int8", "openvino", 0.05),
    ("onnx-int8-static", "onnxruntime", 0.05),
    ("onnx-int8-static", "openvino", 0.05),
]
SAMPLE = Sample(np.random.default_rng(1).integers(0, 256, (8, 32, 16, 3), dtype=np.uint8), tuple(TEXTS))


@pytest.fixture(scope="module")
def source(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def full(source: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_form(source, "onnx-fp32", "onnxruntime", tmp_path_factory.mktemp("forms") / "full")


@pytest.mark.parametrize(("variant", "runtime", "tolerance"), FORMS)
def test_a_form_is_a_bundle_close_to_torch(  # noqa: PLR0917
    source: Bundle, full: Bundle, tmp_path: Path, variant: OnnxVariant, runtime: Runtime, tolerance: float
) -> None:
    torch = TorchEncoder.from_bundle(source, "cpu")
    form = build_form(source, variant, runtime, tmp_path / "form", SAMPLE, full=full)
    spec = form.spec
    assert (spec.variant, spec.runtime, spec.lineage.parent) == (variant, runtime, source.fingerprint)
    assert spec.lineage.sample == (SAMPLE.digest() if variant == "onnx-int8-static" else "")
    encoder = load_graph_encoder(form, 1, verify=True)
    assert encoder.encode_texts(TEXTS) == pytest.approx(torch.encode_texts(TEXTS), abs=tolerance)
    assert encoder.encode_images(PIXELS) == pytest.approx(torch.encode_images(PIXELS), abs=tolerance)
    assert not list(tmp_path.glob(".*"))


def test_a_form_is_kept_until_its_bundle_engine_or_sample_changes(source: Bundle, full: Bundle, tmp_path: Path) -> None:
    def build(runtime: Runtime, sample: Sample) -> int:
        form = build_form(source, "onnx-int8-static", runtime, tmp_path / "form", sample, full=full)
        return form.path(IMAGE_ONNX).stat().st_mtime_ns

    first = build("onnxruntime", SAMPLE)
    assert build("onnxruntime", SAMPLE) == first
    other = Sample(SAMPLE.pixels_NHW3[:4], SAMPLE.captions)
    assert build("onnxruntime", other) != first
    second = build("onnxruntime", other)
    assert build("openvino", other) != second


def test_8_bit_graphs_are_the_same_from_a_given_form_and_a_new_export(
    source: Bundle, full: Bundle, tmp_path: Path
) -> None:
    given = build_form(source, "onnx-int8", "onnxruntime", tmp_path / "given", full=full)
    exported = build_form(source, "onnx-int8", "onnxruntime", tmp_path / "exported")
    for name in (IMAGE_ONNX, TEXT_ONNX):
        assert given.path(name).read_bytes() == exported.path(name).read_bytes()


def test_what_cannot_be_built_is_refused(source: Bundle, full: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only a torch bundle"):
        build_form(full, "onnx-int8", "onnxruntime", tmp_path / "form")
    with pytest.raises(UserError, match="sample"):
        build_form(source, "onnx-int8-static", "onnxruntime", tmp_path / "form", full=full)
    with pytest.raises(UserError, match="onnx-fp32 form"):
        build_form(source, "onnx-int8", "onnxruntime", tmp_path / "form", full=source)
    assert not list(tmp_path.iterdir())


def test_a_sample_is_drawn_from_training_images(tiny_dataset: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training images"):  # it has only val and test
        draw_sample(Dataset.open(tiny_dataset), Bundle.open(tiny_bundle).spec)


def test_a_training_image_that_cannot_be_decoded_is_named(
    tiny_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    write_manifest(tmp_path, [replace(read_manifest(tiny_dataset)[0], split="train", path="broken.jpg")])
    with pytest.raises(UserError, match=r"broken\.jpg: .*; run `personsearch data prepare` again"):
        draw_sample(Dataset.open(tmp_path), Bundle.open(tiny_bundle).spec)


def test_a_sample_is_the_same_each_time(tiny_dataset: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    records = [replace(record, split="train") for record in read_manifest(tiny_dataset)]
    (tmp_path / "images").symlink_to(tiny_dataset / "images")
    write_manifest(tmp_path, records)
    first, second = (draw_sample(Dataset.open(tmp_path), Bundle.open(tiny_bundle).spec, count=7) for _ in range(2))
    assert first.pixels_NHW3.shape == (7, 32, 16, 3)
    assert set(first.captions) <= {record.captions[0] for record in records}
    assert (
        first.digest()
        == second.digest()
        != draw_sample(Dataset.open(tmp_path), Bundle.open(tiny_bundle).spec, count=7, seed=1).digest()
    )
