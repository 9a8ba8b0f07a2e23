"""Fetch one version of a data set from DVC."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def fetch_dataset(
    *, repository: str, revision: str, path: str, dataset_hash: str, code_version: str, dataset: dsl.Output[dsl.Dataset]
):
    """Fetch `path` at `revision` of a Git repository with DVC; refuse it unless its hash is `dataset_hash`."""
    from pathlib import Path

    from personsearch.integrations.dvc.data import fetch
    from personsearch.integrations.kubeflow.steps import packed_folder, start_step

    start_step(code_version)
    with packed_folder(Path(dataset.path)) as folder:
        fetch(repository, revision, path, folder, expected_hash=dataset_hash)
    dataset.metadata["hash"] = dataset_hash
