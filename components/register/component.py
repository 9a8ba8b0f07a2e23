"""Register a model as challenger."""

from kfp import dsl

from components.images import PLATFORM_IMAGE


@dsl.component(base_image=PLATFORM_IMAGE, install_kfp_package=False)
def register(
    *,
    model: dsl.Input[dsl.Model],
    fingerprint: str,
    metrics: dsl.Input[dsl.Metrics],
    dataset: dsl.Input[dsl.Dataset],
    dataset_hash: str,
    model_name: str,
    code_version: str,
) -> str:
    """Register the chosen bundle in MLflow with its metrics and lineage; return its version."""
    from pathlib import Path

    from personsearch.integrations.kubeflow_steps import read_metrics
    from personsearch.integrations.mlflow_registry import ModelRegistry
    from personsearch.settings import Settings

    tags = {"validation_status": "passed", "dataset_hash": dataset_hash, "code_version": code_version}
    registry = ModelRegistry(Settings().mlflow_address, model_name)
    return registry.register(Path(model.path) / "chosen", metrics=read_metrics(metrics), tags=tags)
