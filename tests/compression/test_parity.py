"""Every form of the shipped, trained model against torch, on crops and captions of people it has not met."""

from pathlib import Path

import numpy as np
import pytest

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, Bundle, Runtime
from personsearch.compression.forms import OnnxVariant, build_form
from personsearch.compression.samples import Sample, draw_sample
from personsearch.data.dataset import Dataset
from personsearch.data.prepare import PrepareConfig, prepare
from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
from personsearch.encoders.encoder import Encoder
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.encoders.openvino import OpenVinoEncoder
from personsearch.encoders.torch import TorchEncoder

BUNDLE = Bundle.open(Path(__file__).parents[2] / "weights" / "tiny-clip")
PARAMETERS = 4_860_186
ITEMS = 12
ENGINES: tuple[Runtime, ...] = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    counts = SynthesizeConfig(
        identities_train=24, identities_val=1, identities_test=1, images_per_identity=1, workers=1, seed=77
    )
    synthesize(counts, folder / "raw")
    prepare(PrepareConfig(), folder / "raw", folder / "prepared")
    return folder / "prepared"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_form(BUNDLE, "onnx-fp32", "onnxruntime", tmp_path_factory.mktemp("full") / "bundle")


@pytest.fixture(scope="module")
def judged(people: Path) -> tuple[Sample, np.ndarray, np.ndarray]:
    """A sample with torch's vectors of its captions and pictures."""
    sample = draw_sample(Dataset.open(people), BUNDLE.spec, count=ITEMS)
    torch = TorchEncoder.from_bundle(BUNDLE, "cpu")
    return sample, torch.encode_texts(sample.captions), torch.encode_images(sample.pixels_NHW3)


@pytest.mark.parametrize("runtime", ENGINES)
@pytest.mark.parametrize(
    ("variant", "difference", "cosine"),
    [("onnx-fp32", 1e-4, 0.99999), ("onnx-int8", 1, 0.99), ("onnx-int8-static", 1, 0.99)],
)
def test_a_form_keeps_its_word(  # noqa: PLR0917
    full: Bundle,
    people: Path,
    judged: tuple[Sample, np.ndarray, np.ndarray],
    tmp_path: Path,
    variant: OnnxVariant,
    runtime: Runtime,
    difference: float,
    cosine: float,
) -> None:
    fitted_to = draw_sample(Dataset.open(people), BUNDLE.spec, count=ITEMS, seed=1)
    form = build_form(BUNDLE, variant, runtime, tmp_path / "form", fitted_to, full=full)
    check(load_graph_encoder(form, 1, verify=True), judged, difference, cosine)


def test_half_precision_keeps_its_word_on_both_engines(
    full: Bundle, judged: tuple[Sample, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    half = build_form(BUNDLE, "onnx-fp16", "onnxruntime", tmp_path / "form")
    check(load_graph_encoder(half, 1, verify=True), judged, 1e-3, 0.9999)
    check(OpenVinoEncoder(half, 1, verify=True), judged, 4e-3, 0.9999)  # computes in f16 where the CPU can
    for name in (IMAGE_ONNX, TEXT_ONNX):
        assert half.path(name).stat().st_size < 0.52 * full.path(name).stat().st_size


def check(encoder: Encoder, judged: tuple[Sample, np.ndarray, np.ndarray], difference: float, cosine: float) -> None:
    """Compare with torch: the largest difference of a number, the smallest cosine."""
    sample, *expected = judged
    found = encoder.encode_texts(sample.captions), encoder.encode_images(sample.pixels_NHW3)
    for own, torch in zip(found, expected, strict=True):
        assert np.abs(own - torch).max() <= difference
        assert (own * torch).sum(axis=1).min() >= cosine


def test_8_bit_graphs_take_little_more_than_a_byte_per_parameter(full: Bundle, tmp_path: Path) -> None:
    form = build_form(BUNDLE, "onnx-int8", "onnxruntime", tmp_path / "form", full=full)
    size = sum(form.path(name).stat().st_size for name in (IMAGE_ONNX, TEXT_ONNX))
    assert size < 1.03 * PARAMETERS
