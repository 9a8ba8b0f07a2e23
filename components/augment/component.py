"""Add back-translations of the captions, and proximity images."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def augment(
    *,
    prepared: dsl.Input[dsl.Dataset],
    prepared_hash: str,
    config: dict,
    code_version: str,
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Write the data set with back-translated captions and images in other colours; return its hash."""
    from pathlib import Path

    from personsearch.augmentation.augment import AugmentConfig
    from personsearch.augmentation.augment import augment as run
    from personsearch.data.records import dataset_hash
    from personsearch.data.shards import pack_images
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step

    start_step(code_version)
    settings = parse_config(AugmentConfig, config)
    results = run(settings, Path(prepared.path), Path(dataset.path))
    pack_images(Path(dataset.path))
    report_metrics(results, metrics)
    return dataset_hash(Path(dataset.path))
