"""Small models as the torch bundles that compression starts from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from personsearch.bundle import TOKENIZER, WEIGHTS, Bundle, BundleSpec, Lineage, Preprocessing, write_spec
from personsearch.data.records import read_manifest, write_manifest
from personsearch.encoders.golden import write_golden
from personsearch.encoders.torch import TorchEncoder
from personsearch.models.architecture import Architecture
from personsearch.models.build import create_model
from personsearch.models.encoder import PersonEncoder

BundleOf = Callable[[Path, PersonEncoder, Tokenizer], Path]


@pytest.fixture(scope="session")
def bundle_of() -> BundleOf:
    """Writes a model and a tokenizer as a whole torch bundle."""

    def write(folder: Path, model: PersonEncoder, tokenizer: Tokenizer) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        height, width = model.architecture.image_size
        write_spec(
            folder,
            BundleSpec(
                method="tiny",
                architecture=model.architecture.to_dict(),
                preprocessing=Preprocessing(height=height, width=width, mean=(0.5,) * 3, std=(0.5,) * 3),
                context_length=model.context_length,
                embedding_dim=model.embedding_dim,
                lineage=Lineage(dataset_hash="none", git_commit=""),
            ),
        )
        tokenizer.save(str(folder / TOKENIZER))
        state = {name: value.detach().contiguous() for name, value in model.named_weights().items()}
        save_file(state, folder / WEIGHTS)
        write_golden(Bundle.open(folder), TorchEncoder.from_bundle(Bundle.open(folder), "cpu"))
        return folder

    return write


@pytest.fixture(scope="session")
def make_model() -> Callable[[dict[str, Any]], PersonEncoder]:
    """An architecture's random model, the same every time."""

    def make(architecture: dict[str, Any]) -> PersonEncoder:
        torch.manual_seed(0)
        return create_model(Architecture(architecture)).eval()

    return make


@pytest.fixture(scope="session")
def training_split(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set's 24 test images, to train on."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "images").symlink_to(tiny_dataset / "images")
    write_manifest(folder, [replace(record, split="train") for record in read_manifest(tiny_dataset, "test")])
    return folder
