"""Claim: a text query of 20 tokens at ViT-B/16 takes at most a third of open_clip's time, with vectors equal to 1e-3.

Run: `python benchmarks/encoders.py [--size 224 224] [--rounds 10]`; prints one table. Every row has the same random
weights of open_clip's ViT-B-16. In each round, every row encodes one query and one image, with one thread and with two;
ratios are medians over the rounds. On busy cores set OMP_WAIT_POLICY=PASSIVE, as `make bench` does. Texts and images of
synthetic people show how far a row's vectors are from open_clip's.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from support.people import prepare_people

from personsearch.bundle import IMAGE_ONNX, TEXT_ONNX, TOKENIZER, WEIGHTS, Bundle, BundleSpec, Lineage, write_spec
from personsearch.bundle import Preprocessing as Pixels
from personsearch.compression.forms import build_form
from personsearch.compression.samples import Sample, draw_sample
from personsearch.data.dataset import Dataset
from personsearch.data.synthetic.synthesize import SynthesizeConfig
from personsearch.encoders.golden import write_golden
from personsearch.encoders.load_graph import load_graph_encoder
from personsearch.encoders.openvino import OpenVinoEncoder
from personsearch.encoders.torch import TorchEncoder
from personsearch.errors import shortened
from personsearch.images import normalise
from personsearch.models.build import load_bundle_model
from personsearch.models.vocabulary import clip_tokenizer
from personsearch.tokenizer import Tokenizer, text_lengths

NAME = "ViT-B-16"
BASELINE = "open_clip, 77 tokens"
QUERY = "a woman in a red coat and black trousers with a small white bag on her left shoulder"
QUERY_TOKENS = 20
COMPILE_SECONDS = 60
PARITY_ITEMS = 8
TEXTS_PER_ROUND = 3
MEAN_STD = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
FORMS = {
    "ONNX Runtime fp32": ("onnx-fp32", "onnxruntime"),
    "OpenVINO fp32": ("onnx-fp32", "openvino"),
    "OpenVINO fp16": ("onnx-fp16", "openvino"),
    "ONNX Runtime int8 dynamic": ("onnx-int8", "onnxruntime"),
    "OpenVINO int8 dynamic": ("onnx-int8", "openvino"),
    "ONNX Runtime int8 static": ("onnx-int8-static", "onnxruntime"),
    "OpenVINO int8 static": ("onnx-int8-static", "openvino"),
}


class OpenClip:
    """open_clip used as in its README: its tokenizer, its full context length, its model."""

    def __init__(self, model: Any) -> None:
        self._model, self._tokenizer = model, open_clip.get_tokenizer(NAME)

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        return self._model.encode_text(self._tokenizer(texts), normalize=True).numpy()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode_images(self, pixels_NHW3: NDArray[np.uint8]) -> NDArray[np.float32]:
        standard = torch.from_numpy(normalise(pixels_NHW3, MEAN_STD["mean"], MEAN_STD["std"]))
        return self._model.encode_image(standard, normalize=True).numpy()  # type: ignore[no-any-return]


@dataclass
class Row:
    """Seconds of each round by number of threads, the vectors, and the size of the graphs."""

    text: dict[int, list[float]] = field(default_factory=dict)
    image: dict[int, list[float]] = field(default_factory=dict)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    megabytes: float = float("nan")


def main() -> None:
    """Build every form of one random model, time them in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = open_clip.create_model(NAME, force_image_size=tuple(options.size)).eval()
        make_bundle(model, options.size, folder / "torch")
        spec = Bundle.open(folder / "torch").spec
        people, asked = make_people(folder), query(folder / "torch")
        sample, judged = (
            draw_sample(Dataset.open(people), spec, count=32),
            draw_sample(Dataset.open(people), spec, count=PARITY_ITEMS, seed=1),
        )
        full = None
        for name, (variant, runtime) in FORMS.items():
            form = build_form(Bundle.open(folder / "torch"), variant, runtime, folder / name, sample, full=full)  # type: ignore[arg-type]
            full = full or form  # the first is onnx-fp32
        rows: dict[str, Row] = {}
        for threads in options.threads:
            torch.set_num_threads(threads)
            take_turns(load_all(model, folder, threads), rows, judged, asked, threads=threads, rounds=options.rounds)
        for name in FORMS:
            rows[name].megabytes = (
                sum((folder / name / graph).stat().st_size for graph in (IMAGE_ONNX, TEXT_ONNX)) / 1e6
            )
    show(rows, options.size)


def make_bundle(model: Any, size: tuple[int, int], folder: Path) -> None:
    """Write open_clip's model as a torch bundle."""
    folder.mkdir()
    architecture = open_clip.get_model_config(NAME)
    architecture["vision_cfg"]["image_size"] = list(size)
    clip_tokenizer().save(str(folder / TOKENIZER))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS)
    spec = BundleSpec(
        method="random",
        architecture=architecture,
        preprocessing=Pixels(height=size[0], width=size[1], **MEAN_STD),
        context_length=77,
        embedding_dim=architecture["embed_dim"],
        lineage=Lineage(dataset_hash="", git_commit=""),
    )
    write_spec(folder, spec)
    write_golden(Bundle.open(folder), TorchEncoder.from_bundle(Bundle.open(folder), "cpu"))


def make_people(folder: Path) -> Path:
    """A prepared data set of a few synthetic people."""
    counts = SynthesizeConfig(
        identities_train=20, identities_val=2, identities_test=2, images_per_identity=2, workers=1
    )
    return prepare_people(counts, folder / "people")


def load_all(model: Any, folder: Path, threads: int) -> dict[str, Any]:
    """Every encoder in the table, the baseline first."""
    encoders: dict[str, Any] = {
        BASELINE: OpenClip(model),
        "torch, cut to length": TorchEncoder.from_bundle(Bundle.open(folder / "torch"), "cpu"),
    }
    compiled = load_compiled(folder / "torch") if threads == 1 else None  # takes most of a minute
    if compiled is not None:
        encoders["torch.compile, cut to length"] = compiled
    for name in FORMS:
        encoders[name] = load_graph_encoder(Bundle.open(folder / name), threads)
    encoders["OpenVINO bf16"] = OpenVinoEncoder(Bundle.open(folder / "OpenVINO fp32"), threads, precision="bf16")
    return encoders


def load_compiled(bundle: Path) -> TorchEncoder | None:
    """The torch encoder, compiled for the lengths it is given; None if that takes more than a minute or fails."""
    built = load_bundle_model(Bundle.open(bundle))
    for name in ("encode_image", "encode_text"):
        setattr(built.model, name, torch.compile(getattr(built.model, name), dynamic=False))
    encoder = TorchEncoder(built, torch.device("cpu"))
    size = (built.preprocessing.height, built.preprocessing.width)
    try:
        with at_most(COMPILE_SECONDS):
            encoder.encode_texts([query(bundle)])
            encoder.encode_images(np.zeros((1, *size, 3), dtype=np.uint8))
    except Exception as error:
        Console(stderr=True).print(f"torch.compile skipped: {type(error).__name__} {shortened(str(error))}")
        return None
    return encoder


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the block if it runs longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def query(bundle: Path) -> str:
    """A text of exactly 20 tokens, including start and end."""
    tokenizer = Tokenizer(bundle / TOKENIZER, 77)
    words = QUERY.split()
    while int(text_lengths(tokenizer.encode([" ".join(words)]))[0]) > QUERY_TOKENS:
        words.pop()
    assert int(text_lengths(tokenizer.encode([" ".join(words)]))[0]) == QUERY_TOKENS
    return " ".join(words)


def take_turns(
    encoders: dict[str, Any], rows: dict[str, Row], judged: Sample, asked: str, *, threads: int, rounds: int
) -> None:
    """Encode the sample to compare vectors, which also warms up; then time rounds of one query and one image."""
    text, picture = [asked], judged.pixels_NHW3[:1]
    for name, encoder in encoders.items():
        row = rows.setdefault(name, Row())
        texts, images = encoder.encode_texts(list(judged.captions)), encoder.encode_images(judged.pixels_NHW3[:2])
        row.vectors = [texts, images]
        row.text[threads], row.image[threads] = [], []
        timed(encoder.encode_texts, text), timed(encoder.encode_images, picture)
    for _ in range(rounds):
        for name, encoder in encoders.items():
            times = [timed(encoder.encode_texts, text) for _ in range(TEXTS_PER_ROUND)]
            rows[name].text[threads].append(statistics.median(times))
        for name, encoder in encoders.items():
            rows[name].image[threads].append(timed(encoder.encode_images, picture))


def timed(encode: Callable[[Any], object], items: Any) -> float:
    start = time.perf_counter()
    encode(items)
    return time.perf_counter() - start


def show(rows: dict[str, Row], size: tuple[int, int]) -> None:
    """Milliseconds and their ratio to the baseline for each number of threads; the largest difference in a component
    and the smallest cosine to the baseline's vectors; megabytes of both graphs.
    """
    baseline = rows[BASELINE]
    table = Table("encoder", title=f"{NAME} at {size[0]} × {size[1]}, load {os.getloadavg()[0]:.1f}")
    for threads in baseline.text:
        for kind in ("text", "image"):
            table.add_column(f"{kind} ms, {threads} thread{'s' * (threads > 1)}", justify="right")
    for title in ("text |Δ|", "image |Δ|", "text cos", "image cos", "MB"):
        table.add_column(title, justify="right")
    for name, row in rows.items():
        times = []
        for threads in baseline.text:
            for own, theirs in ((row.text, baseline.text), (row.image, baseline.image)):
                if threads not in own:
                    times.append("–")
                    continue
                gain = statistics.median(b / a for a, b in zip(own[threads], theirs[threads], strict=True))
                times.append(f"{1000 * statistics.median(own[threads]):.1f} ({gain:.1f}×)")
        pairs = list(zip(row.vectors, baseline.vectors, strict=True))
        distances = [f"{np.abs(own - theirs).max():.1e}" for own, theirs in pairs]
        cosines = [f"{(own * theirs).sum(axis=1).min():.4f}" for own, theirs in pairs]
        table.add_row(name, *times, *distances, *cosines, "" if np.isnan(row.megabytes) else f"{row.megabytes:.0f}")
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
