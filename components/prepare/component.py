"""Turn a data set as published into a prepared one."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def prepare(
    *,
    raw: dsl.Input[dsl.Dataset],
    raw_hash: str,
    config: dict,
    code_version: str,
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Check every image and caption, write the prepared data set and return its hash."""
    from pathlib import Path

    from personsearch.data.prepare import PrepareConfig
    from personsearch.data.prepare import prepare as run
    from personsearch.data.records import dataset_hash
    from personsearch.data.shards import pack_images
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, start_step, unpacked_folder

    start_step(code_version)
    with unpacked_folder(Path(raw.path), beside=Path(dataset.path)) as source:
        results = run(parse_config(PrepareConfig, config), source, Path(dataset.path))
    pack_images(Path(dataset.path))
    report_metrics(results, metrics)
    return dataset_hash(Path(dataset.path))
