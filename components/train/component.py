"""Train one model."""

from kfp import dsl

from components.images import TRAINING_IMAGE


@dsl.component(base_image=TRAINING_IMAGE, install_kfp_package=False)
def train(
    *,
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    config: dict,
    code_version: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Train one model, or resume from its checkpoints; return the fingerprint of its bundle."""
    from pathlib import Path

    from personsearch.bundle import Bundle
    from personsearch.integrations.kubeflow.steps import parse_config, report_metrics, resumable_folder, start_step
    from personsearch.integrations.mlflow.runs import mlflow_callbacks
    from personsearch.training.config import TrainConfig
    from personsearch.training.launch import train_on_every_gpu as run

    start_step(code_version)
    with resumable_folder(Path(model.path), dataset_hash, config, code_version) as out_dir:
        results = run(parse_config(TrainConfig, config), Path(dataset.path), out_dir, callbacks=mlflow_callbacks)
    report_metrics(results, metrics)
    return Bundle.open(Path(model.path) / "bundle").fingerprint
