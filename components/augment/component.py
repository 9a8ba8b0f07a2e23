"""Add back-translations of the captions."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def augment(
    *,
    prepared: dsl.Input[dsl.Dataset],
    prepared_hash: str,
    config: dict,
    code_version: str,
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Write the data set with a second wording of every training caption and return its hash."""
    from pathlib import Path

    from personsearch.augmentation.augment import AugmentConfig
    from personsearch.augmentation.augment import augment as run
    from personsearch.data.records import dataset_hash
    from personsearch.integrations.kubeflow_steps import parse_config, report_metrics

    results = run(parse_config(AugmentConfig, config), Path(prepared.path), Path(dataset.path))
    report_metrics(results, metrics)
    return dataset_hash(Path(dataset.path))
