"""The model bundle: a folder that training writes, MLflow stores, and indexing and serving load.

    bundle.yaml             what the model is and where it came from (BundleSpec)
    tokenizer.json          Hugging Face tokenizers format
    weights.safetensors     absent in bundles that are ONNX only
    image_encoder.onnx, text_encoder.onnx   after export
    calibration.json, metrics.json, golden.json, MODEL_CARD.md

It contains no pickles.
"""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml

from personsearch.config import Config
from personsearch.errors import UserError, check_exists
from personsearch.files import hash_file, replacing, replacing_folder
from personsearch.images import DEFAULT_INTERPOLATION, Interpolation

if TYPE_CHECKING:
    from personsearch.tokenizer import Tokenizer

SPEC = "bundle.yaml"
TOKENIZER = "tokenizer.json"
WEIGHTS = "weights.safetensors"
IMAGE_ONNX = "image_encoder.onnx"
TEXT_ONNX = "text_encoder.onnx"
CALIBRATION = "calibration.json"
METRICS = "metrics.json"
GOLDEN = "golden.json"
MODEL_CARD = "MODEL_CARD.md"
FILES = (SPEC, TOKENIZER, WEIGHTS, IMAGE_ONNX, TEXT_ONNX, CALIBRATION, METRICS, GOLDEN, MODEL_CARD)

Variant = Literal["torch", "onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-static"]
Runtime = Literal["onnxruntime", "openvino"]
DEFAULT_RUNTIME: Runtime = "onnxruntime"


class Preprocessing(Config):
    """Squash to height×width (antialiased), scale to [0, 1], standardise per channel."""

    height: int
    """Pixels."""

    width: int
    """Pixels."""

    mean: tuple[float, float, float]
    """Subtracted per channel, in RGB order."""

    std: tuple[float, float, float]
    """Divided by per channel, in RGB order."""

    interpolation: Interpolation = DEFAULT_INTERPOLATION
    """How pixels are interpolated when an image is resized."""


class TextCleaning(Config):
    """What happens to a text before tokenizer.json splits it."""

    ftfy: bool = False
    """As OpenAI's CLIP does: HTML escapes become characters; full-width letters, ligatures and curly quotes are folded;
    control characters go.
    """

    pre_caption: bool = False
    """As TBPS-CLIP does: lower case, spaces for `.!"()*#:;~`, and the first 77 words."""


class Lineage(Config):
    """Where a model came from; an empty string is "not known"."""

    dataset_hash: str
    """Hash of the prepared data set that it was trained on."""

    git_commit: str
    """Commit of the code that trained it."""

    run_id: str = ""
    """The MLflow or Kubeflow run."""

    parent: str = ""
    """Fingerprint of the bundle that it was made from."""

    sample: str = ""
    """Digest of the sample that static quantisation was fitted to."""


class BundleSpec(Config):
    """The content of bundle.yaml."""

    format: Literal[1] = 1
    """Version of the bundle's layout."""

    method: str
    """Name of the recipe's method."""

    variant: Variant = "torch"
    """What its weights are: torch, or the precision of its ONNX graphs."""

    runtime: Runtime = DEFAULT_RUNTIME
    """What runs its ONNX graphs."""

    architecture: dict[str, Any]
    """An open_clip model configuration, or a dual transformer's."""

    preprocessing: Preprocessing
    """How an image becomes the model's input."""

    text_cleaning: TextCleaning = TextCleaning()
    """What happens to a text before it becomes tokens."""

    context_length: int
    """Tokens of a caption, start and end included."""

    embedding_dim: int
    """Length of its vectors."""

    lineage: Lineage
    """Where the model came from."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. Each of its files is parsed or hashed at most once, so open it again after a change."""

    folder: Path
    spec: BundleSpec

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read bundle.yaml; the other files are read when they are needed.

        Raises:
            UserError: `folder` is not a bundle, or has a format that this version does not read.
        """
        if not is_bundle(folder):
            check_exists(folder, "a model bundle")
            raise UserError(f"{folder}: not a model bundle ({SPEC} is missing)")
        return cls(folder, BundleSpec.from_yaml(folder / SPEC))

    @classmethod
    @contextmanager
    def writing(cls, target: Path, spec: BundleSpec) -> Iterator[Self]:
        """Yield a bundle to write files into, whole or not at all: at the end its folder becomes `target`."""
        with replacing_folder(target) as folder:
            write_spec(folder, spec)
            yield cls(folder, spec)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of what it computes, 16 hex digits: SHA-256 of weights, graphs with their external data, tokenizer,
        preprocessing and the cleaning of texts.
        """
        # A default leaves no trace: a bundle keeps its fingerprint when a field is added.
        default = self.spec.preprocessing.interpolation == DEFAULT_INTERPOLATION
        unnamed = {"interpolation"} if default else set()
        digest = hashlib.sha256(self.spec.preprocessing.model_dump_json(exclude=unnamed).encode())
        digest.update(str(self.spec.context_length).encode())
        if self.spec.runtime != DEFAULT_RUNTIME:
            digest.update(self.spec.runtime.encode())
        if self.spec.text_cleaning != TextCleaning():
            digest.update(self.spec.text_cleaning.model_dump_json().encode())
        for name in (TOKENIZER, WEIGHTS, IMAGE_ONNX, TEXT_ONNX, *self._external_data()):
            if self.path(name).is_file():
                digest.update(f"{name}\0{hash_file(self.path(name))}".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """Raises UserError if tokenizer.json is missing."""
        from personsearch.tokenizer import Tokenizer

        return Tokenizer(self.path(TOKENIZER), self.spec.context_length, self.spec.text_cleaning)

    def _external_data(self) -> list[str]:
        """Files in which the ONNX graphs keep tensors; a graph contains their names as plain bytes."""
        graphs = [path for path in map(self.path, (IMAGE_ONNX, TEXT_ONNX)) if path.is_file()]
        others = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        candidates = sorted(name for name in others if name not in FILES)
        return [name for name in candidates if any(_contains(graph, name.encode()) for graph in graphs)]

    def path(self, name: str) -> Path:
        """Where a file of the bundle is, whether or not it exists."""
        return self.folder / name

    def __str__(self) -> str:
        return str(self.folder)


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle."""
    return (folder / SPEC).is_file()


def write_spec(folder: Path, spec: BundleSpec) -> None:
    """Write bundle.yaml completely or not at all."""
    with replacing(folder / SPEC) as temporary:
        temporary.write_text(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _contains(path: Path, content: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped.find(content) >= 0
