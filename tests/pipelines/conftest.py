"""A tiny versioned data set and the smallest recipe that runs: what both pipelines are tested on."""

from typing import Any

import pytest

from personsearch.data.synthetic.synthesize import SynthesizeConfig, synthesize
from personsearch.integrations.dvc_repository import DatasetVersion, commit_dataset, create_data_repository

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": [64, 32], "patch_size": 16, "layers": 2, "width": 32, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 32, "heads": 2, "layers": 2},
}
RECIPE: dict[str, Any] = {
    "model": {
        "weights": "random",
        "architecture": ARCHITECTURE,
        "image_size": [64, 32],
        "context_length": 16,
        "vocabulary": 512,
        "frozen": [],
    },
    "epochs": 1,
    "batch_size": 8,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="session")
def dataset_version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """Twelve identities under version control."""
    folder = tmp_path_factory.mktemp("data")
    config = SynthesizeConfig(identities_train=6, identities_val=2, identities_test=4, images_per_identity=2, cameras=2)
    synthesize(config, folder / "pedestrians")
    create_data_repository(folder / "repository")
    return commit_dataset(folder / "repository", folder / "pedestrians", "Add pedestrians")
